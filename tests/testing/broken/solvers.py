"""A solver that keeps all laws, and others that break one each."""
# ruff: noqa: ARG002

from types import SimpleNamespace

import attrs
import torch

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


class Cuts(Plain):
    """Goes on from what it carries, and lets no gradient through it."""

    carry = True
    keeps_best = True

    def start(self, z0):
        return [z0]

    def advance(self, z, image, state):
        following = image + 0.1 * (state[0] - z)  # which are the same, but for their gradients
        return following, [following]

    def carried(self, state):
        return [state[0].detach()]

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
