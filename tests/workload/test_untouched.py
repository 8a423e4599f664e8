"""A module, and the thread, are as before a trace, whatever came of it."""

from __future__ import annotations

import io
from collections import deque

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

import nemo_lab as nl
from nemo_lab.workload.untouched import depth_of_transforms

pytestmark = pytest.mark.filterwarnings("ignore::nemo_lab.NemoWarning")


class Keeps(nn.Module):
    """Attributes of every kind, which ``forward`` sets or fills."""

    def __init__(self, *, reads: bool = False) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(8, 8), nn.Linear(8, 3)
        self.reads, self.calls, self.last = reads, 0, None
        self.seen: list[Tensor] = []
        self.recent: deque[Tensor] = deque(maxlen=2)
        self.by_size: dict[int, Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        y = self.layer(x)
        if self.reads and self.last is not None:
            y = y + self.last.mean() * 0
        self.last = self.made_in_forward = y.softmax(-1)
        self.seen.append(self.last)
        self.recent.append(self.last)
        self.by_size[x.shape[1]] = self.last
        found: Tensor = self.head(self.last @ self.layer.weight)
        return found


@pytest.mark.parametrize("ran", [False, True])
@pytest.mark.parametrize("reads", [False, True])
def test_attributes_are_as_they_were(ran: bool, reads: bool) -> None:
    module, x = Keeps(reads=reads).eval(), torch.randn(4, 8)
    if ran:
        with torch.no_grad():
            module(x)
    before = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    contents = {name: list(value) for name, value in before.items() if isinstance(value, list | deque | dict)}
    workload = nl.Workload.from_module(module, x)
    after = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    assert after.keys() == before.keys()
    assert all(after[name] is before[name] for name in before)
    for name, content in contents.items():
        assert [id(one) for one in after[name]] == [id(one) for one in content]
    torch.save(module, io.BytesIO())
    with torch.no_grad():
        assert isinstance(module(x), Tensor)
        torch.testing.assert_close(workload.graph(x), module(x))


class Ensemble(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.members = nn.ModuleList(nn.Linear(8, 2) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        given = stack_module_state(list(self.members))
        one = self.members[0]
        found: Tensor = vmap(lambda p, b, x: functional_call(one, (p, b), (x,)), in_dims=(0, 0, None))(
            *given, x
        )
        return found.mean(0)


def test_a_trace_that_fails_within_vmap_leaves_torch_as_it_was() -> None:
    with pytest.raises(nl.NemoError, match="cannot trace Ensemble"):
        nl.Workload.from_module(Ensemble().eval(), torch.randn(2, 8))
    assert depth_of_transforms() == 0
    torch.zeros(1).requires_grad_()


def test_buffers_that_cannot_be_written_to_are_let_be() -> None:
    class Views(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(16, 3)
            self.register_buffer("wide", torch.ones(1, 16).expand(3, 16))

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.layer(x) + (x @ self.wide.T) * 0.1  # type: ignore[operator]
            return found

    assert len(nl.Workload.from_module(Views().eval(), torch.randn(2, 16)).nodes) > 0
    with torch.inference_mode():
        made = nn.Sequential(nn.Linear(8, 4), nn.BatchNorm1d(4)).eval()
    assert len(nl.Workload.from_module(made, torch.randn(2, 8)).nodes) > 0


@pytest.mark.parametrize(
    "make", [lambda: nn.LazyLinear(3), lambda: nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d())]
)
def test_lazy_modules_draw_their_weights_with_a_word(make: object) -> None:
    module = make()  # type: ignore[operator]
    x = torch.randn(2, 3, 8, 8)
    with pytest.warns(nl.NemoWarning, match="lazy modules had no weights yet, and drew some: "):
        workload = nl.Workload.from_module(module.eval(), x)
    assert len(workload.nodes) > 0
    with pytest.raises(nl.NemoError, match="does not run on the example input"):
        nl.Workload.from_module(nn.Sequential(nn.LazyLinear(3), nn.LazyConv2d(2, 9)).eval(), x)
