"""A network that embeds what it is told, at each call or once for a whole run."""

from __future__ import annotations

from typing import cast

from torch import Tensor

from fpdm.errors import InvalidValueError
from fpdm.models.conditioning import Conditioning, Conditions, Embeddings
from fpdm.models.saved import SavedNetwork


class EmbeddedNetwork(SavedNetwork):
    """A network whose layers are told one vector, of the timestep and of what is said beside it."""

    embeddings: Embeddings

    def prepare(
        self,
        timesteps: Tensor,
        class_labels: Tensor | None = None,
        condition: Tensor | None = None,
    ) -> Conditions | None:
        """Embed the timesteps of a whole run, and what is told beside them.

        Args:
            timesteps: in sampling order, (T,); 0 to 1000.
            class_labels: (B,), int64; `null_class` for none.
            condition: in their place, (B, *condition_size).

        Returns:
            What is `prepared` for each timestep, by its index; None where the weights are elsewhere
            between two calls.

        Raises:
            InvalidValueError: a label is out of range.
        """
        self.check_told(class_labels, condition)
        weights = [*self.embeddings.parameters()]
        if any(each.is_meta or hasattr(each, "full_tensor") for each in weights):
            return None  # offloaded, or sharded
        if any(hasattr(each, "_diffusers_hook") for each in (self, self.embeddings)):
            return None  # which brings the weights where they are called, and this is no call
        said = class_labels if condition is None else condition
        return self.embeddings.prepare(timesteps, said, self.dtype)

    def embed(
        self,
        x: Tensor,
        timestep: Tensor | float | None = None,
        class_labels: Tensor | None = None,
        condition: Tensor | None = None,
        prepared: Conditioning | None = None,
    ) -> Conditioning:
        """Check a call, and embed its timestep and what is told beside it.

        Args:
            x: noisy samples, (B, C, …).
            timestep: one for all or one each, () or (B,); 0 to 1000.
            class_labels: (B,), int64; `null_class` for none.
            condition: in their place, (B, *condition_size).
            prepared: in place of all of them, what `prepare` gave.

        Returns:
            The conditioning vectors, each (B, D).

        Raises:
            InvalidValueError: the input has a wrong shape, a label is out of range, or something is
                missing.
        """
        if prepared is not None:
            self.check_images(x)
            if len(prepared.full) != 1 and len(prepared.full) % len(x):
                raise InvalidValueError(
                    f"prepared is for {len(prepared.full)} samples, and there are {len(x)}."
                )
            return prepared
        if timestep is None:
            raise InvalidValueError("timestep: must be given, or what was prepared.")
        timestep = self.check_call(x, timestep, class_labels, condition)
        said = class_labels if condition is None else condition
        return cast("Conditioning", self.embeddings(timestep, said, x.dtype))
