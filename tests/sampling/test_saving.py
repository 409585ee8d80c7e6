"""A pipeline that is saved and loaded is the same."""

import json
import subprocess
import sys

import pytest
import torch

import fpdm
from fpdm.errors import InvalidValueError
from tests.sampling.pipelines import NAMES, images, parts
from tests.toys import tiny


@pytest.mark.filterwarnings("ignore:`torch_dtype` is deprecated:FutureWarning")  # but known
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_saved_pipeline_is_the_same_bit_for_bit(dtype, tmp_path):
    pipe = parts().to(dtype)
    pipe.save_pretrained(tmp_path)
    loaded = fpdm.FPDMPipeline.from_pretrained(tmp_path, torch_dtype=dtype)
    loaded.set_progress_bar_config(disable=True)
    for part in ("model", "vae"):
        ours, theirs = getattr(pipe, part).state_dict(), getattr(loaded, part).state_dict()
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            assert theirs[name].dtype == dtype
            assert torch.equal(theirs[name], value)
    assert loaded.labels == pipe.labels
    assert loaded.config["prediction_type"] == "epsilon"
    said, kept = (
        {name: value for name, value in part.model.config.items() if not name.startswith("_")}
        for part in (pipe, loaded)
    )
    assert said == kept
    assert torch.equal(images(loaded, ["dog"]), images(pipe, [1]))
    assert torch.equal(images(loaded, output_type="pt"), images(pipe, output_type="pt"))


def test_what_is_saved_is_plain_data(tmp_path):
    parts().save_pretrained(tmp_path)
    suffixes = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert suffixes == {".json", ".safetensors", ".py"}
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["solver"]["name"] == "broyden"
    assert config["init"] == {"name": "reuse"}
    index = json.loads((tmp_path / "model_index.json").read_text())
    assert index["id2label"] == {str(number): name for number, name in NAMES.items()}
    with pytest.raises(InvalidValueError, match="is a file"):
        parts().save_pretrained(tmp_path / "model_index.json")


@pytest.mark.parametrize("where", ["pipeline", "folder"])
def test_diffusers_loads_a_saved_folder_that_it_has_never_heard_of(where, tmp_path):
    parts().save_pretrained(tmp_path / "saved")
    custom = "pipeline" if where == "pipeline" else str(tmp_path / "saved")
    program = (
        "from diffusers import DiffusionPipeline\n"
        f"pipe = DiffusionPipeline.from_pretrained({str(tmp_path / 'saved')!r}, "
        f"custom_pipeline={custom!r}, trust_remote_code=True)\n"
        "print(type(pipe).__name__, type(pipe.model).__name__, type(pipe.vae).__name__)\n"
        "print(pipe(['dog'], num_inference_steps=2).images[0].size)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={"HF_HOME": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )
    assert done.stdout.splitlines() == ["FPDMPipeline FPDiT AutoencoderKL", "(8, 8)"], done.stderr


def test_from_config_makes_an_untrained_network_of_the_same_kind():
    model = tiny(solver={"name": "anderson", "memory": 3}, has_null_class=False)
    other = fpdm.FPDiT.from_config(model.config)
    assert other.layer.solver == fpdm.solver("anderson", memory=3)
    assert other.null_class is None
    assert {k: v.shape for k, v in other.state_dict().items()} == {
        k: v.shape for k, v in model.state_dict().items()
    }


def test_a_pipeline_moves_between_dtypes():
    pipe = parts().to(torch.bfloat16)
    assert (pipe.model.dtype, pipe.vae.dtype) == (torch.bfloat16,) * 2
    assert images(pipe).dtype == torch.bfloat16
    assert images(pipe, output_type="pt").isfinite().all()
    pipe.to("cpu", torch.float32)
    assert images(pipe).dtype == torch.float32
