"""What is recorded is replayed on its own buffers, which nobody else sees."""

from contextlib import contextmanager

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fpdm.compiling.leaves import mapped, tensors
from fpdm.compiling.replay import Replay
from fpdm.solution import NOWHERE, Solution, Visited
from tests.operations import operations
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


def accumulating(rows: torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    rows.add_(x)
    return rows, 2 * x


def test_what_comes_back_is_not_copied():
    replayed = Replay(accumulating, nn.Identity(), Recorder())
    rows, _ = replayed(torch.zeros(3, 2), torch.ones(2))
    place = rows.data_ptr()
    seen = operations(lambda: replayed(rows, torch.ones(2)))
    assert seen["aten::clone"] == 1  # of 2 x
    assert seen["aten::copy_"] == 2  # x into its buffer; and 2 x, as the recorder here replays it
    rows, _ = replayed(rows, torch.ones(2))
    assert rows.data_ptr() == place
    assert torch.equal(rows, torch.full((3, 2), 3.0))


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 9)), max_size=20))
def test_runs_that_take_turns_have_their_own(turns):
    replayed = Replay(accumulating, nn.Identity(), Recorder())
    kept = [torch.zeros(2) for _ in range(3)]
    expected = [0, 0, 0]
    for who, what in turns:
        kept[who], _ = replayed(kept[who], torch.full((2,), float(what)))
        expected[who] += what
        assert [each.tolist() for each in kept] == [[each] * 2 for each in expected]


def test_what_is_not_given_back_stays_as_it_is():
    replayed = Replay(accumulating, nn.Identity(), Recorder())
    first, _ = replayed(torch.zeros(2), torch.ones(2))
    other, _ = replayed(torch.full((2,), 5.0), torch.ones(2))
    del other  # nobody has it any more
    third, _ = replayed(first, torch.ones(2))
    assert first.tolist() == [1, 1]
    assert third.tolist() == [2, 2]


def test_what_is_returned_twice_is_lent_once():
    replayed = Replay(lambda x: (x.add_(1), x, x[:1]), nn.Identity(), Recorder())
    one, two, part = replayed(torch.zeros(2))
    replayed(one)
    assert two.tolist() == [1, 1]
    assert part.tolist() == [1]


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
