import os

if "PYTEST_XDIST_WORKER" in os.environ:  # each beside others: one thread, also of what it starts
    os.environ["OMP_NUM_THREADS"] = "1"

import pytest
import torch
from hypothesis import HealthCheck, settings

import fpdm.plugins.discovery
from tests.built_ins import own_entry_points

fpdm.plugins.discovery.entry_points = (
    own_entry_points  # plugins that a developer has installed stay out
)

settings.register_profile(
    "laws",
    deadline=None,
    max_examples=25,
    derandomize=bool(os.environ.get("CI")),
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("laws")


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)
