"""How much of the workers' time is used: Dask's threads with an evaluator that sleeps, and processes."""

from __future__ import annotations

import time

import nemo_lab as nl
from nemo_lab.search import Problem

SECONDS = 2.0


class Sleeping(Problem):
    """A real network's costs, and an error that takes its time."""

    def __init__(self, seconds: float = SECONDS) -> None:
        inner = nl.QuantizationProblem(nl.load_workload("digits"))
        self.seconds, self.num_nodes, self.node_names = seconds, inner.num_nodes, inner.node_names
        self.bit_widths, self.objective_names = inner.bit_widths, inner.objective_names
        self.node_features, self.edges = inner.node_features, inner.edges
        self.cost_names, self.workload, self.cost_model = inner.cost_names, inner.workload, inner.cost_model
        self.objective_bounds = inner.objective_bounds

    def evaluate(self, bits):  # type: ignore[no-untyped-def]
        """A made-up error beside the exact costs."""
        import numpy as np

        time.sleep(self.seconds * len(bits))
        bits = np.asarray(bits)
        error = np.exp2(-bits.astype(float)).mean(axis=1, keepdims=True)
        return np.hstack([error, self.cost_model.evaluate(bits)])

    def costs(self, bits):  # type: ignore[no-untyped-def]
        """Of the network."""
        return self.cost_model.evaluate(bits)


def dask_threads(workers: int, rounds: int, **options: int) -> str:
    """A row: so many real Dask worker threads, each ``rounds`` evaluations on average."""
    import dask
    from distributed import Client, LocalCluster

    with (
        # it looks at the stack of every worker thread a hundred times a second
        dask.config.set({"distributed.worker.profile.enabled": False}),
        LocalCluster(
            n_workers=1,
            threads_per_worker=workers,
            dashboard_address="127.0.0.1:0",
            memory_limit=None,
        ) as cluster,
        Client(cluster) as client,
    ):
        study = nl.create_study(
            Sleeping(), executor=client.get_executor(), workers=workers, seed=0, **options
        )
        study.optimize(7, progress=False)  # the first generation, for which all wait
        count, began, worked = workers * rounds, time.perf_counter(), time.process_time()
        study.optimize(count, progress=False)
        took, spent = time.perf_counter() - began, time.process_time() - worked
        study.close()
    ideal = rounds * SECONDS
    named = ", ".join(f"{name}={value}" for name, value in options.items())
    used = f"{took:.1f} s | {ideal:.1f} s | {100 * ideal / took:.0f} %"
    return f"| {workers} threads of Dask | `{named}` | {count} | {used} | {1000 * spent / count:.1f} ms |"


def processes(name: str, evaluations: int, images: int | None = None, turns: int = 3) -> str:
    """A row: two processes against one, cold caches on both sides, in turns."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(turns):
        for workers in rates:
            problem = _problem(name, images)
            study = nl.create_study(problem, seed=0, workers=workers, ahead=8)
            study.optimize(8, progress=False)  # processes have come, and know the problem
            began = time.perf_counter()
            study.optimize(evaluations, progress=False)
            rates[workers].append(evaluations / (time.perf_counter() - began))
            study.close()
    one, two = (sorted(found)[turns // 2] for found in rates.values())
    return f"| {name} | {evaluations} | {one:.2f} | {two:.2f} | {two / one:.2f} |"


def _problem(name: str, images: int | None) -> nl.QuantizationProblem:
    if images is None:
        return nl.QuantizationProblem(nl.load_workload(name), threads=1)
    import torch
    import torchvision

    torch.manual_seed(0)
    module = getattr(torchvision.models, name)(weights=None).eval()
    batch = torch.randn(images, 3, 224, 224)
    workload = nl.Workload.from_module(module, batch[:1], name=name)
    with torch.no_grad():
        labels = module(batch).argmax(1)
    return nl.QuantizationProblem(workload, batch[:16], (batch, labels), threads=1)
