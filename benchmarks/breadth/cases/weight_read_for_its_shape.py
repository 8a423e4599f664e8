"""timm's StdConv2d and ScaledStdConv2d (ResNet-V2 BiT, NFNets, NF-RegNets): a standardised weight is brought back
to the shape of the one it is computed of by reshape_as(self.weight).

Expected: what is computed is stored in place of the parameter (docs: held, computed once), so it counts once. Found:
the parameter, read for its shape alone, also counts, in full precision: 45.9 of 24.1 million weights of eca_nfnet_l0.
"""
import warnings

import torch
import torch.nn.functional as F
from torch import nn

from nemo_lab import Workload


class Standardised(nn.Conv2d):
    def forward(self, x):
        flat = self.weight.reshape(1, self.out_channels, -1)
        weight = F.batch_norm(flat, None, None, training=True)
        return F.conv2d(x, weight.reshape_as(self.weight), self.bias)


class Viewed(nn.Conv2d):
    def forward(self, x):
        flat = self.weight.reshape(1, self.out_channels, -1)
        return F.conv2d(x, F.batch_norm(flat, None, None, training=True).view(4, 3, 3, 3), self.bias)


wrong = 0
for layer in (Viewed, Standardised):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        workload = Workload.from_module(layer(3, 4, 3).eval(), torch.randn(2, 3, 8, 8))
    weights = [(node.name, node.params) for node in workload.nodes if node.kind == "weight"]
    kept = [(part.name, part.params) for part in workload.full_precision]
    print(layer.__name__, weights, kept, workload.params, "expected", 108, *[str(w.message)[:90] for w in caught])
    wrong += workload.params != 108
raise SystemExit(wrong)
