"""The networks that are timed, in a form that an interpreter without torchvision can load."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, fx, nn

FASHION = "fashion"


@dataclass(frozen=True)
class Timed:
    """A network, the images that every method classifies, and the batch sizes it may choose from.

    Attributes:
        net: as ``torch.fx`` records it, nothing folded, replaced or left out.
        images: float32[N, ...].
        batches: examples per forward pass.
    """

    net: fx.GraphModule
    images: Tensor
    batches: tuple[int, ...]


TITLES = {
    FASHION: "MobileNetV2-like (`fashion`), 512 images of 28x28",
    "mobilenet_v2": "mobilenet_v2, 8 images of 224x224",
    "resnet50": "resnet50, 4 images of 224x224",
}
SIZES = {FASHION: (512, (64, 128, 256, 512)), "mobilenet_v2": (8, (1, 2, 4, 8)), "resnet50": (4, (1, 2, 4))}


def build(name: str) -> Timed:
    """A network of the table."""
    count, batches = SIZES[name]
    if name == FASHION:
        import nemo_lab as nl

        workload = nl.load_workload(name)
        assert workload.data is not None
        images = torch.as_tensor(workload.data.search.inputs[:count])
        return Timed(fx.symbolic_trace(workload.module.eval()), images, batches)
    return Timed(fx.symbolic_trace(vision(name)), pictures(count), batches)


def vision(name: str) -> nn.Module:
    """A network of torchvision: random weights, batch norms that have seen a batch.

    Without that the numbers of mobilenet_v2 shrink by 1e9 on their way through.
    """
    from torchvision import models

    torch.manual_seed(0)
    net: nn.Module = models.get_model(name, weights=None)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        net.train()(pictures(8))
    return net.eval()


def pictures(count: int) -> Tensor:
    """float32[count, 3, 224, 224] of noise."""
    return torch.randn(count, 3, 224, 224, generator=torch.Generator().manual_seed(1))


def save(timed: Timed, path: Path) -> None:
    """Write it for a process of another interpreter."""
    torch.save({"net": timed.net, "images": timed.images, "batches": timed.batches}, path)


def load(path: Path) -> Timed:
    """Read it back; only from a file that this benchmark wrote: it is a pickle."""
    found = torch.load(path, weights_only=False)
    return Timed(found["net"].eval(), found["images"], found["batches"])
