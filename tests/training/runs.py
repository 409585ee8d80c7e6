"""Short runs into a folder, and what their checkpoints hold."""

from pathlib import Path

import attrs
import torch
from safetensors.torch import load_file

from fpdm.training import Run, TrainConfig, Training
from fpdm.training.config import CheckpointsConfig, TrackingConfig
from fpdm.training.run import CHECKPOINTS

TINY = {"network": "fpdit", "patch_size": 4, "hidden_size": 8, "num_heads": 2}
WEIGHTS = Path("model", "diffusion_pytorch_model.safetensors")


def config(**changes) -> TrainConfig:
    base = TrainConfig(
        steps=6,
        batch_size=8,
        model=TINY,
        checkpoints=CheckpointsConfig(every=1, keep=0),
        tracking=TrackingConfig(every=1, samples_every=0),
    )
    return attrs.evolve(base, **changes)


def finish(folder: Path, config: TrainConfig = config()) -> None:  # noqa: B008
    for _ in Run(Training(config), folder):
        pass


def newest(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of the newest checkpoint."""
    last = max((folder / CHECKPOINTS).iterdir())
    return {
        f"{path.name}/{name}": value
        for path in sorted(last.rglob("*.safetensors"))
        for name, value in load_file(path).items()
    }


def assert_equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
