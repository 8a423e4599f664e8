"""The list of networks, fixed before any of them is run: how each is made, and what it is called with.

Nobody drops a network because it fails. One that its package no longer has is replaced in a commit that
says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor, nn

Made = Callable[[int, Generator], Any]  # so many examples, at random


@dataclass(frozen=True)
class Network:
    """A network of the list.

    Attributes:
        name: package and architecture.
        make: builds it with random weights; torch's own generator is seeded before.
        inputs: makes a batch.
        attends: whether it has attention, so that activations that only a product reads are tried, too.
    """

    name: str
    make: Callable[[], nn.Module]
    inputs: Made
    attends: bool = False


def images(side: int, channels: int = 3) -> Made:
    """One batch of square images, float[N, channels, side, side]."""
    return lambda count, generator: torch.randn(count, channels, side, side, generator=generator)


def video(frames: int, side: int) -> Made:
    """Clips, float[N, 3, frames, side, side]."""
    return lambda count, generator: torch.randn(count, 3, frames, side, side, generator=generator)


def pairs(side: int) -> Made:
    """Two images for each example, as optical flow is found between them."""
    names = ("image1", "image2")
    return lambda count, generator: {name: images(side)(count, generator) for name in names}


def lists(side: int) -> Made:
    """A list of images, as detectors of torchvision take them."""
    return lambda count, generator: (list(torch.rand(count, 3, side, side, generator=generator)),)


def text(length: int = 8, **more: Callable[[Tensor], Tensor]) -> Made:
    """Tokens 5 to 59, the last ones masked; ``more`` makes further arguments of the tokens."""

    def make(count: int, generator: Generator) -> dict[str, Tensor]:
        ids = torch.randint(5, 60, (count, length), generator=generator)
        lengths = torch.randint(length // 2, length + 1, (count, 1), generator=generator)
        given = {"input_ids": ids, "attention_mask": (torch.arange(length) < lengths).long()}
        return given | {name: of(ids) for name, of in more.items()}

    return make


def named(name: str, *shape: int) -> Made:
    """One real tensor under a name, float[N, *shape]."""
    return lambda count, generator: {name: torch.randn(count, *shape, generator=generator)}


def all_networks() -> dict[str, Network]:
    """Every network by name, in the order of the table."""
    from benchmarks.breadth import language, timm_models, vision

    every = [*vision.NETWORKS, *timm_models.NETWORKS, *language.NETWORKS]
    found = {network.name: network for network in every}
    if len(found) != len(every):
        raise ValueError("two networks have one name")
    return found
