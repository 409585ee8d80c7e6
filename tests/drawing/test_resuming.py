"""Only what is not there yet is drawn, whatever was left behind."""

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import fpdm
from fpdm.drawing import draw
from fpdm.drawing.numbered import is_whole, write_images
from tests.drawing.folders import CHEAP, drawn, everything, names, pngs
from tests.sampling.pipelines import pipeline


@pytest.fixture
def calls(monkeypatch) -> list[int]:
    """How many images each call of the pipeline made, without the rehearsals of one."""
    seen = []
    original = fpdm.FPDMPipeline.__call__

    @functools.wraps(original)
    def counted(self, class_labels, **options):
        class_labels = list(class_labels)
        if "callback_on_step_end" not in options:
            seen.append(len(class_labels))
        return original(self, class_labels, **options)

    monkeypatch.setattr(fpdm.FPDMPipeline, "__call__", counted)
    return seen


def test_only_the_chunks_that_are_not_whole_are_drawn(tmp_path, calls):
    out, pipe = tmp_path / "out", pipeline()
    drawn(pipe, out, 18)
    reference = everything(out)
    assert calls == [4] * 5
    calls.clear()
    (out / "000001.png").unlink()  # chunk 0
    halved = out / "000009.png"  # chunk 2
    halved.write_bytes(halved.read_bytes()[:-20])
    (out / "000010.png").write_bytes(b"")
    empty = out / "000017.png"  # chunk 4
    empty.write_bytes(bytes(empty.stat().st_size))
    (out / ".writing-000009.png-abc").write_bytes(b"half")
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.png")}
    told = drawn(pipe, out, 18)
    assert calls == [4] * 3
    assert [chunk.drawn for chunk in told] == [1, 0, 2, 0, 1]
    assert {name: data for name, data in everything(out).items() if name[0] != "."} == reference
    touched = {path.name for path, then in before.items() if path.stat().st_mtime_ns != then}
    assert touched == {"000009.png", "000010.png", "000017.png"}
    calls.clear()
    assert sum(chunk.drawn for chunk in drawn(pipe, out, 18)) == 0
    assert calls == []


def test_a_larger_number_goes_on(tmp_path, calls):
    out, pipe = tmp_path / "out", pipeline()
    drawn(pipe, out, 6)
    before = pngs(out)
    calls.clear()
    told = drawn(pipe, out, 9)
    assert [chunk.drawn for chunk in told] == [0, 2, 1]
    assert calls == [4, 4]
    assert before.items() < pngs(out).items()
    drawn(pipe, tmp_path / "at once", 9)
    assert pngs(out) == pngs(tmp_path / "at once")


def test_who_stops_listening_keeps_what_there_is(tmp_path):
    out, pipe = tmp_path / "out", pipeline()
    next(iter(draw(pipe, out, 100, batch_size=4, **CHEAP)))
    assert list(pngs(out)) == names(4)


@given(data=st.data())
def test_a_png_with_a_byte_missing_or_changed_is_not_whole(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("png") / "a.png"
    write_images([Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3))], [path])
    assert is_whole(path)
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    for damaged in (
        whole[:at],
        whole[:at] + bytes(len(whole) - at),
        whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :],
        whole + b"\0",
    ):
        path.write_bytes(damaged)
        assert not is_whole(path) or damaged == whole
    path.unlink()
    assert not is_whole(path)
