"""`fpdm evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import attrs
from cyclopts import Parameter

from fpdm.checks import check_real, check_whole
from fpdm.cli import console
from fpdm.cli.components import Whole
from fpdm.cli.copies import check_shows, draw_copies
from fpdm.cli.devices import check_device
from fpdm.cli.figures import print_evaluations, write_evaluations
from fpdm.cli.files import Place, check_file
from fpdm.cli.yardsticks import (
    Bars,
    channels_of_all,
    check_options,
    features_named,
    labels_for,
)
from fpdm.errors import InvalidValueError

if TYPE_CHECKING:
    from fpdm.cli.judged import Judged

EXAMPLES = (
    "fpdm evaluate samples --reference digits",
    "fpdm evaluate samples.npz --reference real --features classifier --json samples-fid.json",
    "fpdm evaluate seed-0 seed-1 seed-2 --reference real.npz --features inception-2015-12-05.pt",
)


def evaluate(
    *samples: str,
    reference: str,
    features: str = "pixels",
    size: Whole | None = None,
    resize: Whole | None = None,
    statistics: Annotated[bool, Parameter(negative=())] = False,
    labels: Annotated[list[str] | None, Parameter(consume_multiple=True, negative=())] = None,
    neighbours: Whole = 3,
    bootstrap: Whole = 100,
    level: float = 0.95,
    seed: Whole = 0,
    batch_size: Whole = 256,
    device: str | None = None,
    classifier: Place | None = None,
    json_: Annotated[Place | None, Parameter(name=["--json"])] = None,
    reference_npz: Place | None = None,
    grid: Place | None = None,
) -> None:
    """Measure samples against real ones: Fréchet and kernel distance, precision and recall.

    Samples and reference are each a folder of images, an `.npz` of `fpdm sample` or of the
    evaluation suite of ADM, or a data set by name, such as `digits`. Several sets of samples are
    taken for several seeds: their mean and spread are printed too. Nothing is downloaded.

    Args:
        samples: what to measure, one or several.
        reference: what to compare with. An `.npz` of published statistics, `mu` and `sigma`, will
            do for the Fréchet distance.
        features: what is compared: `pixels`; `classifier`, a small network that is trained on the
            classes of the reference, once, and kept beside it; `digits`, scikit-learn's, trained on
            the digits; or the TorchScript file of a network, such as `inception-2015-12-05.pt`.
        size: height and width that images are brought to, in pixels; all must be of one size if
            not given.
        resize: what images are enlarged to for the network of a TorchScript file; left to it if not
            given.
        statistics: of a reference that holds images and statistics, take the statistics.
        labels: the class of each sample, by number, in turn; or a `.npy` file of them. If not
            given, what `samples.json`, an `.npz` or folders of classes say.
        neighbours: how far a ball of precision and recall reaches.
        bootstrap: resamples, from which the intervals of distances are taken; 0 for none.
        level: of the intervals.
        seed: of the classifier, the resamples and the extrapolation.
        batch_size: how many images are read at once.
        device: where a network computes; the accelerator that PyTorch finds, or else the CPU, if
            not given.
        classifier: the file in which the classifier is kept; `REFERENCE.classifier.safetensors` if
            not given, and none for a data set by name.
        json_: a file for all figures, with what they depend on.
        reference_npz: a file for the images of the reference, as the evaluation suite of ADM reads
            them.
        grid: a PNG of some samples of each set, and beside each what is nearest to it in the
            reference by these features, with the distance: a sample that was learned by heart
            stands beside itself.
    """
    _check_numbers(samples, neighbours=neighbours, bootstrap=bootstrap, level=level, seed=seed)
    check_whole("batch_size", batch_size, minimum=1)
    check_options(features, size=size, resize=resize, labels=labels, classifier=classifier)
    if json_ is not None:
        check_file(json_, (".json",), option="--json")
    if reference_npz is not None:
        check_file(reference_npz, (".npz",), option="--reference-npz")
    if grid is not None:
        check_file(grid, (".png",), option="--grid")
    place = None if device is None else check_device(device)

    from fpdm.cli.judged import open_samples
    from fpdm.evaluation import Settings

    real = open_samples(reference, size=size, statistics=statistics)
    sets = [open_samples(name, size=size) for name in samples]
    alike = channels_of_all(sets, real)
    if grid is not None:
        check_shows(sets, real, grid)
    if reference_npz is not None:
        _write_reference(real, reference_npz)
    chosen = features_named(features, real, classifier, resize=resize, seed=seed, device=place)
    told = [labels_for(each, labels, chosen) for each in sets]
    bars = Bars(chosen, channels=alike, batch_size=batch_size)
    there = bars.extracted(real)
    settings = Settings(neighbours, bootstrap, level, seed)
    rows = [bars.extracted(each, wanted) for each, wanted in zip(sets, told, strict=True)]
    found = []
    for each, here in zip(sets, rows, strict=True):
        measured = bars.measured(each.name, here, there, settings)
        facts = {
            "source": each.name,
            "against": reference,
            "size": size,
            "resize": resize,
            "held_out": getattr(chosen, "held_out", None),
            "drawn": each.record,
        }
        found.append(attrs.evolve(measured, facts=facts))
    print_evaluations(found, reference)
    if json_ is not None:
        write_evaluations(found, json_)
        console.say(f"Wrote all figures to {json_}.")
    if grid is not None:
        draw_copies(sets, rows, real, there, grid)


def _check_numbers(
    samples: Sequence[str], *, neighbours: int, bootstrap: int, level: float, seed: int
) -> None:
    """Check what needs no samples, before anything is loaded that takes long."""
    if not samples:
        raise InvalidValueError("SAMPLES: give at least one folder, .npz or data set.")
    check_whole("neighbours", neighbours, minimum=1)
    check_whole("seed", seed, minimum=0, maximum=2**63 - 1)
    check_real("level", level, above=0, maximum=0.9999)
    if bootstrap != 0:
        check_whole("bootstrap", bootstrap, minimum=2)


def _write_reference(real: Judged, out: Path) -> None:
    from fpdm.evaluation import Gaussian, write_archive

    if isinstance(real.data, Gaussian):
        raise InvalidValueError(f"--reference-npz {out}: {real.name} holds statistics, no images.")
    write_archive(real.data, out)
    console.say(f"Wrote the {len(real.data)} images of {real.name} to {out}, as arr_0.")
