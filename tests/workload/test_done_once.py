"""What is added as a vector is a bias in whatever shape, and what is done once for a batch counts whole."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from nemo_lab import Workload


class Shifted(nn.Module):
    """A linear layer, and a bias of its own in another shape."""

    def __init__(self, arranged: Callable[[Tensor], Tensor], *size: int) -> None:
        super().__init__()
        self.layer, self.shift = nn.Linear(8, 6), nn.Parameter(torch.randn(*size))
        self.arranged = arranged

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + self.arranged(self.shift)


@pytest.mark.parametrize(
    "arranged",
    [
        lambda bias: bias,
        lambda bias: bias[None, None, :],
        lambda bias: bias.view(1, 1, 6),
        lambda bias: bias.expand(2, 5, 6),
        lambda bias: bias.to("cpu"),
        lambda bias: bias.double().float(),
        lambda bias: torch.flip(bias, (0,)),
        lambda bias: bias.repeat(5, 1),
    ],
    ids=["plain", "indexed", "viewed", "expanded", "moved", "cast", "flipped", "repeated"],
)
def test_a_bias_is_no_weight_in_whatever_shape_it_is_added(arranged: Callable[[Tensor], Tensor]) -> None:
    workload = Workload.from_module(Shifted(arranged, 6).eval(), torch.randn(2, 5, 8))
    assert [node.name for node in workload.nodes if node.kind == "weight"] == ["layer.weight"]
    assert workload.params == 48


@pytest.mark.parametrize("part", [slice(None), slice(0, 5)], ids=["whole", "part"])
def test_positions_are_a_weight(part: slice) -> None:
    workload = Workload.from_module(Shifted(lambda table: table[part], 5, 6).eval(), torch.randn(2, 5, 8))
    assert workload.params == 48 + 30


class Positions(nn.Module):
    """Adds what a convolution makes of where a pixel is, which no image changes."""

    def __init__(self, repeated: str) -> None:
        super().__init__()
        self.patch, self.position, self.repeated = nn.Conv2d(3, 4, 2, 2), nn.Conv2d(2, 4, 1), repeated

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x)
        rows, columns = (torch.arange(size, dtype=torch.float32) for size in x.shape[2:])
        grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))[None]
        if self.repeated == "before":
            grid = grid.repeat(x.shape[0], 1, 1, 1)
        found = self.position(grid)
        return x + (found.repeat(x.shape[0], 1, 1, 1) if self.repeated == "after" else found)


@pytest.mark.parametrize("repeated", ["never", "after", "before"])
@pytest.mark.parametrize("batch", [1, 2, 3])
def test_macs_of_an_example_do_not_depend_on_how_many_there_are(repeated: str, batch: int) -> None:
    workload = Workload.from_module(Positions(repeated).eval(), torch.randn(batch, 3, 8, 8))
    assert workload.macs == 16 * 4 * (12 + 2)
