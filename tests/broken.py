"""Components that break one law of their kind each, for the tests of the conformance kit."""
# ruff: noqa: ARG002

import attrs
import torch

from fpdm.interfaces import AllocationPolicy, GradientEstimator, InitStrategy
from fpdm.iteration import IterativeSolver


class Plain(IterativeSolver):
    """Keeps all laws; what is below breaks one each."""

    name = "plain"
    keeps_best = False

    def start(self, z0):
        return None

    def advance(self, z, image, state):
        return image, state


class Overspends(Plain):
    def solve(self, f, x0, *, evals, tol=None):
        return super().solve(f, x0, evals=evals + 1, tol=tol)


class Mixes(Plain):
    def advance(self, z, image, state):
        return image - 1e-3 * (image - image.mean(dim=0)), state


class Spreads(Plain):
    def solve(self, f, x0, *, evals, tol=None):
        z = x0
        for _ in range(evals):
            z = f(z)
        found = super().solve(lambda z: z, x0, evals=0)
        return attrs.evolve(found, value=z, evals=evals)


class Narrows(Plain):
    def solve(self, f, x0, *, evals, tol=None):
        found = super().solve(f, x0, evals=evals, tol=tol)
        return attrs.evolve(found, value=found.value.contiguous())


class Overwrites(Plain):
    def advance(self, z, image, state):
        with torch.no_grad():
            return z.copy_(image), state


class Waits(Plain):
    def advance(self, z, image, state):
        return image * (1.0 if bool((image == image).any()) else 0.0), state


class Detaches(Plain):
    def advance(self, z, image, state):
        return image.detach(), state


class Swallows(Plain):
    def __init__(self, **options):
        pass


class Diverges(Plain):
    def advance(self, z, image, state):
        return z + 2.5 * (image - z), state


class Flatters(Plain):
    def solve(self, f, x0, *, evals, tol=None):
        found = super().solve(f, x0, evals=evals, tol=tol)
        return attrs.evolve(found, residual=0.5 * found.residual)


class Magnifies(Plain):
    def solve(self, f, x0, *, evals, tol=None):
        found = super().solve(f, x0, evals=evals, tol=tol)
        return attrs.evolve(found, absolute_residual=1e6 * found.absolute_residual)


class Claims(Plain):
    def solve(self, f, x0, *, evals, tol=None):
        found = super().solve(f, x0, evals=evals, tol=tol)
        return found if tol is None else attrs.evolve(found, status=torch.ones_like(found.status))


class Forgets(Plain):
    carry = True

    def carried(self, state):
        return None


class Graphs(Plain):
    carry = True
    keeps_best = True

    def start(self, z0):
        return [z0]

    def advance(self, z, image, state):
        return image + 0 * state[0], [image]

    def resume(self, z0, carry):
        return carry


class Ignores(Plain):
    def solve(self, f, x0, *, evals, tol=None):
        return super().solve(f, x0, evals=max(evals, 0), tol=tol or None)


class Remembers(AllocationPolicy):
    name = "remembers"

    def __init__(self):
        self.calls = 0

    def iterations(self, **_):
        self.calls += 1
        return self.calls


class Falls(AllocationPolicy):
    name = "falls"

    def iterations(self, *, previous, **_):
        return float(previous.residual.max()) if previous else 1.0


class Replans(AllocationPolicy):
    name = "replans"

    def iterations(self, *, step, **_):
        return step

    def plan(self, *, budget, steps):
        return (budget, *[0] * (steps - 1))


class Far(InitStrategy):
    name = "far"
    lookback = 1

    def initial(self, features, history):
        return history[0].value if history else features


class Doubles(InitStrategy):
    name = "doubles"

    def initial(self, features, history):
        return features.double()


class Scribbles(InitStrategy):
    name = "scribbles"

    def initial(self, features, history):
        return features.mul_(0.5)


class Averages(InitStrategy):
    name = "averages"

    def initial(self, features, history):
        return (
            features.mean(dim=0, keepdim=True).expand_as(features) if features.numel() else features
        )


class Estimator(GradientEstimator):
    """Keeps all laws; what is below breaks one each."""

    name = "estimator"

    def solve(self, f, z0, solver, generator=None):
        return solver.solve(f, z0, evals=3)


class Miscounts(Estimator):
    def solve(self, f, z0, solver, generator=None):
        return attrs.evolve(super().solve(f, z0, solver), evals=2)


class Cuts(Estimator):
    def solve(self, f, z0, solver, generator=None):
        found = super().solve(f, z0, solver)
        return attrs.evolve(found, value=found.value.detach())


class Rolls(Estimator):
    def solve(self, f, z0, solver, generator=None):
        return solver.solve(f, z0, evals=int(torch.randint(1, 99, ())))


class Flips(Estimator):
    def solve(self, f, z0, solver, generator=None):
        found = super().solve(f, z0, solver)
        return attrs.evolve(found, value=2 * found.value.detach() - found.value)


class Enables(Estimator):
    def solve(self, f, z0, solver, generator=None):
        with torch.enable_grad():
            return super().solve(f, z0, solver)
