"""Formulas become MathML when the site is built: no script, no font from elsewhere, no network."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from latex2mathml.converter import convert

INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.S)
DISPLAY = re.compile(r'<div class="arithmatex">\\\[(.*?)\\\]</div>', re.S)


def on_page_content(html: str, **_: Any) -> str:
    """Replace what `pymdownx.arithmatex` has marked."""
    html = INLINE.sub(lambda found: convert(unescape(found[1]).strip()), html)
    return DISPLAY.sub(
        lambda found: f'<div class="equation">{_block(found[1])}</div>',
        html,
    )


def _block(latex: str) -> str:
    return convert(unescape(latex).strip(), display="block")
