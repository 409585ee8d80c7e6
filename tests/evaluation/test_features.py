"""What samples are compared by: pixels, a classifier that is trained, a network of a file."""

import numpy as np
import pytest
import torch
from torch import nn

from fpdm.data import Tensors
from fpdm.data.dataset import Dataset
from fpdm.errors import InvalidValueError
from fpdm.evaluation import Classifier, DigitClassifier, Features, Pixels, TorchScript
from fpdm.evaluation.features import extract, together
from fpdm.evaluation.reader import reader
from fpdm.evaluation.trained import Fitting
from tests.evaluation.networks import Broken, Counted, Flagged, Pair, Single, script


def stripes(count: int, size: tuple[int, int] = (6, 8), channels: int = 1) -> Tensors:
    """Images of two classes, which differ in their direction."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 2
    images = 0.3 * torch.randn(count, channels, *size, generator=generator)
    images[labels == 0, :, ::2] += 0.6
    images[labels == 1, :, :, ::2] += 0.6
    return Tensors(images, labels)


def halves(*size: int) -> Tensors:
    """Samples of two classes, which differ in their mean."""
    generator, labels = torch.Generator().manual_seed(0), torch.arange(300) % 2
    noise = torch.randn(300, *size, generator=generator)
    return Tensors(noise + 2 * labels.reshape(-1, *[1] * len(size)), labels)


@pytest.fixture(scope="module")
def striped():
    return Classifier.fit(stripes(400), steps=60)


def test_pixels_are_the_numbers_of_a_sample():
    images = torch.randn(5, 3, 2, 4)
    found = Pixels()(images.half())
    assert (found.shape, found.dtype) == ((5, 24), np.float64)
    assert (found == images.half().double().flatten(1).numpy()).all()


def test_all_of_them_are_features(striped, tmp_path):
    file = TorchScript(script(Flagged(), tmp_path / "net.pt"))
    for each in (Pixels(), striped, DigitClassifier(), file):
        assert isinstance(each, Features)
        assert each.name


def test_a_data_set_is_read_once_in_its_order_and_at_any_batch_size(striped):
    class Told(Dataset):
        shape = stripes(9).shape

        def __init__(self):
            self.read = []

        def __len__(self):
            return 9

        def batch(self, indices, seeds):
            self.read += indices.tolist()
            return stripes(9).batch(indices, seeds)

    data = Told()
    found = together(extract(data, striped, batch_size=4))
    assert data.read == list(range(9))
    assert found.rows == pytest.approx(striped(stripes(9).samples), rel=1e-5, abs=1e-6)
    assert found.accuracy == pytest.approx(striped.accuracy(stripes(9).samples, stripes(9).labels))
    others = together(extract(data, striped, labels=1 - stripes(9).labels, batch_size=4))
    assert others.accuracy == pytest.approx(1 - found.accuracy)
    assert together(extract(data, Pixels())).accuracy is None


def test_features_that_are_none_are_refused(tmp_path):
    class Odd:
        name = "odd"

        def __call__(self, images):
            return np.zeros((len(images) + 1, 2))

    with pytest.raises(InvalidValueError, match=r"odd of 4 images have shape \(5, 2\)"):
        list(extract(stripes(4), Odd()))
    images = torch.ones(4, 1, 2, 2)
    images[3] = -1  # of whose levels there is no logarithm
    broken = TorchScript(script(Broken(), tmp_path / "broken.pt"))
    with pytest.raises(InvalidValueError, match=r"from 2 on, broken\.pt .* in samples 1 of 2"):
        list(extract(Tensors(images), broken, batch_size=2))


@pytest.mark.parametrize(
    "data",
    [
        stripes(300, (6, 8)),
        stripes(300, (9, 5), channels=3),
        Tensors(torch.randn(300, 3) + 4 * (torch.arange(300)[:, None] % 2), torch.arange(300) % 2),
        Tensors(
            torch.randn(300, 2, 7) + (torch.arange(300) % 2)[:, None, None], torch.arange(300) % 2
        ),
    ],
    ids=["grey", "colours", "points", "signals"],
)
def test_it_learns_the_classes_of_samples_of_any_shape(data):
    classifier = Classifier.fit(data, steps=80)
    assert classifier.accuracy(data.samples, data.labels) > 0.9
    assert classifier.held_out > 0.85
    assert classifier(data.samples).shape == (300, 64)


def test_large_images_are_made_smaller():
    assert sum(p.numel() for p in reader((3, 256, 300), 10).parameters()) < 1e6
    assert reader((3, 256, 300), 10)(torch.randn(2, 3, 256, 300)).shape == (2, 10)
    assert reader((1, 1, 500), 4)(torch.randn(2, 1, 1, 500)).shape == (2, 4)


def test_the_same_seed_gives_the_same_classifier_and_leaves_the_generator_alone():
    state = torch.random.get_rng_state()
    one, same, other = (Classifier.fit(stripes(50), steps=3, seed=seed) for seed in (1, 1, 2))
    assert (torch.random.get_rng_state() == state).all()
    images = stripes(20).samples
    assert (one(images) == same(images)).all()
    assert not (one(images) == other(images)).all()


def test_features_of_a_classifier_have_a_variance_of_1_and_are_what_it_reads_by(striped):
    images = stripes(400).samples
    hidden = striped(images)
    assert hidden.var(axis=0).mean() == pytest.approx(1, rel=0.1)
    logits = torch.from_numpy(hidden).float() @ striped.network.head.weight.T
    assert ((logits + striped.network.head.bias).argmax(1).numpy() == striped.read(images)).all()


def test_a_tenth_is_seen_by_no_step():
    data, seen = stripes(50), set()
    fitting = Fitting(data, steps=5)
    original = fitting._batch
    fitting._batch = lambda indices: seen.update(indices.tolist()) or original(indices)
    assert len(list(fitting)) == 5
    assert len(seen) == 45
    fitting.classifier()
    assert len(seen) == 50
    assert Classifier.fit(stripes(9), steps=1).held_out is None


def test_what_is_kept_is_the_same(striped, tmp_path):
    striped.save(tmp_path / "kept.safetensors")
    (tmp_path / "other").write_text("")
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1  # that of every new file
    again = Classifier.load(tmp_path / "kept.safetensors")
    images = stripes(30).samples
    assert (again(images) == striped(images)).all()
    for name in ("name", "sample", "num_classes", "seed", "known", "held_out"):
        assert getattr(again, name) == getattr(striped, name)


def test_a_reference_is_known_again():
    data = stripes(700)
    known = Classifier.digest(data)
    assert known == Classifier.digest(stripes(700))
    assert known != Classifier.digest(stripes(699))
    assert known != Classifier.digest(Tensors(data.samples, 1 - data.labels))
    assert known != Classifier.digest(Tensors(data.samples + 0.01, data.labels))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Classifier.fit(Tensors(torch.zeros(9, 1, 2, 2))), "has no classes"),
        (lambda: Classifier.fit(stripes(9), steps=0), "steps=0"),
        (lambda: DigitClassifier()(torch.zeros(2, 3, 8, 8)), "reads (1, 8, 8) alone"),
    ],
)
def test_what_cannot_be_trained_or_read_is_refused(call, message):
    with pytest.raises(InvalidValueError) as refused:
        call()
    assert message in str(refused.value)


def test_other_images_are_refused(striped):
    with pytest.raises(InvalidValueError, match=r"images of \(1, 8, 6\): the classifier was"):
        striped(torch.zeros(2, 1, 8, 6))


def test_a_file_that_is_no_classifier_is_refused(striped, tmp_path):
    file = tmp_path / "kept.safetensors"
    striped.save(file)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(InvalidValueError, match="cannot be read as a classifier"):
        Classifier.load(file)
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, file)
    with pytest.raises(InvalidValueError, match="it is no 'fpdm classifier 1'; remove it"):
        Classifier.load(file)


def test_the_network_of_a_file_is_given_bytes_in_three_channels(tmp_path):
    file = TorchScript(script(Flagged(), tmp_path / "net.pt"))
    grey = torch.tensor([-1.0, -0.5, 0.0, 1.0, 1.7]).reshape(1, 1, 1, 5)
    found = file(grey)
    assert found.dtype == np.float64
    assert found.tolist() == [[0, 64, 128, 255, 255] * 3]  # 127.5 and 63.75, to the nearest
    assert file.name.startswith("net.pt ")
    assert len(file.name) == len("net.pt ") + 12


def test_the_network_of_a_file_sees_the_size_that_it_wants(tmp_path):
    path = script(Counted(), tmp_path / "net.pt")
    images = torch.full((2, 3, 8, 8), -1.0)
    images[1, 1] = 1
    found = TorchScript(path, resize=299)(images)
    assert found == pytest.approx(np.array([[0, 0, 0], [0, 1, 0]]))
    with pytest.raises(InvalidValueError, match=r"does not take \(2, 3, 8, 8\), uint8: .*299"):
        TorchScript(path)(images)


def test_networks_of_the_same_name_are_told_apart(tmp_path):
    (tmp_path / "other").mkdir()
    one = TorchScript(script(Flagged(), tmp_path / "net.pt"))
    assert one.name != TorchScript(script(Counted(), tmp_path / "other" / "net.pt")).name


@pytest.mark.parametrize(
    ("network", "message"), [(Pair(), "returns tuple of 2 images"), (Single(), r"\(1, 1\) of 2")]
)
def test_what_a_network_returns_is_looked_at(network, message, tmp_path):
    with pytest.raises(InvalidValueError, match=message):
        TorchScript(script(network, tmp_path / "net.pt"))(torch.zeros(2, 1, 4, 4))


def test_a_file_that_is_no_network_is_refused(tmp_path):
    with pytest.raises(InvalidValueError, match="there is no such file"):
        TorchScript(tmp_path / "none.pt")
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "state.pt")
    (tmp_path / "text.pt").write_text("no network")
    for name in ("state.pt", "text.pt"):
        with pytest.raises(InvalidValueError, match=f"{name} is not a TorchScript file"):
            TorchScript(tmp_path / name)
    with pytest.raises(InvalidValueError, match="takes images"):
        TorchScript(script(Flagged(), tmp_path / "net.pt"))(torch.zeros(2, 4))
