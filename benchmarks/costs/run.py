"""Speed of the exact costs: ``OMP_NUM_THREADS=1 python -m benchmarks.costs.run``.

Times ``CostModel.evaluate`` (checks included) on random populations of synthetic networks, beside the same
sums in vectorised NumPy and as a torch gather, and beside one pass that only reads the population's bytes.
All are timed in turns, several rounds, and the best time of each counts. Writes RESULTS.md beside it.
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
from numba import njit
from numpy.typing import NDArray

import nemo_lab as nl
from nemo_lab.cost import model
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


@njit(nogil=True)  # type: ignore[untyped-decorator]
def read_once(words: NDArray[np.uint64]) -> int:
    """A pass over the bytes that does nothing with them that takes time."""
    total = np.uint64(0)
    for word in words:
        total ^= word
    return int(total)


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


def serially(costs: nl.CostModel, bits: NDArray[np.uint8]) -> NDArray[np.float64]:
    """``evaluate`` held to one thread."""
    usual = model.THREADS_FROM
    model.THREADS_FROM = 1 << 60
    try:
        return costs.evaluate(bits)
    finally:
        model.THREADS_FROM = usual


def measure(num_nodes: int, rows: int, bitops: Any, seconds: float) -> dict[str, float]:
    workload = network(num_nodes)
    costs = nl.CostModel(workload, bitops)
    bits = np.random.default_rng(0).integers(2, 9, (rows, num_nodes), dtype=np.uint8)
    words = bits.reshape(-1)[: bits.size // 8 * 8].view(np.uint64)
    product = bitops == "product"
    in_numpy, in_torch = with_numpy(workload, product), with_torch(workload, product)
    tasks: dict[str, Callable[[], Any]] = {
        "evaluate": lambda: costs.evaluate(bits),
        "serial": lambda: serially(costs, bits),
        "numpy": lambda: in_numpy(bits),
        "torch": lambda: in_torch(bits),
        "read": lambda: read_once(words),
    }
    for name in ("numpy", "torch"):
        np.testing.assert_allclose(np.asarray(tasks[name]()), costs.evaluate(bits), rtol=1e-12)
    return best_times(tasks, seconds)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.costs.run", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3, help="for each line of the table")
    options = parser.parse_args()
    torch.set_num_threads(1)
    head = ["Q", "N", "bitops", "configurations / s", "time of a call", "serial: configurations / s"]
    head += ["NumPy takes", "torch takes", "evaluate / reading", "serial / reading"]
    lines = [head, ["---"] * len(head)]
    found: dict[tuple[int, int, str], dict[str, float]] = {}
    for case in CASES:
        num_nodes, rows, bitops = case
        t = found[case] = measure(*case, options.seconds)
        large = rows >= 10_000
        lines.append(
            [
                str(num_nodes), f"{rows:,}", bitops, f"{rows / t['evaluate']:,.0f}", _time(t["evaluate"]),
                f"{rows / t['serial']:,.0f}", f"{t['numpy'] / t['evaluate']:.1f} x",
                f"{t['torch'] / t['evaluate']:.1f} x", f"{t['evaluate'] / t['read']:.1f}" if large else "-",
                f"{t['serial'] / t['read']:.1f}" if large else "-",
            ]
        )  # fmt: skip
        print(*lines[-1], flush=True)
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "numba", "torch"))
    text = (
        "# Speed of the exact costs\n\n"
        f"`OMP_NUM_THREADS=1 python -m benchmarks.costs.run`, "
        f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}, "
        f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, {versions}\n\n"
        "`CostModel.evaluate` on uint8[N, Q], both ratios, checks and the array of results included. Above "
        f"{model.THREADS_FROM / 2**20:.0f} MiB it uses a thread for each core; *serial* is the same on one. "
        "NumPy and torch (one thread each, without checks) are given as multiples of the time of "
        "`evaluate`, whichever threads that uses. *Reading* is one pass on one thread over the same "
        "bytes.\n\n"
        f"{table}\n\n## Goals\n\n{_goals(found)}\n"
    )
    (HERE / "RESULTS.md").write_text(text, encoding="utf-8")
    print(text)


def _goals(found: dict[tuple[int, int, str], dict[str, float]]) -> str:
    def worst(rows: int, above: str, below: str) -> float:
        return max(t[above] / t[below] for case, t in found.items() if case[1] == rows)

    million, one = 1_000_000, max(t["evaluate"] for case, t in found.items() if case[1] == 1)
    read, read_serial = worst(million, "evaluate", "read"), worst(million, "serial", "read")
    ahead, ahead_serial = 1 / worst(million, "evaluate", "numpy"), 1 / worst(million, "serial", "numpy")
    rows = [
        ("a million at most 2 times reading them once, every Q", read <= 2,
         f"at worst {read:.1f} times on all cores, {read_serial:.1f} serial"),
        ("a million 10 times faster than NumPy, every Q", ahead >= 10,
         f"at least {ahead:.1f} times on all cores, {ahead_serial:.1f} serial"),
        ("a single configuration under 10 microseconds", one < 10e-6, f"at most {_time(one)}"),
    ]  # fmt: skip
    lines = (f"| {goal} | {measured} | {'yes' if met else 'no'} |" for goal, met, measured in rows)
    return "\n".join(["| goal | measured | met |", "|---|---|---|", *lines])


def _time(seconds: float) -> str:
    return f"{seconds * 1e6:.1f} µs" if seconds < 1e-3 else f"{seconds * 1e3:.2f} ms"


if __name__ == "__main__":
    main()
