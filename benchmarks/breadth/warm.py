"""Imported once, before the processes are forked: what is loaded or compiled late is at hand in each."""

from __future__ import annotations

import warnings
from contextlib import suppress

import torch
from torch import nn

import nemo_lab as nl


class _Halves(nn.Module):
    """Branches on a size, so that torch.fx gives up and torch.export is taken."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The layer, on both halves."""
        first, second = (part for part in self.layer(x).chunk(2, -1))
        if x.ndim == 3:
            raise ValueError("matrices alone")
        return torch.cat([first.softmax(-1), second] if first.sum().shape == () else [first], -1)


torch.set_num_threads(1)
with suppress(ImportError):  # which loads its parts late
    from transformers import BertConfig, BertModel

    sizes = {"vocab_size": 8, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    BertModel(BertConfig(**sizes))
with suppress(ImportError):
    from timm import create_model

    create_model("test_vit")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    for _net, _x in (
        (nn.Sequential(nn.Conv2d(3, 4, 3)), torch.randn(2, 3, 8, 8)),
        (_Halves(), torch.randn(2, 4)),
    ):
        _workload = nl.Workload.from_module(_net, _x)
        nl.QuantizationProblem(
            _workload, _x, _x, lambda found, labels, reference: found.flatten(1).mean(1), (4, 8), threads=1
        ).evaluate([8] * len(_workload.nodes))
