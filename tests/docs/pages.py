"""The pages of the documentation, and running what they say."""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from fpdm.cli import main
from tests.places import DOCS, ROOT

APART = ("plugins", "tables")  # folders of docs that are no pages
PAGES = [
    ROOT / "README.md",
    *sorted(path for path in DOCS.rglob("*.md") if path.relative_to(DOCS).parts[0] not in APART),
]
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w+)(?P<options>[^\n]*)\n(?P<text>.*?)^(?P=indent)```",
    re.M | re.S,
)
INCLUDED = re.compile(r'^--8<-- "(.*?)"$', re.M)
BIN = Path(sys.executable).parent


def name(page: Path) -> str:
    """A page, as tests are called after it."""
    return page.relative_to(ROOT).as_posix()


@frozen
class Block:
    """A fenced block of a page, and the title above it: for a file, its name."""

    page: Path
    language: str
    text: str
    title: str = ""


def blocks(page: Path, *languages: str) -> list[Block]:
    """The fenced blocks of these languages, in order, with what they include."""
    found = FENCE.finditer(page.read_text(encoding="utf-8"))
    return [
        Block(page, each["language"], _included(each["text"]), _title(each["options"]))
        for each in found
        if each["language"] in languages
    ]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def _title(options: str) -> str:
    found = re.search(r'title="(.*?)"', options)
    return found[1] if found else ""


def _included(text: str) -> str:
    return INCLUDED.sub(lambda found: (ROOT / found[1]).read_text(encoding="utf-8"), text)


def commands(block: Block) -> list[str]:
    """The commands of a block, each on one line, without its comment."""
    lines = block.text.replace("\\\n", " ").splitlines()
    stripped = (re.sub(r"(^|\s)#.*", "", line).strip() for line in lines)
    return [" ".join(line.split()) for line in stripped if line]


TOYS = {
    # too long, too many processes, or files of others: what the tests run in its place
    r"^fpdm demo$": "fpdm demo --num 100",
    r"^fpdm new-plugin my-solver\b": "fpdm new-plugin solver-of-the-tests",  # a reader may have it
    r"^(.*fpdm train (?!.*--print-config).*)$": (
        r"\1 --set steps=2 --set batch_size=4 --set tracking.samples=2 --set "
        r"tracking.samples_budget=8"
    ),
    r"fpdm train (imagenet|ffhq)\b": (
        r"fpdm train \1 --set model.hidden_size=8 --set model.num_heads=2 "
        r"--set engine.precision=fp32 --set engine.workers=0"
    ),
    r"^(fpdm calibrate \S+).*$": (
        r"\1 --samples 2 --budgets 8 --schedulers dpm++ --spacings late --iterations 2 "
        r"--solvers naive --inits extrapolate --allocations measured"
    ),
    r"^(fpdm diagnose\b.*)$": r"\1 --num 2 --steps 3 --evals 3",
    r"^(fpdm compare \w+) --out .*$": r"\1 --dry-run",
    r"--num 50000\b": "--num 3",
    r"-n 50000\b": "-n 3",
    r"--nproc-per-node 8\b": "--nproc-per-node 2",
    r"--num_processes 8\b": "--num_processes 2",
    r"stabilityai/sd-vae-ft-ema|vaes/ema": "tiny-vae",
    r"--image-size 256\b": "--image-size 8",
    r"DiT-XL-2-256x256\.pt": "DiT-S-2.pt",
    r"checkpoints/0001000\b": "checkpoints/0000002",
    r"--classes 207 360 --budget 560 --steps 20": "--classes 1 2 --steps 2 --budget 6",
    r"\bsteps=4000, batch_size=256\b": "steps=2, batch_size=8",
}


BY_HAND = ("source ", "pip ", "export ")
"""What a reader does to an environment, and the tests do not do to theirs."""


def run_all(page: Path, folder: Path) -> dict[str, object]:
    """Run every block of a page, in the current folder, and return the names of its Python."""
    namespace: dict[str, object] = {}
    for block in blocks(page, "python", "sh", "toml"):
        if Path(block.title).suffix:
            (folder / block.title).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            exec(compile(toy(block.text), str(page), "exec"), namespace)
        elif block.language == "sh":
            for command in commands(block):
                if not command.startswith(BY_HAND):
                    run(command)
    return namespace


def toy(command: str) -> str:
    """A command, or a block of Python, at the size at which the tests run it."""
    for pattern, replacement in TOYS.items():
        command = re.sub(pattern, replacement, command)
    return command


def run(command: str) -> str:
    """Run a command in the current folder, and return what it printed; it must succeed."""
    tokens = shlex.split(toy(command))
    target = tokens[tokens.index(">") + 1] if ">" in tokens else None
    tokens = tokens[: tokens.index(">")] if target else tokens
    if tokens[0] == "fpdm":
        printed = _run_here(tokens[1:])
    elif tokens[0] == "make":
        printed = _check_target(tokens[1])
    else:
        printed = _run_there(tokens)
    if target:
        Path(target).write_text(printed, encoding="utf-8")
    return printed


def _run_here(tokens: list[str]) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        main(tokens)
    return printed.getvalue()


def _run_there(tokens: list[str]) -> str:
    environment = os.environ | {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(tokens, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _check_target(target: str) -> str:
    """`make` is run by whoever runs these tests; here only that there is such a target."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{target}:", makefile, re.M), target
    return ""


def navigation() -> Iterator[Path]:
    """The pages that the navigation of the site names, in order."""
    tree = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    nav = tree[tree.index("\nnav:") : tree.index("\nexclude_docs:")]
    for path in re.findall(r"(\S+\.md)$", nav, re.M):
        yield DOCS / path
