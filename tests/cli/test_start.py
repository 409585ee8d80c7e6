"""What a command loads: nothing to print help, and nothing that it does not use."""

import ast
import subprocess
import sys
from importlib import import_module

import pytest

import fpdm
from tests.places import ROOT

COMMANDS = (*("demo", "sample", "train", "encode", "evaluate", "convert", "new-plugin", "plugins"),)
HELP = [
    [],
    ["--help"],
    ["--version"],
    *([command, "--help"] for command in COMMANDS),
    ["plugins", "show", "--help"],
]
MISTAKES = [
    ["dmeo"],
    ["--nonsense"],
    *([command, "--nonsense"] for command in COMMANDS),
    ["sample", "all", "of them"],
    ["sample", "--budget", "many"],
    ["sample", "--classes"],
    ["sample", "--classes", "--seed", "3"],
    ["sample", "--num", "0"],
    ["sample", "--seed", "-1"],
    ["sample", "--batch-size", "0", "--out", "folder"],
    ["sample", "--guidance-scale", "nan"],
    ["sample", "--out", "picture.txt"],
    ["sample", "--out", "no/such/folder/a.png"],
    ["sample", "--out", ""],
    ["demo", "--num", "3"],
    ["demo", "--out", "demo.gif"],
    ["train", ""],
    ["train", "digitz"],
    ["train", "--out", ""],
    ["train", "--resume", "--overwrite"],
    ["encode", "source", "target"],
    ["evaluate"],
    ["evaluate", "samples"],
    ["evaluate", "--reference", "digits"],
    ["evaluate", "samples", "--reference", "digits", "--bootstrap", "1"],
    ["evaluate", "samples", "--reference", "digits", "--level", "nan"],
    ["evaluate", "samples", "--reference", "digits", "--features", "pixles"],
    ["evaluate", "samples", "--reference", "digits", "--json", "no/such/folder/a.json"],
    ["convert", "source"],
    ["new-plugin", "Not A Name"],
    ["plugins", "show"],
]
HEAVY = ("torch", "numpy", "diffusers", "accelerate", "PIL", "tqdm", "matplotlib", "sklearn")
EACH = """
import io, sys
from contextlib import redirect_stderr, redirect_stdout
from fpdm.cli import main
for tokens in {commands}:
    code = 0
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        try:
            main(tokens)
        except SystemExit as stop:
            code = stop.code
    print(repr((tokens, code, [name for name in {heavy} if name in sys.modules])))
"""


def python(code: str, folder) -> list[str]:
    """The lines that a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=folder
    )
    return done.stdout.splitlines()


def test_help_and_mistakes_load_nothing(tmp_path):
    lines = python(EACH.format(commands=HELP + MISTAKES, heavy=HEAVY), tmp_path)
    told = [ast.literal_eval(line) for line in lines]
    assert [tokens for tokens, _, _ in told] == HELP + MISTAKES
    assert not [(tokens, loaded) for tokens, _, loaded in told if loaded]
    assert [code for _, code, _ in told] == [0] * len(HELP) + [2] * len(MISTAKES)
    assert list(tmp_path.iterdir()) == []


def test_help_imports_few_modules(tmp_path):
    code = "import sys; from fpdm.cli import main\ntry: main(['--help'])\nfinally: "
    *_, count = python(code + "print(len(sys.modules))", tmp_path)
    assert int(count) < 600


def test_sampling_pixels_loads_no_autoencoder_and_nothing_of_other_commands(tmp_path):
    code = (
        "import sys; from fpdm.cli import main\n"
        "main(['sample', '--budget', '12', '--out', 'a.png'])\n"
        "print(*sys.modules)"
    )
    *_, line = python(code, tmp_path)
    loaded = set(line.split())
    assert "diffusers.pipelines.pipeline_utils" in loaded
    for part in ("diffusers.models.autoencoders", "diffusers.models.unets"):
        assert part not in loaded
    for room in ("training", "evaluation", "testing", "data.folder", "data.encoding"):
        assert f"fpdm.{room}" not in loaded
    for package in ("matplotlib", "sklearn", "transformers", "hypothesis", "torchdeq"):
        assert package not in loaded


def test_an_autoencoder_loads_where_one_is_used(tmp_path):
    code = (
        "import fpdm.pipeline, diffusers\n"
        "from diffusers.pipelines import pipeline_utils\n"
        "assert isinstance(diffusers.AutoencoderKL(), pipeline_utils.AutoencoderKL)\n"
        "assert not isinstance(3, pipeline_utils.AutoencoderKL)\n"
        "print(diffusers.models.AutoencoderKL.__name__, diffusers.AutoencoderKL.__module__)"
    )
    line = "AutoencoderKL diffusers.models.autoencoders.autoencoder_kl"
    assert python(code, tmp_path)[-1] == line


def test_importing_fpdm_loads_no_pytorch_until_a_name_is_used(tmp_path):
    code = (
        "import sys, fpdm\n"
        "print(fpdm.__version__, 'torch' in sys.modules, 'FPDiT' in dir(fpdm))\n"
        "from fpdm import FPDMError\n"
        "print('torch' in sys.modules)\n"
        "print(fpdm.batch.__name__, fpdm.Solution.__name__, fpdm.diffusion.Guidance.__name__)\n"
        "print('torch' in sys.modules)"
    )
    assert python(code, tmp_path) == [
        f"{fpdm.__version__} False True",
        "False",
        "fpdm.batch Solution Guidance",
        "True",
    ]


@pytest.mark.parametrize(
    "package", ["fpdm", "fpdm.plugins", "fpdm.training", "fpdm.data", "fpdm.diffusion"]
)
def test_type_checkers_see_each_lazy_name_where_it_is(package):
    module = import_module(package)
    tree = ast.parse((ROOT / package.replace(".", "/") / "__init__.py").read_text("utf-8"))
    seen = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("fpdm")
        for alias in node.names
    }
    for name in set(module.__all__) - {"__version__"}:
        assert getattr(module, name) is getattr(import_module(seen[name]), name)


def test_what_stands_in_the_package_needs_no_import_of_its_own():
    tops = {path.stem for path in (ROOT / "fpdm").glob("*.py")} - {"__init__", "__main__"}
    rooms = {path.parent.name for path in (ROOT / "fpdm").glob("*/__init__.py")}
    for name in tops | rooms:
        assert getattr(fpdm, name).__name__ == f"fpdm.{name}"
