"""What a pipeline wants of its network and its autoencoder."""

from __future__ import annotations

from diffusers.models.modeling_utils import ModelMixin

from fpdm.errors import InvalidValueError

OFFERED = ("pre_passes", "post_passes", "null_class")
"""What a network says of itself, beside its configuration."""


def check_parts(model: object, vae: object) -> None:
    """Check what a pipeline is made of.

    Args:
        model: in the place of a network.
        vae: in the place of an autoencoder; None if there is none.

    Raises:
        InvalidValueError: one is no model of diffusers, or the model is no network.
    """
    for name, part in {"model": model, "vae": vae}.items():
        if not isinstance(part, ModelMixin) and (name, part) != ("vae", None):
            raise InvalidValueError(
                f"{name}: a {type(part).__name__} is given: must be a model of diffusers, as "
                f"FPDiT, DiT and AutoencoderKL are."
            )
    check_offered(model, name="model")


def check_offered(model: object, *, name: str) -> None:
    """Check that a network says of itself what there is to say.

    Args:
        model: in the place of a network.
        name: what the message calls it.

    Raises:
        InvalidValueError: it does not; the message says what is missing.
    """
    if missing := [each for each in OFFERED if not hasattr(model, each)]:
        raise InvalidValueError(
            f"{name}: a {type(model).__name__} has no {', '.join(missing)}: must be a network, "
            f"as fpdm.Network says."
        )
