"""What the code of a page does, in earnest."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent.parent


def run_example(page: str, change: Callable[[str], str] = str) -> dict[str, Any]:
    """Run the first Python of a page in a folder that is removed, and say how long it took.

    Args:
        page: its path below the documentation.
        change: what is done to its text before.

    Returns:
        The names that it has made.
    """
    path = DOCS / page
    example = re.search(r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S)[1]
    names: dict[str, Any] = {}
    here, began = os.getcwd(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        exec(compile(change(example), str(path), "exec"), names)
        os.chdir(here)
    print(f"{page}: {time.perf_counter() - began:.0f} s")
    return names
