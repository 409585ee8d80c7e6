"""Small folders of images are decoded once, and kept as far as memory may be taken for them."""

import pickle
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fpdm.data import ImageFolder, folder
from tests.data.pictures import image_folder, refused, save
from tests.data.reading import arrange, in_order

IMAGES, BYTES = 12, 12 * 3 * 8 * 8  # of the folder below


@pytest.fixture
def decoded(monkeypatch) -> Counter:
    """How often each file is decoded."""
    counts: Counter = Counter()
    read = folder.read_levels

    def counted(path, **options):
        counts[path.name] += 1
        return read(path, **options)

    monkeypatch.setattr(folder, "read_levels", counted)
    return counts


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return image_folder(tmp_path_factory.mktemp("kept") / "images")


def test_a_folder_that_fits_is_decoded_once(root, decoded):
    data = ImageFolder(root, size=8)
    first = in_order(data)
    assert decoded.total() == IMAGES
    for _ in range(3):
        again = in_order(data)
    assert decoded.total() == IMAGES
    assert torch.equal(again.images, first.images)
    assert torch.equal(again.labels, first.labels)


@pytest.mark.parametrize(("limit", "times"), [(BYTES, 1), (BYTES - 1, 3), (0, 3)])
def test_what_does_not_fit_is_decoded_each_time(root, decoded, limit, times):
    data = ImageFolder(root, size=8, cache_bytes=limit)
    for _ in range(3):
        in_order(data)
    assert decoded.total() == times * IMAGES


@given(
    batches=st.lists(
        st.lists(st.tuples(st.integers(0, 11), st.integers(0, 9)), min_size=1), min_size=1
    )
)
def test_what_is_kept_is_what_the_files_hold(root, batches):
    kept, anew = ImageFolder(root, size=8), ImageFolder(root, size=8, cache_bytes=0)
    for asked in batches:
        indices, seeds = arrange(*(i for i, _ in asked)), arrange(*(seed for _, seed in asked))
        mine = kept.batch(indices, seeds)
        assert torch.equal(mine.images, anew.batch(indices, seeds).images)
        mine.images.zero_()  # which is the caller's, and not what is kept


def test_what_cannot_be_read_is_looked_for_again(tmp_path):
    root = image_folder(tmp_path, each=2)
    (root / "cat" / "0.png").write_bytes(b"no image")
    data = ImageFolder(root, size=8, flip=False)
    broken = in_order(data)
    assert broken.unreadable == (str(root / "cat" / "0.png"),)
    assert in_order(data).unreadable == broken.unreadable
    save(root / "cat" / "0.png")
    assert in_order(data).unreadable == ()
    assert not torch.equal(in_order(data).images[0], broken.images[0])


def test_what_is_kept_is_not_sent_to_other_processes(root, decoded):
    data = ImageFolder(root, size=8)
    empty = len(pickle.dumps(data))
    first = in_order(data)
    assert len(pickle.dumps(data)) == empty
    assert torch.equal(in_order(pickle.loads(pickle.dumps(data))).images, first.images)
    assert decoded.total() == 2 * IMAGES


@pytest.mark.parametrize("limit", [-1, 1.5, True, "much"])
def test_a_limit_that_is_no_number_of_bytes_is_refused(root, limit):
    assert f"cache_bytes={limit!r}" in refused(lambda: ImageFolder(root, cache_bytes=limit))
