"""Networks that break one law each."""
# ruff: noqa: ARG002

from typing import ClassVar

import torch
from diffusers.configuration_utils import register_to_config
from torch import nn

import fpdm
from fpdm.models import SavedNetwork


class Pre(nn.Conv2d):
    def forward(self, x, cond):
        return super().forward(x) + cond


class Pull(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.inside = nn.Conv2d(width, width, 1)

    def bind(self, features, cond):
        return lambda z: features + 0.5 * torch.tanh(self.inside(z) + cond)


class Post(nn.Conv2d):
    def forward(self, z, cond):
        return super().forward(z + cond)


class Whole(SavedNetwork):
    """Keeps every law; those below change one thing."""

    name: ClassVar[str] = "whole"
    pre_passes = post_passes = 1

    @register_to_config
    def __init__(self, *, sample_size=8, in_channels=1, num_classes=2, width=4):
        super().__init__()
        self.label = nn.Embedding(num_classes + 1, width)
        self.time = nn.Linear(1, width)
        self.denoiser = fpdm.FixedPointDenoiser(
            Pre(in_channels, width, 1),
            fpdm.FixedPointLayer(Pull(width)),
            Post(width, in_channels, 1),
        )

    @property
    def layer(self):
        return self.denoiser.layer

    def forward(self, x, timestep, class_labels, **solving):
        time = self.check_call(x, timestep, class_labels).to(x)[:, None] / 1000
        cond = self.time(time) + self.label(class_labels)
        return self.answer(x, cond[:, :, None, None], **solving)

    def answer(self, x, cond, **solving):
        return self.denoiser(x, cond, **solving)


class Free(Whole):
    pre_passes = 1.0


class Nought(Whole):
    null_class = 0


class Bare(Whole):
    def answer(self, x, cond, **solving):
        return super().answer(x, cond, **solving).sample


class Widens(Whole):
    def answer(self, x, cond, **solving):
        made = super().answer(x, cond, **solving)
        return fpdm.Denoised(made.sample.repeat(1, 3, 1, 1), made.solution, made.features)


class Blurs(Whole):
    def answer(self, x, cond, **solving):
        return super().answer(x + x.mean(dim=0, keepdim=True), cond, **solving)


class Mistakes(Whole):
    """Evaluates the first samples in the place of those that are asked for."""

    class Pull(Pull):
        def bind(self, features, cond):
            return self.Map(self.inside, features, cond)

        class Map:
            def __init__(self, inside, features, cond):
                self.inside, self.features, self.cond = inside, features, cond

            def __call__(self, z):
                return self.features + 0.5 * torch.tanh(self.inside(z) + self.cond)

            def select(self, rows):
                count = len(rows)
                return type(self)(self.inside, self.features[:count], self.cond[:count])

    @register_to_config
    def __init__(self, *, sample_size=8, in_channels=1, num_classes=2, width=4):
        super().__init__(
            sample_size=sample_size, in_channels=in_channels, num_classes=num_classes, width=width
        )
        self.denoiser.layer = fpdm.FixedPointLayer(self.Pull(width))


class Deaf(Whole):
    def answer(self, x, cond, **solving):
        return super().answer(x, torch.zeros_like(cond), **solving)


class Featureless(Whole):
    def answer(self, x, cond, **solving):
        made = super().answer(x, cond, **solving)
        return fpdm.Denoised(made.sample, made.solution)


class Sticks(Whole):
    """Takes the evaluations of its own layer, whatever is granted."""

    def answer(self, x, cond, evals=None, **solving):
        return super().answer(x, cond, evals=None if evals is None else 3, **solving)


class Forgetful(Whole):
    def answer(self, x, cond, history=(), init=None, **solving):
        return super().answer(x, cond, **solving)


class Remembers(Whole):
    seen = 0

    def answer(self, x, cond, **solving):
        self.seen += 1
        return super().answer(x * self.seen, cond, **solving)


class Draws(Whole):
    def answer(self, x, cond, **solving):
        return super().answer(x + 0 * torch.randn_like(x), cond, **solving)


class Idle(Whole):
    @register_to_config
    def __init__(self, *, sample_size=8, in_channels=1, num_classes=2):
        super().__init__(sample_size=sample_size, in_channels=in_channels, num_classes=num_classes)
        self.idle = nn.Linear(2, 2)


class Loses(Whole):
    """Has a weight that is not saved."""

    @register_to_config
    def __init__(self, *, sample_size=8, in_channels=1, num_classes=2):
        super().__init__(sample_size=sample_size, in_channels=in_channels, num_classes=num_classes)
        self.register_buffer("gain", torch.rand(()), persistent=False)

    def answer(self, x, cond, **solving):
        return super().answer(x * (1 + self.gain), cond, **solving)


class Demands(Whole):
    @register_to_config
    def __init__(self, *, in_channels=1, num_classes=2, depth):
        super().__init__(in_channels=in_channels, num_classes=num_classes)


class Unsaved(nn.Module):
    name: ClassVar[str] = "unsaved"
    pre_passes, post_passes, null_class = 1, 0, 3

    def __init__(self, *, in_channels=1):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, in_channels, 1)
        self.label = nn.Embedding(4, in_channels)

    def forward(self, x, timestep, class_labels):
        cond = self.label(class_labels) * (1 + timestep.expand(len(x))[:, None] / 1000)
        return fpdm.Denoised(self.conv(x) + cond[:, :, None, None])
