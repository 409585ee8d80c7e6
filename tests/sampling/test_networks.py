"""The pipeline draws with any network that offers what is asked for, and loads older folders."""

import json

import pytest
import torch
from diffusers.configuration_utils import register_to_config

import fpdm
from fpdm.diffusion import Diffusion
from fpdm.errors import InvalidValueError
from fpdm.models import SavedNetwork
from fpdm.plugins import PluginHost, lookup
from tests.built_ins import own_entry_points
from tests.plugins.hosts import plugin
from tests.testing.broken.networks import Whole
from tests.toys import tiny


class Silent(SavedNetwork):
    @register_to_config
    def __init__(self, *, in_channels=1, sample_size=8, num_classes=2):
        del in_channels, sample_size, num_classes
        super().__init__()


def draw(pipe: fpdm.FPDMPipeline) -> torch.Tensor:
    pipe.set_progress_bar_config(disable=True)
    draws = torch.Generator().manual_seed(0)
    return pipe([0, 1], budget=20, num_inference_steps=4, generator=draws, output_type="pt").images


def pipeline(model: torch.nn.Module) -> fpdm.FPDMPipeline:
    return fpdm.FPDMPipeline(model.eval(), Diffusion().scheduler())


def test_a_network_of_a_stranger_is_drawn_from_saved_and_loaded(tmp_path):
    torch.manual_seed(0)
    pipe = pipeline(Whole())
    pipe.save_pretrained(tmp_path)
    loaded = fpdm.FPDMPipeline.from_pretrained(tmp_path)
    assert type(loaded.model) is Whole
    assert torch.equal(draw(loaded), draw(pipe))


def test_a_registered_network_goes_from_pipeline_to_pipeline(monkeypatch):
    made = PluginHost(own_entry_points())
    made.register(plugin(fpdm_register_networks=lambda: [Whole]), fpdm.plugins.Origin("mine"))
    monkeypatch.setattr(lookup, "_installed", type("Installed", (), {"get": lambda _: made})())
    for model in (Whole(), tiny()):
        pipe = pipeline(model)
        assert fpdm.FPDMPipeline.from_pipe(pipe).model is model


def test_a_network_that_says_nothing_of_its_passes_is_refused():
    with pytest.raises(InvalidValueError, match="Silent has no pre_passes, post_passes: must be"):
        pipeline(Silent())


def test_a_folder_that_names_modules_as_they_were_called_before_is_loaded(tmp_path):
    pipe = fpdm.FPDMPipeline(tiny().eval(), fpdm.EvenDDIMScheduler())
    pipe.save_pretrained(tmp_path)
    index = tmp_path / "model_index.json"
    tree = json.loads(index.read_text())
    assert tree["scheduler"] == ["fpdm.diffusion.schedulers", "EvenDDIMScheduler"]
    index.write_text(json.dumps(tree | {"scheduler": ["fpdm.schedulers", "EvenDDIMScheduler"]}))
    assert torch.equal(draw(fpdm.FPDMPipeline.from_pretrained(tmp_path)), draw(pipe))
