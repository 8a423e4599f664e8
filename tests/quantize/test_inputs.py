"""Networks that take several tensors, dictionaries, masks, defaults, and other types than float32."""

from __future__ import annotations

from collections import UserDict
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from nemo_lab import QuantizationProblem, Workload
from nemo_lab.errors import DataError
from nemo_lab.export import quantized_module


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


IDS = torch.randint(20, (48, 6), generator=torch.Generator().manual_seed(0))
MASK = torch.arange(6) < torch.randint(1, 7, (48, 1), generator=torch.Generator().manual_seed(1))


class Reader(nn.Module):
    """One layer of attention over tokens; guarded, it is traced by torch.export."""

    def __init__(self, guarded: bool = False) -> None:
        super().__init__()
        self.guarded, self.embed = guarded, nn.Embedding(20, 8)
        self.query, self.value, self.head = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        if self.guarded and input_ids.shape[1] != 6:
            raise ValueError("six tokens")
        x = self.embed(input_ids)
        seen = attention_mask[:, None, :].bool()
        y = F.scaled_dot_product_attention(self.query(x), x, self.value(x), attn_mask=seen)
        out: Tensor = self.head((x + y).mean(1))
        return out


def made(guarded: bool = False) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    module = Reader(guarded).eval()
    with torch.no_grad():
        return module, module(IDS, MASK.long()).argmax(1)


def read(module: nn.Module, example: Any) -> Workload:
    return Workload.from_module(module, example, ignore="embed")


BOTH = {"input_ids": IDS, "attention_mask": MASK.long()}
EXAMPLES: list[Any] = [
    (IDS[:4], MASK[:4].long()),
    {name: tensor[:4] for name, tensor in BOTH.items()},
    {name: BOTH[name][:4] for name in reversed(BOTH)},
    UserDict({name: tensor[:4] for name, tensor in BOTH.items()}),
]


def forms(labels: Tensor) -> list[Any]:
    """The same examples as people have them."""
    tensors = IDS, MASK.long()
    parts = [slice(0, 32), slice(32, 48)]
    return [
        (tensors, labels),
        (*tensors, labels),
        (BOTH, labels),
        [[*tensors], labels],
        {**BOTH, "labels": labels},
        UserDict({"labels": labels, **dict(reversed(BOTH.items()))}),
        [({name: tensor[part] for name, tensor in BOTH.items()}, labels[part]) for part in parts],
        [{name: tensor[part] for name, tensor in {**BOTH, "label": labels}.items()} for part in parts],
        ((IDS.numpy(), MASK.numpy()), labels.tolist()),
        DataLoader(TensorDataset(*tensors, labels), 32),
        DataLoader([((a, b), int(c)) for a, b, c in zip(*tensors, labels, strict=True)], 20),
        DataLoader(
            [
                {"input_ids": a, "attention_mask": b, "labels": c}
                for a, b, c in zip(*tensors, labels, strict=True)
            ],
            20,
        ),
    ]


@pytest.mark.parametrize("guarded", [False, True])
def test_several_tensors_are_taken_in_every_form(guarded: bool) -> None:
    module, labels = made(guarded)
    found = set()
    for example in EXAMPLES if not guarded else EXAMPLES[:2]:
        workload = read(module, example)
        assert workload.traced_by == ("torch.export" if guarded else "torch.fx")
        for data in forms(labels):
            problem = QuantizationProblem(workload, data, data, "kl")
            assert problem.full_precision_error() == pytest.approx(0, abs=1e-6)
            found.add((problem.fingerprint()["data"], float(problem.evaluate([4] * problem.num_nodes)[0, 0])))
    assert len(found) == 1


@pytest.mark.parametrize("guarded", [False, True])
def test_an_exported_network_is_called_like_the_module(guarded: bool) -> None:
    module, labels = made(guarded)
    named = {name: tensor[:4] for name, tensor in BOTH.items()}
    problem = QuantizationProblem(read(module, named), BOTH, (BOTH, labels))
    bits = [3] * problem.num_nodes
    exported = quantized_module(problem, bits)
    wrong = float((exported(**BOTH).argmax(1) != labels).double().mean())
    assert 0 < wrong == pytest.approx(problem.evaluate(bits)[0, 0])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            IDS,
            "a batch of calibration is a Tensor; give a dictionary with the keys input_ids, attention_mask",
        ),
        ((IDS,), "a batch of calibration is a tuple of 1; give a dictionary"),
        (
            {"input_ids": IDS},
            "a dictionary with the keys input_ids; give a dictionary with the keys input_ids, att",
        ),
        ({**BOTH, "token_type_ids": IDS}, "with the keys input_ids, attention_mask, token_type_ids; give"),
        ((IDS, MASK[:5]), "48 examples of input_ids, 5 of attention_mask; give as many of each"),
        (
            (IDS, MASK[:, :3]),
            r"an example of attention_mask of calibration has shape \(3,\).*traced with \(6,\)",
        ),
        ((IDS.float(), MASK), "input_ids of calibration is of type float32.*give token ids as integers"),
        ((IDS, MASK.float()), "attention_mask of calibration is of type float32.*give them as int64"),
        ((IDS + 15, MASK), "token ids of input_ids of calibration run from 15 to 34; the embedding has 20"),
        ("text", "calibration is a str"),
    ],
)
def test_what_does_not_fit_is_said_by_name(data: Any, message: str) -> None:
    module, labels = made()
    workload = read(module, EXAMPLES[0])
    with pytest.raises(DataError, match=message):
        QuantizationProblem(workload, data, (BOTH, labels))


def test_a_run_that_begins_where_another_agrees_has_its_mask() -> None:
    module, labels = made()
    workload = read(module, EXAMPLES[1])
    rows = np.random.default_rng(0).integers(2, 9, (60, len(workload.nodes)))
    rows[20:, :6] = rows[0, :6]  # what is kept has to be met
    found = []
    for kept in (0, 64):
        problem = QuantizationProblem(workload, BOTH, (BOTH, labels), "kl", kept_mb=kept, batch_size=20)
        found.append(np.concatenate([problem.evaluate(row) for row in rows]).tolist())
    assert found[0] == found[1]


# what every batch brings, and what stays as in the example


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x: Any, scale: Any = 1.0, *, bias: Tensor | None = None, mode: str = "sum") -> Tensor:
        if isinstance(x, dict):
            x = x["left"] + x["right"][1]
        y = F.relu(self.a(x)) * scale
        out: Tensor = self.b(y if bias is None else y + bias)
        return out if mode == "sum" else -out


X = drawn(48, 6)


@pytest.mark.parametrize(
    ("example", "data"),
    [
        (X[:4], X),
        ((X[:4], 0.5), X),
        ((X[:4], torch.tensor(0.5)), X),
        ((X[:4], drawn(4, 1)), (X, drawn(48, 1))),
        ({"x": X[:4], "bias": drawn(8), "mode": "other"}, X),
        ({"x": X[:4], "bias": drawn(8), "scale": drawn(4, 8)}, {"x": X, "scale": drawn(48, 8)}),
        (({"left": X[:4], "right": (1, X[:4])},), {"right": (2, X), "left": 2 * X}),
        ({"x": {"left": X[:4], "right": (1, X[:4])}}, {"x": {"left": X, "right": (1, X)}}),
    ],
)
def test_what_a_batch_does_not_bring_is_as_in_the_example(example: Any, data: Any) -> None:
    torch.manual_seed(0)
    module = Scaled().eval()
    fixed = example if isinstance(example, dict) else dict(zip(("x", "scale"), example, strict=False))
    fixed = {"x": example} if isinstance(example, Tensor) else fixed
    brought = data if isinstance(data, dict) and "x" in data else {"x": data}
    if isinstance(data, tuple):
        brought = dict(zip(("x", "scale"), data, strict=True))
    with torch.no_grad():
        wanted = module(**{**fixed, **brought})
    square = lambda outputs, labels: (outputs - labels).square().mean(1)  # noqa: E731
    problem = QuantizationProblem(Workload.from_module(module, example), data, (data, wanted), square)
    assert problem.full_precision_error() == pytest.approx(0, abs=1e-9)
    assert 0 < problem.evaluate([8] * problem.num_nodes)[0, 0] < 0.01


LABELS = torch.arange(48) % 3
FIXED = {"x": X, "bias": torch.ones(8), "mode": "sum"}


@pytest.mark.parametrize(
    ("example", "calibration", "data"),
    [
        ({"x": X[:4]}, {"x": X}, ({"x": X}, LABELS)),
        ({"x": X[:4]}, (X,), ((X,), LABELS)),
        ({"x": X[:4]}, X, [({"x": X[:20]}, LABELS[:20]), ({"x": X[20:]}, LABELS[20:])]),
        ({**FIXED, "x": X[:4]}, FIXED, {**FIXED, "labels": LABELS}),
        ({**FIXED, "x": X[:4]}, FIXED, (FIXED, LABELS)),
        ((X[:4], 1.0), (X, 1.0), ((X, 1.0), LABELS)),
        ((X[:4], None), (X, None), ((X, None), LABELS)),
    ],
)
def test_what_the_example_was_is_taken_as_a_batch_too(example: Any, calibration: Any, data: Any) -> None:
    class Optional(Scaled):
        def forward(
            self, x: Any, scale: Any = None, *, bias: Tensor | None = None, mode: str = "sum"
        ) -> Tensor:
            return super().forward(x, 1.0 if scale is None else scale, bias=bias, mode=mode)

    torch.manual_seed(0)
    workload = Workload.from_module(Optional().eval(), example)
    found, plain = (
        QuantizationProblem(workload, *given, "top1") for given in ((calibration, data), (X, (X, LABELS)))
    )
    bits = [5] * plain.num_nodes
    assert found.evaluate(bits).tolist() == plain.evaluate(bits).tolist()


def test_what_is_not_as_in_the_example_is_refused() -> None:
    workload = Workload.from_module(Scaled().eval(), {**FIXED, "x": X[:4]})
    with pytest.raises(DataError, match="a dictionary with the keys x, bias, mode"):
        QuantizationProblem(workload, {**FIXED, "mode": "other"}, X, "kl")


def test_what_is_fixed_is_part_of_the_fingerprint() -> None:
    torch.manual_seed(0)
    module, bias = Scaled().eval(), drawn(8)
    examples: list[Any] = [
        X[:4],
        (X[:4], 0.5),
        (X[:4], 2),
        {"x": X[:4], "mode": "other"},
        {"x": X[:4], "bias": bias},
    ]
    examples.append({"x": X[:4], "bias": bias + 1})
    problems = [QuantizationProblem(Workload.from_module(module, one), X, X, "kl") for one in examples]
    found = [problem.fingerprint()["workload"] for problem in problems]
    assert len(set(found)) == len(found)
    before = problems[-2].evaluate([4] * problems[-2].num_nodes)
    bias += 1  # the caller's own
    again = QuantizationProblem(problems[-2].workload, X, X, "kl")
    assert again.evaluate([4] * again.num_nodes).tolist() == before.tolist()


class Masked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        if not mask.is_floating_point():
            mask = torch.where(mask.bool(), 0.0, -torch.inf)
        scores = (self.a(x) @ x.transpose(1, 2)) + mask[:, None, :]
        out: Tensor = self.b((scores.softmax(-1) @ x).mean(1))
        return out


@pytest.mark.parametrize("kind", [torch.bool, torch.int32, torch.uint8, torch.float32])
def test_masks_of_every_type(kind: torch.dtype) -> None:
    torch.manual_seed(0)
    module, x = Masked().eval(), drawn(48, 6, 8)
    mask = torch.where(MASK, 0.0, -torch.inf) if kind.is_floating_point else MASK.to(kind)
    with torch.no_grad():
        labels = module(x, mask).argmax(1)
    workload = Workload.from_module(module, (x[:4], mask[:4]))
    assert not any(node.name.startswith("mask") for node in workload.nodes)
    problem = QuantizationProblem(workload, (x, mask), (x, mask, labels))
    assert problem.full_precision_error() == 0
    assert problem.evaluate([8] * problem.num_nodes)[0, 0] < 0.06
    if not kind.is_floating_point:
        problem = QuantizationProblem(workload, (x, MASK.long()), (x, MASK.long(), labels))
        assert problem.full_precision_error() == 0


def test_infinities_are_taken_where_the_example_has_some() -> None:
    x, mask = drawn(48, 6, 8), torch.where(MASK, 0.0, -torch.inf)
    finite = Workload.from_module(Masked().eval(), (x[:4], torch.zeros(4, 6)))
    with pytest.raises(DataError, match="has NaN or infinity, first in example"):
        QuantizationProblem(finite, (x, mask), (x, mask), "kl")
    infinite = Workload.from_module(Masked().eval(), (x[:4], mask[:4]))
    with pytest.raises(DataError, match="has NaN or infinity, first in example 0"):
        QuantizationProblem(infinite, (x, mask * torch.nan), (x, mask), "kl")


class Pictures(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3), nn.Linear(64, 3)

    def forward(self, image: Tensor) -> Tensor:
        out: Tensor = self.b(F.relu(self.a(image.float() / 255)).flatten(1))
        return out


def test_bytes_are_no_token_ids() -> None:
    images = torch.randint(256, (32, 3, 6, 6), generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    module = Pictures().eval()
    with torch.no_grad():
        labels = module(images.to(torch.uint8)).argmax(1)
    workload = Workload.from_module(module, images[:2].to(torch.uint8))
    for given in (images, images.to(torch.uint8), images.numpy()):
        assert QuantizationProblem(workload, given, (given, labels)).full_precision_error() == 0
    with pytest.raises(DataError, match=r"calibration runs from 0 to \d+; the network takes uint8, 0 to 255"):
        QuantizationProblem(workload, images * 2, (images, labels))
    with pytest.raises(
        DataError, match="of type float32, the network takes whole numbers; give them as uint8"
    ):
        QuantizationProblem(workload, images / 255, (images, labels))
