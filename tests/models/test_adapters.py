"""What is said of adapters where peft is not installed; the rest is in `adapters.py`."""

import pytest

import fpdm
from fpdm.errors import MissingDependencyError
from fpdm.runtime import adapting
from tests.sampling.pipelines import draw, pipeline
from tests.toys import tiny, tiny_dit

SAID = r"^Adapters need {}, not installed here: pip install 'fpdm\[lora\]'\.$"
MODEL = ("add_adapter", "set_adapter", "set_adapters", "disable_adapters", "enable_adapters")
MERGING = ("fuse_lora", "unfuse_lora", "unload_lora")
FILES = ("load_lora_adapter", "save_lora_adapter")
PIPELINE = ("load_lora_weights", "unload_lora_weights", "fuse_lora", "unfuse_lora", "set_adapters")


@pytest.fixture(params=["peft and transformers", "peft", "transformers"])
def missing(request, monkeypatch):
    """What is not installed, whatever is."""
    gone = request.param.split(" and ")
    monkeypatch.setattr(adapting, "find_spec", lambda name: None if name in gone else name)
    return request.param


@pytest.mark.parametrize("make", [tiny, tiny_dit])
def test_a_network_says_in_one_sentence_what_to_install(make, missing):
    model = make()
    for name in (*MODEL, *MERGING, *FILES, "delete_adapters", "active_adapters"):
        with pytest.raises(MissingDependencyError, match=SAID.format(missing)):
            getattr(model, name)()


def test_a_pipeline_says_in_one_sentence_what_to_install(missing):
    pipe = pipeline()
    for name in (*PIPELINE, "delete_adapters", "get_list_adapters", "get_active_adapters"):
        with pytest.raises(MissingDependencyError, match=SAID.format(missing)):
            getattr(pipe, name)()


def test_what_is_not_about_adapters_asks_for_nothing(missing, tmp_path):
    pipe = pipeline()
    pipe.save_pretrained(tmp_path)
    assert missing
    draw(fpdm.FPDMPipeline.from_pretrained(tmp_path))
