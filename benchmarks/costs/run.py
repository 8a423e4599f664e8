"""Speed of the exact costs: ``OMP_NUM_THREADS=1 python -m benchmarks.costs.run``.

Times ``CostModel.evaluate`` (checks included) on random populations of synthetic networks, beside the same
sums in vectorised NumPy and as a torch gather; and ``CostModel.neighbours``, the costs of all configurations
that differ from one in a single node, beside ``evaluate`` of as many whole rows. All are timed in turns,
several rounds, and the best time of each counts. Writes RESULTS.md beside it.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

import nemo_lab as nl
from nemo_lab.workload.records import Layer, Node, Quantizer

HERE = Path(__file__).parent
CASES = [(q, n, "max") for q in (36, 116, 244) for n in (1, 100, 10_000, 1_000_000)] + [
    (116, 1_000_000, "product")
]
CHUNK = 1 << 16  # bytes of bits that NumPy and torch take at once: temporaries stay in the cache


def network(num_nodes: int) -> nl.Workload:
    """Activation, weight, activation, ...: sizes drawn from those of the usual image networks."""
    rng = np.random.default_rng(0)
    nodes, layers = [], []
    for index in range(0, num_nodes, 2):
        inputs, outputs, kernel, side = (
            int(rng.choice(sizes))
            for sizes in ((16, 24, 32, 96, 144, 320), (16, 24, 32, 96, 144, 960), (1, 9), (7, 14, 28))
        )
        params = inputs * outputs * kernel
        macs = params * side * side
        for node, kind, stored in ((index, "activation", 0), (index + 1, "weight", params)):
            name = f"layer{index // 2}.{kind}"
            quantizer = Quantizer(name, cast("Any", kind), name, (1,))
            sizes = (inputs, outputs, side * side, kernel, 1, stored, macs)
            nodes.append(
                Node(node, name, cast("Any", kind), "conv", (1,), *sizes, False, quantizers=(quantizer,))
            )
        layers.append(Layer(f"layer{index // 2}", "conv", (index + 1, index), macs))
    nothing = cast("Any", None)
    edges = np.empty((2, 0), dtype=np.int64)
    return nl.Workload("synthetic", tuple(nodes), tuple(layers), (), edges, nothing, nothing, ((1, 1),))


def weigh(workload: nl.Workload, product: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Share in each ratio of every weight and every layer; in this network weights are the odd columns."""
    params = np.array([node.params for node in workload.nodes[1::2]], dtype=np.float64)
    macs = np.array([layer.macs for layer in workload.layers], dtype=np.float64)
    return params / params.sum() / 32, macs / macs.sum() / (1024 if product else 32)


def with_numpy(workload: nl.Workload, product: bool) -> Callable[[NDArray[np.uint8]], NDArray[np.float64]]:
    """Strided views in place of index arrays, matrix products in place of sums, chunks that fit a cache."""
    params, macs = weigh(workload, product)
    step = max(1, CHUNK // len(workload.nodes))

    def evaluate(bits: NDArray[np.uint8]) -> NDArray[np.float64]:
        out = np.empty((len(bits), 2))
        for row in range(0, len(bits), step):
            part = bits[row : row + step]
            weights = part[:, 1::2].astype(np.float64)
            if product:
                worth = weights * part[:, ::2]
            else:  # on bytes, before they are widened
                worth = np.maximum(part[:, ::2], part[:, 1::2]).astype(np.float64)
            out[row : row + step, 0] = weights @ params
            out[row : row + step, 1] = worth @ macs
        return out

    return evaluate


def with_torch(workload: nl.Workload, product: bool) -> Callable[[NDArray[np.uint8]], torch.Tensor]:
    """Columns gathered by ``index_select``, one thread."""
    params, macs = (torch.from_numpy(array) for array in weigh(workload, product))
    left, right = (torch.tensor([layer.operands[end] for layer in workload.layers]) for end in (0, 1))
    step = max(1, CHUNK // len(workload.nodes))

    def evaluate(bits: NDArray[np.uint8]) -> torch.Tensor:
        out = torch.empty((len(bits), 2), dtype=torch.float64)
        for row in range(0, len(bits), step):
            part = torch.from_numpy(bits[row : row + step])
            weights, inputs = part.index_select(1, left), part.index_select(1, right)
            worth = weights.double() * inputs if product else torch.maximum(weights, inputs).double()
            out[row : row + step, 0] = weights.double() @ params
            out[row : row + step, 1] = worth @ macs
        return out

    return evaluate


def best_times(tasks: dict[str, Callable[[], Any]], seconds: float) -> dict[str, float]:
    """Best seconds of a call of each, taken in turns until every task had its time."""
    best = dict.fromkeys(tasks, float("inf"))
    repeats = {}
    for name, task in tasks.items():
        task()
        began = time.perf_counter()
        task()
        repeats[name] = max(1, int(0.002 / max(time.perf_counter() - began, 1e-7)))
    until = time.perf_counter() + seconds
    rounds = 0
    while rounds < 5 or time.perf_counter() < until:
        rounds += 1
        for name, task in tasks.items():
            began = time.perf_counter()
            for _ in range(repeats[name]):
                task()
            best[name] = min(best[name], (time.perf_counter() - began) / repeats[name])
    return best


def measure(num_nodes: int, rows: int, bitops: Any, seconds: float) -> dict[str, float]:
    workload = network(num_nodes)
    costs = nl.CostModel(workload, bitops)
    bits = np.random.default_rng(0).integers(2, 9, (rows, num_nodes), dtype=np.uint8)
    product = bitops == "product"
    in_numpy, in_torch = with_numpy(workload, product), with_torch(workload, product)
    tasks: dict[str, Callable[[], Any]] = {
        "evaluate": lambda: costs.evaluate(bits),
        "numpy": lambda: in_numpy(bits),
        "torch": lambda: in_torch(bits),
    }
    for name in ("numpy", "torch"):
        np.testing.assert_allclose(np.asarray(tasks[name]()), costs.evaluate(bits), rtol=1e-12)
    return best_times(tasks, seconds)


def measure_neighbours(num_nodes: int, seconds: float) -> dict[str, float]:
    costs = nl.CostModel(network(num_nodes))
    widths = np.arange(2, 9, dtype=np.uint8)
    bits = np.random.default_rng(0).integers(2, 9, num_nodes, dtype=np.uint8)
    whole = np.tile(bits, (num_nodes, len(widths), 1))
    for node in range(num_nodes):
        whole[node, :, node] = widths
    rows = whole.reshape(-1, num_nodes)
    tasks = {"neighbours": lambda: costs.neighbours(bits, widths), "rows": lambda: costs.evaluate(rows)}
    np.testing.assert_array_equal(tasks["neighbours"]().reshape(2, -1).T, tasks["rows"]())
    return best_times(tasks, seconds)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.costs.run", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3, help="for each line of the table")
    options = parser.parse_args()
    torch.set_num_threads(1)
    head = ["Q", "N", "bitops", "configurations / s", "time of a call", "NumPy takes", "torch takes"]
    lines = [head, ["---"] * len(head)]
    for num_nodes, rows, bitops in CASES:
        t = measure(num_nodes, rows, bitops, options.seconds)
        cells = (f"{rows / t['evaluate']:,.0f}", _time(t["evaluate"]))
        peers = (f"{t[name] / t['evaluate']:.1f} x" for name in ("numpy", "torch"))
        lines.append([str(num_nodes), f"{rows:,}", bitops, *cells, *peers])
        print(*lines[-1], flush=True)
    head = ["Q", "neighbours", "whole rows take"]
    others = [head, ["---"] * len(head)]
    for num_nodes in (36, 116, 244):
        t = measure_neighbours(num_nodes, options.seconds)
        others.append([str(num_nodes), _time(t["neighbours"]), f"{t['rows'] / t['neighbours']:.1f} x"])
    table, second = ("\n".join("| " + " | ".join(line) + " |" for line in rows) for rows in (lines, others))
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "numba", "torch"))
    text = (
        "# Speed of the exact costs\n\n"
        f"`OMP_NUM_THREADS=1 python -m benchmarks.costs.run`, "
        f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}, "
        f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, {versions}\n\n"
        "`CostModel.evaluate` on uint8[N, Q], both ratios, checks and the array of results included: plain "
        "Numba loops on one thread. NumPy and torch (one thread each, without checks) are given as "
        "multiples of its time. The machine had other work.\n\n"
        f"{table}\n\n"
        "`CostModel.neighbours` of one configuration at 7 widths, Q * 7 configurations that differ in "
        f"one node, and `evaluate` of the same configurations as whole rows.\n\n{second}\n"
    )
    (HERE / "RESULTS.md").write_text(text, encoding="utf-8")
    print(text)


def _time(seconds: float) -> str:
    return f"{seconds * 1e6:.1f} µs" if seconds < 1e-3 else f"{seconds * 1e3:.2f} ms"


if __name__ == "__main__":
    main()
