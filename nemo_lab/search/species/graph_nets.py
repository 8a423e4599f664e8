"""The graph networks that the species ``gcn`` and ``unet`` evolve, from torch-geometric's layers."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

with warnings.catch_warnings():  # its import uses what torch has deprecated
    warnings.simplefilter("ignore", DeprecationWarning)
    from torch_geometric.nn import GATConv, GCNConv, GraphUNet


class BitWidthNet(nn.Module):
    """Graph layer -> SELU -> GATConv -> SELU -> linear -> SELU -> one logit per width and node.

    Args:
        encoder: the first graph layer, ``GCNConv`` or ``GraphUNet`` (METHOD section 4).
        hidden: channels between the layers.
        widths: logits per node.
    """

    def __init__(self, encoder: nn.Module, hidden: int, widths: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.attention = GATConv(hidden, hidden)
        self.linear = nn.Linear(hidden, hidden)
        self.output = nn.Linear(hidden, widths)

    def forward(self, features: Tensor, edges: Tensor) -> Tensor:
        """float[Q, F] and int64[2, E] -> logits float[Q, widths]."""
        x = torch.selu(self.encoder(features, edges))
        x = torch.selu(self.attention(x, edges))
        logits: Tensor = self.output(torch.selu(self.linear(x)))
        return logits


def gcn(features: int, hidden: int, widths: int) -> BitWidthNet:
    """Graph convolution first."""
    return BitWidthNet(GCNConv(features, hidden), hidden, widths)


def unet(features: int, hidden: int, widths: int) -> BitWidthNet:
    """A Graph U-Net of depth two in place of the graph convolution."""
    return BitWidthNet(GraphUNet(features, hidden, hidden, depth=2), hidden, widths)
