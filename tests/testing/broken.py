"""Components that break one law of their kind each, for the tests of the conformance kit."""
# ruff: noqa: ARG002

from types import SimpleNamespace

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


class Spoils(Plain):
    """Finds what it should, and returns something else."""

    def solve(self, f, x0, *, evals, tol=None):
        return self.spoil(super().solve(f, x0, evals=evals, tol=tol), x0, tol)


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


class Narrows(Spoils):
    def spoil(self, found, x0, tol):
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


class Flatters(Spoils):
    def spoil(self, found, x0, tol):
        return attrs.evolve(found, residual=0.5 * found.residual)


class Magnifies(Spoils):
    def spoil(self, found, x0, tol):
        return attrs.evolve(found, absolute_residual=1e6 * found.absolute_residual)


class Claims(Spoils):
    def spoil(self, found, x0, tol):
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


class Halves(Spoils):
    """Solves nothing in float16."""

    def spoil(self, found, x0, tol):
        return found if x0.dtype != torch.float16 else attrs.evolve(found, value=0 * found.value)


class Patches(Plain):
    """Takes a NaN for a zero, unless the whole sample is one."""

    def solve(self, f, x0, *, evals, tol=None):
        def patched(z):
            image = f(z)
            lost = image.isnan().reshape(len(z), -1).all(dim=1) if z.numel() else image.isnan()
            return image.where(lost.reshape(-1, *[1] * (z.dim() - 1)), image.nan_to_num(nan=0.0))

        return super().solve(patched, x0, evals=evals, tol=tol)


class Runs(Plain):
    def solve(self, f, x0, *, evals, tol=None):
        return super().solve(f, x0, evals=evals + 7 * (evals > 50 and tol is None), tol=tol)


class Deaf(Plain):
    def solve(self, f, x0, *, evals, tol=None):
        return super().solve(f, x0, evals=evals, tol=tol and min(tol, 1e-13))


class Coarse(Plain):
    def solve(self, f, x0, *, evals, tol=None):
        return super().solve(f, x0, evals=evals, tol=tol and max(tol, 1e-6))


class Crowds(Plain):
    def advance(self, z, image, state):
        return (image.roll(1, 0) if len(z) > 4 else image), state


class Stops(Spoils):
    def spoil(self, found, x0, tol):
        return attrs.evolve(found, value=x0) if x0[:1].numel() > 64 else found


class Seeds(Plain):
    def start(self, z0):
        torch.manual_seed(0)


class Hoards(Spoils):
    def spoil(self, found, x0, tol):
        return attrs.evolve(found, carry={"image": found.value})


class Tires(Plain):
    """Carries no gradient from the sixth evaluation on."""

    def start(self, z0):
        return 0

    def advance(self, z, image, state):
        return (image if state < 5 else image.detach()), state + 1


class Starts(Plain):
    """Has no gradient by the start."""

    def solve(self, f, x0, *, evals, tol=None):
        return super().solve(f, x0.detach(), evals=evals, tol=tol)


class Widens(Plain):
    def solve(self, f, x0, *, evals, tol=None):
        found = super().solve(f, x0.float(), evals=evals, tol=tol)
        return attrs.evolve(found, value=found.value.to(x0.dtype))


class Namely(Spoils):
    def spoil(self, found, x0, tol):
        return SimpleNamespace(**attrs.asdict(found, recurse=False))


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


class Guesses(InitStrategy):
    name = "guesses"

    def initial(self, features, history, moment):
        return torch.randn_like(features)


class Erodes(InitStrategy):
    name = "erodes"
    lookback = 1

    def initial(self, features, history, moment):
        if history:
            history[-1].solution.residual.zero_()
        return features


class Blends(InitStrategy):
    """Mixes the samples of features that have tokens."""

    name = "blends"

    def initial(self, features, history, moment):
        mean = features.mean(dim=0, keepdim=True).expand_as(features)
        return mean.clone() if features.dim() == 3 and features.numel() else features


class Coarsens(InitStrategy):
    name = "coarsens"

    def initial(self, features, history, moment):
        return features.float() if features.dtype == torch.float16 else features


class Far(InitStrategy):
    name = "far"
    lookback = 1

    def initial(self, features, history, moment):
        return history[0].solution.value if history else features


class Doubles(InitStrategy):
    name = "doubles"

    def initial(self, features, history, moment):
        return features.double()


class Scribbles(InitStrategy):
    name = "scribbles"

    def initial(self, features, history, moment):
        return features.mul_(0.5)


class Averages(InitStrategy):
    name = "averages"

    def initial(self, features, history, moment):
        return (
            features.mean(dim=0, keepdim=True).expand_as(features) if features.numel() else features
        )


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
