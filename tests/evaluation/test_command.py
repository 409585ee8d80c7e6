"""`fpdm evaluate`."""

import json
import shutil
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from fpdm.cli.judged import Judged, labels_of
from fpdm.data import LatentSpace, Shape, digits
from fpdm.drawing import gallery
from fpdm.evaluation import DigitClassifier, ImageFiles, frechet_distance, write_archive
from fpdm.evaluation.trained import Fitting
from tests.commands import run
from tests.drawing.folders import names
from tests.evaluation.networks import Counted, Flagged, script

FAST = ("--bootstrap", 0)
AGAINST = ("--reference", "digits")
DIGITS = (*AGAINST, "--features", "digits")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Images of digits as `fpdm sample` leaves them, in a folder and an archive beside it."""
    folder = tmp_path_factory.mktemp("drawn") / "samples"
    real = digits()
    order = torch.cat([(real.labels == label).nonzero()[:30, 0] for label in (3, 7)])
    order = order.reshape(2, 30).T.flatten()  # in turn
    generator = torch.Generator().manual_seed(0)
    images = real.images[order] + 0.2 * torch.randn(60, 1, 8, 8, generator=generator)
    write_images(images, folder)
    record = {"seed": 5, "classes": [3, 7], "guidance_scale": 2.0, "model_sha256": "ab"}
    (folder / "samples.json").write_text(json.dumps(record))
    write_archive(ImageFiles(folder), folder.with_suffix(".npz"))
    return folder


def write_images(images, folder):
    folder.mkdir()
    levels = ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).numpy()
    for name, array in zip(names(len(levels)), levels, strict=True):
        Image.fromarray(array[0]).save(folder / name)


def figures(file):
    return json.loads(file.read_text(encoding="utf-8"))["evaluations"]


def read(path):
    files = ImageFiles(path)
    indices = torch.arange(len(files))
    return files.batch(indices, seeds=indices).images


@pytest.fixture
def few_steps(monkeypatch):
    monkeypatch.setattr(
        Fitting.__init__, "__kwdefaults__", {"seed": 0, "steps": 8, "device": "cpu"}
    )


@pytest.mark.filterwarnings("ignore::fpdm.evaluation.FewSamplesWarning")
def test_the_command_prints_a_table_and_writes_all_figures(drawn, tmp_path, capsys):
    out = tmp_path / "figures.json"
    options = ("--bootstrap", 5, "--json", out, "--features", "digits")
    code, printed, notes = run(capsys, "evaluate", drawn, "--reference", "digits", *options)
    assert code == 0
    said = " ".join(printed.split())
    assert "60 samples against digits (1797), by digits" in said
    for row in ("Fréchet distance", "… of infinitely many", "kernel distance", "precision"):
        assert row in printed
    assert "95% interval" in said
    assert "60/60" in notes
    [found] = figures(out)
    classifier = DigitClassifier()
    expected = frechet_distance(classifier(read(drawn)), classifier(digits().images))
    assert found["frechet"] == pytest.approx(expected)
    assert found["accuracy"] > 0.9
    assert found["drawn"]["guidance_scale"] == 2.0
    assert (found["source"], found["against"]) == (str(drawn), "digits")
    assert (found["samples"], found["reference"], found["size"]) == (60, 1797, None)
    low, high = found["intervals"]["frechet"]
    assert low < found["frechet"] < high


@pytest.mark.filterwarnings("ignore::fpdm.evaluation.FewSamplesWarning")
def test_folder_archive_and_data_set_are_the_same_samples(drawn, tmp_path, capsys):
    for index, name in enumerate((drawn, drawn.with_suffix(".npz"))):
        out = tmp_path / f"{index}.json"
        command = ("evaluate", name, "--reference", "digits", "--features", "digits", *FAST)
        assert run(capsys, *command, "--json", out)[0] == 0
    first, second = (figures(tmp_path / f"{index}.json")[0] for index in range(2))
    assert first.pop("source") != second.pop("source")
    assert first == second
    code, printed, _ = run(capsys, "evaluate", "digits", "--reference", "digits", *FAST)
    assert code == 0
    assert "precision 100.0% recall 100.0%" in " ".join(printed.split())


@pytest.mark.filterwarnings("ignore::fpdm.evaluation.FewSamplesWarning")
def test_several_sets_have_a_mean_and_a_spread(drawn, tmp_path, capsys):
    write_images(digits().images[:60], tmp_path / "others")
    out = tmp_path / "figures.json"
    sets = (drawn, tmp_path / "others")
    code, printed, _ = run(capsys, "evaluate", *sets, "--reference", "digits", "--json", out, *FAST)
    assert code == 0
    for heading in ("mean", "± between them"):
        assert heading in printed
    values = [each["frechet"] for each in figures(out)]
    assert values[0] != values[1]
    spread = json.loads(out.read_text())["spread"]["frechet"]
    assert spread["mean"] == pytest.approx(np.mean(values))
    assert spread["deviation"] == pytest.approx(np.std(values, ddof=1))


@pytest.mark.usefixtures("few_steps")
@pytest.mark.filterwarnings("ignore::fpdm.evaluation.FewSamplesWarning")
def test_a_classifier_is_trained_once_and_kept_beside_the_reference(drawn, tmp_path, capsys):
    for label in (3, 7):
        (tmp_path / "real").mkdir(exist_ok=True)
        write_images(digits().images[digits().labels == label][:40], tmp_path / "real" / str(label))
    kept = tmp_path / "real.classifier.safetensors"
    command = ("evaluate", drawn, "--reference", tmp_path / "real", "--features", "classifier")
    command = (*command, "--labels", 0, 1, "--json", tmp_path / "a.json", *FAST)
    code, printed, notes = run(capsys, *command)
    assert code == 0
    assert "8/8" in notes
    assert "Of real images that it was not trained on" in printed
    assert kept.is_file()
    first, written = figures(tmp_path / "a.json"), kept.read_bytes()
    assert first[0]["accuracy"] is not None
    code, _, notes = run(capsys, *command)
    assert code == 0
    assert "classifier:" not in notes
    assert figures(tmp_path / "a.json") == first
    code, _, notes = run(capsys, *command, "--seed", 1)
    assert "is of another reference or seed, and trained again." in notes
    assert kept.read_bytes() != written
    (tmp_path / "real" / "3" / "000000.png").unlink()
    code, _, notes = run(capsys, *command, "--seed", 1)
    assert "is of another reference or seed, and trained again." in notes
    write_images(digits().images[digits().labels == 3][:40], tmp_path / "real" / "again")
    (tmp_path / "real" / "again" / "000000.png").rename(tmp_path / "real" / "3" / "000000.png")
    shutil.rmtree(tmp_path / "real" / "again")
    apart = tmp_path / "apart.safetensors"
    assert run(capsys, *command, "--classifier", apart)[0] == 0
    assert apart.read_bytes() == written


@pytest.mark.filterwarnings("ignore::fpdm.evaluation.FewSamplesWarning")
def test_a_network_of_a_file_and_published_statistics(drawn, tmp_path, capsys, monkeypatch):
    network = script(Counted(), tmp_path / "net.pt")
    data = tmp_path / "figures.json"
    options = ("--features", network, "--resize", 299, "--json", data, *FAST)
    code, printed, _ = run(capsys, "evaluate", drawn, "--reference", drawn, *options)
    assert code == 0
    assert "by net.pt " in printed
    [found] = figures(data)
    assert (found["dimensions"], found["resize"]) == (3, 299)
    monkeypatch.chdir(tmp_path)
    np.savez("real.npz", mu=np.full(3, 0.3), sigma=np.eye(3))
    code, printed, _ = run(capsys, "evaluate", drawn, "--reference", "real.npz", *options)
    assert code == 0
    assert "Fréchet distance" in printed
    assert "KID" not in printed
    assert figures(data)[0]["kernel"] is None


@pytest.mark.filterwarnings("ignore::fpdm.evaluation.FewSamplesWarning")
def test_the_reference_is_written_as_the_suite_of_adm_reads_it(drawn, tmp_path, capsys):
    out = tmp_path / "real.npz"
    command = ("evaluate", drawn, "--reference", "digits", "--reference-npz", out, *FAST)
    code, printed, _ = run(capsys, *command)
    assert code == 0
    assert f"Wrote the 1797 images of digits to {out}, as arr_0." in printed
    assert np.load(out)["arr_0"].shape == (1797, 8, 8, 3)


@pytest.mark.filterwarnings("ignore::fpdm.evaluation.FewSamplesWarning")
def test_what_was_learned_by_heart_stands_beside_itself(drawn, tmp_path, capsys, monkeypatch):
    rows = []
    monkeypatch.setattr(
        "fpdm.drawing.gallery",
        lambda given, title: rows.extend(given) or gallery(given, title=title),
    )
    write_images(digits().images[700:720], tmp_path / "copied")
    out = tmp_path / "grid.png"
    sets = (tmp_path / "copied", drawn)
    command = ("evaluate", *sets, "--reference", "digits", "--grid", out, *FAST)
    code, printed, _ = run(capsys, *command)
    assert code == 0
    assert f"Wrote samples beside their nearest real images to {out}." in printed
    with Image.open(out) as picture:
        assert picture.height > 16 * 44
    assert [len(row.images) for row in rows] == [6] * 32
    assert [bool(row.heading) for row in rows] == [True, *[False] * 15] * 2
    for row in rows[:16]:
        assert (np.asarray(row.images[0]) == np.asarray(row.images[1])).all()
        assert float(row.label) < 0.03  # of eight bits
    assert all(float(row.label) > 0.3 for row in rows[16:])


def test_images_of_other_sizes_are_brought_to_one(drawn, tmp_path, capsys):
    (tmp_path / "large").mkdir()
    for path in drawn.glob("*.png"):
        with Image.open(path) as image:
            image.resize((24, 16)).save(tmp_path / "large" / path.name)
    data = tmp_path / "figures.json"
    command = ("evaluate", tmp_path / "large", "--reference", drawn, "--json", data, *FAST)
    code, _, error = run(capsys, *command)
    assert code == 2
    assert "must be of one size, to which --size brings images." in error
    code, *_ = run(capsys, *command, "--size", 4)
    assert code == 0
    [found] = figures(data)
    assert (found["size"], found["dimensions"]) == (4, 16)


@pytest.mark.filterwarnings("ignore::fpdm.evaluation.FewSamplesWarning")
def test_samples_that_are_no_images(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for name in ("drawn", "real"):
        np.savez(tmp_path / f"{name}.npz", samples=rng.normal(size=(50, 2)).astype(np.float32))
    command = ("evaluate", tmp_path / "drawn.npz", "--reference", tmp_path / "real.npz")
    assert run(capsys, *command, *FAST)[0] == 0


def test_labels_follow_the_numbers_of_files_of_which_some_are_missing(drawn):
    record = {"classes": [3, 7, 1]}
    judged = Judged(str(drawn), ImageFiles(drawn), record)
    assert labels_of(judged, None).tolist() == [3, 7, 1] * 20
    files = judged.data.listing.files
    object.__setattr__(judged.data.listing, "files", (*files[:1], *files[3:]))
    assert labels_of(judged, None).tolist()[:4] == [3, 3, 7, 1]
    assert labels_of(Judged("x", judged.data, None), None) is None
    assert labels_of(Judged("x", judged.data, {"classes": []}), None) is None


@pytest.mark.filterwarnings("ignore::fpdm.evaluation.FewSamplesWarning")
def test_classes_that_the_reference_lacks_are_not_judged(tmp_path, capsys):
    """Such as that of a model without classes, and of another data set."""
    write_images(digits().images[:20], tmp_path / "drawn")
    (tmp_path / "drawn" / "samples.json").write_text(json.dumps({"classes": [3, 10]}))
    command = ("evaluate", tmp_path / "drawn", *DIGITS, *FAST, "--json", tmp_path / "a.json")
    code, printed, notes = run(capsys, *command)
    assert code == 0
    assert "class 10 is none of the 10 of the reference; classes are not judged." in notes
    assert "read as their class" not in printed
    assert figures(tmp_path / "a.json")[0]["accuracy"] is None


def test_latents_are_no_samples(monkeypatch, capsys):
    space = LatentSpace(vae=None, scaling_factor=1.0)
    latents = SimpleNamespace(shape=Shape(4, 8, latent_space=space))
    monkeypatch.setattr("fpdm.cli.judged.component", lambda *_: latents)
    code, _, error = run(capsys, "evaluate", "latents", "--reference", "digits")
    assert code == 2
    assert "digits holds latents: give the images themselves." in error


def test_few_samples_are_a_warning_and_no_crash(tmp_path, capsys):
    write_images(digits().images[:2], tmp_path / "two")
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        code, printed, notes = run(
            capsys, "evaluate", tmp_path / "two", "--reference", "digits", "--bootstrap", 2
        )
    assert code == 0
    assert "Fréchet distance" in printed
    assert "has 2 samples for 64 features" in notes
    assert "precision and recall are left out" in notes


MISTAKES = {
    "--reference": ["samples"],
    "SAMPLES: give at least one": AGAINST,
    "Did you mean 'digits'?": ["samples", "--reference", "digitz"],
    "no/such: there is no such file or folder.": ["samples", "--reference", "no/such"],
    "none.npz: there is no such file.": ["none.npz", *AGAINST],
    "empty holds no image": ["empty", *AGAINST],
    "The set of samples holds 1: at least 2 are needed.": ["one", *AGAINST],
    "The samples are 1 × 8 × 9, and the reference 1 × 8 × 8": ["wide", *AGAINST],
    "has 9 × 8 pixels, but the first image has 8 × 8": ["mixed", *AGAINST],
    "000000.png cannot be read as an image": ["damaged", *AGAINST],
    "text cannot be read as an .npz": ["text", *AGAINST],
    "nan.npz: samples holds values that are not finite, in samples 1": ["nan.npz", *AGAINST],
    "pixels are 64 of each sample, and the reference has 3": ["samples", "--reference", "mu.npz"],
    "mu.npz holds statistics: must hold samples": ["mu.npz", *AGAINST],
    "mu.npz holds statistics: a classifier": [
        *("samples", "--reference", "mu.npz", "--features", "classifier"),
    ],
    "mu.npz holds statistics, no images": [
        *("samples", "--reference", "mu.npz", "--reference-npz", "a.npz"),
    ],
    "has no classes": ["samples", "--reference", "samples", "--features", "classifier"],
    "--features net: must be pixels": ["samples", *AGAINST, "--features", "net"],
    "text is not a TorchScript file": ["samples", *AGAINST, "--features", "text"],
    "does not take (256, 3, 8, 8)": ["samples", *AGAINST, "--features", "net.pt"],
    "--labels: must be with --features": ["samples", *AGAINST, "--labels", "1"],
    "--labels x: must be whole numbers": ["samples", *DIGITS, "--labels", "x"],
    "--labels: class 12 is none of the 10": ["samples", *DIGITS, "--labels", "12"],
    "--labels a.npy:": ["samples", *DIGITS, "--labels", "a.npy"],
    "--resize is for the network": ["samples", *AGAINST, "--resize", "299"],
    "--classifier: must be with": ["samples", *AGAINST, "--classifier", "a"],
    "bootstrap=1": ["samples", *AGAINST, "--bootstrap", "1"],
    "level=1.0": ["samples", *AGAINST, "--level", "1"],
    "size=0": ["samples", *AGAINST, "--size", "0"],
    "neighbours=0": ["samples", *AGAINST, "--neighbours", "0"],
    "--grid a.gif: must end in .png": ["samples", *AGAINST, "--grid", "a.gif"],
    "--grid a.png: mu.npz holds no images": ["samples", "--reference", "mu.npz", "--grid", "a.png"],
    "--json a.txt: must end in .json": ["samples", *AGAINST, "--json", "a.txt"],
    "--json no/a.json: there is no folder no": ["samples", *AGAINST, "--json", "no/a.json"],
    "--device abacus": ["samples", *AGAINST, "--device", "abacus"],
    "holds no statistics": ["samples", "--reference", "samples.npz", "--statistics"],
}


@pytest.mark.parametrize(("message", "command"), MISTAKES.items())
@pytest.mark.filterwarnings("ignore::fpdm.evaluation.FewSamplesWarning")
def test_a_mistake_is_one_sentence(command, message, drawn, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    write_images(torch.zeros(1, 1, 8, 8), tmp_path / "one")
    write_images(torch.zeros(3, 1, 8, 9), tmp_path / "wide")
    write_images(torch.zeros(3, 1, 8, 8), tmp_path / "mixed")
    Image.new("L", (9, 8)).save(tmp_path / "mixed" / "000001.png")
    write_images(torch.zeros(3, 1, 8, 8), tmp_path / "damaged")
    (tmp_path / "damaged" / "000000.png").write_bytes(b"none")
    (tmp_path / "text").write_text("text")
    np.savez("nan.npz", samples=np.array([[1.0], [np.nan]]))
    np.savez("mu.npz", mu=np.zeros(3), sigma=np.eye(3))
    script(Counted(), tmp_path / "net.pt")
    (tmp_path / "samples").symlink_to(drawn)
    (tmp_path / "samples.npz").symlink_to(drawn.with_suffix(".npz"))
    before = sorted(path.name for path in tmp_path.iterdir())
    code, printed, error = run(capsys, "--quiet", "evaluate", *command)
    assert code == 2
    assert message in " ".join(error.split())
    assert len(error.strip().splitlines()) == 1
    assert printed == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_the_usual_network_needs_no_size(drawn, tmp_path, capsys):
    network = script(Flagged(), tmp_path / "net.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        command = ("evaluate", drawn, "--reference", "digits", "--features", network, *FAST)
        code, printed, _ = run(capsys, *command)
    assert code == 0
    assert "by net.pt " in printed


def test_the_command_has_help_with_examples(capsys):
    code, printed, _ = run(capsys, "evaluate", "--help")
    assert code == 0
    assert "fpdm evaluate" in printed.partition("Examples")[2]
    for option in ("--reference", "--features", "--json", "--labels", "--bootstrap"):
        assert option in printed
