"""How far a run in 16 bits ends from the same run in 32."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from tests.benchmarks.costs.figures import Figure
from tests.benchmarks.costs.settings import DIGITS, Settings
from tests.benchmarks.costs.workloads import implicit, pipeline, scheduler_of

SECTION = "deviation"
PASSES, STEPS, IMAGES = 60, 15, 16
DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def deviation(settings: Settings) -> Iterator[Figure]:
    """Of the digits, from one noise, in [-1, 1]."""
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn(IMAGES, 1, 8, 8, generator=rng).to(settings.device)

    def drawn(dtype: torch.dtype, solver: str | None) -> Tensor:
        network = implicit(DIGITS, device=settings.device, dtype=dtype)
        made = pipeline(network, scheduler_of(DIGITS))(
            torch.arange(IMAGES) % 10,
            budget=PASSES,
            num_inference_steps=STEPS,
            solver=solver,
            init="reuse",
            latents=noise,
            output_type="latent",
        )
        return made.images.float()

    for solver in ("naive", None):
        exact = drawn(torch.float32, solver)
        for name, dtype in DTYPES.items():
            apart = (drawn(dtype, solver) - exact).abs()
            case = f"digits, {STEPS} × 2, {solver or 'default'}"
            yield Figure(SECTION, case, f"{name}, max", apart.max().item())
            yield Figure(SECTION, case, f"{name}, mean", apart.mean().item())
