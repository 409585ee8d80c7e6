"""Inits that break one law each."""
# ruff: noqa: ARG002

import torch

from fpdm.interfaces import InitStrategy


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
