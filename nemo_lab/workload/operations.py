"""Which operations have weights, which are quantized at, and which are looked through."""

from __future__ import annotations

import operator

import torch
from torch import nn

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
LAYERS = (*CONVOLUTIONS, nn.Linear)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
ADDITIONS = (operator.add, operator.iadd, torch.add)
TRANSPARENT_MODULES = (
    nn.Identity,
    nn.Flatten,
    nn.Dropout,
    nn.Dropout2d,
    nn.MaxPool1d,
    nn.MaxPool2d,
    nn.MaxPool3d,
    nn.AvgPool2d,
)
TRANSPARENT_FUNCTIONS = {
    "flatten", "mean", "adaptive_avg_pool2d", "max_pool2d", "_max_pool2d", "avg_pool2d", "dropout",
    "view", "reshape", "permute", "transpose", "contiguous", "squeeze", "unsqueeze",
}  # fmt: skip
