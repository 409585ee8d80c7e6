"""`fpdm sample --compile`."""

from functools import partialmethod

import fpdm
from tests.commands import run


def test_the_command_says_how_long_compiling_took(tmp_path, capsys, monkeypatch):
    eagerly = partialmethod(fpdm.FPDMPipeline.compile, backend="eager")
    monkeypatch.setattr(fpdm.FPDMPipeline, "compile", eagerly)
    options = ["--classes", 3, "--budget", 12, "--steps", 3, "--solver", "naive"]
    for out in ("one.png", "folder"):
        code, _, error = run(capsys, "sample", *options, "--compile", "--out", tmp_path / out)
        assert code == 0, error
        assert "compiling took" in error
        assert (tmp_path / out).exists()
    code, _, error = run(capsys, "sample", *options, "--out", tmp_path / "two.png")
    assert code == 0
    assert "compiling" not in error
