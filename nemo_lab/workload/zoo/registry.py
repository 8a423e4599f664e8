"""The embedded workloads: real weights and real images inside the package, no download."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import nn

DATA_FOLDER = Path(__file__).parent / "data"


@dataclass(frozen=True)
class EmbeddedEntry:
    """How an embedded workload is built; its weights and images are files named after it.

    Attributes:
        name: the name given to ``load_workload``.
        net: keyword arguments of ``SmallMobileNet``.
        pixel_max: the largest pixel value of the stored uint8 images.
        mean, std: of the pixels divided by ``pixel_max``, over the training images.
        sizes: images shipped of each split.
        classes: the name of each class.
    """

    name: str
    net: dict[str, Any] = field(repr=False)
    pixel_max: int
    mean: float
    std: float
    sizes: dict[str, int]
    classes: tuple[str, ...]

    def build(self) -> nn.Module:
        """The network, untrained, in training mode."""
        from nemo_lab.workload.zoo.nets import SmallMobileNet

        return SmallMobileNet(**self.net)

    def normalise(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8[N, H, W] -> float32[N, 1, H, W] as the network was trained on."""
        scaled = (images[:, None].astype(np.float32) / self.pixel_max - self.mean) / self.std
        return scaled.astype(np.float32)


EMBEDDED = {
    entry.name: entry
    for entry in (
        EmbeddedEntry(
            name="digits",
            net={"stem": 12, "stages": ((1, 8, 1, 1), (3, 16, 2, 2), (3, 24, 2, 2)), "head": 48},
            pixel_max=16,
            mean=0.305,
            std=0.376,
            sizes={"calibration": 128, "search": 600, "held_out": 300},
            classes=tuple("0123456789"),
        ),
        EmbeddedEntry(
            name="fashion",
            net={
                "stem": 8,
                "stem_stride": 2,
                "stages": ((1, 8, 1, 1), (3, 16, 2, 2), (4, 24, 2, 2)),
                "head": 48,
            },
            pixel_max=255,
            mean=0.286,
            std=0.353,
            sizes={"calibration": 256, "search": 512, "held_out": 1280},
            classes=(
                "t-shirt",
                "trouser",
                "pullover",
                "dress",
                "coat",
                "sandal",
                "shirt",
                "sneaker",
                "bag",
                "ankle boot",
            ),
        ),
    )
}
