"""Fine-tuning: what is trained is what is evaluated; it gains, stops and goes on, and says what is wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import nemo_lab as nl
from nemo_lab.errors import ArgumentError, BitWidthError, DataError, EvaluationError, NemoWarning
from nemo_lab.quantize.fingerprint import digest
from nemo_lab.tuning.files import read, written
from nemo_lab.tuning.lesson import split_of
from nemo_lab.tuning.student import Student

SEEDED = torch.Generator().manual_seed(0)
IMAGES = torch.randn(40, 3, 8, 8, generator=SEEDED)
TOKENS = torch.randint(0, 20, (40, 6), generator=SEEDED)
MASKS = (torch.rand(40, 6, generator=SEEDED) > 0.2).float()


class Odd(nn.Module):
    """Layers of many kinds: called twice, grouped, transposed, written as functions, without a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.twice = nn.Conv2d(8, 8, 1)
        self.grouped = nn.Conv2d(8, 8, 3, groups=4, bias=False)
        self.up = nn.ConvTranspose2d(8, 4, 2, groups=2)
        self.weight, self.offset = nn.Parameter(torch.randn(5, 196) / 14), nn.Parameter(torch.randn(5))
        self.head = nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.twice(2 * F.relu6(self.twice(F.relu(self.norm(self.stem(x)), inplace=True))))
        x = self.up(F.relu(self.grouped(x))).flatten(1)
        return self.head(F.relu(F.linear(x, self.weight, self.offset)))


class Masked(nn.Module):
    """Two inputs, an embedding tied to the head, a product of two activations, a norm that is not folded."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.norm, self.head = nn.Embedding(20, 8), nn.LayerNorm(8), nn.Linear(8, 20)
        self.mix = nn.Linear(8, 8)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        x = self.embedding(tokens) * mask[..., None]
        scores = torch.softmax(x @ self.mix(x).transpose(1, 2), -1)
        return self.head(self.norm(scores @ x))


def problem_of(module: nn.Module, data: Any, **settings: Any) -> nl.QuantizationProblem:
    torch.manual_seed(0)
    few = tuple(x[:4] for x in data) if isinstance(data, tuple) else data[:4]
    workload = nl.Workload.from_module(module.eval(), few)
    return nl.QuantizationProblem(workload, data, data, **{"metric": "kl", **settings})


def odd(**settings: Any) -> nl.QuantizationProblem:
    torch.manual_seed(1)
    return problem_of(Odd(), IMAGES, **settings)


def masked(**settings: Any) -> nl.QuantizationProblem:
    torch.manual_seed(1)
    return problem_of(Masked(), (TOKENS, MASKS), **settings)


def mixed(problem: nl.QuantizationProblem) -> np.ndarray:
    return np.random.default_rng(0).integers(3, 9, problem.num_nodes).astype(np.uint8)


def outputs(network: Any, problem: nl.QuantizationProblem) -> Tensor:
    inputs, _, _ = problem.task().batches[0]
    found: Tensor = network(inputs)
    return found


SETTINGS = [
    {},
    {"bias": "int32"},
    {"bias": "int32", "per_channel": True},
    {"symmetric": True, "bias": "int32"},
    {"ranges": "mse", "per_channel": True},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("make", [odd, masked])
def test_a_student_computes_what_is_evaluated(
    make: Callable[..., nl.QuantizationProblem], settings: dict[str, Any]
) -> None:
    problem = make(**settings)
    bits = mixed(problem)
    network = problem.network()
    network.set_bits(bits)
    student = Student(problem.network(), bits, "lsq")
    with torch.no_grad():
        found = student.outputs(problem.task().batches[0][0])
    torch.testing.assert_close(found, outputs(network, problem), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("settings", SETTINGS[1:3], ids=str)
@pytest.mark.parametrize("method", ["lsq", "straight_through"])
@pytest.mark.parametrize("make", [odd, masked])
def test_what_was_trained_is_what_is_returned(
    make: Callable[..., nl.QuantizationProblem], method: Any, settings: dict[str, Any]
) -> None:
    problem = make(**settings)
    bits = np.full(problem.num_nodes, 3, dtype=np.uint8)
    before = problem.evaluate(bits)[0]
    inputs = tuple(torch.cat([one] * 4) for one in problem.calibration[0].inputs)  # in the split, too
    data = inputs if len(inputs) > 1 else inputs[0]
    rate = 0.003 if make is odd else 0.01
    tuned = nl.finetune(problem, bits, data, steps=60, method=method, learning_rate=rate, progress=False)
    assert tuned.evaluate()[0] < before[0]
    np.testing.assert_array_equal(tuned.evaluate()[1:], before[1:])
    np.testing.assert_array_equal(problem.evaluate(bits)[0], before)
    student = Student(tuned.network(), bits, "lsq")
    with torch.no_grad():
        found = student.outputs(problem.task().batches[0][0])
    torch.testing.assert_close(found, outputs(tuned.network(), problem), rtol=1e-4, atol=1e-5)


def test_the_state_that_is_best_on_the_split_is_returned(tmp_path: Path) -> None:
    problem, path = odd(bias="int32"), tmp_path / "tuning.pt"
    tuned = nl.finetune(
        problem, 3, steps=40, batch_size=8, learning_rate=0.01, checkpoint=path, progress=False
    )
    kept = read(path)
    assert 0 < tuned.steps == kept["best_step"]
    split = split_of(len(IMAGES), seed=0)
    network, full = tuned.network(), problem.network()
    wanted, found = (torch.log_softmax(one(one.prepare(IMAGES[split])), 1) for one in (full, network))
    loss = (wanted.exp() * (wanted - found)).sum(1).mean()
    assert float(loss) == pytest.approx(kept["least"], rel=1e-3)


def test_narrow_widths_gain(digits: nl.Workload) -> None:
    problem = nl.QuantizationProblem(digits, bias="int32")
    assert digits.data is not None
    unseen = digits.data.held_out
    before = problem.error([[3] * problem.num_nodes], unseen)[0]
    tuned = nl.finetune(problem, 3, steps=80, progress=False)
    assert before > 0.4  # 0.45 measured
    assert tuned.error(unseen) < 0.25  # 0.1 to 0.18 measured
    assert "3.00 bits" in str(tuned)
    assert 0 < tuned.steps <= 80


class Interrupting(torch.optim.Adam):
    """Ctrl-C comes in the middle of training."""

    def __init__(self, parameters: Any, after: int) -> None:
        super().__init__(parameters, lr=1e-2)
        self.left = after

    def step(self, *args: Any, **kwargs: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return super().step(*args, **kwargs)


def test_it_stops_and_goes_on_to_the_same_network(tmp_path: Path) -> None:
    problem, path = odd(bias="int32"), tmp_path / "tuning.pt"

    def tune(after: int, **more: Any) -> nl.TunedNetwork:
        make = lambda parameters: Interrupting(parameters, after)  # noqa: E731
        return nl.finetune(problem, 3, steps=40, batch_size=8, optimizer=make, progress=False, **more)

    whole = tune(10**6)
    with pytest.warns(NemoWarning, match=r"stopped after 24 of 40 steps"):
        part = tune(25, checkpoint=path)
    assert part.steps <= 24
    with pytest.warns(NemoWarning, match=r"stopped after"):
        tune(7, checkpoint=path)  # and once more
    again = tune(10**6, checkpoint=path)
    assert again.steps == whole.steps
    for name, values in whole.tensors.items():
        assert torch.equal(values, again.tensors[name]), name
    assert again.quantizers == whole.quantizers
    with pytest.raises(DataError, match="another training"):
        nl.finetune(problem, 5, steps=40, batch_size=8, checkpoint=path, progress=False)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(DataError, match="damaged"):
        tune(10**6, checkpoint=path)


def test_the_same_seed_gives_the_same_network() -> None:
    one, other, third = (
        nl.finetune(odd(), 4, steps=10, batch_size=8, seed=seed, progress=False) for seed in (0, 0, 1)
    )
    same = [torch.equal(values, other.tensors[name]) for name, values in one.tensors.items()]
    assert all(same)
    assert not all(torch.equal(values, third.tensors[name]) for name, values in one.tensors.items())


def test_a_checkpoint_is_of_one_training(tmp_path: Path) -> None:
    problem, path, labels = odd(), tmp_path / "tuning.pt", torch.arange(40) % 4

    def tune(**given: Any) -> nl.TunedNetwork:
        settings = {"data": (IMAGES, labels), "teacher": "labels", "steps": 2, "checkpoint": path, **given}
        return nl.finetune(problem, 3, progress=False, **settings)

    tune()
    for other in (
        {"data": (IMAGES, 3 - labels)},
        {"optimizer": lambda parameters: torch.optim.SGD(parameters, lr=0.1)},
        {"learning_rate": 0.5},
        {"seed": 1},
        {"method": "straight_through"},
    ):
        with pytest.raises(DataError, match="another training"):
            tune(**other)


class Counting(nn.Module):
    """Its forward keeps a mean, and works in place."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 8), nn.Linear(8, 3)
        self.register_buffer("mean", torch.zeros(8))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        self.mean.mul_(0.9).add_(x.detach().mean(0) * 0.1)
        return self.second((x - self.mean).relu_())


class Square(nn.Module):
    """What autograd cannot go back through: a number is written over that it needs."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.layer(x)).mul_(2.0)


ROWS = torch.randn(40, 6, generator=torch.Generator().manual_seed(2))


def test_a_network_that_keeps_state_is_trained() -> None:
    problem = problem_of(Counting(), ROWS)
    tuned = nl.finetune(problem, 3, steps=30, batch_size=16, progress=False)
    assert tuned.steps
    assert tuned.evaluate()[0] < problem.evaluate([3] * problem.num_nodes)[0, 0]


def test_it_trains_whatever_mode_torch_is_in() -> None:
    problem = odd(per_channel=True)
    plain = nl.finetune(problem, 3, steps=3, progress=False)
    with torch.inference_mode():
        other = nl.finetune(problem, 3, steps=3, progress=False)
    assert all(torch.equal(values, other.tensors[name]) for name, values in plain.tensors.items())
    torch.set_default_dtype(torch.float64)
    try:
        nl.finetune(problem, 3, steps=3, progress=False)
    finally:
        torch.set_default_dtype(torch.float32)


def test_what_cannot_be_trained_says_so() -> None:
    with pytest.raises(EvaluationError, match=r"Square cannot be trained: .*use correct_bias"):
        nl.finetune(problem_of(Square(), ROWS), 3, progress=False)
    with pytest.raises(ArgumentError, match="LBFGS cannot train"):
        nl.finetune(odd(), 3, optimizer=torch.optim.LBFGS, progress=False)
    with pytest.raises(DataError, match="at least 2"):
        nl.finetune(odd(), 3, IMAGES[:1], progress=False)
    for labels in (torch.arange(40.0), torch.arange(40)[:, None], torch.arange(40), torch.full((40,), -1)):
        with pytest.raises(DataError):
            nl.finetune(odd(), 3, (IMAGES, labels), teacher="both", progress=False)


def test_places_without_a_label_do_not_count() -> None:
    problem = masked()
    labels = TOKENS.clone()
    labels[::2] = -100
    tuned = nl.finetune(problem, 3, ((TOKENS, MASKS), labels), steps=4, batch_size=1, progress=False)
    assert tuned.tensors


def test_training_that_diverges_says_so(tmp_path: Path) -> None:
    def wild(parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=1e30)

    with pytest.raises(EvaluationError, match=r"loss is (nan|inf).* lower learning_rate"):
        nl.finetune(odd(), 4, steps=20, optimizer=wild, progress=False)


def test_labels_teach_if_there_are_some(digits: nl.Workload) -> None:
    problem = nl.QuantizationProblem(digits)
    with pytest.raises(DataError, match=r"no labels; give data=\(inputs, labels\)"):
        nl.finetune(problem, 3, teacher="labels")
    assert digits.data is not None
    data = (digits.data.search.inputs[:64], digits.data.search.labels[:64])
    before = problem.error([[3] * problem.num_nodes], data)[0]
    for teacher in ("labels", "both"):
        tuned = nl.finetune(problem, 3, data, teacher=teacher, steps=30, progress=False)  # type: ignore[arg-type]
        assert tuned.error(data) < before


def test_other_outputs_than_scores_are_learned() -> None:
    def apart(outputs: Tensor, labels: Any, reference: Tensor) -> Tensor:
        return (outputs - reference).square().mean(1)

    problem = odd(metric=apart)
    tuned = nl.finetune(problem, 4, steps=40, batch_size=16, progress=False)
    assert tuned.evaluate()[0] < problem.evaluate([[4] * problem.num_nodes])[0, 0] / 2
    with pytest.raises(DataError, match="needs scores of classes"):
        nl.finetune(problem, 4, (IMAGES, torch.zeros(40)), teacher="labels")


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"bits": 99}, BitWidthError),
        ({"bits": [[4] * 13, [5] * 13]}, BitWidthError),
        ({"steps": 0}, ArgumentError),
        ({"method": "pact"}, ArgumentError),
        ({"teacher": "nobody"}, ArgumentError),
        ({"learning_rate": 0}, ArgumentError),
        ({"data": IMAGES[:, :1]}, DataError),
        ({"problem": "digits"}, ArgumentError),
        ({"checkpoint": "no/such/folder/x.pt", "steps": 2}, ArgumentError),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_refused(given: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        nl.finetune(**{"problem": odd(), "bits": 4, "progress": False, **given})


def test_a_tuned_network_is_kept_in_a_file(tmp_path: Path) -> None:
    problem = odd(bias="int32", per_channel=True)
    tuned = nl.finetune(problem, mixed(problem), steps=10, batch_size=8, progress=False)
    path = tuned.save(tmp_path / "tuned.pt")
    again = nl.TunedNetwork.load(path, problem)
    assert torch.equal(outputs(again.network(), problem), outputs(tuned.network(), problem))
    assert (again.method, again.steps) == (tuned.method, tuned.steps)
    for same in (odd(bias="int32", per_channel=True, batch_size=7, threads=2, metric="agreement"),):
        assert torch.equal(
            outputs(nl.TunedNetwork.load(path, same).network(), same), outputs(tuned.network(), same)
        )
    fields = dataclasses.asdict(problem.config)
    del fields["equalize"]  # which there was not in the first version
    first = digest([problem.fingerprint()["workload"], sorted(fields.items())])
    before = written({**read(path), "problem": first}, tmp_path / "first.pt")
    assert nl.TunedNetwork.load(before, problem).bits.tolist() == tuned.bits.tolist()
    with pytest.raises(DataError, match="another network or other settings"):
        nl.TunedNetwork.load(before, odd(bias="int32", per_channel=True, equalize=True))
    with pytest.raises(ValueError, match="read-only"):
        tuned.bits[0] = 8
    with pytest.raises(DataError, match="another network or other settings"):
        nl.TunedNetwork.load(path, odd())
    whole = path.read_bytes()
    for at in range(0, len(whole), len(whole) // 40):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1 :])
        with pytest.raises(DataError, match="damaged"):
            nl.TunedNetwork.load(path, problem)
    path.write_bytes(whole)
    none = {"none": torch.ones(2)}
    for part, wrong in (("bits", [4]), ("bits", [300] * 9), ("tensors", none), ("tensors", [1])):
        other = written({**read(path), part: wrong}, tmp_path / "other.pt")
        with pytest.raises(DataError, match="damaged"):
            nl.TunedNetwork.load(other, problem)
    path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="damaged"):
        nl.TunedNetwork.load(path, problem)
    with pytest.raises(ArgumentError, match="cannot read"):
        nl.TunedNetwork.load(tmp_path / "none.pt", problem)
