"""Every data set: what a batch is, in one process and in several."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fpdm.data import FastDiT, ImageFolder, Latents
from fpdm.errors import InvalidValueError
from tests.data.pictures import CLASSES, Batches, refused
from tests.data.reading import arrange, in_order

KINDS = ("colours", "grey", "moments", "sample", "unflipped", "fast-dit")


@pytest.fixture(scope="module")
def datasets(sources):
    return {
        "colours": ImageFolder(sources / "images", size=8),
        "grey": ImageFolder(sources / "images", size=5, channels=1, flip=False),
        **{name: Latents(sources / name) for name in ("moments", "sample", "unflipped")},
        "fast-dit": FastDiT(sources / "fast-dit"),
    }


@pytest.mark.parametrize("kind", KINDS)
@given(
    asked=st.lists(st.tuples(st.integers(0, 11), st.integers(0, 2**63 - 1)), max_size=6),
    cut=st.integers(0, 6),
)
def test_a_batch_is_the_same_however_it_is_split(datasets, kind, asked, cut):
    data = datasets[kind]
    indices, seeds = arrange(*(i for i, _ in asked)), arrange(*(seed for _, seed in asked))
    whole = data.batch(indices, seeds)
    parts = [data.batch(indices[:cut], seeds[:cut]), data.batch(indices[cut:], seeds[cut:])]
    assert torch.equal(whole.images, torch.cat([part.images for part in parts]))
    assert torch.equal(whole.labels, torch.cat([part.labels for part in parts]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_has_the_shape_that_the_data_set_says(datasets, kind):
    data, batch = datasets[kind], in_order(datasets[kind])
    shape = data.shape
    assert batch.images.shape == (len(data), shape.channels, shape.size, shape.size)
    assert (batch.images.dtype, batch.labels.dtype) == (torch.float32, torch.int64)
    assert set(batch.labels.tolist()) == set(range(shape.num_classes)) == {0, 1, 2}
    assert batch.unreadable == ()
    if kind != "fast-dit":
        assert shape.class_names == dict(enumerate(CLASSES))


def test_worker_processes_read_the_same_batches(datasets):
    indices, seeds = arrange(3, 0, 11, 7), arrange(5, 6, 7, 8)
    for data in datasets.values():
        in_order(data)  # so that files are open
    asked = [(data, indices, seeds) for data in datasets.values()]
    loader = torch.utils.data.DataLoader(
        Batches(asked), batch_size=None, num_workers=2, multiprocessing_context="spawn"
    )
    for read, (data, *_) in zip(loader, asked, strict=True):
        here = data.batch(indices, seeds)
        assert torch.equal(read.images, here.images)
        assert torch.equal(read.labels, here.labels)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("indices", "seeds", "said"),
    [
        (arrange(12), arrange(0), "indices from 12 to 12: must be from 0 to 11"),
        (arrange(0, -1), arrange(0, 0), "indices from -1 to 0"),
        (arrange(0), arrange(-5), "seeds from -5"),
        (arrange(0, 1), arrange(0), "2 indices and 1 seeds"),
        (torch.zeros(1), arrange(0), "indices: must be a tensor of int64"),
        ([0], arrange(0), "indices: must be a tensor of int64"),
        (torch.tensor(0), arrange(0), "one dimension"),
    ],
)
def test_a_batch_of_what_is_not_there_is_refused(datasets, kind, indices, seeds, said):
    assert said in refused(lambda: datasets[kind].batch(indices, seeds))


@pytest.mark.parametrize("make", [lambda root: ImageFolder(root, size=8), Latents, FastDiT])
def test_what_is_no_folder_is_refused(make, tmp_path):
    (tmp_path / "file").write_text("")
    assert "there is no such folder" in refused(lambda: make(tmp_path / "nothing"))
    assert "is a file, not a folder" in refused(lambda: make(str(tmp_path / "file")))
    assert "must be the path of a folder" in refused(lambda: make(3))


def test_a_wrong_value_is_a_value_error(tmp_path):
    with pytest.raises(ValueError, match="holds no image"):
        ImageFolder(tmp_path, size=4)
    assert issubclass(InvalidValueError, ValueError)
