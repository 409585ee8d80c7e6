"""Adapters (LoRA) of a pipeline, as pipelines of diffusers have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from diffusers.loaders.lora_base import LoraBaseMixin
from diffusers.loaders.peft import PeftAdapterMixin
from torch import Tensor

from fpdm.errors import InvalidValueError
from fpdm.runtime.adapting import all_ask_for_peft, asks_for_peft

NETWORK = "model"
"""What the network is called in a pipeline, and the prefix of its tensors in a file of adapters."""


@all_ask_for_peft
class _Asking(LoraBaseMixin):
    """What diffusers has, which without peft says what to install."""


class Adaptable(_Asking):
    """A pipeline whose network takes adapters: `set_adapters`, `delete_adapters` and the others."""

    _lora_loadable_modules: ClassVar[list[str]] = [NETWORK]

    @asks_for_peft
    def load_lora_weights(
        self,
        pretrained_model_name_or_path_or_dict: str | Path | dict[str, Tensor],
        adapter_name: str | None = None,
        **options: Any,
    ) -> None:
        """Load an adapter into the network; see diffusers.

        Args:
            pretrained_model_name_or_path_or_dict: a folder or a file that `save_lora_weights` or
                `save_lora_adapter` of the network wrote, the name of a repository, or tensors by
                name.
            adapter_name: how it is called; None numbers it.
            options: of diffusers.

        Raises:
            InvalidValueError: there are no tensors of an adapter of this network, or it takes none.
            MissingDependencyError: peft or transformers is not installed.
        """
        pipe: Any = self
        if not isinstance(pipe.model, PeftAdapterMixin):
            raise InvalidValueError(
                f"A {type(pipe.model).__name__} takes no adapters: derive it from "
                f"fpdm.models.SavedNetwork, or from PeftAdapterMixin of diffusers."
            )
        pipe.model.load_lora_adapter(
            pretrained_model_name_or_path_or_dict,
            adapter_name=adapter_name,
            _pipeline=self,
            **options,
        )

    @classmethod
    def save_lora_weights(
        cls,
        save_directory: str | Path,
        model_lora_layers: dict[str, Tensor],
        *,
        model_lora_adapter_metadata: dict[str, Any] | None = None,
        is_main_process: bool = True,
        weight_name: str | None = None,
        save_function: Any = None,
        safe_serialization: bool = True,
    ) -> None:
        """Save the tensors of an adapter; `save_lora_adapter` of the network finds them itself.

        Args:
            save_directory: a folder, which is made if it does not exist.
            model_lora_layers: tensors by name, as `peft.get_peft_model_state_dict` gives them.
            model_lora_adapter_metadata: the settings of the adapter, which are saved too.
            is_main_process: whether this process is the one that saves.
            weight_name: of the file; None is that of diffusers.
            save_function: in place of that of safetensors.
            safe_serialization: whether the file is of safetensors.
        """
        cls._save_lora_weights(
            save_directory=str(save_directory),
            lora_layers={NETWORK: model_lora_layers},
            lora_metadata={NETWORK: model_lora_adapter_metadata},
            is_main_process=is_main_process,
            weight_name=weight_name,
            save_function=save_function,
            safe_serialization=safe_serialization,
        )

    def fuse_lora(self, components: list[str] | None = None, *args: Any, **options: Any) -> None:
        """Add the adapters to the weights; see diffusers.

        Args:
            components: None is the network, which is the only one.
            args: of diffusers.
            options: of diffusers.
        """
        super().fuse_lora([NETWORK] if components is None else components, *args, **options)

    def unfuse_lora(self, components: list[str] | None = None, **options: Any) -> None:
        """Take the adapters out of the weights; see diffusers.

        Args:
            components: None is the network, which is the only one.
            options: of diffusers.
        """
        super().unfuse_lora([NETWORK] if components is None else components, **options)
