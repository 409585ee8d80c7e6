"""A network that diffusers saves, loads and moves, with the checks at its door."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from diffusers.configuration_utils import ConfigMixin
from diffusers.models.model_loading_utils import load_state_dict
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor

from fpdm.checks import check_choice, check_condition, check_labels, sample_shape
from fpdm.errors import InvalidValueError
from fpdm.models.adapters import Adapted, check_bare
from fpdm.models.hooked import hooked
from fpdm.models.loading import check_whole_network, class_of
from fpdm.models.size import condition_extents
from fpdm.runtime.storage import written_parts
from fpdm.solution import PREDICTIONS


class SavedNetwork(Adapted, ModelMixin, ConfigMixin):
    """The base of a network of one's own: a [`Network`][fpdm.Network] that is saved and loaded.

    Saving and loading, `save_pretrained` and `from_pretrained`, are those of diffusers, and so are
    adapters (LoRA): `add_adapter`, `save_lora_adapter`, `load_lora_adapter` and the others. What
    `__init__` takes is kept in `config`, where it is marked by `register_to_config`; it takes
    `in_channels`, and `sample_size` unless it draws points, and `num_classes` or `condition_size`
    if it is told what it draws. A subclass says `pre_passes` and `post_passes`, and has a `layer`
    if it is implicit.
    """

    _derived: ClassVar[frozenset[str]] = frozenset()
    """What stands in a configuration because pipelines of diffusers ask, and is no argument."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Put what diffusers looks for beside the class, in whose module it finds how to load."""
        super().__init_subclass__(**options)
        vars(sys.modules[cls.__module__]).setdefault("ModelMixin", ModelMixin)

    def __init__(self) -> None:
        super().__init__()
        self.compile_options: dict[str, Any] | None = None

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, **options: Any) -> Any:
        """Load a network that `save_pretrained` has saved, all of it.

        Args:
            pretrained_model_name_or_path: the folder, or its name on the hub.
            options: of diffusers, such as `torch_dtype`.

        Returns:
            The network, in evaluation mode.

        Raises:
            InvalidValueError: it was saved from another class, or weights are missing or too many,
                in place of which diffusers leaves random ones.
        """
        name, wants_told = pretrained_model_name_or_path, options.pop("output_loading_info", False)
        said = class_of(cls, name, options)
        if said is not None and said not in [base.__name__ for base in cls.__mro__]:
            raise InvalidValueError(
                f"{name} holds a {said}: a {cls.__name__} cannot be loaded from it."
            )
        network, told = super().from_pretrained(name, output_loading_info=True, **options)
        check_whole_network(name, told)
        return (network, told) if wants_told else network

    def compile(self, **options: Any) -> None:
        """Compile the network where it is called, and with it whole timesteps of a pipeline.

        Args:
            options: of `torch.compile`.
        """
        super().compile(**options)
        self.compile_options = options

    def save_pretrained(
        self,
        save_directory: str | Path,
        is_main_process: bool = True,
        save_function: Callable[..., Any] | None = None,
        safe_serialization: bool = True,
        variant: str | None = None,
        max_shard_size: int | str = "10GB",
        push_to_hub: bool = False,
        **options: Any,
    ) -> None:
        """Save the network to a folder, whole or not at all; what else is in it stays.

        Args:
            save_directory: the folder; it is made if it does not exist.
            is_main_process: whether this one of several processes writes the configuration.
            save_function: as in diffusers.
            safe_serialization: whether as safetensors; otherwise as a pickle.
            variant: what the names of the weights have before their suffix, such as `fp16`.
            max_shard_size: bytes beyond which weights are spread over files.
            push_to_hub: whether to upload the folder too.
            options: of the upload, such as `repo_id`.

        Raises:
            InvalidValueError: `save_directory` is a file, or the network has adapters.
            StorageError: it cannot be written, for lack of room or of permission.
        """
        check_bare(self)
        folder = Path(save_directory)
        if folder.is_file():
            raise InvalidValueError(f"{folder} is a file: must be a folder, or nothing yet.")
        if push_to_hub:
            options.setdefault("repo_id", folder.name)
        with written_parts(folder, last="config.json") as beside:
            super().save_pretrained(
                str(beside),
                is_main_process=is_main_process,
                save_function=save_function,
                safe_serialization=safe_serialization,
                variant=variant,
                max_shard_size=max_shard_size,
                push_to_hub=push_to_hub,
                **options,
            )

    @property
    def is_cache_enabled(self) -> bool:
        """Whether blocks are passed over at some timesteps; see `enable_cache` of a `DiT`."""
        return False

    def enable_cache(self, config: Any) -> None:
        """Cache what blocks compute; a [`DiT`][fpdm.DiT] can.

        Args:
            config: of diffusers, such as a `FirstBlockCacheConfig`.

        Raises:
            InvalidValueError: this network has no row of blocks that could be passed over.
        """
        raise InvalidValueError(
            f"{type(config).__name__}: a {type(self).__name__} has no cache of blocks, which a DiT "
            f"has; a network that iterates one block goes on from its last solution with "
            f"init='reuse'."
        )

    def renew(self, tensors: dict[str, Tensor]) -> None:
        """Give the tensors that an older version has saved the names of this one, in place.

        Args:
            tensors: weights by name, or what an optimizer keeps for each of them, of the same
                shape or of one element.
        """
        for name, module in self.named_modules():
            if module is not self and hasattr(module, "renew"):
                module.renew(tensors, f"{name}.")

    def _fix_state_dict_keys_on_load(self, state_dict: dict[str, Tensor]) -> None:
        self.renew(state_dict)  # diffusers asks for this, of a checkpoint in one file

    @classmethod
    def _load_pretrained_model(
        cls,
        model: SavedNetwork,
        state_dict: dict[str, Tensor] | None,
        resolved_model_file: list[str],
        pretrained_model_name_or_path: str,
        loaded_keys: list[str],
        **options: Any,
    ) -> Any:
        """Load a checkpoint; one in several files is renewed here."""
        names = dict.fromkeys(loaded_keys, torch.empty((), device="meta"))
        model.renew(names)
        if state_dict is None and names.keys() != set(loaded_keys):
            state_dict = {}
            for file in resolved_model_file:
                state_dict |= load_state_dict(file)
            model.renew(state_dict)
            loaded_keys = list(state_dict)
        return super()._load_pretrained_model(
            model,
            state_dict,
            resolved_model_file,
            pretrained_model_name_or_path,
            loaded_keys,
            **options,
        )

    @property
    def device(self) -> torch.device:
        """Where the network computes: where its weights are, or where hooks will take them."""
        first = None if hooked(self) else next(self.parameters(), None)
        return cast("torch.device", super().device if first is None else first.device)

    @property
    def dtype(self) -> torch.dtype:
        """What the network computes in: the dtype of its weights, or what hooks cast them to."""
        mixed = self._keep_in_fp32_modules or hooked(self)
        each = () if mixed else (weight.dtype for weight in self.parameters())
        first = next((dtype for dtype in each if dtype.is_floating_point), None)
        return cast("torch.dtype", super().dtype if first is None else first)

    @property
    def null_class(self) -> int | None:
        """The label for no class, after all others; None where the network was told of none."""
        if self.condition_size is not None or not self.config.get("has_null_class", True):
            return None
        return self.config.get("num_classes")

    @property
    def condition_size(self) -> tuple[int, ...] | None:
        """The shape of a condition that it takes in place of a class; None where it takes none."""
        size = self.config.get("condition_size")
        return None if size is None else condition_extents(size)

    @property
    def null_condition(self) -> Tensor | None:
        """The condition that stands for none, (K,) or (T, K), all NaN; None where it knows none."""
        if self.condition_size is None or not self.config.get("has_null_class", True):
            return None
        return torch.full(self.condition_size, torch.nan)

    @property
    def prediction_type(self) -> str | None:
        """What the network predicts, one of `fpdm.solution.PREDICTIONS`; None if it does not say.

        It is kept in `config`, and saved; a training writes it there. A scheduler that expects
        something else is refused.
        """
        return cast("str | None", self.config.get("prediction_type"))

    @prediction_type.setter
    def prediction_type(self, value: str) -> None:
        check_choice("prediction_type", value, choices=PREDICTIONS)
        self.register_to_config(prediction_type=value)

    @classmethod
    def extract_init_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """Read a saved configuration; what is noted in it of the weights is no argument.

        Neither is what follows from the arguments.

        Args:
            config_dict: the configuration, as it was saved.
            kwargs: of diffusers.

        Returns:
            What diffusers returns: the arguments, those that are not used, and the rest.
        """
        taken = inspect.signature(cls.__init__).parameters
        noted = {"prediction_type"} & config_dict.keys() - taken.keys()
        beside = noted | cls._derived
        given = {key: value for key, value in config_dict.items() if key not in beside}
        arguments, unused, rest = super().extract_init_dict(given, **kwargs)
        return arguments, unused, rest | {key: config_dict[key] for key in noted}

    def check_call(
        self,
        x: Tensor,
        timestep: Tensor | float,
        class_labels: Tensor | None = None,
        condition: Tensor | None = None,
    ) -> Tensor:
        """Check a call.

        Args:
            x: noisy samples, (B, C, …).
            timestep: one for all or one each, () or (B,); 0 to 1000.
            class_labels: (B,), int64; `null_class` for none.
            condition: in their place, (B, *condition_size); `null_condition` for none.

        Returns:
            A timestep for each, (B,).

        Raises:
            InvalidValueError: the input has a wrong shape, a label is out of range, or what the
                network takes is missing.
        """
        self.check_images(x)
        self.check_told(class_labels, condition, like=x)
        timestep = torch.as_tensor(timestep, device=x.device)
        if timestep.shape not in ((), (1,), x.shape[:1]):
            raise InvalidValueError(
                f"timestep has shape {tuple(timestep.shape)}: must be () or ({x.shape[0]},)."
            )
        return timestep.expand(x.shape[0])

    def check_images(self, x: Tensor) -> None:
        """Check the samples of a call.

        Args:
            x: noisy samples, (B, C, …).

        Raises:
            InvalidValueError: the input has a wrong shape.
        """
        sample = sample_shape(self.config)
        if x.shape[1:] != sample or not x.dim():
            wanted = ", ".join(map(str, ("batch", *sample)))
            raise InvalidValueError(f"x has shape {tuple(x.shape)}: must be ({wanted}).")

    def check_told(
        self,
        class_labels: Tensor | None = None,
        condition: Tensor | None = None,
        *,
        like: Tensor | None = None,
    ) -> None:
        """Check what the network is told beside the timestep, as far as that waits for no device.

        Args:
            class_labels: (B,), int64; `null_class` for none.
            condition: (B, *condition_size); `null_condition` for none.
            like: the samples that they are for, (B, C, …); None if these are not known.

        Raises:
            InvalidValueError: it is not what the network takes, not on the device of the samples,
                or out of range.
        """
        name, size = type(self).__name__, self.condition_size
        labelled = size is None and (self.config.get("num_classes") or self.null_class is not None)
        if class_labels is not None and not labelled:
            instead = "it is told nothing" if size is None else "it takes a condition"
            raise InvalidValueError(f"class_labels: a {name} has no classes, {instead}.")
        if condition is not None and size is None:
            raise InvalidValueError(f"condition: a {name} takes none: it has no condition_size.")
        if labelled:
            if class_labels is None:
                raise InvalidValueError(f"class_labels: must be given, a {name} has classes.")
            self.check_labels(class_labels, like=like)
        if size is not None:
            check_condition(condition, size=size, like=like, null=self.null_condition is not None)

    def check_labels(self, labels: Tensor, *, like: Tensor | None = None) -> None:
        """Check labels, as far as a look at them does not wait for a device.

        Args:
            labels: (B,), int64; `null_class` for none.
            like: the samples that they are for, (B, C, …); None if these are not known.

        Raises:
            InvalidValueError: they are no such tensor, not on the device of the samples, or one is
                out of range.
        """
        last = self.config["num_classes"] - 1 if self.null_class is None else self.null_class
        check_labels(labels, like=like, last=last)
