"""timm's XCiT: positions of the shape of the image go through a convolution, once whatever the batch.

Expected: MACs of one example do not depend on how many the example batch has; found: what reads only the input's
shape, and so is done once, is divided by the batch.
"""
import warnings

import torch
from torch import nn

from nemo_lab import Workload


class Positions(nn.Module):
    def __init__(self, repeated):
        super().__init__()
        self.patch, self.position, self.repeated = nn.Conv2d(3, 4, 2, 2), nn.Conv2d(2, 4, 1), repeated

    def forward(self, x):
        x = self.patch(x)
        rows, columns = (torch.arange(size, dtype=torch.float32) for size in x.shape[2:])
        grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))
        found = self.position(grid[None])
        return x + (found.repeat(x.shape[0], 1, 1, 1) if self.repeated else found)


warnings.simplefilter("ignore")
wrong = 0
for repeated in (False, True):
    macs = [
        Workload.from_module(Positions(repeated).eval(), torch.randn(n, 3, 8, 8)).macs for n in (1, 2, 4)
    ]
    print("repeated" if repeated else "broadcast", macs, "expected", [16 * 4 * (12 + 2)] * 3)
    wrong += len(set(macs)) > 1
raise SystemExit(wrong)
