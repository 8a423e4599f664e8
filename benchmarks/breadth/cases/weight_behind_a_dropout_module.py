"""DeBERTa-v2: relative positions multiply once as they are, once behind a module of nn.Dropout.

Expected: the table is one weight, stored once, as with nn.functional.dropout, which is transparent; found: it
counts twice, the second time under another name, which in DeBERTa-v2 is "...query_proj.linear_11.weight".
"""
import warnings

import torch
from torch import nn

from nemo_lab import Workload


class Relative(nn.Module):
    def __init__(self, drop):
        super().__init__()
        self.table, self.drop, self.query = nn.Parameter(torch.randn(6, 8)), drop, nn.Linear(8, 8)

    def forward(self, x):
        return self.query((x @ self.table.T).softmax(-1) @ self.drop(self.table))


class Function(nn.Module):
    def forward(self, x):
        return nn.functional.dropout(x, 0.5, self.training)


warnings.simplefilter("ignore")
wrong = 0
for drop in (Function(), nn.Dropout(), nn.Identity()):
    workload = Workload.from_module(Relative(drop).eval(), torch.randn(2, 5, 8))
    weights = [(node.name, node.params) for node in workload.nodes if node.kind == "weight"]
    print(type(drop).__name__, weights, "expected", 48 + 64)
    wrong += workload.params != 48 + 64
raise SystemExit(wrong)
