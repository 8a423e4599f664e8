"""Mamba (dt_proj.bias[None, :, None]) and BART (final_logits_bias.to(device)): a bias is added in another shape.

Expected: a bias is no weight and has no decision, as in x + bias; found: it has one and counts in params.
"""
import warnings

import torch
from torch import nn

from nemo_lab import Workload


class Shifted(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.layer, self.bias, self.shape = nn.Linear(8, 6), nn.Parameter(torch.randn(6)), shape

    def forward(self, x):
        return self.layer(x) + self.shape(self.bias)


warnings.simplefilter("ignore")
wrong = 0
for name, shape in {
    "plain": lambda bias: bias,
    "view": lambda bias: bias.view(1, 1, 6),
    "indexed": lambda bias: bias[None, None, :],
    "to": lambda bias: bias.to("cpu"),
    "float": lambda bias: bias.float(),
}.items():
    workload = Workload.from_module(Shifted(shape).eval(), torch.randn(2, 5, 8))
    weights = [node.name for node in workload.nodes if node.kind == "weight"]
    print(f"{name:8} {weights} {workload.params}", "" if workload.params == 48 else "expected 48")
    wrong += workload.params != 48
raise SystemExit(wrong)
