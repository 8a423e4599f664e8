"""A cost table of the deployed network: what each node takes at each width, measured inside the network."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from nemo_lab.arguments import Choice, Instance, Whole
from nemo_lab.export.extra import needed
from nemo_lab.export.onnx_graph import float_model, in_float, put_integers, weight_paths
from nemo_lab.export.onnx_owners import Owners
from nemo_lab.export.runtimes.onnx_profile import Kernel, TimedSession
from nemo_lab.quantize import QuantizationProblem

if TYPE_CHECKING:
    import pandas as pd

RUNTIME = Choice(("onnxruntime",))
PROBLEM = Instance(QuantizationProblem)
THREADS, BATCH, RUNS = Whole(1, 1024), Whole(1, 65536), Whole(5, 100_000)
BLOCK = 5  # runs of one file before it is the next one's turn


@dataclass(frozen=True, eq=False)
class Latency:
    """How long a network takes at uniform widths, and which nodes it spends that time on.

    Attributes:
        table: milliseconds, float64[Q, W]: a row for each node, a column for each width, as
            ``CostModel(tables={"latency_ms": table})`` takes it. Equal where the same kernels run.
        float_ms: of a run of the network in float32, in the same runtime.
        total_ms: of a run with all nodes at one width, for each width.
        remainder_ms: for each width, what of the total belongs to no node: operations in full precision,
            and noise, by which it may be a little below 0. Column and remainder add up to the total.
        spread: half of the distance between the quartiles of single runs, as a share of their median; that of
            the file for which it is largest.
        runtime: its name and version.
        threads, batch_size, runs: that it was measured with.
        seconds: that measuring took.
    """

    table: pd.DataFrame
    float_ms: float
    total_ms: pd.Series[float]
    remainder_ms: pd.Series[float]
    spread: float
    runtime: str
    threads: int
    batch_size: int
    runs: int
    seconds: float

    def __str__(self) -> str:
        of = f"{self.threads} thread{'s' * (self.threads > 1)}, batch of {self.batch_size}, {self.runs} runs"
        lines = [f"{self.runtime}, {of}: {self.float_ms:.3f} ms in float32"]
        for width, total, rest in zip(self.table, self.total_ms, self.remainder_ms, strict=True):
            ratio = total / self.float_ms
            lines.append(f"  {width} bits: {total:.3f} ms, {ratio:.2f} of float32; {rest:.3f} ms of no node")
        chance = 4 * self.spread / self.runs**0.5  # two standard errors of a ratio, about
        if self.total_ms.min() / self.float_ms > 1 - chance:
            lines.append("No width is faster than float32 here: this network gains no time by integers.")
        lines.append(f"Single runs spread by {100 * self.spread:.0f} %.")
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class _File:
    """The network as a runtime executes it at one width, or at several with the same kernels."""

    widths: list[int]
    owners: Owners
    plain: TimedSession
    profiled: TimedSession


def measure_latency(
    problem: Any, runtime: str = "onnxruntime", threads: int = 1, *, batch_size: int = 1, runs: int = 50
) -> Latency:
    """Measure what each node's width costs in time, inside the network as a runtime executes it.

    The network is written as ``save_onnx`` does, with all nodes at one width, for each width of the problem,
    and in float32. Widths whose files run the same kernels share one. The files take turns, so that what else
    the machine does hits all alike; each is timed without the profiler, and as many times with it. A kernel's
    share of the profiled time is its share of the time without. Times are means of the middle half.

    A kernel belongs to the weight that it reads; so do the kernels that read a layer's input and round what
    it gives, as integer kernels do both themselves. A clip to fewer bits belongs to the activation; what has
    no weights, such as an addition, in equal parts to the rounded activations that it reads. What computes in
    full precision is the remainder. Where a node has the same kernel at several widths, it has the mean of
    its times at all of these: a difference in the table is one of kernels. What mixing widths adds, such as
    a conversion between two layers, no sum over nodes can tell.

    It takes some seconds to write the files, and twice the time of ``runs`` runs for each.

    Args:
        problem: a ``QuantizationProblem``, best one with ``bias="int32"``, as for ``save_onnx``.
        runtime: ``"onnxruntime"``, on the CPU by default settings.
        threads: of the runtime.
        batch_size: examples at a time.
        runs: of each file, at least 5.

    Raises:
        ArgumentError: if an argument cannot be used, or a library is missing.
        ExportError: if an operation cannot be written, or the runtime refuses a file.
        Interrupted: see ``nemo_lab.check_interrupted``.

    The libraries for it come by ``pip install "nemo_lab[deploy]"``.
    """
    import pandas as pd

    problem = PROBLEM.check("problem", problem)
    RUNTIME.check("runtime", runtime)
    threads, runs = THREADS.check("threads", threads), RUNS.check("runs", runs)
    batch_size, begin = BATCH.check("batch_size", batch_size), perf_counter()
    examples = problem.task().batches[0][0]
    batch = tuple(tensor[np.arange(batch_size) % len(tensor)] for tensor in examples)
    full = TimedSession(in_float(problem), f"{problem.title} in float32", threads, batch)
    with tempfile.TemporaryDirectory(prefix="nemo_lab-", ignore_cleanup_errors=True) as folder:
        files = _files(problem, threads, batch, folder)
        sessions = [full, *(session for file in files for session in (file.plain, file.profiled))]
        for done in range(0, runs, BLOCK):
            for session in sessions if done % (2 * BLOCK) else reversed(sessions):
                session.run(min(BLOCK, runs - done))
        totals = [_middle(file.plain.times) for file in files]
        columns = _columns(files, totals, problem.num_nodes)
    widths = list(problem.bit_widths)
    at = [next(number for number, file in enumerate(files) if width in file.widths) for width in widths]
    table = pd.DataFrame(columns[at].T, index=list(problem.node_names), columns=widths)
    total = pd.Series(np.array(totals)[at], index=widths, name="total_ms")
    plain = [full, *(file.plain for file in files)]
    return Latency(
        table=table,
        float_ms=_middle(full.times),
        total_ms=total,
        remainder_ms=(total - table.sum()).rename("remainder_ms"),
        spread=max(_spread(session.times) for session in plain),
        runtime=full.name,
        threads=threads,
        batch_size=batch_size,
        runs=runs,
        seconds=perf_counter() - begin,
    )


def _files(problem: QuantizationProblem, threads: int, batch: tuple[Tensor, ...], folder: str) -> list[_File]:
    """One for all widths that run the same kernels."""
    network = problem.network()
    network.set_bits([problem.bit_widths[0]] * problem.num_nodes)
    ir = needed("onnx_ir", purpose="to write ONNX")
    paths, written = weight_paths(network), float_model(network, problem.task().batches[0][0])
    index = {one.name: node.index for node in problem.workload.nodes for one in node.quantizers}
    nodes = {name: index[name] for name in network.activations}
    nodes |= {path: index[name] for path, name in paths.items()}
    files: dict[tuple[Any, ...], _File] = {}
    for width in problem.bit_widths:
        network.set_bits([width] * problem.num_nodes)
        model = written.clone()
        put_integers(model, network, paths, dict.fromkeys(index, width))
        proto = ir.to_proto(model)
        owners, called = Owners(proto.graph, nodes), f"{problem.title} at {width} bits"
        data = proto.SerializeToString()
        trial = TimedSession(data, called, threads, batch, f"{folder}/{width}-trial")
        trial.run(1, warm_up=0)
        kernels = tuple(sorted((one.kind, owners.of(one.operation)) for one in trial.kernels()))
        if kernels in files:
            files[kernels].widths.append(width)
        else:
            plain = TimedSession(data, called, threads, batch)
            profiled = TimedSession(data, called, threads, batch, f"{folder}/{width}")
            files[kernels] = _File([width], owners, plain, profiled)
    return list(files.values())


def _columns(files: Sequence[_File], totals: Sequence[float], num_nodes: int) -> NDArray[np.float64]:
    """Milliseconds of every node in every file, float64[files, Q]: one number for the same kernel."""
    measured = defaultdict[tuple[int, str, int], list[float]](list)
    runs: list[list[tuple[int, str, int]]] = []
    for file, total in zip(files, totals, strict=True):
        kernels = file.profiled.kernels()
        runs.append([])
        for kernel, time in zip(kernels, _shares(kernels, total), strict=True):
            owners = file.owners.of(kernel.operation)
            for node in owners:
                runs[-1].append((node, kernel.kind, len(owners)))
                measured[runs[-1][-1]].append(time / len(owners))
    columns = np.zeros((len(files), num_nodes))
    for column, keys in zip(columns, runs, strict=True):
        for key in keys:
            column[key[0]] += np.mean(measured[key])
    return columns


def _shares(kernels: Sequence[Kernel], total: float) -> NDArray[np.float64]:
    """Milliseconds of each kernel, which add up to the total."""
    profiled: NDArray[np.float64] = np.array([_middle(kernel.times) for kernel in kernels])
    return profiled * (total / float(profiled.sum()))


def _middle(times: Sequence[float] | NDArray[np.float64]) -> float:
    """Mean of the middle half."""
    ordered, cut = np.sort(times), len(times) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def _spread(times: Sequence[float]) -> float:
    low, median, high = np.quantile(times, (0.25, 0.5, 0.75))
    return float((high - low) / 2 / median)
