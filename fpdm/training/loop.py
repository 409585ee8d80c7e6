"""The training loop, as a generator: whoever iterates it sees each step."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import attrs
import torch
from accelerate import Accelerator
from attrs import frozen
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from fpdm.data import LabelledImages, digits
from fpdm.errors import InvalidValueError
from fpdm.models import DiT, FPDiT
from fpdm.models.network import Network
from fpdm.pipeline import FPDMPipeline
from fpdm.training.config import FPDiTConfig, OptimizerConfig, TrainConfig, unstructure_config
from fpdm.training.seeding import batch_indices, drop_labels, generator

DATA: dict[str, Callable[[], LabelledImages]] = {"digits": digits}


@frozen
class Progress:
    """One step of a training.

    Attributes:
        step: steps done.
        loss: mean squared error of the prediction; with a learned variance, the hybrid loss.
        residual: mean relative residual of the fixed-point solve; None for an explicit network.
        gradient_norm: before clipping.
        learning_rate: of this step.
    """

    step: int
    loss: float
    residual: float | None
    gradient_norm: float
    learning_rate: float


class Training:
    """A training that can be iterated step by step, and saved.

    Args:
        config: all there is to say about it.

    Examples:
        >>> from fpdm.training import TrainConfig, Training
        >>> training = Training(TrainConfig(steps=2, batch_size=4))
        >>> [progress.step for progress in training]
        [1, 2]
        >>> pipe = training.pipeline()
    """

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.data = DATA[config.data]()
        self.accelerator = Accelerator()
        if self.accelerator.num_processes > 1:
            raise InvalidValueError(
                f"{self.accelerator.num_processes} processes: training runs in one; leave out the "
                f"launcher."
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            network = build_network(config, self.data)
        optimizer = torch.optim.AdamW(
            network.parameters(),
            lr=config.optimizer.learning_rate,
            weight_decay=config.optimizer.weight_decay,
            fused=True,
        )
        self.network, self.optimizer = self.accelerator.prepare(network, optimizer)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, learning_rate_curve(config.optimizer, config.steps)
        )
        self.ema = AveragedModel(
            self.accelerator.unwrap_model(self.network),
            multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay),
        )

    def __iter__(self) -> Iterator[Progress]:
        """Train, yielding each step."""
        self.network.train()
        for step in range(self.config.steps):
            yield self._step(step)

    def _step(self, step: int) -> Progress:
        config, device = self.config, self.accelerator.device
        chosen = batch_indices(config.seed, step, batch_size=config.batch_size, size=len(self.data))
        draws = generator(config.seed, step, "noise")
        clean = self.data.images[chosen]
        timestep = config.diffusion.timesteps(len(clean), draws)
        noise = torch.randn(clean.shape, generator=draws)
        labels = drop_labels(
            self.data.labels[chosen], config.class_dropout, self.data.num_classes, draws
        )
        noised = config.diffusion.noise(clean.to(device), noise.to(device), timestep.to(device))
        call: dict[str, Any] = {}
        if isinstance(config.model, FPDiTConfig):
            call["generator"] = generator(config.seed, step, "counts")
        out = self.network(
            noised.x, timestep=timestep.to(device), class_labels=labels.to(device), **call
        )
        loss = config.diffusion.loss(
            out.sample, noised, clean=clean.to(device), timestep=timestep.to(device)
        )
        self.accelerator.backward(loss)
        norm = self.accelerator.clip_grad_norm_(
            self.network.parameters(), config.optimizer.max_grad_norm
        )
        learning_rate = float(self.schedule.get_last_lr()[0])
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()
        self.ema.update_parameters(self.accelerator.unwrap_model(self.network))
        return Progress(
            step=step + 1,
            loss=loss.item(),
            residual=out.solution.residual.mean().item() if out.solution else None,
            gradient_norm=float(norm),
            learning_rate=learning_rate,
        )

    def pipeline(self) -> FPDMPipeline:
        """The averaged weights, ready to sample with."""
        learned = self.config.model.learn_sigma
        scheduler = self.config.diffusion.scheduler(
            "ddpm" if learned else None, learned_variance=learned
        )
        return FPDMPipeline(cast("FPDiT | DiT", self.ema.module.eval()), scheduler)

    def save(self, out: Path) -> None:
        """Write the pipeline (safetensors and JSON) and the configuration to a folder."""
        self.pipeline().save_pretrained(out)
        text = json.dumps(unstructure_config(self.config), indent=2)
        (out / "training.json").write_text(text + "\n", encoding="utf-8")


def build_network(config: TrainConfig, data: LabelledImages) -> Network:
    """Build the untrained network that a configuration describes for a data set."""
    cls = FPDiT if isinstance(config.model, FPDiTConfig) else DiT
    return cls(
        sample_size=data.images.shape[-1],
        in_channels=data.images.shape[1],
        num_classes=data.num_classes,
        **attrs.asdict(config.model),
    )


def learning_rate_curve(config: OptimizerConfig, steps: int) -> Callable[[int], float]:
    """The learning rate at a step relative to its peak: linear warm-up, then a cosine."""

    def at(step: int) -> float:
        if step < config.warmup_steps:
            return (step + 1) / config.warmup_steps
        done = (step - config.warmup_steps) / max(1, steps - config.warmup_steps)
        cosine = (1 + math.cos(math.pi * min(done, 1.0))) / 2
        return config.final_learning_rate + (1 - config.final_learning_rate) * cosine

    return at
