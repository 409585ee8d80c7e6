"""What a network is told in training, of what the data know of each sample."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from fpdm.data import Shape
from fpdm.diffusion.conditions import CONDITION, LABELS, keyword_of, null_of, told
from fpdm.errors import InvalidValueError
from fpdm.training.batches import Share


def check_dropout(network: Any, shape: Shape, share: float) -> None:
    """Check that a network knows what stands for none, where some of what it is told is dropped.

    Args:
        network: that is trained.
        shape: of the data.
        share: of the samples whose class or condition is dropped.

    Raises:
        InvalidValueError: it does not.
    """
    known = {LABELS: bool(shape.num_classes), CONDITION: shape.condition_size is not None}
    keyword = keyword_of(network)
    if share and keyword is not None and known[keyword] and null_of(network) is None:
        raise InvalidValueError(
            f"class_dropout={share:g}: the network has no {keyword.removesuffix('_labels')} that "
            f"stands for none; use 0."
        )


def said_of(network: Any, share: Share) -> dict[str, Tensor]:
    """What a network is told of the samples of a share, beside their timesteps.

    Args:
        network: that is trained.
        share: some of a batch.

    Returns:
        Labels or conditions by their keyword; what stands for none where the data know nothing, and
        nothing for a network that takes nothing.
    """
    keyword = keyword_of(network)
    value = {LABELS: share.labels, CONDITION: share.condition}.get(str(keyword))
    if keyword is None or value is None:
        return told(network, None, None, like=share.clean)
    return {keyword: value}
