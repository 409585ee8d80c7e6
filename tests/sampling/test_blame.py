"""What a component raises at work is told with its name and its place; what others raise is not."""

import importlib
import textwrap
from types import SimpleNamespace

import pytest
import torch
import torch.utils.checkpoint
from torch._dynamo.testing import CompileCounter

import fpdm
from fpdm import AllocationPolicy, FixedPointSolver, GradientEstimator, InitStrategy
from fpdm.diffusion import Diffusion
from fpdm.errors import BudgetError, InvalidValueError, PluginError
from fpdm.iteration import IterativeSolver
from fpdm.plugins import Origin, PluginHost, lookup
from fpdm.plugins.blame import ask
from tests.toys import tiny

ERRORS = [(ZeroDivisionError, "division by zero"), (TypeError, "no"), (RuntimeError, "a\nb")]
LEFT_ALONE = [
    *(InvalidValueError, BudgetError, KeyboardInterrupt, GeneratorExit, SystemExit, MemoryError),
    *(torch.OutOfMemoryError, torch.utils.checkpoint.CheckpointError),
]
THEIRS = [ZeroDivisionError, torch.linalg.LinAlgError, torch.OutOfMemoryError, KeyboardInterrupt]


class Advance(IterativeSolver):
    def __init__(self, error: BaseException):
        self.error = error

    def start(self, _):
        return None

    def advance(self, *_):
        raise self.error  # of a solver


class Iterations(AllocationPolicy):
    __init__ = Advance.__init__

    def iterations(self, *_, **__):
        raise self.error  # of an allocation


class Initial(InitStrategy):
    __init__ = Advance.__init__

    def initial(self, *_, **__):
        raise self.error  # of an init


class Solve(GradientEstimator):
    __init__ = Advance.__init__

    def solve(self, *_):
        raise self.error  # of a gradient


KINDS = {"solver": Advance, "allocation": Iterations, "init": Initial, "gradient": Solve}


def number(text: str) -> int:
    """Of the only line of this file that ends so."""
    with open(__file__, encoding="utf-8") as source:
        (found,) = [i for i, line in enumerate(source, 1) if line.rstrip().endswith(text)]
    return found


def draw(model=None, **chosen) -> None:
    pipe = fpdm.FPDMPipeline(model or tiny(), Diffusion().scheduler("ddim"))
    pipe.set_progress_bar_config(disable=True)
    pipe([0, 1], budget=16, num_inference_steps=2, output_type="pt", **chosen)


def train(gradient, solver="naive", block=None) -> None:
    layer = fpdm.FixedPointLayer(block or Pull(), gradient=gradient, training_solver=solver)
    layer.train()(torch.ones(2, 3), cond=None)


def use(kind: str, component: object) -> None:
    """Where the component is at work."""
    if kind == "gradient":
        train(component)
    else:
        draw(**{kind: component})


class Found:
    """A solution, as far as a layer looks at it; a compiler understands it."""

    def __init__(self, value: torch.Tensor):
        self.value = value


class Pull(torch.nn.Module):
    """A block whose map is what it is given."""

    def __init__(self, f=lambda z: z / 2):
        super().__init__()
        self.f = f

    def bind(self, features, _):
        return lambda z: self.f(z) + features


@pytest.mark.parametrize(("error", "said"), ERRORS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_component_raises_is_told_with_its_class_and_line(kind, error, said):
    cause = error(said)
    with pytest.raises(PluginError) as raised:
        use(kind, KINDS[kind](cause))
    article = "an" if kind in ("allocation", "init") else "a"
    assert str(raised.value) == (
        f"The {kind} {KINDS[kind].__name__} failed: {error.__name__}: {' '.join(said.split())} "
        f"({__file__}, line {number(f'# of {article} {kind}')})."
    )
    assert raised.value.__cause__ is cause
    assert pytest.ExceptionInfo.from_exception(cause).traceback[-1].path.samefile(__file__)


@pytest.mark.parametrize("error", LEFT_ALONE)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_mistake_of_the_component_goes_through(kind, error):
    cause = error("stop")
    with pytest.raises(error) as raised:
        use(kind, KINDS[kind](cause))
    assert raised.value is cause
    assert cause.__cause__ is None


class Squared(FixedPointSolver):
    """The last tensor that a backward pass wants is its own."""

    def solve(self, f, x0, **_):
        return Found(f(x0).square())


def test_what_torch_tells_itself_goes_through():
    """A recomputation ends a forward pass by an exception when it has what it wants."""
    layer = fpdm.FixedPointLayer(Pull(), solver=Squared()).eval()
    start = torch.ones(2, 3, requires_grad=True)
    value = torch.utils.checkpoint.checkpoint(
        lambda x: layer(x, None, evals=1).value, start, use_reentrant=False
    )
    value.sum().backward()
    assert torch.equal(start.grad, torch.full((2, 3), 4.5))  # of (x / 2 + x)²


class Singular(Advance):
    def advance(self, *_):
        return torch.linalg.solve(torch.zeros(2, 2), torch.ones(2))  # by torch


def test_what_torch_refuses_to_compute_is_blamed_on_who_asked():
    with pytest.raises(PluginError, match=f"LinAlgError: .* line {number('# by torch')}"):
        use("solver", Singular(None))


@pytest.mark.parametrize("error", THEIRS)
@pytest.mark.parametrize("solver", ["naive", "anderson", "torchdeq-broyden"])
def test_what_the_network_raises_is_not_blamed_on_the_solver(solver, error):
    def broken(_):
        raise error("of the network")

    layer = fpdm.FixedPointLayer(Pull(broken), solver=solver).eval()
    for tol in (None, 0.1):
        with pytest.raises(error) as raised:
            layer(torch.ones(2, 3), cond=None, evals=3, tol=tol)
        assert type(raised.value) is error
    with pytest.raises(error) as raised:
        train("sjfb", solver, Pull(broken))
    assert type(raised.value) is error


def test_a_solver_that_makes_an_error_of_the_networks_is_blamed_for_it():
    class Rewords(FixedPointSolver):
        def solve(self, f, x0, **_):
            try:
                return f(x0)
            except ZeroDivisionError as error:
                raise OverflowError("reworded") from error

    layer = fpdm.FixedPointLayer(Pull(lambda _: 1 / 0), solver=Rewords()).eval()
    with pytest.raises(PluginError, match="Rewords failed: OverflowError: reworded"):
        layer(torch.ones(2, 3), cond=None)


class Deaf(FixedPointSolver):  # it does not listen
    def solve(self, *_):
        return None


class Mute(Advance):  # it says nothing
    def advance(self):
        return None


@pytest.mark.parametrize("solver", [Deaf(), Mute(None)])
def test_a_wrong_signature_is_told_with_the_line_of_the_class(solver):
    comment = "# it does not listen" if isinstance(solver, Deaf) else "# it says nothing"
    place = f"({__file__}, line {number(comment)})."
    with pytest.raises(PluginError, match=r"failed: TypeError: .* argument") as raised:
        use("solver", solver)
    assert str(raised.value).endswith(place)


def test_in_training_the_one_of_both_is_blamed_that_was_at_work():
    class Inner(Solve):
        def solve(self, f, z0, solver, _):
            return solver.solve(f, z0, evals=3)

    with pytest.raises(PluginError, match="The solver Advance failed"):
        train(Inner(None), Advance(ZeroDivisionError()))
    with pytest.raises(PluginError, match="The gradient Solve failed"):
        train(Solve(ZeroDivisionError()), Advance(None))


@pytest.fixture
def registered(tmp_path, monkeypatch):
    """A plugin in a file of its own, as the host of the installed plugins knows it."""
    source = """\
    import fpdm

    class Mine(fpdm.AllocationPolicy):
        name = "mine"

        def iterations(self, *arguments, **named):
            return halve(0)

    def halve(number):
        return 1 / number
    """
    (tmp_path / "my_module.py").write_text(textwrap.dedent(source), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("my_module")
    fresh = PluginHost([])
    hooks = SimpleNamespace(fpdm_register_allocations=fpdm.hookimpl(lambda: [module.Mine]))
    fresh.register(hooks, Origin("my-plugin", "my-package", "1.2", "my_hooks"))
    monkeypatch.setattr(lookup._installed, "_host", fresh)
    return module


def test_a_registered_component_is_told_with_its_name_and_plugin(registered):
    with pytest.raises(PluginError) as raised:
        ask(registered.Mine().iterations, allocation=registered.Mine())
    assert str(raised.value) == (
        f"The allocation 'mine' of plugin 'my-plugin' of my-package 1.2 failed: "
        f"ZeroDivisionError: division by zero ({registered.__file__}, line 10)."
    )


def test_ours_are_told_like_any_other():
    with pytest.raises(PluginError, match=r"The init 'reuse' of plugin 'inits' of fpdm .* failed"):
        ask(lambda: 1 / 0, init=fpdm.init("reuse"))


def test_that_plugins_cannot_be_looked_up_hides_nothing(monkeypatch):
    monkeypatch.setattr(lookup._installed, "_loading", True)
    with pytest.raises(PluginError, match="The init Initial failed: ZeroDivisionError"):
        ask(lambda: 1 / 0, init=Initial(None))


class Compiled(FixedPointSolver):
    """Asks for what a compiler can do, and where it breaks, for what it cannot."""

    def __init__(self, *, breaks: bool):
        self.breaks = breaks

    def solve(self, f, x0, *, evals, **_):
        z = x0
        for _ in range(evals):
            z = f(z)
        if self.breaks:
            torch._dynamo.graph_break()
        return Found(z.cos())


@pytest.mark.parametrize("breaks", [False, True])
def test_a_compiler_finds_as_much_to_compile_as_without(breaks, monkeypatch):
    counts = []
    for asked in (True, False):
        if not asked:
            monkeypatch.setattr("fpdm.layer.ask", lambda call, **_: call())
        torch._dynamo.reset()
        counter = CompileCounter()
        layer = fpdm.FixedPointLayer(Pull(), solver=Compiled(breaks=breaks)).eval()
        compiled = torch.compile(layer, backend=counter, fullgraph=not breaks)
        compiled(torch.ones(2, 3), None, evals=3)
        counts.append((counter.frame_count, counter.op_count))
    assert counts[0] == counts[1]
    assert counts[0][1] >= 7
