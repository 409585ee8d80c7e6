"""How examples stand at the end of a command's help."""

from __future__ import annotations

from collections.abc import Iterable


def epilogue(examples: Iterable[str]) -> str:
    """The end of a help page, in Markdown.

    Args:
        examples: command lines.
    """
    return "\n".join(["**Examples**", "```", *examples, "```"])
