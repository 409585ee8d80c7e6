"""Diffusion: the process of training, the schedulers that sample from it, and guidance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fpdm.diffusion.guidance import Guidance
from fpdm.diffusion.labels import Classes
from fpdm.diffusion.stepping import Scheduler, Stepping
from fpdm.diffusion.variance import Posterior
from fpdm.runtime.lazy import lazy

if TYPE_CHECKING:
    from fpdm.diffusion.autoencoder import load_vae
    from fpdm.diffusion.process import Diffusion, Noised
    from fpdm.diffusion.schedulers import (
        DPMScheduler,
        EvenDDIMScheduler,
        EvenDDPMScheduler,
        FlowScheduler,
    )
    from fpdm.diffusion.spacing import even_timesteps, spaced_timesteps

__all__ = [
    "Classes",
    "DPMScheduler",
    "Diffusion",
    "EvenDDIMScheduler",
    "EvenDDPMScheduler",
    "FlowScheduler",
    "Guidance",
    "Noised",
    "Posterior",
    "Scheduler",
    "Stepping",
    "even_timesteps",
    "load_vae",
    "spaced_timesteps",
]

__getattr__ = lazy(  # what needs diffusers loads when it is first used
    __name__,
    {
        "DPMScheduler": "fpdm.diffusion.schedulers",
        "Diffusion": "fpdm.diffusion.process",
        "EvenDDIMScheduler": "fpdm.diffusion.schedulers",
        "EvenDDPMScheduler": "fpdm.diffusion.schedulers",
        "FlowScheduler": "fpdm.diffusion.schedulers",
        "Noised": "fpdm.diffusion.process",
        "even_timesteps": "fpdm.diffusion.spacing",
        "load_vae": "fpdm.diffusion.autoencoder",
        "spaced_timesteps": "fpdm.diffusion.spacing",
    },
)
