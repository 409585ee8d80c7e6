"""What is recorded is replayed on its own buffers, which nobody else sees."""

from contextlib import contextmanager

import pytest
import torch
from torch import nn

from fpdm.compiling.leaves import mapped, tensors
from fpdm.compiling.replay import Replay
from fpdm.solution import NOWHERE, Solution, Visited
from tests.sampling.pipelines import images, pipeline
from tests.toys import tiny


class Recorder:
    """Records on the processor: what is replayed is written where the first result was."""

    def __init__(self):
        self.recordings = self.replays = self.turns = 0

    def record(self, function):
        self.recordings += 1
        returned = function()

        def replay():
            self.replays += 1
            for place, new in zip(tensors(returned), tensors(function()), strict=True):
                if place is not new:
                    place.copy_(new)

        return returned, replay

    @contextmanager
    def turn(self):
        self.turns += 1
        yield


class Failing(Recorder):
    def record(self, _):
        raise RuntimeError("operation not permitted when stream is capturing\nand more")


def test_a_replay_computes_what_the_function_does():
    recorder, module = Recorder(), nn.Linear(2, 2).requires_grad_(False)
    replayed = Replay(lambda x, past: (module(x), [past["a"] + 1]), module, recorder)
    first, second = torch.randn(3, 2), torch.randn(3, 2)
    one, (plus_one,) = replayed(first, {"a": first})
    two, _ = replayed(second, {"a": second})
    assert torch.equal(one, module(first))
    assert torch.equal(two, module(second))
    assert torch.equal(plus_one, first + 1)
    assert (recorder.recordings, recorder.replays) == (1, 2)


def test_what_a_function_overwrites_is_not_what_it_was_given():
    module = nn.Identity()
    replayed = Replay(lambda x: x.add_(1), module, Recorder())
    x = torch.zeros(2)
    for _ in range(3):
        assert torch.equal(replayed(x), torch.ones(2))
    assert torch.equal(x, torch.zeros(2))


def test_weights_that_have_moved_are_recorded_again():
    recorder, module = Recorder(), nn.Linear(2, 2).requires_grad_(False)
    replayed = Replay(module.forward, module, recorder)
    replayed(torch.zeros(1, 2))
    module.bias.data = torch.ones(2)
    assert torch.equal(replayed(torch.zeros(1, 2)), torch.ones(1, 2))
    assert recorder.recordings == 2


def test_what_cannot_be_recorded_is_computed_all_the_same():
    module = nn.Identity()
    replayed = Replay(lambda x: x + 1, module, Failing())
    with pytest.warns(UserWarning, match="as a CUDA graph, and is launched piece by piece: oper"):
        assert torch.equal(replayed(torch.zeros(1)), torch.ones(1))
    assert torch.equal(replayed(torch.ones(1)), 2 * torch.ones(1))


def test_a_run_that_is_replayed_is_the_run(monkeypatch):
    recorder = Recorder()
    model = tiny(init="extrapolate")
    eager, pipe = images(pipeline(model)), pipeline(model).compile(backend="eager")
    pipe.compiled.recorder = recorder
    monkeypatch.setattr("fpdm.compiling.compiled.is_recorded", lambda _: True)
    replayed = images(pipe)
    torch.testing.assert_close(replayed, eager, atol=1e-5, rtol=1e-5)
    assert (recorder.recordings, recorder.replays) == (1, 4)


def test_tensors_are_found_wherever_they_stand():
    one, two = torch.ones(2), torch.zeros(3)
    solution = Solution(
        one, evals=3, residual=two, status=two, absolute_residual=two, carry={"rows": [one, (two,)]}
    )
    visited = Visited(NOWHERE, one, solution)
    doubled = mapped(visited, lambda tensor: 2 * tensor)
    assert len(tensors(visited)) == 7
    assert torch.equal(doubled.solution.carry["rows"][0], 2 * one)
    assert doubled.solution.evals == 3
    assert doubled.moment is NOWHERE
    assert visited.solution.value is one
    assert mapped("none", torch.clone) == "none"
