"""Workloads that come ready: network, trained weights and data."""

from __future__ import annotations

from nemo_lab.errors import UnknownNameError
from nemo_lab.workload.records import Split, Splits, Workload
from nemo_lab.workload.zoo.registry import DATA_FOLDER, EMBEDDED, EmbeddedEntry

__all__ = ["EMBEDDED", "load_workload"]


def load_workload(name: str) -> Workload:
    """A workload of the zoo, with trained weights and data.

    ``"digits"`` (scikit-learn's 8x8 digits) and ``"fashion"`` (Fashion-MNIST, 28x28) are inside
    the package: no download. ``python -m nemo_lab.workload.zoo.train`` trains them again.

    Raises:
        UnknownNameError: if the zoo has no workload of that name.

    >>> w = load_workload("digits")
    >>> w.summary()
    'digits: 36 bit-width decisions (17 weights, 19 activations), 11,160 weights, 113,472 MACs'
    """
    entry = EMBEDDED.get(name) if isinstance(name, str) else None
    if entry is None:
        raise UnknownNameError("workload", name, EMBEDDED)

    import dataclasses

    import torch

    from nemo_lab.workload.tracer import trace

    net = entry.build()
    net.load_state_dict(torch.load(DATA_FOLDER / f"{name}.pt", weights_only=True))
    net.eval()
    data = load_splits(entry)
    example = torch.from_numpy(data.calibration.inputs[:1])
    return dataclasses.replace(trace(net, example, name=name), data=data)


def load_splits(entry: EmbeddedEntry) -> Splits:
    """The shipped images of an embedded workload, normalised for its network."""
    import numpy as np

    with np.load(DATA_FOLDER / f"{entry.name}.npz", allow_pickle=False) as arrays:
        splits = {
            split: Split(
                entry.normalise(arrays[f"{split}_images"]), arrays[f"{split}_labels"].astype(np.int64)
            )
            for split in entry.sizes
        }
    return Splits(**splits, classes=entry.classes)
