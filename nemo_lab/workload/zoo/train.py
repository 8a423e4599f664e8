"""Train the embedded workloads again, from the original data sets.

    python -m nemo_lab.workload.zoo.train digits
    python -m nemo_lab.workload.zoo.train fashion --data FOLDER
    python -m nemo_lab.workload.zoo.train text

writes ``<name>.pt`` (a state dict) and ``<name>.npz`` (the shipped data) into ``--out``, by
default the folder the package loads them from. ``digits`` comes with scikit-learn. ``fashion``
(Fashion-MNIST, Xiao et al., arXiv 1708.07747, MIT licence) reads the four ``*-ubyte.gz`` files
from FOLDER; Debian's package ``dataset-fashion-mnist`` installs them. ``text`` is all of Jane
Austen's "Pride and Prejudice" (1813, in the public domain), as Debian's package
``r-cran-janeaustenr`` has it from Project Gutenberg; it is in the package, so that nothing else
is needed, and ``--data FILE`` takes another plain text.
"""

from __future__ import annotations

import argparse
import gzip
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nemo_lab.errors import DataError, NemoError
from nemo_lab.workload.zoo import train_text
from nemo_lab.workload.zoo.registry import DATA_FOLDER, EMBEDDED, ImageEntry, TextEntry

Images = NDArray[np.uint8]
Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class Source:
    """A whole data set, training images apart from the images nobody trains on."""

    train: tuple[Images, Labels]
    test: tuple[Images, Labels]


def stratified(
    labels: Labels, sizes: dict[str, int], rng: np.random.Generator
) -> dict[str, NDArray[np.intp]]:
    """Disjoint random index sets of the given sizes, each with the classes in proportion."""
    order = rng.permutation(len(labels))
    within_class = np.empty(len(labels))
    for label in np.unique(labels):
        rows = order[labels[order] == label]
        within_class[rows] = (np.arange(len(rows)) + rng.random()) / len(rows)
    ranked = np.argsort(within_class, kind="stable")
    bounds = np.cumsum([0, *sizes.values()])
    if bounds[-1] > len(labels):
        raise DataError(f"asked for {bounds[-1]} images, there are {len(labels)}", "ask for fewer")
    return {
        name: np.sort(ranked[start:stop])
        for name, start, stop in zip(sizes, bounds[:-1], bounds[1:], strict=True)
    }


def load_digits() -> Source:
    """scikit-learn's 1,797 handwritten digits, 897 of them to train on."""
    from sklearn.datasets import load_digits as sklearn_digits

    raw = sklearn_digits()
    images, labels = raw.images.astype(np.uint8), raw.target.astype(np.uint8)
    parts = stratified(labels, {"test": 900, "train": 897}, np.random.default_rng(0))
    train, test = parts["train"], parts["test"]
    return Source((images[train], labels[train]), (images[test], labels[test]))


def load_fashion(folder: Path) -> Source:
    """Fashion-MNIST's 60,000 training and 10,000 test images from their IDX files."""

    def read(name: str, offset: int) -> NDArray[np.uint8]:
        path = folder / name
        if not path.exists():
            raise DataError(f"no file {path}", "point --data at the folder with the four .gz files")
        return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=offset).copy()

    def pair(prefix: str) -> tuple[Images, Labels]:
        images = read(f"{prefix}-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)
        return images, read(f"{prefix}-labels-idx1-ubyte.gz", 8)

    return Source(pair("train"), pair("t10k"))


def augment(images: Tensor, shift: int, flip: bool, generator: torch.Generator) -> Tensor:
    """Shift each image by up to ``shift`` pixels, background at the border; mirror half of them."""
    count, size = len(images), images.shape[-1]
    padded = nn.functional.pad(images, (shift,) * 4, value=float(images.min()))
    rows, columns = (
        torch.randint(0, 2 * shift + 1, (count, 1), generator=generator) + torch.arange(size)
        for _ in range(2)
    )
    images = padded[torch.arange(count)[:, None, None], 0, rows[:, :, None], columns[:, None, :]][:, None]
    if flip:
        mirror = torch.rand(count, generator=generator) < 0.5
        images = torch.where(mirror[:, None, None, None], images.flip(-1), images)
    return images


def accuracy(net: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Top-1 accuracy in [0, 1]."""
    net.eval()
    with torch.inference_mode():
        predicted = torch.cat([net(batch).argmax(1) for batch in images.split(500)])
    return float((predicted == labels).float().mean())


def train(entry: ImageEntry, source: Source, *, epochs: int, shift: int, flip: bool, seed: int) -> nn.Module:
    """AdamW with a one-cycle schedule, one thread."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(seed)
    images, labels = (torch.from_numpy(a) for a in (entry.normalise(source.train[0]), source.train[1]))
    test_images, test_labels = (
        torch.from_numpy(a) for a in (entry.normalise(source.test[0]), source.test[1])
    )
    labels, test_labels = labels.long(), test_labels.long()
    net = entry.build()
    batch = 128 if len(images) > 10_000 else 64
    steps = epochs * (len(images) // batch)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=steps)
    for epoch in range(epochs):
        net.train()
        for rows in torch.randperm(len(images), generator=generator).split(batch):
            if len(rows) < batch:
                continue
            logits = net(augment(images[rows], shift, flip, generator))
            loss = nn.functional.cross_entropy(logits, labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        if epoch % max(1, epochs // 12) == 0 or epoch == epochs - 1:
            test = accuracy(net, test_images, test_labels)
            sys.stdout.write(f"epoch {epoch + 1}/{epochs}: test accuracy {test:.4f}\n")
            sys.stdout.flush()
    return net.eval()


def ship(entry: ImageEntry, source: Source, net: nn.Module, out: Path) -> None:
    """Write the state dict and the images: calibration from training, the other splits from test."""
    rng = np.random.default_rng(1)
    images, labels = source.train
    rows = stratified(labels, {"calibration": entry.sizes["calibration"]}, rng)["calibration"]
    arrays = {"calibration_images": images[rows], "calibration_labels": labels[rows]}
    images, labels = source.test
    sizes = {name: entry.sizes[name] for name in ("search", "held_out")}
    for name, rows in stratified(labels, sizes, rng).items():
        arrays[f"{name}_images"], arrays[f"{name}_labels"] = images[rows], labels[rows]
    out.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(out / f"{entry.name}.npz", **arrays)  # type: ignore[arg-type]
    torch.save(net.state_dict(), out / f"{entry.name}.pt")


def main() -> None:
    """Command line of the training script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("workload", choices=sorted(EMBEDDED))
    parser.add_argument(
        "--data", type=Path, help="folder with Fashion-MNIST's four .gz files, or a plain text file"
    )
    parser.add_argument("--out", type=Path, default=DATA_FOLDER)
    parser.add_argument("--epochs", type=int, help="default: 60 for digits, 12 for fashion and text")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    entry = EMBEDDED[options.workload]
    if entry.name == "fashion" and options.data is None:
        parser.error("fashion needs --data FOLDER")
    digits = entry.name == "digits"
    epochs = options.epochs or (60 if digits else 12)
    try:
        if isinstance(entry, TextEntry):
            tokens = train_text.read_text(entry, options.data)
            net = train_text.train(entry, tokens, epochs=epochs, seed=options.seed)
            train_text.ship(entry, tokens, net, options.out)
            return
        source = load_digits() if digits else load_fashion(options.data)
        net = train(
            entry, source, epochs=epochs, shift=0 if digits else 2, flip=not digits, seed=options.seed
        )
        ship(entry, source, net, options.out)
    except NemoError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
