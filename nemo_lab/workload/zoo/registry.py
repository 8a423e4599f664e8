"""The embedded workloads: real weights and real data inside the package, no download."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.workload.records import Split, Splits

if TYPE_CHECKING:
    from torch import nn

DATA_FOLDER = Path(__file__).parent / "data"


@dataclass(frozen=True)
class ImageEntry:
    """How an embedded workload on images is built; its weights and images are files named after it.

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

    def splits(self, arrays: Mapping[str, NDArray[np.uint8]]) -> Splits:
        """The shipped images, normalised for the network."""
        calibration, search, held_out = (
            Split(self.normalise(arrays[f"{split}_images"]), arrays[f"{split}_labels"].astype(np.int64))
            for split in ("calibration", "search", "held_out")
        )
        return Splits(calibration, search, held_out, self.classes)


@dataclass(frozen=True)
class TextEntry:
    """How an embedded language model is built; its weights and its text are files named after it.

    Attributes:
        name: the name given to ``load_workload``.
        net: keyword arguments of ``CharacterTransformer``, but those that follow from the others.
        alphabet: the characters, in the order of their token numbers.
        window: T, characters that the network sees at once.
        sizes: windows of each split.
    """

    name: str
    net: dict[str, Any] = field(repr=False)
    alphabet: str
    window: int
    sizes: dict[str, int]

    def build(self) -> nn.Module:
        """The network, untrained, in training mode."""
        from nemo_lab.workload.zoo.transformer import CharacterTransformer

        return CharacterTransformer(characters=len(self.alphabet), window=self.window, **self.net)

    def parts(self, tokens: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """The text, apart: what to train on, and the end of it that nobody trains on."""
        cut = len(tokens) - (self.sizes["search"] + self.sizes["held_out"]) * self.window - 1
        return tokens[:cut], tokens[cut:]

    def windows(self, tokens: NDArray[np.uint8]) -> Split:
        """Windows int64[N, T] that follow each other; the label of a character is the one after it."""
        count = (len(tokens) - 1) // self.window
        inputs, labels = (
            tokens[shift:][: count * self.window].reshape(count, self.window).astype(np.int64)
            for shift in (0, 1)
        )
        return Split(inputs, labels)

    def splits(self, arrays: Mapping[str, NDArray[np.uint8]]) -> Splits:
        """Windows of the shipped text: of the training text, evenly, and of the rest in turns."""
        train, rest = (self.windows(part) for part in self.parts(arrays["tokens"]))

        def spread(among: Split, size: int) -> NDArray[np.intp]:
            return np.arange(size) * len(among) // size

        def chosen(among: Split, rows: NDArray[np.intp]) -> Split:
            return Split(among.inputs[rows], among.labels[rows])

        search = spread(rest, self.sizes["search"])
        return Splits(
            calibration=chosen(train, spread(train, self.sizes["calibration"])),
            search=chosen(rest, search),
            held_out=chosen(rest, np.setdiff1d(np.arange(len(rest)), search)),
            classes=tuple(self.alphabet),
            metric="perplexity",
        )


EmbeddedEntry = ImageEntry | TextEntry

EMBEDDED: dict[str, EmbeddedEntry] = {
    entry.name: entry
    for entry in (
        ImageEntry(
            name="digits",
            net={"stem": 12, "stages": ((1, 8, 1, 1), (3, 16, 2, 2), (3, 24, 2, 2)), "head": 48},
            pixel_max=16,
            mean=0.305,
            std=0.376,
            sizes={"calibration": 128, "search": 600, "held_out": 300},
            classes=tuple("0123456789"),
        ),
        ImageEntry(
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
        TextEntry(
            name="text",
            net={"width": 64, "heads": 4, "hidden": 256, "blocks": 2},
            alphabet="\n !\"'(),-.:;?abcdefghijklmnopqrstuvwxyz",
            window=64,
            sizes={"calibration": 64, "search": 64, "held_out": 256},
        ),
    )
}
