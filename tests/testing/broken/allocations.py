"""Allocations that break one law each."""
# ruff: noqa: ARG002

from fpdm.interfaces import AllocationPolicy


class Remembers(AllocationPolicy):
    name = "remembers"

    def __init__(self):
        self.calls = 0

    def iterations(self, moment, **_):
        self.calls += 1
        return self.calls


class Falls(AllocationPolicy):
    name = "falls"

    def iterations(self, moment, *, previous, **_):
        return float(previous.residual.max()) if previous else 1.0


class Replans(AllocationPolicy):
    name = "replans"

    def iterations(self, moment, **_):
        return moment.index

    def plan(self, *, budget, steps):
        return (budget, *[0] * (steps - 1))


class Insists(AllocationPolicy):
    """Keeps the budget of its first run."""

    name = "insists"

    def __init__(self):
        self.budget = None

    def iterations(self, moment, *, budget, **_):
        self.budget = self.budget or budget
        return self.budget / moment.steps * (1 + moment.index / moment.steps)


class Erases(AllocationPolicy):
    name = "erases"

    def iterations(self, moment, *, previous, **_):
        if previous is not None:
            previous.residual.zero_()
        return 1
