"""The training loop, as a generator: whoever iterates it sees each step."""

from __future__ import annotations

import copy
import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import torch
from diffusers.training_utils import EMAModel
from torch import Tensor

from fpdm.data import Dataset
from fpdm.diffusion.labels import odd_names
from fpdm.errors import InvalidValueError, TrainingWarning, listed
from fpdm.models import SavedNetwork
from fpdm.pipeline import FPDMPipeline
from fpdm.solution import Denoised
from fpdm.training.batches import Share, Shares
from fpdm.training.building import build_network, check_network, open_data
from fpdm.training.config import OptimizerConfig, TrainConfig
from fpdm.training.engine import like, prepare, put_weights, start_engine, synchronised, whole
from fpdm.training.guards import Guards
from fpdm.training.jacobian import JacobianWatch, check_watchable
from fpdm.training.progress import Progress
from fpdm.training.seeding import generator
from fpdm.training.starting import read_start
from fpdm.training.telling import check_dropout, said_of
from fpdm.training.unreadable import Notice
from fpdm.training.vae import find_vae


class Training:
    """A training that can be iterated step by step, by one process or by many together.

    Args:
        config: all there is to say about it.
        data: in place of the data set that the configuration names.
        network: in place of the network that it names: a [`Network`][fpdm.Network] that is saved,
            as those that derive from [`FixedPointNetwork`][fpdm.models.FixedPointNetwork] are, with
            the weights to begin with. It is left as it is: what is trained is a copy.

    Attributes:
        step: steps done; iteration goes on from here.

    Raises:
        InvalidValueError: the data cannot be read, or sizes, processes and configuration do not fit
            together, or the network lacks something; the message says what.

    Examples:
        >>> from fpdm.training import TrainConfig, Training
        >>> training = Training(TrainConfig(steps=2, batch_size=4))
        >>> [progress.step for progress in training]
        [1, 2]
        >>> pipe = training.pipeline()
    """

    def __init__(
        self,
        config: TrainConfig,
        *,
        data: Dataset | None = None,
        network: SavedNetwork | None = None,
    ) -> None:
        self.given = data
        """The data set that was given in place of that of the configuration; None if none was."""
        self.given_network = network
        """The network that was given in place of that of the configuration; None if none was."""
        self.step = 0
        if config.start_from is not None and network is not None:
            raise InvalidValueError(
                f"start_from={config.start_from!r}: a network is given, with the weights to begin "
                f"with; leave one of them out."
            )
        self.begin(config)

    def begin(self, config: TrainConfig) -> None:
        """Put the training at its beginning, with the data and the network that it was given.

        Args:
            config: all there is to say about it.

        Raises:
            InvalidValueError: as from building a training.
        """
        self.config = config
        self.data = open_data(config.data) if self.given is None else self.given
        first = torch.zeros(1, dtype=torch.int64)
        self.data.batch(first, first)  # before anything is begun that cannot go on
        self.accelerator = start_engine(config)
        _warn_of_names(self.data.shape.class_names)
        network = self._untrained()
        check_dropout(network, self.data.shape, config.class_dropout)
        check_watchable(network, config.jacobian)
        self.network = prepare(self.accelerator, network, config.engine)
        self.optimizer = self.accelerator.prepare_optimizer(
            torch.optim.AdamW(
                self.network.parameters(),
                lr=config.optimizer.learning_rate,
                weight_decay=config.optimizer.weight_decay,
                fused=True,
            )
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, learning_rate_curve(config.optimizer, config.steps)
        )
        self.ema = EMAModel(
            self.network.parameters(),
            decay=config.ema_decay,
            min_decay=0.0 if config.ema_warmup else config.ema_decay,
            use_ema_warmup=config.ema_warmup,
            foreach=True,
        )
        self.vae = find_vae(self.data.shape.latent_space)
        self.step = 0
        self.notes: tuple[str, ...] = ()
        """What is otherwise than in the trained network that it has begun with, in sentences."""
        self._waits = True
        """For the weights to begin with: a run that goes on has no need of them."""
        self.unreadable: set[str] = set()
        """Files that could not be read so far, by this process."""

    def start(self) -> None:
        """Put in the weights of `start_from`, if that is said and has not been done.

        Iteration does it, and whatever shows the weights; all processes have to call it. A training
        that goes on from a checkpoint does not need them, and they may be gone.

        Raises:
            InvalidValueError: they cannot be read, or do not fit; the message says in what.
        """
        folder = self.config.start_from
        if folder is None or self.step or not self._waits:
            return
        predicted = self.config.diffusion.prediction
        start = read_start(folder, self._untrained(), self.data.shape, prediction=predicted)
        put_weights(self.network, start.weights)
        names = [name for name, _ in self.bare.named_parameters()]
        for name, kept in zip(names, self.ema.shadow_params, strict=True):
            kept.copy_(like(start.weights[name], kept))
        self.notes, self._waits = start.notes, False

    @property
    def bare(self) -> SavedNetwork:
        """The network, without what lets processes train it together."""
        return cast("SavedNetwork", self.accelerator.unwrap_model(self.network))

    def __iter__(self) -> Iterator[Progress]:
        """Train, yielding each step.

        Raises:
            TrainingError: too many steps in a row were not finite.

        Warns:
            TrainingWarning: a step was not finite, residuals have grown too large, or files of the
                data cannot be read.
        """
        self.start()
        self.network.train()
        guards, notice = Guards(self.config.guards), Notice()
        processes = self.accelerator
        shares = Shares(self.config, self.data, processes.process_index, processes.num_processes)
        loader, began = shares.loader(self.step), time.perf_counter()
        while self.step < self.config.steps:
            share = next(loader)
            if share.unreadable:
                self.unreadable |= set(share.unreadable)
                notice.watch(self.unreadable)
            progress = self._step(share.to(processes.device), shares.places(self.step), began)
            began = time.perf_counter()
            guards.watch(progress)
            yield progress

    def _step(self, share: Share, places: range, began: float) -> Progress:
        parts = self.config.engine.gradient_accumulation
        each = len(places) // parts
        measured = []
        for index, part in enumerate(share.split(parts)):
            watch = self._watch(places[index * each : (index + 1) * each])
            with synchronised(self.accelerator, self.network, last=index == parts - 1):
                loss, out = self._predict(part, watch)
                penalised = loss
                if watch.penalty is not None:
                    penalised = loss + self.config.jacobian.weight * watch.penalty
                self.accelerator.backward(penalised / parts)
            measured.append(_measure(loss, out, watch))
        norm = self.accelerator.clip_grad_norm_(
            self.network.parameters(), self.config.optimizer.max_grad_norm
        )
        loss, before, after, *seen = self.accelerator.reduce(
            torch.stack(measured).mean(dim=0), reduction="mean"
        ).tolist()
        norm = float(whole(norm))
        learning_rate = float(self.schedule.get_last_lr()[0])
        skipped = not self._update(finite=math.isfinite(loss) and math.isfinite(norm))
        self.step += 1
        solved = out.solution
        grad_evals = None if solved is None else solved.grad_evals
        seconds = time.perf_counter() - began
        return Progress(
            step=self.step,
            loss=loss,
            residual_before=None if solved is None else before,
            residual=None if solved is None else after,
            no_grad_evals=None if solved is None else solved.evals - (grad_evals or 0),
            grad_evals=grad_evals,
            gradient_norm=norm,
            learning_rate=learning_rate,
            skipped=skipped,
            seconds=seconds,
            images_per_second=self.config.batch_size / seconds,
            memory_bytes=_memory(self.accelerator.device),
            jacobian_penalty=None if watch.penalty is None else seen[0],
            spectral_radius=None if watch.radius is None else seen[-1],
            jacobian_evals=watch.evals,
        )

    def _watch(self, places: range) -> JacobianWatch:
        """What watches the solutions of a part of a batch, at this step."""
        config = self.config
        return JacobianWatch(config.jacobian, seed=config.seed, step=self.step, places=places)

    def _predict(self, part: Share, watch: JacobianWatch | None = None) -> tuple[Tensor, Denoised]:
        """The loss of a part of a batch, and what the network said."""
        diffusion = self.config.diffusion
        noised = diffusion.noise(part.clean, part.noise, part.timestep)
        call: dict[str, Any] = {}
        if hasattr(self.bare, "layer"):  # the counts are the same in all processes
            call["generator"] = generator(self.config.seed, self.step, "counts")
            if watch is not None and watch.wanted:
                call["watch"] = watch
        call |= said_of(self.bare, part)
        with self.accelerator.autocast():
            out = self.network(noised.x, timestep=part.timestep, **call)
        loss = diffusion.loss(out.sample.float(), noised, clean=part.clean, timestep=part.timestep)
        return loss, out

    def _update(self, *, finite: bool) -> bool:
        """Take the step of the optimizer, unless it would spoil the weights; whether it did."""
        taken = finite
        if finite or self.accelerator.scaler is not None:  # which lowers its scale where it is not
            self.optimizer.step()
            taken = finite and not getattr(self.optimizer, "step_was_skipped", False)
        self.optimizer.zero_grad()
        self.schedule.step()
        if taken:
            self.ema.step(self.network.parameters())
        return taken

    def averaged(self) -> dict[str, Tensor]:
        """The averaged weights, in one piece on the CPU; all processes have to call it."""
        self.start()
        names = [name for name, _ in self.bare.named_parameters()]
        average = zip(names, self.ema.shadow_params, strict=True)
        weights = {name: whole(value).cpu() for name, value in average}
        kept = self.bare.state_dict()
        return {name: weights[name] if name in weights else kept[name].cpu() for name in kept}

    def pipeline(self) -> FPDMPipeline:
        """The averaged weights, ready to sample with; all processes have to call it.

        Raises:
            InvalidValueError: the network says that it predicts something else.
        """
        weights = self.averaged()
        network = self._untrained()
        network.load_state_dict(weights)
        learned = bool(network.config.get("learn_sigma"))
        scheduler = self.config.diffusion.scheduler(
            "ddpm" if learned else None,
            learned_variance=learned,
            clip=self.data.shape.is_picture,
        )
        names = {str(number): name for number, name in self.data.shape.class_names.items()}
        return FPDMPipeline(network.eval(), scheduler, vae=self.vae, id2label=names or None)

    def _untrained(self) -> SavedNetwork:
        if self.given_network is not None:
            check_network(self.given_network, self.data.shape, name="network")
            network = copy.deepcopy(self.given_network).requires_grad_()
        else:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.config.seed)
                network = build_network(self.config.model, self.data.shape)
        _agree(network, self.config.diffusion.prediction)
        return network


def _warn_of_names(class_names: Mapping[int, str]) -> None:
    """Warn of classes whose names are other numbers than their own."""
    if odd := odd_names(class_names):
        warnings.warn(
            f"{listed(odd, 3)}{' are like that' * (len(odd) > 3)}: `--classes` takes names before "
            f"numbers.",
            TrainingWarning,
            stacklevel=5,
        )


def learning_rate_curve(config: OptimizerConfig, steps: int) -> Callable[[int], float]:
    """The learning rate at a step relative to its peak: linear warm-up, then a cosine.

    Source: Goyal et al. 2017 (the warm-up); Loshchilov and Hutter, SGDR, 2017 (the cosine).

    Args:
        config: of the optimizer.
        steps: of the training.

    Returns:
        A function of the steps done, with values in [0, 1].
    """
    end = decay_end(config, steps)

    def at(step: int) -> float:
        if step < config.warmup_steps:
            return (step + 1) / config.warmup_steps
        done = (step - config.warmup_steps) / max(1, end - config.warmup_steps)
        cosine = (1 + math.cos(math.pi * min(done, 1.0))) / 2
        return config.final_learning_rate + (1 - config.final_learning_rate) * cosine

    return at


def decay_end(config: OptimizerConfig, steps: int) -> int:
    """The step at which the learning rate has come to its end.

    Args:
        config: of the optimizer.
        steps: of the training.
    """
    return steps if config.decay_steps is None else config.decay_steps


def _measure(loss: Tensor, out: Denoised, watch: JacobianWatch) -> Tensor:
    """Loss, residual before and after the solve, and what is seen of the Jacobian; (3,) to (5,)."""
    figures = [loss.detach().float()]
    if out.solution is None:
        figures += [loss.new_zeros(())] * 2
    else:
        start = cast("Tensor", out.solution.start_residual)
        figures += [start.mean().float(), out.solution.residual.mean().float()]
    seen = (each for each in (watch.penalty, watch.radius) if each is not None)
    figures += [each.detach().float() for each in seen]
    return torch.stack(figures)


def _memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # which Linux gives in KiB


def _agree(network: SavedNetwork, prediction: str) -> None:
    """Let a network say what it learns to predict, unless it says something else already."""
    says = getattr(network, "prediction_type", None)
    if says is None and isinstance(network, SavedNetwork):
        network.prediction_type = prediction
    elif says not in (None, prediction):
        raise InvalidValueError(
            f"diffusion.prediction={prediction!r}: the {type(network).__name__} says that it "
            f"predicts {says!r}; use that."
        )
