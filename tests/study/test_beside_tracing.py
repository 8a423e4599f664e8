"""Networks are traced while studies search: neither may notice, nor may anything else in the process."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nemo_lab import Study, Workload, check_interrupted, create_study, load_workload
from tests.study.test_presets import table
from tests.toy import ToyProblem
from tests.waiting import PATIENCE

GRAPHS: dict[str, Any] = {"species": ("gcn", "unet"), "population": 12, "min_size": 2}
OWN: dict[str, Any] = {"species": ("continuous", "floor"), "population": 12, "min_size": 2, "workers": 3}


class Net(nn.Module):
    """What torch.fx traces; its random numbers must not be the process's."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 3)
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x: Tensor) -> Any:
        x = nn.functional.dropout(self.norm(self.conv(x)).relu(), 0.25, training=True)
        return self.head(x.mean((2, 3)) * self.scale)


class Looks(Net):
    """What torch.export alone traces."""

    def forward(self, x: Tensor) -> Any:
        if x.shape[1] != 1:
            raise ValueError("one channel, please")
        return super().forward(x)


class Attends(nn.Module):
    """What torch.fx would leave whole; its fused kernels must not be switched off for others."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.head = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Any:
        return self.head(self.attention(x, x, x)[0])


def seen(workload: Workload) -> str:
    """All that people see of a trace."""
    tables = [workload.to_frame(of).to_csv() for of in ("nodes", "layers", "full_precision")]
    return "\n".join([workload.traced_by, workload.graph.code, str(workload.topology.tolist()), *tables])


def traced(kind: Callable[[], nn.Module], *shape: int) -> Callable[[], str]:
    module = kind().eval()
    return lambda: seen(Workload.from_module(module, torch.ones(shape, dtype=torch.float32)))


FX = traced(Net, 1, 1, 8, 8)
EXPORT = traced(Looks, 1, 1, 8, 8), traced(Attends, 1, 5, 8)
TRACES: tuple[Callable[[], str], ...] = (FX, *EXPORT, lambda: seen(load_workload("fashion")))


class Own(ToyProblem):
    """A problem of one's own that runs a module on four batches, with noise of its own seed."""

    def __init__(self) -> None:
        super().__init__()
        self.batches = torch.randn(4, 8, 1, 8, 8, generator=torch.Generator().manual_seed(1))
        self.net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 5)).eval()
        for i, parameter in enumerate(self.net.parameters()):
            torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(i))

    def evaluate(self, bits: Any) -> np.ndarray:
        rows = np.atleast_2d(np.asarray(bits, dtype=np.float64))
        errors = []
        for row in rows:
            total = 0.0
            for batch in self.batches:
                check_interrupted()
                with torch.no_grad():
                    exact = self.net(batch)
                    total += float((self.net((batch * row.sum()).round() / row.sum()) - exact).abs().mean())
            errors.append(np.tanh(total))
        return np.column_stack([errors, self.costs(rows)])


def graph_search() -> Study:
    return create_study(load_workload("digits"), seed=1, **GRAPHS)


def own_search() -> Study:
    return create_study(Own(), seed=1, **OWN)


def in_threads(*work: Callable[[], object]) -> None:
    """Do it all at once; what fails in a thread fails here."""
    failed: list[BaseException] = []

    def run(one: Callable[[], object]) -> None:
        try:
            one()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads)
    if failed:
        raise failed[0]


def test_four_threads_trace_while_two_studies_search() -> None:
    wanted = [trace() for trace in TRACES]
    assert [one.split("\n")[0] for one in wanted[:3]] == ["torch.fx", "torch.export", "torch.export"]
    alone = [table(search().optimize(40, progress=False)) for search in (graph_search, own_search)]
    studies, call = [graph_search(), own_search()], nn.Module.__call__

    def go_round(first: int) -> None:
        for step in range(len(TRACES)):
            which = (first + step) % len(TRACES)
            assert TRACES[which]() == wanted[which]

    for study in studies:
        study.start(40)
    in_threads(*(partial(go_round, first) for first in range(4)))
    for study, table_alone in zip(studies, alone, strict=True):
        assert study.wait(PATIENCE)
        assert study.state == "finished", study.snapshot.error
        assert table(study) == table_alone
    assert nn.Module.__call__ is call


def everywhere() -> dict[str, Any]:
    """What belongs to the whole process, or is the beginning of every new thread."""
    begins: list[Any] = []
    thread = threading.Thread(
        target=lambda: begins.append((torch.get_num_threads(), torch.is_grad_enabled(), np.geterr()))
    )
    thread.start()
    thread.join()
    return {
        "new threads": begins[0],
        "this thread": (torch.get_num_threads(), torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "filters": list(warnings.filters),
        "the list of filters": id(warnings.filters),
        "streams": (sys.stderr, sys.stdout, sys.stdin),
        "environment": dict(os.environ),
        "defaults": (torch.get_default_dtype(), torch.get_default_device()),
        "attention": torch.backends.mha.get_fastpath_enabled(),
        "onednn": torch.backends.mkldnn.is_available() and torch._C._get_mkldnn_enabled(),
        "exactness": (torch.are_deterministic_algorithms_enabled(), torch.get_float32_matmul_precision()),
        "numpy's numbers": str(np.random.mtrand._rand.get_state()),
        "numpy's errors": np.geterr(),
        "hooks": (sys.excepthook, threading.excepthook),
        "recursion": sys.getrecursionlimit(),
    }


@contextmanager
def watched(*, tracing: bool = False) -> Iterator[list[str]]:
    """What of ``everywhere`` differs at any time while the body runs, or afterwards; and random numbers."""
    torch.manual_seed(7)
    generator = torch.Generator().manual_seed(7)
    before = everywhere()
    found: set[str] = set()
    over = threading.Event()
    passing = {"filters", "the list of filters"} if tracing else set()  # torch.fx itself catches warnings
    looks = [0]

    def watch() -> None:
        while not over.is_set():
            looks[0] += 1
            now = everywhere()
            found.update(name for name, value in before.items() if now[name] != value and name not in passing)
            if not torch.equal(torch.rand(16), torch.rand(16, generator=generator)):
                found.add("torch's numbers")

    thread = threading.Thread(target=watch)
    thread.start()
    differing: list[str] = []
    try:
        yield differing
    finally:
        over.set()
        thread.join()
    now = everywhere()
    found.update(name for name, value in before.items() if now[name] != value)
    assert looks[0] > 5
    differing += sorted(found)


def test_a_search_changes_nothing_for_other_threads() -> None:
    create_study("digits", population=12, min_size=1).optimize(13, progress=False)  # all is imported
    studies = graph_search(), own_search(), create_study("digits", population=12, min_size=1)
    with watched() as differing:
        for study in studies:
            study.start(30)
        assert all(study.wait(PATIENCE) for study in studies)
    assert [study.state for study in studies] == ["finished"] * 3
    assert not differing


def test_torch_fx_changes_nothing_for_other_threads() -> None:
    with watched(tracing=True) as differing:
        in_threads(*[lambda: [FX() for _ in range(10)]] * 2, lambda: load_workload("digits"))
    assert not differing


def test_torch_export_leaves_everything_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(7)
    before = everywhere()
    in_threads(*[lambda: [trace() for trace in EXPORT]] * 2)
    assert everywhere() == before
    assert torch.equal(torch.rand(16), torch.rand(16, generator=torch.Generator().manual_seed(7)))
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


def test_overlapping_threads_keep_their_own_warnings() -> None:
    """Filters that a thread sets and takes back are its own, whatever is traced or searched meanwhile."""
    study = graph_search()
    before = list(warnings.filters)
    study.start(30)
    while study.wait(0) is False:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            FX()
            warnings.warn("mine", UserWarning, stacklevel=1)
        assert [str(one.message) for one in caught] == ["mine"]
    assert study.state == "finished"
    assert list(warnings.filters) == before


def test_the_modules_of_other_threads_are_not_traced() -> None:
    """Modules that are run and trained while others are traced do what they do alone."""
    inputs = torch.ones(2, 1, 8, 8)

    def trained() -> Tensor:
        net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
        for i, parameter in enumerate(net.parameters()):
            nn.init.normal_(parameter, generator=torch.Generator().manual_seed(i))
        optimizer = torch.optim.SGD(net.parameters(), lr=1e-4)
        for _ in range(20):
            loss = net(inputs).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return net(inputs).detach()

    wanted = trained()

    def train() -> None:
        for _ in range(5):
            assert torch.equal(trained(), wanted)

    in_threads(train, train, lambda: [FX() for _ in range(15)])


@pytest.mark.parametrize("default", [torch.float64, torch.float16])
def test_the_default_type_changes_no_result(default: torch.dtype) -> None:
    def both() -> tuple[bytes, str]:
        return table(graph_search().optimize(14, progress=False)), FX()

    wanted = both()
    torch.set_default_dtype(default)
    try:
        assert both() == wanted
    finally:
        torch.set_default_dtype(torch.float32)
