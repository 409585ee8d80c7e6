"""Runs of the pipeline equal the equations, network included, written out in float64.

Both networks come from `reference.py`. The noise is the same: that of the pipeline's generator.
"""

import numpy as np
import pytest
import torch

import fpdm
from fpdm.diffusion import Diffusion
from fpdm.diffusion.schedulers import EvenDDIMScheduler, EvenDDPMScheduler
from tests import reference
from tests.diffusion.noising import ALPHAS, terminal
from tests.toys import tiny, tiny_dit

SHAPE = (2, 2, 4, 4)
LABELS = [0, 2]
ITERATIONS = 3


def timesteps(steps: int) -> list[int]:
    return [round(i * 999 / (steps - 1)) for i in reversed(range(steps))]


class Exact:
    """A network in float64, guided, and the noise that the pipeline's generator draws."""

    def __init__(self, model, scale: float) -> None:
        self.config = model.config
        self.weights = reference.weights_of(model)
        self.implicit, self.scale = isinstance(model, fpdm.FPDiT), scale
        self.rng = torch.Generator().manual_seed(11)

    def draw(self) -> np.ndarray:
        return torch.randn(SHAPE, generator=self.rng).double().numpy()

    def one(self, x: np.ndarray, t: float, labels: list[int]) -> np.ndarray:
        given = (x, np.full(len(x), float(t)), np.array(labels), self.weights)
        if self.implicit:
            return reference.fpdit(*given, config=self.config, evals=ITERATIONS)
        return reference.dit(*given, config=self.config)

    def __call__(self, x: np.ndarray, t: float) -> tuple[np.ndarray, np.ndarray]:
        """The guided prediction, and the conditional variance where there is one."""
        both = self.one(np.concatenate([x, x]), t, [*LABELS, 3, 3])
        with_class, without = np.split(both, 2)
        channels = SHAPE[1]
        guided = without + self.scale * (with_class - without)
        return guided[:, :channels], with_class[:, channels:]


def compare(model, scheduler, steps: int, scale: float, exactly) -> None:
    pipe = fpdm.FPDMPipeline(model, scheduler)
    pipe.set_progress_bar_config(disable=True)
    passes = model.pre_passes + model.post_passes + (ITERATIONS if hasattr(model, "layer") else 0)
    ours = pipe(
        LABELS,
        num_inference_steps=steps,
        budget=steps * passes,
        guidance_scale=scale,
        generator=torch.Generator().manual_seed(11),
        output_type="latent",
    ).images
    expected = exactly(Exact(model, scale), steps)
    error = np.abs(ours.double().numpy() - expected).max() / np.abs(expected).max()
    assert error <= 1e-4


def clean_of(prediction: str, out: np.ndarray, x: np.ndarray, a: float) -> np.ndarray:
    if prediction == "epsilon":
        return (x - (1 - a) ** 0.5 * out) / a**0.5
    return a**0.5 * x - (1 - a) ** 0.5 * out if prediction == "v_prediction" else out


def ddpm(variance: str, prediction: str, alphas: np.ndarray):
    """Ancestral sampling (Ho et al. 2020, equation 7); learned range: Nichol and Dhariwal 2021."""

    def run(network: Exact, steps: int) -> np.ndarray:
        x, visited = network.draw(), timesteps(steps)
        for t, after in zip(visited, [*visited[1:], None], strict=True):
            a, b = alphas[t], 1.0 if after is None else alphas[after]
            beta = 1 - a / b
            out, said = network(x, t)
            clean = clean_of(prediction, out, x, a)
            x = b**0.5 * beta / (1 - a) * clean + (a / b) ** 0.5 * (1 - b) / (1 - a) * x
            if after is not None:
                small = beta * (1 - b) / (1 - a)
                share = (said + 1) / 2 if variance == "learned_range" else None
                log_variance = {
                    "fixed_small": lambda small=small: np.log(small),
                    "fixed_large": lambda beta=beta: np.log(beta),
                    "learned_range": lambda small=small, beta=beta, share=share: (
                        share * np.log(beta) + (1 - share) * np.log(small)
                    ),
                }[variance]()
                x = x + np.exp(0.5 * log_variance) * network.draw()
        return x

    return run


def ddim(prediction: str, alphas: np.ndarray, clip: float | None):
    """DDIM with eta 0 (Song et al. 2021, equation 12)."""

    def run(network: Exact, steps: int) -> np.ndarray:
        x, visited = network.draw(), timesteps(steps)
        for t, after in zip(visited, [*visited[1:], None], strict=True):
            a, b = alphas[t], 1.0 if after is None else alphas[after]
            clean = clean_of(prediction, network(x, t)[0], x, a)
            clean = clean if clip is None else clean.clip(-clip, clip)
            noise = (x - a**0.5 * clean) / (1 - a) ** 0.5
            x = b**0.5 * clean + (1 - b) ** 0.5 * noise
        return x

    return run


def flow(network: Exact, steps: int) -> np.ndarray:
    """Euler steps along `x0 - noise`, from t = 1 to 0 (Lipman et al. 2023)."""
    x = network.draw()
    for i in range(steps):
        x = x + network(x, 1000 * (1 - i / steps))[0] / steps
    return x


def networks(**options) -> list:
    sizes = {"in_channels": 2, **options}
    return [tiny_dit(depth=2, **sizes), tiny(solver="naive", **sizes)]


STEPS = pytest.mark.parametrize("steps", [20, 50, 250])
KIND = pytest.mark.parametrize("kind", [0, 1], ids=["dit", "fpdit"])


@STEPS
@KIND
@pytest.mark.parametrize("variance", ["learned_range", "fixed_small", "fixed_large"])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_ancestral_sampling(steps, kind, variance, prediction):
    model = networks(learn_sigma=variance == "learned_range")[kind]
    scheduler = EvenDDPMScheduler(prediction_type=prediction, variance_type=variance)
    compare(model, scheduler, steps, 1.5, ddpm(variance, prediction, ALPHAS))


@STEPS
@KIND
@pytest.mark.parametrize("clip", [None, 1.2])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_ddim(steps, kind, clip, prediction):
    model = networks(learn_sigma=True)[kind]  # a variance that is dropped
    scheduler = EvenDDIMScheduler(prediction_type=prediction, clip_sample_range=clip)
    compare(model, scheduler, steps, 1.5, ddim(prediction, ALPHAS, clip))


@STEPS
@KIND
def test_v_prediction_from_pure_noise(steps, kind):
    process = Diffusion(zero_terminal_snr=True)
    compare(
        networks()[kind],
        process.scheduler("ddim"),
        steps,
        1.0,
        ddim("v_prediction", terminal(), 1.2),
    )
    exactly = ddpm("fixed_small", "v_prediction", terminal())
    compare(networks()[kind], process.scheduler("ddpm"), steps, 1.5, exactly)


@STEPS
@KIND
def test_flow_matching(steps, kind):
    compare(networks()[kind], Diffusion("flow").scheduler(), steps, 1.5, flow)
