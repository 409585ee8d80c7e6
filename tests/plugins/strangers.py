"""Plugins of strangers that break, each in its own way, and what is to be said of them."""

from pathlib import Path

import attrs

from tests.plugins.environments import wheel

HEAD = """\
from attrs import frozen
from fpdm import FixedPointSolver, hookimpl
from fpdm.iteration import IterativeSolver


class Halfway(IterativeSolver):
    name = "halfway"

    def start(self, z0):
        return None

    def advance(self, z, image, state):
        return z.lerp(image, 0.5), state


"""
HOOK = """\
@hookimpl
def fpdm_register_solvers():
    {}
"""


@attrs.frozen
class Stranger:
    """A plugin in a distribution of its own.

    Attributes:
        name: of the distribution, of the plugin, and of the module with underscores.
        source: of the module.
        reason: what the failure says, or part of it.
        line: where it goes wrong, as the text of that line; empty where no line is to blame.
        attribute: what the entry point names in the module.
    """

    name: str
    source: str
    reason: str
    line: str = ""
    attribute: str = ""

    @property
    def module(self) -> str:
        return self.name.replace("-", "_")

    @property
    def value(self) -> str:
        return f"{self.module}:{self.attribute}" if self.attribute else self.module

    @property
    def number(self) -> int | None:
        """Of the line that is to blame."""
        return self.source.splitlines().index(self.line) + 1 if self.line else None

    def wheel(self, folder: Path) -> Path:
        modules = {f"{self.module}.py": self.source}
        return wheel(folder, self.name, modules, points={self.name: self.value})


def returns(value: str) -> str:
    return HEAD + HOOK.format(f"return {value}")


def offers(body: str) -> str:
    """A hook that offers a class of its own."""
    return f"{HEAD}{body}\n\n\n{HOOK.format('return [Mine]')}"


LIST = "must be a list of classes"
STRANGERS = [
    Stranger(
        "cannot-import",
        "import no_such_package_anywhere\n",
        "ModuleNotFoundError: No module named 'no_such_package_anywhere'",
        "import no_such_package_anywhere",
    ),
    Stranger(
        "bad-syntax",
        f"{HEAD}def broken(:\n",
        "SyntaxError: invalid syntax",
        "def broken(:",
    ),
    Stranger(
        "hook-raises", returns("1 / 0"), "ZeroDivisionError: division by zero", "    return 1 / 0"
    ),
    Stranger("empty", HEAD, "nothing in it is marked by @fpdm.hookimpl"),
    Stranger(
        "unmarked",
        returns("[Halfway]").replace("@hookimpl\n", ""),
        "marked by @fpdm.hookimpl: add it to fpdm_register_solvers",
    ),
    Stranger(
        "bare-fields",
        offers(
            "from attrs import field\n\n\n"
            'class Mine(Halfway):\n    name = "mine"\n    a = field(default=1)'
        ),
        "Mine has the fields a: add `@attrs.frozen` above it",
    ),
    Stranger("gives-none", returns("None"), f"returned None: {LIST}"),
    Stranger("gives-text", returns("'halfway'"), f"returned 'halfway': {LIST}"),
    Stranger("gives-class", returns("Halfway"), f"returned <class 'gives_class.Halfway'>: {LIST}"),
    Stranger("gives-generator", returns("(each for each in [Halfway])"), LIST),
    Stranger("gives-int", returns("[3]"), "returned 3: must be subclasses of FixedPointSolver"),
    Stranger(
        "unspeakable",
        offers("class Mine:\n    pass").replace(
            "[Mine]", "type('Odd', (), {'__repr__': lambda self: 1 / 0})()"
        ),
        "returned <Odd whose repr raises ZeroDivisionError>",
    ),
    Stranger(
        "name-of-ours",
        offers('class Mine(Halfway):\n    name = "naive"'),
        "the solver 'naive' is already registered by plugin 'solvers' of fpdm",
    ),
    Stranger(
        "abstract",
        offers('class Mine(IterativeSolver):\n    name = "mine"'),
        "Mine is abstract: it lacks advance, start",
    ),
    Stranger(
        "needy",
        offers(
            "class Mine(Halfway):\n    name = 'needy'\n\n    def __init__(self, x):\n        pass"
        ),
        "Mine must be given x: give every option a default",
    ),
    Stranger(
        "forgetful",
        offers(
            "class Mine(Halfway):\n    name = 'forgetful'\n\n"
            "    def __init__(self, x=1):\n        pass"
        ),
        "Mine does not keep its option x as an attribute",
    ),
    Stranger(
        "bad-default",
        offers(
            "import attrs\n\n\n@frozen\nclass Mine(Halfway):\n    name = 'bad-default'\n"
            "    x: object = attrs.field(factory=lambda: 1 / 0)"
        ),
        "ZeroDivisionError: division by zero",
        "    x: object = attrs.field(factory=lambda: 1 / 0)",
    ),
    Stranger(
        "odd-name",
        offers("class Mine(Halfway):\n    name = 'my solver:a'"),
        "the name 'my solver:a' must be letters and digits",
    ),
    Stranger(
        "lies",
        f"{HEAD}error = SyntaxError('no file')\nerror.filename = 7\nraise error\n",
        "SyntaxError: no file",
    ),
    Stranger(
        "silent-exit",
        f"{HEAD}class Silent(Exception):\n    def __str__(self):\n        raise SystemExit(0)\n\n\n"
        "raise Silent\n",
        "Silent",
        "raise Silent",
    ),
    Stranger(
        "unprintable",
        f"{HEAD}raise ValueError('a\\x1b[31m\\ud800' + 10_000 * 'b')\n",
        "ValueError: a�[31m�bbb",
        "raise ValueError('a\\x1b[31m\\ud800' + 10_000 * 'b')",
    ),
    Stranger("nameless", offers("class Mine(Halfway):\n    name = None"), "Mine has no name"),
    Stranger("number-name", offers("class Mine(Halfway):\n    name = 7"), "Mine has no name"),
    Stranger(
        "raising-name",
        offers(
            "class Meta(type(FixedPointSolver)):\n"
            "    @property\n"
            "    def name(cls):\n"
            "        raise RuntimeError('no name today')\n\n\n"
            "class Mine(FixedPointSolver, metaclass=Meta):\n"
            "    solve = None"
        ),
        "RuntimeError: no name today",
        "        raise RuntimeError('no name today')",
    ),
    Stranger("exits", f"{HEAD}raise SystemExit('bye')\n", "SystemExit: bye"),
    Stranger("exits-in-hook", f"import sys\n{returns('sys.exit()')}", "SystemExit"),
    Stranger(
        "panics",
        f"{HEAD}class Panic(BaseException):\n    pass\n\n\nraise Panic('native code')\n",
        "Panic: native code",
        "raise Panic('native code')",
    ),
    Stranger(
        "no-attribute",
        HEAD,
        "AttributeError: module 'no_attribute' has no attribute 'hooks'",
        attribute="hooks",
    ),
    Stranger(
        "forbids-children",
        offers(
            "class Parent(Halfway):\n"
            "    def __init_subclass__(cls):\n"
            "        raise TypeError('no children')\n\n\n"
            "class Mine(Parent):\n"
            '    name = "mine"'
        ),
        "TypeError: no children",
        "        raise TypeError('no children')",
    ),
    Stranger(
        "wants-arguments",
        returns("[Halfway]").replace("solvers()", "solvers(budget)"),
        "fpdm_register_solvers takes budget: must take no arguments",
    ),
    Stranger(
        "misspelt",
        returns("[Halfway]").replace("solvers()", "solverz()"),
        "there is no hook 'fpdm_register_solverz'. Did you mean 'fpdm_register_solvers'?",
    ),
]
INSTALLED = [
    Stranger(
        "poison",
        offers(
            "class Meta(type(FixedPointSolver)):\n"
            "    def __subclasscheck__(cls, other):\n"
            "        raise RuntimeError('ask me nothing')\n\n\n"
            'class Mine(Halfway, metaclass=Meta):\n    name = "poison"'
        ),
        "RuntimeError: ask me nothing",
        "        raise RuntimeError('ask me nothing')",
    ),
    Stranger(
        "asks",
        returns("[Halfway] if fpdm.solver('naive') else []").replace(
            "from fpdm import", "import fpdm\nfrom fpdm import", 1
        ),
        "components cannot be looked up while plugins are loaded",
        "    return [Halfway] if fpdm.solver('naive') else []",
    ),
]
"""What breaks the process that it is in, or only where it is found among the installed plugins."""
