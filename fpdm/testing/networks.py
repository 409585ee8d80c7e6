"""The laws of a network."""

from __future__ import annotations

import copy
import inspect
import tempfile
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from fpdm.checks import sample_shape
from fpdm.diffusion import Diffusion
from fpdm.diffusion.conditions import CONDITION, LABELS, keyword_of, null_of
from fpdm.sampling import sample
from fpdm.solution import Denoised
from fpdm.testing.laws import Law, check, undisturbed

SIZES = {"sample_size": 8, "in_channels": 2, "num_classes": 3}
"""What a class is built for; of these it is given what it takes."""

SAMPLES = 3
near = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-5)
"""As near as float32 is where the size of a batch differs."""


def check_network(network: type[nn.Module] | nn.Module) -> None:
    """Hold a network to its contract: sizes, samples, budgets, gradients, saving and loading.

    Args:
        network: a class that can be built with `sample_size=8`, `in_channels=2` and
            `num_classes=3`, or an object; it is not changed.

    Raises:
        AssertionError: a law is broken; the message says which.

    Examples:
        >>> import fpdm
        >>> from fpdm.testing import check_network
        >>> check_network(fpdm.FPDiT(sample_size=4, in_channels=1, num_classes=2, hidden_size=8,
        ...                          num_heads=2))
    """
    check(network, base=nn.Module, laws=LAWS, build=_build)


def says_what_it_costs(model: Any) -> None:
    """Block passes are whole numbers ≥ 0, and the label for no class comes after the others."""
    for name in ("pre_passes", "post_passes"):
        assert hasattr(model, name), f"There is no {name}."
        passes = getattr(model, name)
        assert type(passes) is int, f"{name}={passes!r} is no int."
        assert passes >= 0, f"{name}={passes}"
    assert hasattr(model, "null_class"), "There is no null_class."
    null = model.null_class
    assert null is None or null == _classes(model), f"null_class={null}, of {_classes(model)}."
    size, none = getattr(model, "condition_size", None), getattr(model, "null_condition", None)
    assert none is None or tuple(none.shape) == size, (
        f"null_condition of {tuple(none.shape)}, not {size}."
    )
    explicit = model.pre_passes + model.post_passes
    assert hasattr(model, "layer") or explicit, "It has no layer, and no passes of its own."


def denoises(model: Any) -> None:
    """The prediction is shaped and typed like the input, and finite; one size or any other."""
    for count in (SAMPLES, 1):
        x, call = _call(model, count)
        with torch.no_grad():
            made = model(x, **call, **_granted(model, 2))
        assert isinstance(made, Denoised), f"{type(made).__name__} is no Denoised."
        channels = x.shape[1] * (2 if _option(model, "learn_sigma") else 1)
        expected = (count, channels, *x.shape[2:])
        found = tuple(made.sample.shape)
        assert found == expected, f"{tuple(x.shape)} became {found}, not {expected}."
        assert made.sample.dtype == x.dtype, f"{x.dtype} became {made.sample.dtype}."
        assert made.sample.isfinite().all(), "The prediction is not finite."


def solves_as_often_as_it_is_granted(model: Any) -> None:
    """An implicit network makes the evaluations granted, and says what it solved from."""
    if not hasattr(model, "layer"):
        x, call = _call(model)
        assert model(x, **call).solution is None, "There is a solution, and no layer."
        return
    for evals in (1, 2, 5):
        x, call = _call(model)
        made = model(x, **call, evals=evals)
        assert made.solution is not None, "There is no solution."
        assert made.solution.evals == evals, f"{made.solution.evals} evaluations, not {evals}."
        assert made.features is not None, "There are no features: give them to Denoised."
        shapes = tuple(made.features.shape), tuple(made.solution.value.shape)
        assert shapes[0] == shapes[1], f"Features of {shapes[0]} led to a solution of {shapes[1]}."


def goes_on_from_its_history(model: Any) -> None:
    """A history and an init that reads it reach the layer."""
    if not hasattr(model, "layer"):
        return
    x, call = _call(model)
    with torch.no_grad():
        first = model(x, **call, evals=6)
        cold = model(x, **call, evals=1, init="features").solution
        warm = model(x, **call, evals=1, init="reuse", history=[first.visited()]).solution
    assert not torch.equal(cold.value, warm.value), "A history changes nothing."


def treats_samples_apart(model: Any) -> None:
    """A sample that is denoised alone equals the sample in its batch."""
    x, call = _call(model)
    with torch.no_grad():
        together = model(x, **call, **_granted(model, 3)).sample
        for index in range(SAMPLES):
            one = {name: value[index : index + 1] for name, value in call.items()}
            alone = model(x[index : index + 1], **one, **_granted(model, 3)).sample
            near(together[index], alone[0])


def leaves_out_what_has_stopped(model: Any) -> None:
    """With a tolerance some samples stop, and the others go on as they would alone."""
    if not hasattr(model, "layer"):
        return
    x, call = _call(model)
    solving: dict[str, Any] = {"solver": "naive", "init": "features"}
    with torch.no_grad():
        residuals = model(x, **call, evals=2, **solving).solution.residual.sort().values
        tol = float((residuals[0] * residuals[1]).sqrt())  # between the first and the second
        if not 0 < tol < float(residuals[1]):
            return
        together = model(x, **call, evals=5, tol=tol, **solving)
        for index in range(SAMPLES):
            one = {name: value[index : index + 1] for name, value in call.items()}
            alone = model(x[index : index + 1], **one, evals=5, tol=tol, **solving)
            near(together.solution.value[index], alone.solution.value[0])


def hears_the_timestep_and_the_class(model: Any) -> None:
    """Another timestep, another class or another condition gives another prediction."""
    x, call = _call(model)
    call["timestep"] = torch.full((SAMPLES,), 500.0)
    others = {"timestep": torch.full((SAMPLES,), 100.0)}
    if LABELS in call and _labels(model) > 1:
        others[LABELS] = (call[LABELS] + 1) % _labels(model)
    if CONDITION in call:
        others[CONDITION] = call[CONDITION] + 1
    with torch.no_grad():
        before = model(x, **call, **_granted(model, 3)).sample
        for name, other in others.items():
            after = model(x, **call | {name: other}, **_granted(model, 3)).sample
            assert not torch.equal(before, after), f"{name} makes no difference."


def takes_one_timestep_for_all(model: Any) -> None:
    """A timestep may be one for all, of no dimension, or one for each; whole or not."""
    x, call = _call(model)
    with torch.no_grad():
        for timestep in (torch.tensor(500), torch.tensor(500.5)):
            given = (timestep, timestep.expand(SAMPLES))
            calls = [call | {"timestep": each} for each in given]
            first, second = (model(x, **each, **_granted(model, 2)).sample for each in calls)
            near(first, second)


def remembers_nothing(model: Any) -> None:
    """The same call gives the same prediction; nothing is drawn, and no argument overwritten."""
    x, call = _call(model)

    def denoise() -> Tensor:
        with torch.no_grad():
            return cast("Tensor", model(x, **call, **_granted(model, 2)).sample)

    first = denoise()
    undisturbed(denoise, x, *call.values())
    other, more = _call(model, 1)
    with torch.no_grad():
        model(other, **more, **_granted(model, 4))
    assert torch.equal(denoise(), first), "The same call gives another prediction."


def learns_with_every_parameter(model: Any) -> None:
    """In training every parameter gets a finite gradient."""
    x, call = _call(model)
    model.train()
    draws = {"generator": torch.Generator().manual_seed(0)} if hasattr(model, "layer") else {}
    made = model(x, **call, **draws)
    (made.sample**2).sum().backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, f"{name} gets no gradient."
            assert parameter.grad.isfinite().all(), f"The gradient of {name} is not finite."


def is_drawn_from_within_its_budget(model: Any) -> None:
    """A run spends its budget of block passes exactly, guided or not."""
    scheduler = Diffusion().scheduler("ddpm" if _option(model, "learn_sigma") else None)
    scheduler.set_timesteps(4)
    explicit = model.pre_passes + model.post_passes
    budget = 4 * explicit + (9 if hasattr(model, "layer") else 0)
    x, call = _call(model)
    del call["timestep"]
    for scale in (1.0, 2.0) if null_of(model) is not None else (1.0,):
        with torch.no_grad():
            steps = list(sample(model, scheduler, x, **call, budget=budget, guidance_scale=scale))
        spent = sum(step.passes for step in steps)
        assert spent == budget, f"{spent} of {budget} block passes were spent."
        assert steps[-1].sample.isfinite().all(), "What was drawn is not finite."


def is_saved_and_loaded(model: Any) -> None:
    """What is saved and loaded again predicts the same to the last bit."""
    assert hasattr(model, "save_pretrained"), (
        "It cannot be saved: derive it from fpdm.models.SavedNetwork."
    )
    x, call = _call(model)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        loaded = type(model).from_pretrained(folder).eval()
    lost = [name for name in model.config if name not in loaded.config and name[0] != "_"]
    assert not lost, f"The configuration has lost {', '.join(lost)}."
    with torch.no_grad():
        before, after = (each(x, **call, **_granted(model, 2)).sample for each in (model, loaded))
    assert torch.equal(before, after), "What was loaded predicts something else."


LAWS: tuple[Law, ...] = (
    says_what_it_costs,
    denoises,
    solves_as_often_as_it_is_granted,
    goes_on_from_its_history,
    treats_samples_apart,
    leaves_out_what_has_stopped,
    hears_the_timestep_and_the_class,
    takes_one_timestep_for_all,
    remembers_nothing,
    learns_with_every_parameter,
    is_drawn_from_within_its_budget,
    is_saved_and_loaded,
)


def _build(network: Any) -> Any:
    """A network in evaluation, a little off its first weights, of which some may be zero."""
    if isinstance(network, type):
        taken = inspect.signature(network).parameters
        try:
            network = network(**{name: size for name, size in SIZES.items() if name in taken})
        except Exception as error:
            sizes = ", ".join(f"{name}={size}" for name, size in SIZES.items())
            raise AssertionError(
                f"{network.__name__} cannot be built with {sizes}: {error}"
            ) from error
    built = copy.deepcopy(network).eval()
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=rng).to(parameter))
    return built


def _call(model: Any, count: int = SAMPLES) -> tuple[Tensor, dict[str, Any]]:
    """Noisy samples, and the timestep of each, and what else it takes."""
    rng, config = torch.Generator().manual_seed(1), dict(getattr(model, "config", {}))
    shape = sample_shape(config if "in_channels" in config else SIZES | config)
    x = torch.randn(count, *shape, generator=rng)
    call: dict[str, Any] = {"timestep": torch.linspace(900, 10, count)}
    if keyword_of(model) == LABELS:
        call[LABELS] = torch.arange(count) % _labels(model)
    if keyword_of(model) == CONDITION:
        call[CONDITION] = torch.randn(count, *model.condition_size, generator=rng)
    return x, call


def _option(model: Any, name: str) -> Any:
    return dict(getattr(model, "config", {})).get(name)


def _classes(model: Any) -> int:
    said = _option(model, "num_classes")
    return SIZES["num_classes"] if said is None else int(said)


def _labels(model: Any) -> int:
    """How many labels there are; without classes one, which stands for none."""
    return _classes(model) or 1


def _granted(model: Any, evals: int) -> dict[str, int]:
    return {"evals": evals} if hasattr(model, "layer") else {}
