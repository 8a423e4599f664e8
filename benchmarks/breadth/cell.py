"""One network in a process of its own, in steps; what each step finds is sent as soon as it is known."""

from __future__ import annotations

import math
import statistics
import time
import warnings
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import torch
from torch import Tensor, nn

import nemo_lab as nl
from benchmarks.breadth import counted
from benchmarks.breadth.networks import Network, all_networks
from benchmarks.breadth.prepare import DATA, OTHER, TRACED, batch, build, call, distance, state, tensors
from nemo_lab.quantize.scores import scores

WIDTHS = (4, 8)
REPEATS = 5


def measure(name: str, part: str, pipe: Connection) -> None:
    """The steps of a part for one network; one that fails is sent, and those that need it are left out."""
    torch.set_num_threads(1)
    network = all_networks()[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = _step(pipe, "built", lambda: build(network))
        if module is None:
            return
        before = state(module)
        if part == "operands":
            _step(pipe, "operands", lambda: _operands(network, module, pipe))
            return
        workload = _step(pipe, "traced", lambda: _trace(network, module, pipe))
        _step(pipe, "counted", lambda: pipe.send({"counter": counted.macs(network, module)}))
        _step(pipe, "weighed", lambda: _weigh(network, module, workload, pipe))
        if workload is None:
            pipe.send({"unchanged": state(module) == before})
            return
        for step, count in (("same", TRACED), ("same at another batch size", OTHER)):
            _step(pipe, step, lambda s=step, n=count: pipe.send({s: _off(network, module, workload, n)}))
        if part == "traced":
            pipe.send({"unchanged": state(module) == before})
            return
        problem = _step(pipe, "quantized", lambda: _quantize(network, module, workload, pipe, ""))
        if problem is not None:
            _step(pipe, "timed", lambda: pipe.send({"times": _time(network, module, problem)}))
        pipe.send({"unchanged": state(module) == before})


def _step(pipe: Connection, name: str, do: Callable[[], Any]) -> Any:
    began = time.perf_counter()
    try:
        return do()
    except Exception as error:
        pipe.send({f"{name}: error": f"{type(error).__name__}: {error}"[:1500]})
        return None
    finally:
        pipe.send({f"{name}: seconds": round(time.perf_counter() - began, 2)})


def _trace(network: Network, module: nn.Module, pipe: Connection) -> nl.Workload:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        workload = nl.Workload.from_module(module, batch(network, TRACED, 2))
    kinds = Counter(node.kind for node in workload.nodes)
    parts = workload.full_precision
    by_op: Counter[str] = Counter()
    for op, macs in [(one.op, one.macs) for one in workload.layers] + [(one.op, one.macs) for one in parts]:
        by_op[op] += macs or 0
    pipe.send(
        {
            "path": workload.traced_by,
            "decisions": [kinds["weight"], kinds["activation"]],
            "macs": workload.macs,
            "macs by operator": dict(by_op),
            "unknown": [[part.name, part.op] for part in parts if part.macs is None],
            "weights": workload.params,
            "full precision": [[p.name, p.op, p.params, p.macs] for p in parts],
            "warned": [str(w.message)[:400] for w in caught if issubclass(w.category, nl.NemoWarning)],
            "other warnings": sorted({f"{w.category.__name__}: {w.message}"[:200] for w in caught
                                      if not issubclass(w.category, nl.NemoWarning)}),
        }
    )  # fmt: skip
    return workload


def _weigh(network: Network, module: nn.Module, workload: nl.Workload | None, pipe: Connection) -> None:
    found = counted.weights(network, module)
    used, unused = found.pop("used"), found.pop("unused")
    found |= {
        "matrices": sum(used.values()),
        "unused": sum(unused.values()),
        "unused names": list(unused)[:6],
    }
    if workload is not None and workload.params != found["matrices"]:
        known = {q.source for node in workload.nodes for q in node.quantizers if q.kind == "weight"}
        known |= {alias for node in workload.nodes for q in node.quantizers for alias in (q.name, *q.aliases)}
        listed = tuple(part.name for part in workload.full_precision if part.params)
        found["missing"] = {n: s for n, s in used.items() if n not in known and not n.startswith(listed)}
        stored = {
            q.source: math.prod(q.shape) for n in workload.nodes for q in n.quantizers if q.kind == "weight"
        }
        found["more"] = {source: size for source, size in stored.items() if source not in used}
    pipe.send({"stored": found})


def _off(network: Network, module: nn.Module, workload: nl.Workload, count: int) -> float:
    given = batch(network, count, 3)
    with torch.no_grad():
        return distance(call(workload.graph, given), call(module, given))


def _flat(outputs: Any) -> Tensor:
    """All real outputs of each example, float[N, ...]: scores, where a model calls some so."""
    found = scores(outputs)
    found = [found] if isinstance(found, Tensor) else tensors(found)
    return torch.cat([one.double().flatten(1) for one in found if one.is_floating_point() and one.ndim], 1)


def noise(outputs: Any, labels: Any, reference: Any) -> Tensor:
    """Squared error over the variance of the outputs in full precision."""
    found, wanted = _flat(outputs), _flat(reference)
    return (found - wanted).square().mean(1) / wanted.var()


def _quantize(
    network: Network, module: nn.Module, workload: nl.Workload, pipe: Connection, prefix: str
) -> nl.QuantizationProblem:
    data = batch(network, DATA, 5)
    with torch.no_grad():
        found = scores(call(module, data))
    classes = isinstance(found, Tensor) and found.ndim in (2, 3) and found.shape[-1] > 1
    problem = nl.QuantizationProblem(
        workload,
        batch(network, DATA, 4),
        data,
        ("kl", noise) if classes else noise,
        bit_widths=WIDTHS,
        batch_size=DATA,
        threads=1,
        kept_mb=0,
    )
    for width in WIDTHS:
        errors = problem.evaluate([width] * problem.num_nodes)[0]
        snr = -10 * math.log10(max(errors[int(classes)], 1e-300))
        pipe.send({f"{prefix}kl {width}": float(errors[0]) if classes else None, f"{prefix}snr {width}": snr})
    return problem


def _time(network: Network, module: nn.Module, problem: nl.QuantizationProblem) -> dict[str, float]:
    data, bits = batch(network, DATA, 5), [8] * problem.num_nodes

    def evaluate() -> None:
        problem._found.clear()
        problem.evaluate(bits)

    def plain() -> None:
        with torch.no_grad():
            call(module, data)

    return {"evaluation": _median(evaluate), "plain": _median(plain)}


def _median(task: Callable[[], None]) -> float:
    taken = []
    for _ in range(REPEATS + 1):  # the first warms up
        began = time.perf_counter()
        task()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:])


def _operands(network: Network, module: nn.Module, pipe: Connection) -> None:
    workload = nl.Workload.from_module(module, batch(network, TRACED, 2), activations="operands")
    kinds = Counter(node.kind for node in workload.nodes)
    pipe.send({"operands decisions": [kinds["weight"], kinds["activation"]]})
    _quantize(network, module, workload, pipe, "operands ")
