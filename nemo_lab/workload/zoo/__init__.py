"""Workloads that come ready: a network with its trained weights, the embedded ones with data too."""

from __future__ import annotations

import dataclasses
import warnings

from nemo_lab.arguments import Flag, OrNone
from nemo_lab.errors import ArgumentError, NemoWarning, UnknownNameError
from nemo_lab.workload.records import Splits
from nemo_lab.workload.workload import Workload
from nemo_lab.workload.zoo.checkpoints import WeightsError
from nemo_lab.workload.zoo.registry import DATA_FOLDER, EMBEDDED, EmbeddedEntry
from nemo_lab.workload.zoo.vision import VISION, VisionEntry

__all__ = ["EMBEDDED", "VISION", "load_workload"]

PRETRAINED = OrNone(Flag(), words="True, False or None")


def load_workload(name: str, *, pretrained: bool | None = None) -> Workload:
    """A workload of the zoo.

    ``"digits"`` (scikit-learn's 8x8 digits), ``"fashion"`` (Fashion-MNIST, 28x28) and ``"text"`` (a causal
    transformer over characters, trained on "Pride and Prejudice") are inside the package, trained weights
    and data: no download. ``python -m nemo_lab.workload.zoo.train`` trains them again.

    ``"mobilenet_v2"``, ``"resnet50"``, ``"resnext101_32x8d"`` (the paper's), ``"resnet18"``,
    ``"vit_b_16"`` and ``"efficientnet_b0"`` are torchvision's (``pip install "nemo_lab[vision]"``), for
    images float[N, 3, 224, 224], without data. Their costs are exact with any weights.

    Args:
        name: one of the above.
        pretrained: whether a network of torchvision must have its trained weights. None takes them from
            torch.hub's folder of checkpoints or fetches them, and goes on with random weights if that
            fails; True raises then; False takes random weights at once, the same on every call.
            ``Workload.trained`` tells which it has. The embedded workloads are always trained.

    Raises:
        UnknownNameError: if the zoo has no workload of that name.
        ArgumentError: on any other ``pretrained``, and on False for an embedded workload.
        TorchvisionError: if torchvision is needed and cannot be imported.
        WeightsError: if ``pretrained`` is True and the weights can be neither read nor fetched.

    Warns:
        NemoWarning: once, if ``pretrained`` is None and the weights are random.

    >>> w = load_workload("digits")
    >>> w.summary()
    'digits: 36 bit-width decisions (17 weights, 19 activations), 11,160 weights, 113,472 MACs'
    """
    pretrained = PRETRAINED.check("pretrained", pretrained)
    zoo: dict[str, EmbeddedEntry | VisionEntry] = {**EMBEDDED, **VISION}
    entry = zoo.get(name) if isinstance(name, str) else None
    if entry is None:
        raise UnknownNameError("workload", name, zoo)
    if isinstance(entry, VisionEntry):
        return _vision(entry, pretrained)
    if pretrained is False:
        raise ArgumentError(
            f"{name} is always trained, got pretrained=False",
            "leave pretrained out, or trace an untrained network by Workload.from_module",
        )
    return _embedded(entry)


def load_splits(entry: EmbeddedEntry) -> Splits:
    """The shipped data of an embedded workload, as its network takes them."""
    import numpy as np

    with np.load(DATA_FOLDER / f"{entry.name}.npz", allow_pickle=False) as arrays:
        return entry.splits(arrays)


def _embedded(entry: EmbeddedEntry) -> Workload:
    import torch

    with torch.device("meta"):  # no random numbers for values that are replaced at once
        net = entry.build()
    net.load_state_dict(torch.load(DATA_FOLDER / f"{entry.name}.pt", weights_only=True), assign=True)
    net.eval()
    data = load_splits(entry)
    example = torch.from_numpy(data.calibration.inputs[:1])
    return dataclasses.replace(Workload.from_module(net, example, name=entry.name), data=data)


def _vision(entry: VisionEntry, pretrained: bool | None) -> Workload:
    import torch

    trained = pretrained is not False
    try:
        net = entry.pretrained() if trained else entry.untrained()
    except WeightsError as error:
        if pretrained:
            raise
        warnings.warn(
            f"{error.message}; {entry.name} has random weights: its costs are exact, its accuracy means "
            f"nothing; {error.hint}, or pass pretrained=False to have random weights without this warning",
            NemoWarning,
            stacklevel=3,
        )
        net, trained = entry.untrained(), False
    workload = Workload.from_module(net, torch.zeros(1, *entry.input_shape), name=entry.name)
    return dataclasses.replace(workload, trained=trained)
