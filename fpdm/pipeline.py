"""Sampling the way diffusers does it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from inspect import Signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch
from diffusers.image_processor import VaeImageProcessor
from torch import Tensor

from fpdm import plugins
from fpdm.checks import sample_shape
from fpdm.compiling import Compiled, Usual
from fpdm.diffusion import samplers, schedulers
from fpdm.diffusion.adapters import Adaptable
from fpdm.diffusion.autoencoder import vae_of
from fpdm.diffusion.callback import TENSORS, step_callback
from fpdm.diffusion.decoding import output_of, to_images, warn_of_broken
from fpdm.diffusion.following import follow, news
from fpdm.diffusion.interrupts import Interruptible, Interrupts
from fpdm.diffusion.labels import Classes
from fpdm.diffusion.late import late_autoencoders, loaded
from fpdm.diffusion.loader import LOADER
from fpdm.diffusion.noise import begin, check_generators, seeds_of
from fpdm.diffusion.output import FPDMOutput
from fpdm.diffusion.spread import spread
from fpdm.diffusion.wanted import wanted
from fpdm.errors import InvalidValueError
from fpdm.interfaces import AllocationPolicy, FixedPointSolver, InitStrategy
from fpdm.models import DiffusersDiT, SavedNetwork, parts
from fpdm.models.diffusers_dit import is_their_pipeline, open_pipeline
from fpdm.models.hooked import hooked
from fpdm.models.offered import check_parts
from fpdm.planning.calibrated import Calibrated
from fpdm.planning.choosing import Choice
from fpdm.plugins import Spec
from fpdm.runtime.storage import written_parts
from fpdm.sampling import sample

with late_autoencoders():
    from diffusers.pipelines.pipeline_utils import DiffusionPipeline

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

sys.modules.setdefault("fpdm.schedulers", schedulers)  # as older folders call them


class FPDMPipeline(Calibrated, Interruptible, Adaptable, DiffusionPipeline):
    """Draws images with a network and a scheduler under a budget of block passes.

    Saving and loading, moving to a device, offloading, the progress bar and adapters (LoRA) are
    those of diffusers.

    Args:
        model: a [`Network`][fpdm.Network] that is a model of diffusers, as `FPDiT`, `DiT` and those
            that derive from [`SavedNetwork`][fpdm.models.SavedNetwork] are.
        scheduler: of diffusers; it must fit what the model predicts.
        vae: turns the model's samples, which are its scaled latents, into images: an
            `AutoencoderKL`. None if the model's samples are images.
        id2label: names of the classes by number; several names of one are set apart by commas.
        prediction_type: what the network predicts: `epsilon`, `sample`, `v_prediction`, `flow`
            (`x0 - noise`) or `flow_prediction` (`noise - x0`). None takes what the network says of
            itself, and if it says nothing, what the scheduler expects. A scheduler that is
            exchanged later has to fit it.

    Attributes:
        compiled: what computes timesteps once `compile` has been called; None before.

    Raises:
        InvalidValueError: the parts do not fit together.

    Examples:
        >>> import torch, fpdm
        >>> pipe = fpdm.FPDMPipeline.digits()
        >>> pipe.set_progress_bar_config(disable=True)
        >>> out = pipe([3, 7], budget=60, init="reuse", generator=torch.Generator().manual_seed(0))
        >>> [image.size for image in out.images], len(out.steps)
        ([(8, 8), (8, 8)], 15)
    """

    model_cpu_offload_seq = "model->vae"
    _optional_components: ClassVar[list[str]] = ["vae"]
    _callback_tensor_inputs: ClassVar[list[str]] = list(TENSORS)

    def __init__(
        self,
        model: SavedNetwork,
        scheduler: Any,
        vae: AutoencoderKL | None = None,
        id2label: Mapping[Any, str] | None = None,
        prediction_type: str | None = None,
    ) -> None:
        super().__init__()
        check_parts(model, vae)
        samplers.check_scheduler(scheduler)
        prediction_type = samplers.agreed(
            prediction_type, scheduler, says=getattr(model, "prediction_type", None)
        )
        samplers.check_clock(model.config.get("clock", "thousand"), prediction_type)
        self.register_modules(model=model, scheduler=scheduler, vae=vae)
        self.classes = Classes(model.config.get("num_classes") or 0, model.null_class, id2label)
        names = {str(number): name for number, name in self.classes.names.items()}
        self.register_to_config(id2label=names or None, prediction_type=prediction_type)
        self.image_processor = VaeImageProcessor()
        if vae is not None and vae.config.latent_channels != (drawn := self.sample_shape[0]):
            raise InvalidValueError(
                f"The vae has {vae.config.latent_channels} latent channels, but the network draws "
                f"{drawn}."
            )
        self._interrupts = Interrupts()
        self.compiled: Compiled | None = None
        self._usual = Usual()

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, **options: Any) -> Any:
        """Load a saved pipeline, or a `DiTPipeline` of diffusers.

        Args:
            pretrained_model_name_or_path: the folder, or its name on the hub.
            options: of diffusers, such as `torch_dtype`.

        Returns:
            The pipeline.

        Raises:
            InvalidValueError: weights are missing or too many, or the parts do not fit together.
        """
        name = pretrained_model_name_or_path
        own = vae_of(name, options)
        if is_their_pipeline(name):
            parts = open_pipeline(name, **options)
            return cls(parts.model, parts.scheduler, id2label=parts.id2label, **own)
        return super().from_pretrained(name, **options, **own)

    @classmethod
    def digits(cls) -> FPDMPipeline:
        """The small model of handwritten digits that comes with the package."""
        from fpdm.checkpoints import DIGITS

        return cast("FPDMPipeline", cls.from_pretrained(DIGITS))

    @classmethod
    def _get_signature_types(cls) -> dict[str, tuple[Any, ...]]:
        """What each part may be, for diffusers, which compares classes exactly."""
        anything = (Signature.empty,)
        vae = loaded()
        return {
            "model": (
                *(each.cls for each in plugins.host().components("network")),
                DiffusersDiT,
            ),
            "scheduler": anything,
            "vae": (vae, type(None)) if vae else anything,
            "id2label": anything,
            "prediction_type": anything,
        }

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of one sample of the model, (C, …)."""
        return sample_shape(self.model.config)

    @property
    def labels(self) -> dict[str, int]:
        """The number of each class by its name; an ambiguous name is not among them."""
        found = self.classes.by_name()
        return {name: numbers[0] for name, numbers in sorted(found.items()) if len(numbers) == 1}

    @property
    def _execution_device(self) -> Any:
        return super()._execution_device if hooked(self.model) else self.model.device

    def save_pretrained(self, save_directory: str | Path, **options: Any) -> None:
        """Save all components to a folder, from which `from_pretrained` loads them.

        They are written whole or not at all; what else is in the folder stays.

        A `pipeline.py` in it lets `DiffusionPipeline.from_pretrained` load it too, with
        `custom_pipeline="pipeline"` and `trust_remote_code=True`.

        Args:
            save_directory: the folder; it is made if it does not exist.
            options: of diffusers, such as `variant` and `push_to_hub`.

        Raises:
            InvalidValueError: `save_directory` is a file, or the network has adapters.
            StorageError: it cannot be written, for lack of room or of permission.
        """
        folder = Path(save_directory)
        if folder.is_file():
            raise InvalidValueError(f"{folder} is a file: must be a folder, or nothing yet.")
        if options.get("push_to_hub"):
            options.setdefault("repo_id", folder.name)
        with written_parts(folder, last=parts.INDEX) as beside:
            (beside / parts.LOADER).write_text(LOADER, encoding="utf-8")
            if self.calibration is not None:
                self.calibration.write(beside)
            super().save_pretrained(beside, **options)

    def compile(self, **options: Any) -> FPDMPipeline:
        """Compile the timesteps of the runs to come: a run is as before, and is faster.

        A timestep becomes one function of tensors, compiled when it is first needed: once for each
        shape and number of iterations. What cannot be traced runs as it is, and a warning says so.

        Args:
            options: of `torch.compile`, such as `backend` and `mode`.

        Returns:
            The pipeline itself.
        """
        self.compiled = Compiled(**options)
        return self

    @torch.no_grad()
    def __call__(
        self,
        class_labels: Iterable[int | str] | Tensor | None = None,
        *,
        condition: Any = None,
        num_images: int | None = None,
        budget: int | None = None,
        seconds: float | None = None,
        plan: str | Choice | None = None,
        num_inference_steps: int | None = None,
        timesteps: Iterable[float] | None = None,
        sigmas: Iterable[float] | None = None,
        spacing: str | float | None = None,
        num_images_per_class: int = 1,
        solver: Spec | FixedPointSolver | None = None,
        tol: float | None = None,
        allocation: Spec | AllocationPolicy | None = None,
        init: Spec | InitStrategy | None = None,
        scheduler: Any = None,
        guidance_scale: float = 1.0,
        guidance_channels: int | None = None,
        guidance_interval: tuple[float, float] = (0.0, 1.0),
        eta: float | None = None,
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: Tensor | None = None,
        output_type: str | None = None,
        return_dict: bool = True,
        callback_on_step_end: Callable[..., Any] | None = None,
        callback_on_step_end_tensor_inputs: Iterable[str] = ("latents",),
    ) -> FPDMOutput | tuple[Any, ...]:
        """Draw one image for each class label or condition, or several.

        Args:
            class_labels: (B,) numbers from 0 to `num_classes`, which stands for no class, or names
                of `id2label`.
            condition: in their place, (B, K) or (B, T, K), for a network that takes one.
            num_images: in the place of both, how many, of no class and no condition; 1 if nothing
                is given.
            budget: block passes for the run, explicit layers included; None spends the model's
                own number of iterations at each of the timesteps.
            seconds: in its place, how long the run may take on this machine; what runs cost is
                measured first.
            plan: `"auto"` chooses all that is left open, by the calibration of the model; None does
                so where there are seconds. A [`Choice`][fpdm.planning.Choice] is one made before.
            num_inference_steps: timesteps. None makes as many as leave two iterations each, or
                50 where no budget is given either. A scheduler of second order, such as Heun's,
                calls the network about twice for each.
            timesteps: in place of their number, all of them, noisiest first, for a scheduler that
                takes them.
            sigmas: likewise the noise levels.
            spacing: where the timesteps lie between noise and image: `linear`, `quadratic`, `late`,
                `log-snr` or a power; None is as the scheduler has it.
            num_images_per_class: images for each label or condition, one after the other, as
                diffusers has `num_images_per_prompt`; B is then so many times their number.
            solver: by name, by mapping with options, or an object; None is the model's own.
            tol: the relative residual at which an image stops, and leaves its batch until the next
                timestep; the budget is then what images cost on average at most, and an image
                depends on its batch, whose savings it may spend.
            allocation: likewise; None is `constant`.
            init: likewise; None is the model's own.
            scheduler: by name, such as `"unipc"`, or an object; None is the pipeline's own.
            guidance_scale: classifier-free guidance; 1 is none.
            guidance_channels: how many channels are guided, from the first; None is all. The
                published figures of DiT guide 3.
            guidance_interval: from where to where in the run guidance acts, as fractions of its
                timesteps.
            eta: how much of the noise of ancestral sampling `ddim` draws, from 0 to 1; None is what
                the scheduler does by itself.
            generator: for the noise; on the CPU it draws the same on every device. A list of them,
                one for each image, makes an image independent of the others in its batch.
            latents: the noise to begin with, standard normal, (B, C, …); None draws it.
            output_type: `pil`, `np`, `pt`, or `latent` for the model's samples as they are; None is
                `pil` where they are images, and `np` where not.
            return_dict: whether to return an `FPDMOutput`, or a tuple of what is in it.
            callback_on_step_end: called after each timestep as `(pipe, index, timestep, tensors)`;
                the `latents` of the mapping that it returns take the place of the run's. It may set
                `pipe._interrupt = True` to end the run.
            callback_on_step_end_tensor_inputs: which tensors it is given: `latents`, `residual`.

        Returns:
            The images and what each timestep cost; without `return_dict` as `(images, steps)`.

        Raises:
            BudgetError: the budget cannot be spent on the timesteps.
            InvalidValueError: a label or another argument is not allowed.
            UnknownNameError: a component, a scheduler or a class is not known by that name.

        Warns:
            SamplingWarning: images are not finite; it names them, and the others are whole.
        """
        output_type = output_of(output_type, self.sample_shape, vae=self.vae)
        callback = step_callback(callback_on_step_end, callback_on_step_end_tensor_inputs)
        device = self._execution_device
        asked = wanted(
            self.model,
            self.classes,
            class_labels,
            condition,
            num=num_images,
            each=num_images_per_class,
            device=device,
        )
        way = self.planned(
            plan,
            seconds=seconds,
            count=asked.count,
            guidance_scale=guidance_scale,
            budget=budget,
            num_inference_steps=num_inference_steps,
            timesteps=timesteps,
            sigmas=sigmas,
            spacing=spacing,
            scheduler=scheduler,
            solver=solver,
            allocation=allocation,
            init=init,
        )
        strategies = {name: way.pop(name) for name in ("solver", "allocation", "init")}
        scheduler = samplers.of_run(
            self.scheduler,
            way.pop("scheduler"),
            predicted=self.config["prediction_type"],
            learned_variance=bool(self.model.config.get("learn_sigma")),
        )
        negate = samplers.fit_prediction(self.config["prediction_type"], scheduler)
        samplers.warn_of_spacing(scheduler)
        budget = spread(scheduler, self.model, steps=way.pop("num_inference_steps"), **way)
        check_generators(generator, asked.count)
        noise = begin(
            latents, generator, scheduler, network=self.model, count=asked.count, device=device
        )
        usual = self._usual.of(self.model)
        model, compiled = usual if self.compiled is None else (self.model, self.compiled)
        if compiled is not None:
            compiled.check(tol)
        run = sample(
            model,
            scheduler,
            noise,
            asked.class_labels,
            condition=asked.condition,
            budget=budget,
            **strategies,
            tol=tol,
            guidance_scale=guidance_scale,
            guidance_channels=guidance_channels,
            guidance_interval=guidance_interval,
            eta=eta,
            negate=negate,
            generator=generator,
            advance=compiled,
            calibration=self.calibration_for(strategies["allocation"]),
        )
        count = len(scheduler.timesteps)
        with self.progress_bar(total=count) as bar, self._interrupts.run() as interrupt:
            drawn, steps = follow(
                run,
                count,
                bar=bar,
                interrupt=interrupt,
                callback=None if callback is None else partial(callback, self),
                news=partial(news, compiled=compiled, budget=None if tol is None else budget),
            )
        made = to_images(
            drawn, vae=self.vae, processor=self.image_processor, output_type=output_type
        )
        if not self._interrupts.at_work:  # others would find the network gone
            self.maybe_free_model_hooks()
        warn_of_broken(made.broken, seeds=seeds_of(generator, made.broken))
        return FPDMOutput(made.images, steps, made.broken) if return_dict else (made.images, steps)
