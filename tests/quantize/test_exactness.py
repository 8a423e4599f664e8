"""The evaluator against the slow, obvious one, and against itself in any order and company.

How equal "equal" is: the reference runs the same batches in the same memory layout on one thread, and
then every range and every output agrees bit for bit. In another layout a convolution adds in another
order, and a value within float error of a rounding boundary may fall to the other side: there the
predictions are equal, and at least 99 % of the outputs are, within 1e-4 of the largest.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from nemo_lab import QuantizationProblem, Workload
from nemo_lab._torch import torch_threads
from tests.quantize.oracle import Reference

Data = tuple[Tensor, Tensor, Tensor]


def data_of(workload: Workload, count: int) -> Data:
    assert workload.data is not None
    search = workload.data.search
    images, labels = torch.from_numpy(search.inputs[:count]), torch.from_numpy(search.labels[:count])
    return torch.from_numpy(workload.data.calibration.inputs), images, labels


def random_bits(count: int, nodes: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(2, 9, (count, nodes))


def check_against_reference(workload: Workload, data: Data, configurations: int, batch: int) -> None:
    calibration, images, labels = data
    calibration = calibration[: len(calibration) // batch * batch]
    problem = QuantizationProblem(
        workload, calibration, (images, labels), batch_size=batch, calibration_batch=batch, threads=1
    )
    network = problem.network()
    rows = random_bits(configurations, problem.num_nodes)
    found = problem.evaluate(rows)[:, 0]
    with torch_threads(1):
        reference = Reference(workload, network.channels_last)
        reference.calibrate(calibration.split(batch))
        for node in workload.nodes:
            for quantizer in node.quantizers:
                if quantizer.kind == "activation":
                    assert problem.ranges[quantizer.name] == reference.ranges[quantizer.source]
        for row, error in zip(rows, found, strict=True):
            network.set_bits(row)
            outputs = [reference(part, row) for part in images.split(batch)]
            for part, expected in zip(images.split(batch), outputs, strict=True):
                assert torch.equal(network(network.prepare(part)), expected)
            wrong = torch.cat(outputs).argmax(1) != labels
            assert error == int(wrong.sum()) / len(labels)


def test_digits_equal_the_reference_bit_for_bit(digits: Workload) -> None:
    check_against_reference(digits, data_of(digits, 200), configurations=200, batch=100)


def test_fashion_equals_the_reference_bit_for_bit(fashion: Workload) -> None:
    check_against_reference(fashion, data_of(fashion, 64), configurations=200, batch=32)


@pytest.fixture(scope="module")
def mobilenet() -> Workload:
    models = pytest.importorskip("torchvision").models
    torch.manual_seed(0)
    return Workload.from_module(models.mobilenet_v2(weights=None).eval(), torch.zeros(1, 3, 224, 224))


def test_mobilenet_equals_the_reference_bit_for_bit(mobilenet: Workload) -> None:
    images = torch.randn(8, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    check_against_reference(mobilenet, (images, images, torch.arange(8)), configurations=8, batch=4)


def test_another_memory_layout_gives_the_same_predictions(fashion: Workload) -> None:
    calibration, images, _ = data_of(fashion, 64)
    contiguous, last = Reference(fashion), Reference(fashion, channels_last=True)
    last.layout = torch.preserve_format  # what is given in channels last stays so
    with torch_threads(1):
        contiguous.calibrate(calibration.split(32))
        last.ranges = contiguous.ranges
        images_last = images.to(memory_format=torch.channels_last).clone()
        for row in random_bits(10, len(fashion.nodes)):
            expected, found = contiguous(images, row), last(images_last, row)
            assert torch.equal(found.argmax(1), expected.argmax(1))
            near = (found - expected).abs() <= 1e-4 * expected.abs().max()
            assert float(near.float().mean()) >= 0.99


@pytest.fixture(scope="module")
def few(digits: Workload) -> dict[str, object]:
    calibration, images, labels = data_of(digits, 100)
    return {"calibration": calibration[:64], "data": (images, labels), "batch_size": 40}


@pytest.fixture(scope="module")
def family() -> np.ndarray:
    """Rows that begin alike, as a search makes them."""
    rng = np.random.default_rng(1)
    rows = [rng.integers(2, 9, 36)]
    for _ in range(29):
        row = rows[rng.integers(len(rows))].copy()
        first = rng.integers(36)
        row[first:] = rng.integers(2, 9, 36 - first)
        rows.append(row)
    return np.array(rows)


@pytest.fixture(scope="module")
def alone(digits: Workload, few: dict[str, object], family: np.ndarray) -> np.ndarray:
    """Each row evaluated by itself, with nothing kept."""
    problem = QuantizationProblem(digits, **few, kept_mb=0, metric=["kl", "top1"])  # type: ignore[arg-type]
    return np.vstack([problem.evaluate(row) for row in family])


@pytest.mark.parametrize("kept_mb", [0, 0.02, 1, 128])
@pytest.mark.parametrize("group", [1, 7, 30])
def test_order_company_and_memory_change_no_bit(
    digits: Workload,
    few: dict[str, object],
    family: np.ndarray,
    alone: np.ndarray,
    kept_mb: float,
    group: int,
) -> None:
    problem = QuantizationProblem(digits, **few, kept_mb=kept_mb, metric=["kl", "top1"])  # type: ignore[arg-type]
    order = np.random.default_rng(group).permutation(len(family))
    for start in range(0, len(order), group):
        chosen = order[start : start + group]
        assert np.array_equal(problem.evaluate(family[chosen]), alone[chosen])
        assert problem._network.kept.bytes <= kept_mb * 1e6


def test_a_problem_with_a_history_answers_like_a_fresh_one(
    digits: Workload, few: dict[str, object], family: np.ndarray, alone: np.ndarray
) -> None:
    problem = QuantizationProblem(digits, **few, metric=["kl", "top1"])  # type: ignore[arg-type]
    _, images, labels = data_of(digits, 300)
    problem.evaluate(random_bits(10, 36, seed=9))
    problem.error(family[:3], (images, labels))
    problem.full_precision_error()
    problem.sqnr()
    problem.network().set_bits(family[0])
    assert np.array_equal(problem.evaluate(family[::-1])[::-1], alone)
    assert np.array_equal(problem.evaluate(family), alone)
