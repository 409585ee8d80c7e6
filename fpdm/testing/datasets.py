"""The laws of a data set."""

from __future__ import annotations

import pickle

import torch
from torch import Tensor

from fpdm.data.dataset import Batch, Dataset, Shape
from fpdm.errors import InvalidValueError
from fpdm.testing.laws import Law, check, undisturbed

SAMPLES = 6


def check_dataset(dataset: type[Dataset] | Dataset) -> None:
    """Hold a data set to its contract: shapes, ranges, and batches that depend on nothing else.

    Args:
        dataset: a class that can be built without arguments, or an object.

    Raises:
        AssertionError: a law is broken; the message says which.

    Examples:
        >>> import fpdm
        >>> from fpdm.testing import check_dataset
        >>> check_dataset(fpdm.dataset("digits"))
    """
    check(dataset, base=Dataset, laws=LAWS)


def says_its_shape(data: Dataset) -> None:
    """It has samples, of whole sizes ≥ 1, and no more names than classes."""
    assert type(len(data)) is int, f"{len(data)!r} samples."
    assert len(data) >= 1, "There is no sample."
    shape = data.shape
    assert isinstance(shape, Shape), f"{type(shape).__name__} is no Shape."
    for name, least in (("channels", 1), ("size", 1), ("num_classes", 0)):
        size = getattr(shape, name)
        assert type(size) is int, f"{name}={size!r} is no int."
        assert size >= least, f"{name}={size}"
    wrong = [number for number in shape.class_names if not 0 <= number < shape.num_classes]
    assert not wrong, f"Names of the classes {wrong}, of {shape.num_classes}."


def reads_a_batch(data: Dataset) -> None:
    """Images are finite, float32 and of the shape stated, in [-1, 1]; labels are whole numbers."""
    shape, (indices, seeds) = data.shape, _asked(data)
    batch = data.batch(indices, seeds)
    assert isinstance(batch, Batch), f"{type(batch).__name__} is no Batch."
    expected = (len(indices), shape.channels, shape.size, shape.size)
    found = tuple(batch.images.shape)
    assert found == expected, f"Images of {found}, not {expected}."
    assert batch.images.dtype == torch.float32, f"Images are {batch.images.dtype}."
    assert batch.images.isfinite().all(), "Images hold inf or NaN."
    if shape.latent_space is None:
        far = float(batch.images.abs().max())
        assert far <= 1, f"Images reach ±{far:g}: must be in [-1, 1]."
    assert batch.labels.shape == indices.shape, f"Labels of {tuple(batch.labels.shape)}."
    assert batch.labels.dtype == torch.int64, f"Labels are {batch.labels.dtype}."
    last = max(0, shape.num_classes - 1)
    wrong = batch.labels[(batch.labels < 0) | (batch.labels > last)].tolist()
    assert not wrong, f"The labels {wrong} are not from 0 to {last}."


def is_a_function_of_indices_and_seeds(data: Dataset) -> None:
    """A batch is the same again, and however it is split, in the order that is asked for."""
    indices, seeds = _asked(data)
    whole = data.batch(indices, seeds)
    for first in (0, 1, len(indices) - 1):
        parts = [data.batch(indices[part], seeds[part]) for part in _cut(first)]
        images = torch.cat([part.images for part in parts])
        labels = torch.cat([part.labels for part in parts])
        assert torch.equal(images, whole.images), "The same samples differ in another batch."
        assert torch.equal(labels, whole.labels), "The same labels differ in another batch."
    back = data.batch(indices.flip(0), seeds.flip(0))
    assert torch.equal(back.images, whole.images.flip(0)), "The order of a batch changes samples."


def draws_from_its_seeds_alone(data: Dataset) -> None:
    """Nothing is drawn from torch's generator, and no argument is written to."""
    indices, seeds = _asked(data)
    undisturbed(lambda: data.batch(indices, seeds), indices, seeds)


def goes_to_other_processes(data: Dataset) -> None:
    """It can be sent to a worker, and gives the same batches there."""
    indices, seeds = _asked(data)
    try:
        sent = pickle.loads(pickle.dumps(data))
    except Exception as error:
        raise AssertionError(f"It cannot be sent to a worker: {error}") from error
    here, there = data.batch(indices, seeds), sent.batch(indices, seeds)
    assert torch.equal(here.images, there.images), "A worker reads other images."
    assert torch.equal(here.labels, there.labels), "A worker reads other labels."


def refuses_what_there_is_not(data: Dataset) -> None:
    """An index out of range is an error of ours."""
    for index in (len(data), -1):
        try:
            data.batch(torch.tensor([index]), torch.tensor([0]))
        except InvalidValueError:
            continue
        raise AssertionError(f"Sample {index} of {len(data)} was not refused.")


LAWS: tuple[Law, ...] = (
    says_its_shape,
    reads_a_batch,
    is_a_function_of_indices_and_seeds,
    draws_from_its_seeds_alone,
    goes_to_other_processes,
    refuses_what_there_is_not,
)


def _asked(data: Dataset) -> tuple[Tensor, Tensor]:
    """Some samples, one of them twice under two seeds."""
    rng = torch.Generator().manual_seed(0)
    indices = torch.randint(len(data), (SAMPLES,), generator=rng)
    indices[-1] = indices[0]
    return indices, torch.randint(2**62, (SAMPLES,), generator=rng)


def _cut(first: int) -> list[slice]:
    return [part for part in (slice(0, first), slice(first, None)) if part.stop != 0]
