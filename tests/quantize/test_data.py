"""Examples in every form that people have them in, and what is said of those that cannot be used."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from nemo_lab import QuantizationProblem, Workload
from nemo_lab.errors import DataError
from nemo_lab.quantize.data import as_examples

X = torch.randn(24, 1, 6, 6, generator=torch.Generator().manual_seed(0))
Y = torch.arange(24) % 4
LOADER = DataLoader(TensorDataset(X, Y), batch_size=7)


@pytest.fixture(scope="module")
def workload() -> Workload:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 4))
    return Workload.from_module(net, X[:1])


class Tokens(nn.Module):
    """Words in, scores out."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.last = nn.Embedding(10, 6), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(self.words(x).mean(1))
        return out


@pytest.mark.parametrize(
    "data",
    [
        (X, Y),
        [X, Y],
        (X.numpy(), Y.numpy()),
        (X.tolist(), Y.tolist()),
        (list(X), list(Y)),
        (list(X.clone().requires_grad_()), Y),
        (X.numpy()[::-1].copy()[::-1], Y.numpy()[::-1].copy()[::-1]),
        (X.numpy().astype(">f4"), Y.numpy().astype(">i8")),
        (X, Y.to(torch.uint16)),
        LOADER,
        list(LOADER),
        [(X[:12], Y[:12]), (X[12:], Y[12:])],
        ((X[:12], Y[:12]), (X[12:], Y[12:])),
        [[X, Y]],
    ],
)
def test_inputs_and_labels(workload: Workload, data: Any) -> None:
    found = as_examples(data, workload, "data")
    assert torch.equal(found.inputs[0], X)
    assert found.labels is not None
    assert torch.equal(found.labels, Y)
    assert as_examples(data, workload, "calibration", "ignored").labels is None


@pytest.mark.parametrize(
    "data",
    [
        X,
        [X],
        (X,),
        [X[:12], X[12:]],
        [X[:7], X[7:14], X[14:]],
        (X[:7], X[7:14], X[14:]),
        [(X[:12],), (X[12:],)],
        DataLoader(TensorDataset(X), batch_size=7),
    ],
)
def test_inputs_alone(workload: Workload, data: Any) -> None:
    for labels in ("taken", "ignored"):
        found = as_examples(data, workload, "data", labels)  # type: ignore[arg-type]
        assert torch.equal(found.inputs[0], X)
        assert found.labels is None


def test_two_batches_without_labels_calibrate_and_are_evaluated(workload: Workload) -> None:
    halves = [X[:12], X[12:]]
    whole, parts = (QuantizationProblem(workload, x, x, metric="kl") for x in (X, halves))
    assert parts.ranges == whole.ranges
    assert np.array_equal(parts.evaluate([[3] * 4]), whole.evaluate([[3] * 4]))


def test_labels_that_look_like_inputs_are_a_pair_in_a_tuple(workload: Workload) -> None:
    found = as_examples((X[:12], X[12:]), workload, "data")
    assert found.labels is not None
    assert torch.equal(found.labels, X[12:])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "data is empty; give at least one batch"),
        ({"x": X}, r"data is a dictionary with the keys x; give batches that are inputs, or \(inputs, lab"),
        ("digits", "data is a str; give"),
        (TensorDataset(X, Y), "data is a TensorDataset; give"),
        ((X, Y, Y), r"data is a tuple of 3; give a Split, a pair \(inputs, labels\)"),
        (
            [{"x": X, "y": Y}],
            r"a batch of data is a dictionary with the keys x, y; give batches that are inputs, or \(inputs",
        ),
        ([(X, Y, Y)], r"a batch of data is a tuple of 3; give batches"),
        (
            [(X[0], 1), (X[1], 2)],
            r"data holds single examples, of shape \(1, 6, 6\); give batches .*DataLoader",
        ),
        (list(X), r"data holds single examples, of shape \(1, 6, 6\); give batches"),
        ([1, 2, 3], "data has a single number where inputs should be; give batches"),
        ((X, np.int64(3)), r"the labels of data are a single number; give one label per input"),
        ((X, None), "data has no labels; give a Split"),
        ((X, ["cat"] * 24), "the labels of data cannot be turned into a tensor"),
        (
            ([X[0].numpy(), X[0, :, :5].numpy()], Y[:2]),
            "data cannot be turned .*; give numbers, all examples of one",
        ),
        ([(X, Y), (X[..., :5], Y)], r"an example of data has shape \(1, 6, 5\); .*traced with \(1, 6, 6\)"),
        ([(X, Y), (X, Y[:3])], "24 inputs but 3 labels"),
        ([(X, Y), (X,)], "data has no labels"),
        ([(X, Y), (X, Y[:, None])], "labels of data have several shapes"),
        ((X + 1j, Y), "data has complex numbers; give real ones"),
        ([X, X], "data has no labels"),
    ],
)
def test_what_cannot_be_used_is_said_plainly(workload: Workload, data: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        QuantizationProblem(workload, X, data)


def test_batches_with_and_without_labels_do_not_mix(workload: Workload) -> None:
    with pytest.raises(DataError, match="only 1 of 2 batches of data have labels"):
        as_examples([(X, Y), (X,)], workload, "data", "taken")


def test_labels_of_the_calibration_set_are_not_looked_at(workload: Workload) -> None:
    for labels in (["cat"] * 24, None, Y[:3], 1):
        assert torch.equal(as_examples((X, labels), workload, "calibration", "ignored").inputs[0], X)


def test_the_argument_that_is_missing_is_named(workload: Workload) -> None:
    with pytest.raises(DataError, match=r"came without data, and data= is missing; pass data=\(inputs, lab"):
        QuantizationProblem(workload, X)
    with pytest.raises(DataError, match="and calibration= is missing; pass calibration=inputs"):
        QuantizationProblem(workload, data=(X, Y))


def test_token_ids_are_whole_and_in_the_vocabulary() -> None:
    tokens = torch.randint(10, (24, 5), generator=torch.Generator().manual_seed(0))
    workload = Workload.from_module(Tokens(), tokens[:1], ignore=["words"])
    for dtype in (torch.int32, torch.uint16, torch.uint8):
        fine = QuantizationProblem(workload, tokens, (tokens.to(dtype), Y))
        assert 0 <= fine.evaluate([[8] * fine.num_nodes])[0, 0] <= 1
    holed = tokens.float()
    holed[0, 0] = torch.nan
    for wrong, message in (
        (tokens + 1, "token ids of data run from 1 to 10; the embedding has 10 entries: 0 to 9"),
        (tokens - 1, "token ids of data run from -1 to 8"),
        (tokens.float(), "data is of type float32, the network takes whole numbers; give token ids"),
        (holed, "data is of type float32, the network takes whole numbers"),
    ):
        with pytest.raises(DataError, match=message):
            QuantizationProblem(workload, tokens, (wrong, Y))


def test_a_table_is_a_batch() -> None:
    rows = X.reshape(24, 36)
    torch.manual_seed(0)
    workload = Workload.from_module(nn.Sequential(nn.Linear(36, 4)), rows[:1])
    table, labels = pd.DataFrame(rows.numpy()), pd.Series(Y.numpy())
    assert torch.equal(as_examples(table, workload, "calibration", "ignored").inputs[0], rows)
    found = as_examples((table, labels), workload, "data")
    assert found.labels is not None
    assert torch.equal(found.inputs[0], rows)
    assert torch.equal(found.labels, Y)


def test_examples_are_cut_in_step_with_their_labels(workload: Workload) -> None:
    batches = as_examples((X, Y), workload, "data").batches(10)
    assert [len(batch) for batch in batches] == [10, 10, 4]
    assert torch.equal(torch.cat([batch.labels for batch in batches if batch.labels is not None]), Y)
    unlabelled = as_examples(X, workload, "data", "taken").batches(10)
    assert [batch.labels for batch in unlabelled] == [None] * 3


def test_examples_that_are_missing_or_not_finite_are_counted(workload: Workload) -> None:
    holed = X.clone()
    holed[5, 0, 2, 2] = torch.inf
    with pytest.raises(DataError, match="data has NaN or infinity, first in example 5; remove such"):
        as_examples((holed, Y), workload, "data")
    with pytest.raises(DataError, match=r"data has shape \(0, 1, 6, 6\); give at least one example"):
        as_examples((X[:0], Y[:0]), workload, "data")
