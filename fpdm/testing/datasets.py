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
    for name, least in (("channels", 1), ("num_classes", 0)):
        size = getattr(shape, name)
        assert type(size) is int, f"{name}={size!r} is no int."
        assert size >= least, f"{name}={size}"
    for name in ("size", "condition_size"):
        sizes = getattr(shape, name)
        whole = [sizes] if isinstance(sizes, int) else (sizes or ())
        assert all(type(size) is int and size >= 1 for size in whole), f"{name}={sizes!r}"
    wrong = [number for number in shape.class_names if not 0 <= number < shape.num_classes]
    assert not wrong, f"Names of the classes {wrong}, of {shape.num_classes}."


def reads_a_batch(data: Dataset) -> None:
    """Samples are finite, float32 and of the shape stated, images in [-1, 1]."""
    shape, (indices, seeds) = data.shape, _asked(data)
    batch = data.batch(indices, seeds)
    assert isinstance(batch, Batch), f"{type(batch).__name__} is no Batch."
    expected, found = (len(indices), *shape.sample), tuple(batch.images.shape)
    assert found == expected, f"Images of {found}, not {expected}."
    assert batch.images.dtype == torch.float32, f"Images are {batch.images.dtype}."
    assert batch.images.isfinite().all(), "Images hold inf or NaN."
    if shape.is_picture:
        far = float(batch.images.abs().max())
        assert far <= 1, f"Images reach ±{far:g}: must be in [-1, 1]."


def says_what_they_are(data: Dataset) -> None:
    """Labels are whole numbers, one for each sample; conditions are finite, of the size stated."""
    shape, (indices, seeds) = data.shape, _asked(data)
    batch = data.batch(indices, seeds)
    assert batch.labels is not None or not shape.num_classes, "There are classes, and no labels."
    if batch.labels is not None:
        assert batch.labels.shape == indices.shape, f"Labels of {tuple(batch.labels.shape)}."
        assert batch.labels.dtype == torch.int64, f"Labels are {batch.labels.dtype}."
        last = max(0, shape.num_classes - 1)
        wrong = batch.labels[(batch.labels < 0) | (batch.labels > last)].tolist()
        assert not wrong, f"The labels {wrong} are not from 0 to {last}."
    size, said = shape.condition_size, batch.condition
    assert (said is None) == (size is None), f"condition_size={size}, and the condition is {said}."
    if said is not None and size is not None:
        expected = (len(indices), *([size] if isinstance(size, int) else size))
        assert tuple(said.shape) == expected, f"Conditions of {tuple(said.shape)}, not {expected}."
        assert said.dtype == torch.float32, f"Conditions are {said.dtype}."
        assert said.isfinite().all(), "Conditions hold inf or NaN."


def is_a_function_of_indices_and_seeds(data: Dataset) -> None:
    """A batch is the same again, and however it is split, in the order that is asked for."""
    indices, seeds = _asked(data)
    whole = _tensors(data.batch(indices, seeds))
    for first in (0, 1, len(indices) - 1):
        parts = [_tensors(data.batch(indices[part], seeds[part])) for part in _cut(first)]
        for name, every in whole.items():
            joined = torch.cat([part[name] for part in parts])
            assert torch.equal(joined, every), f"The same {name} differ in another batch."
    back = data.batch(indices.flip(0), seeds.flip(0))
    assert torch.equal(back.images, whole["images"].flip(0)), (
        "The order of a batch changes samples."
    )


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
    here, there = _tensors(data.batch(indices, seeds)), _tensors(sent.batch(indices, seeds))
    for name, every in here.items():
        assert torch.equal(every, there[name]), f"A worker reads other {name}."


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
    says_what_they_are,
    is_a_function_of_indices_and_seeds,
    draws_from_its_seeds_alone,
    goes_to_other_processes,
    refuses_what_there_is_not,
)


def _tensors(batch: Batch) -> dict[str, Tensor]:
    """What a batch holds of its samples, by name."""
    found = {"images": batch.images, "labels": batch.labels, "conditions": batch.condition}
    return {name: each for name, each in found.items() if each is not None}


def _asked(data: Dataset) -> tuple[Tensor, Tensor]:
    """Some samples, one of them twice under two seeds."""
    rng = torch.Generator().manual_seed(0)
    indices = torch.randint(len(data), (SAMPLES,), generator=rng)
    indices[-1] = indices[0]
    return indices, torch.randint(2**62, (SAMPLES,), generator=rng)


def _cut(first: int) -> list[slice]:
    return [part for part in (slice(0, first), slice(first, None)) if part.stop != 0]
