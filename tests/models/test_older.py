"""What older versions have written is read, and a seed gives the weights that it gave."""

import json
import warnings

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import fpdm
from fpdm.models import fpdit
from fpdm.training import Run, Training
from tests.models.older import MIX, make_older, older
from tests.toys import tiny
from tests.training.runs import CHECKPOINTS, WEIGHTS, assert_equal, config, finish, newest

FILE = "diffusion_pytorch_model.safetensors"


def said(model) -> torch.Tensor:
    x, labels = torch.ones(2, 1, 4, 4), torch.tensor([0, 3])
    with torch.no_grad():
        return model(x, timestep=500, class_labels=labels, evals=3).sample


def assert_loaded(loaded, model) -> None:
    assert_equal(loaded.state_dict(), model.state_dict())
    assert all(value.is_contiguous() for value in loaded.state_dict().values())
    assert torch.equal(said(loaded), said(model))


def test_a_state_dict_of_an_older_version_loads():
    model, fresh = tiny(), tiny(init="reuse")
    nn.init.zeros_(fresh.layer.block.mix.state.weight)
    given = older(model.state_dict())
    names = set(given)
    assert fresh.load_state_dict(given) == ([], [])
    assert set(given) == names  # what is given stays as it is
    assert_loaded(fresh, model)
    assert_loaded(nn.ModuleList([fresh])[0], model)
    wrapped = nn.ModuleDict({"model": tiny()})
    wrapped.load_state_dict({f"model.{name}": value for name, value in given.items()})
    assert_loaded(wrapped["model"], model)


def test_a_state_dict_that_lacks_a_part_is_still_incomplete():
    given = older(tiny().state_dict())
    del given[f"{MIX}.weight"]
    with pytest.raises(RuntimeError, match=r"Missing key.*mix\.state\.weight.*mix\.injection\.wei"):
        tiny().load_state_dict(given)


@pytest.mark.parametrize("options", [{}, {"low_cpu_mem_usage": False}, {"torch_dtype": "double"}])
@pytest.mark.parametrize("shards", [1, 2])
def test_a_folder_of_an_older_version_loads(tmp_path, options, shards):
    model = tiny()
    if dtype := options.get("torch_dtype"):
        options = {"torch_dtype": getattr(torch, dtype)}
    model.save_pretrained(tmp_path)
    tensors = older(load_file(tmp_path / FILE))
    if shards == 1:
        save_file(tensors, tmp_path / FILE)
    else:
        (tmp_path / FILE).unlink()
        names, index = sorted(tensors), {}
        for number in range(shards):
            file = FILE.replace(".", f"-{number + 1:05}-of-{shards:05}.", 1)
            index |= dict.fromkeys(names[number::shards], file)
            part = {name: tensors[name] for name in names[number::shards]}
            save_file(part, tmp_path / file, metadata={"format": "pt"})
        written = {"metadata": {"total_size": 1}, "weight_map": index}
        (tmp_path / f"{FILE}.index.json").write_text(json.dumps(written))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of diffusers, about the names of its arguments
        loaded, info = fpdm.FPDiT.from_pretrained(tmp_path, output_loading_info=True, **options)
    assert not any(info.values())
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value.to(loaded.dtype))
        assert loaded.state_dict()[name].is_contiguous()


def test_a_run_of_an_older_version_goes_on_to_the_same_weights(tmp_path):
    torch.manual_seed(0)
    finish(tmp_path / "whole")
    torch.manual_seed(0)
    for progress in Run(Training(config()), tmp_path / "older"):
        if progress.step == 3:
            break
    make_older(max((tmp_path / "older" / CHECKPOINTS).iterdir()))
    run = Run(Training(config()), tmp_path / "older")
    assert run.resumed == 3
    for _ in run:
        pass
    assert_equal(newest(tmp_path / "older"), newest(tmp_path / "whole"))
    assert_equal(load_file(tmp_path / "older" / WEIGHTS), load_file(tmp_path / "whole" / WEIGHTS))


class Whole(nn.Linear):
    """The layer as it was."""

    def __init__(self, dim: int) -> None:
        super().__init__(2 * dim, 2 * dim)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("seed", [0, 7])
def test_a_seed_gives_the_weights_that_it_gave_before(seed, dtype, monkeypatch):
    sizes = {"sample_size": 4, "in_channels": 1, "hidden_size": 16, "num_heads": 2}
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        torch.manual_seed(seed)
        ours, after = fpdm.FPDiT(**sizes).state_dict(), torch.rand(())
        monkeypatch.setattr(fpdit, "Mix", Whole)
        torch.manual_seed(seed)
        theirs = fpdm.FPDiT(**sizes).state_dict()
        assert torch.rand(()) == after
    finally:
        torch.set_default_dtype(before)
    assert_equal(older(ours), theirs)
