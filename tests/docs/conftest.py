"""Where pages run."""

import sys

import pytest

from fpdm.plugins import lookup


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder, as a reader has it, whose modules can be imported; and a fresh host."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(lookup, "_installed", type(lookup._installed)())
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]
