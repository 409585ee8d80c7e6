"""A gradient estimator that keeps all laws, and others that break one each."""
# ruff: noqa: ARG002

import attrs
import torch

from fpdm.interfaces import GradientEstimator


class Estimator(GradientEstimator):
    """Keeps all laws; what is below breaks one each."""

    name = "estimator"

    def solve(self, f, z0, solver, generator=None):
        return self.spoil(solver.solve(f, z0, evals=3))

    def spoil(self, found):
        return found


class Miscounts(Estimator):
    def spoil(self, found):
        return attrs.evolve(found, evals=2)


class Cuts(Estimator):
    def spoil(self, found):
        return attrs.evolve(found, value=found.value.detach())


class Rolls(Estimator):
    def solve(self, f, z0, solver, generator=None):
        return solver.solve(f, z0, evals=int(torch.randint(1, 99, ())))


class Alternates(Estimator):
    """Makes another number of evaluations at each call."""

    calls = 0

    def solve(self, f, z0, solver, generator=None):
        self.calls += 1
        return solver.solve(f, z0, evals=3 + self.calls % 2)


class Flips(Estimator):
    def spoil(self, found):
        return attrs.evolve(found, value=2 * found.value.detach() - found.value)


class Enables(Estimator):
    def solve(self, f, z0, solver, generator=None):
        with torch.enable_grad():
            return super().solve(f, z0, solver)


class Shrinks(Estimator):
    def spoil(self, found):
        return attrs.evolve(found, value=0.1 * found.value)


class Explodes(Estimator):
    def spoil(self, found):
        return attrs.evolve(
            found, value=found.value.detach() + 1e6 * (found.value - found.value.detach())
        )


class Evens(Estimator):
    """Gives every sample the mean of the gradients."""

    def spoil(self, found):
        apart = found.value - found.value.detach()
        return attrs.evolve(
            found, value=found.value.detach() + apart.mean(dim=0, keepdim=True).expand_as(apart)
        )


class Flattens(Estimator):
    def spoil(self, found):
        return attrs.evolve(found, value=found.value.flatten())


class Needs(Estimator):
    def solve(self, f, z0, solver, generator=None):
        generator.get_state()
        return super().solve(f, z0, solver)


class Doubts(Estimator):
    def solve(self, f, z0, solver, generator=None):
        return super().solve(f, z0.double(), solver)


class Lies(Estimator):
    """States another count where gradients are off."""

    def spoil(self, found):
        return found if torch.is_grad_enabled() else attrs.evolve(found, evals=99)
