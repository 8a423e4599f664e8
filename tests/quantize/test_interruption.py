"""Evaluations left half-way: the lock is free, nothing kept is wrong, no later result differs."""

from __future__ import annotations

import _thread
import threading
from typing import Any

import numpy as np
import pytest
import torch

from nemo_lab import QuantizationProblem, Workload
from nemo_lab.interruption import Interrupted, interruptible
from tests.waiting import PATIENCE

BATCHES = 5


class Countdown:
    """Asks to stop at the n-th look."""

    def __init__(self, looks: int) -> None:
        self.left = looks

    def __call__(self) -> bool:
        self.left -= 1
        return self.left <= 0


def make(workload: Workload, **options: Any) -> QuantizationProblem:
    split, count = workload.data.search, 16 * BATCHES  # type: ignore[union-attr]
    data = split.inputs[:count], split.labels[:count]
    return QuantizationProblem(workload, data=data, batch_size=16, **options)


def alike(problem: QuantizationProblem, count: int, seed: int = 0) -> np.ndarray:
    """Configurations that begin alike, so that much is kept between them: uint8[N, Q]."""
    rng = np.random.default_rng(seed)
    bits = np.full((count, problem.num_nodes), 8, dtype=np.uint8)
    for row in bits:
        row[rng.integers(problem.num_nodes) :] = rng.choice(problem.bit_widths)
    return bits


def assert_sound(problem: QuantizationProblem) -> None:
    """What is kept adds up."""
    kept = problem._network.kept
    assert kept.bytes == sum({id(part): part.nbytes for state in kept for part in state}.values())
    assert all(not module.keep and module.codes is None for module in problem._network.activations.values())


@pytest.mark.parametrize("ranges", ["minmax", "mse"])
@pytest.mark.parametrize("kept_mb", [0, 0.3, 128])
def test_left_at_every_look_results_stay_the_same(digits: Workload, ranges: Any, kept_mb: float) -> None:
    plain, problem = (make(digits, ranges=ranges, kept_mb=kept_mb) for _ in range(2))
    bits = alike(plain, 24)
    expected = plain.evaluate(bits)
    before = torch.get_num_threads()
    left = 0
    for i, row in enumerate(bits):
        looks = 1 + i % (2 * BATCHES)
        try:
            with interruptible(Countdown(looks)):
                problem.evaluate(row)
        except Interrupted:
            left += 1
        assert torch.get_num_threads() == before
        assert_sound(problem)
        if i % 3 == 2:
            assert np.array_equal(problem.evaluate(bits[: i + 1]), expected[: i + 1])
    assert left >= BATCHES
    assert np.array_equal(problem.evaluate(bits), expected)
    assert problem.full_precision_error() == plain.full_precision_error()


def test_every_batch_is_a_chance_to_leave(digits: Workload) -> None:
    problem = make(digits)
    row = alike(problem, 1)[0]
    problem.error(
        row, problem.workload.data.search
    )  # now weights are there, so that batches alone are counted
    for looks in range(1, BATCHES + 1):
        with pytest.raises(Interrupted), interruptible(Countdown(looks)):
            problem.evaluate(row)
    with interruptible(Countdown(BATCHES + 1)):
        problem.evaluate(row)


def test_ctrl_c_at_any_instant_leaves_nothing_wrong(digits: Workload) -> None:
    plain, problem = make(digits, kept_mb=0.5), make(digits, kept_mb=0.5)
    bits = alike(plain, 40)
    expected = plain.evaluate(bits)
    rng, left = np.random.default_rng(0), 0
    for row in bits:
        pressing, ended = threading.Timer(rng.random() * 0.02, _thread.interrupt_main), False
        try:
            pressing.start()
            problem.evaluate(row)
            ended = True
            pressing.join()
            threading.Event().wait(1)  # it comes before this has ended
        except KeyboardInterrupt:
            left += not ended
        assert_sound(problem)
        again = rng.integers(len(bits))
        assert np.array_equal(problem.evaluate(bits[again]), expected[[again]])
    assert left >= 3
    assert np.array_equal(problem.evaluate(bits), expected)


def test_who_waits_for_his_turn_can_leave_the_queue(digits: Workload) -> None:
    made, inside, go_on = threading.Event(), threading.Event(), threading.Event()

    def slow(outputs: torch.Tensor, labels: torch.Tensor) -> float:
        if made.is_set():  # a problem measures when it is made, too
            inside.set()
            go_on.wait(PATIENCE)
        return float((outputs.argmax(1) != labels).float().mean())

    problem = make(digits, metric=slow)
    made.set()
    bits = alike(problem, 2)
    found: list[np.ndarray] = []
    first = threading.Thread(target=lambda: found.append(problem.evaluate(bits[:1])), daemon=True)
    first.start()
    assert inside.wait(PATIENCE)
    with pytest.raises(Interrupted), interruptible(Countdown(3)):
        problem.evaluate(bits[1])
    assert found == []
    go_on.set()
    first.join(PATIENCE)
    assert np.array_equal(found[0], problem.evaluate(bits[:1]))


def test_validation_and_calibration_can_be_left(digits: Workload) -> None:
    problem = make(digits)
    row = alike(problem, 1)
    expected = problem.error(row, digits.data.held_out)  # type: ignore[union-attr]
    for looks in (1, 2, 3):
        with pytest.raises(Interrupted), interruptible(Countdown(looks)):
            problem.error(row, digits.data.held_out)  # type: ignore[union-attr]
    assert np.array_equal(problem.error(row, digits.data.held_out), expected)  # type: ignore[union-attr]
    network = problem.network()
    images = [torch.as_tensor(digits.data.calibration.inputs[:8])] * 3  # type: ignore[union-attr]
    ranges = dict(network.ranges)
    with pytest.raises(Interrupted), interruptible(Countdown(2)):
        network.calibrate(images)
    assert network.ranges == ranges
    assert all(module.observe is None for module in network.activations.values())
