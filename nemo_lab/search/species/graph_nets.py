"""The graph networks that the species ``gcn`` and ``unet`` evolve, from torch-geometric's layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nemo_lab._quiet import importing, no_warnings

with importing(), no_warnings():  # it uses what torch has deprecated
    from torch_geometric.nn import GATConv, GCNConv, GraphUNet
    from torch_geometric.utils import add_self_loops, remove_self_loops

    one = torch.ones(1, 1, device="cpu").to_sparse()
    torch.sparse.mm(one, one)  # torch says the first time, and then no more, that this is in beta


class BitWidthNet(nn.Module):
    """Graph layer -> SELU -> GATConv -> SELU -> linear -> SELU -> one logit per width and node.

    Args:
        encoder: the first graph layer, ``GCNConv`` or ``GraphUNet`` (docs/method.md, section 4).
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


class _GraphUNet(GraphUNet):  # type: ignore[misc, unused-ignore]
    """Squares the adjacency in coordinate form: torch's product of CSR matrices leaks 38 KB a call."""

    def augment_adj(self, edge_index: Tensor, edge_weight: Tensor, num_nodes: int) -> tuple[Tensor, Tensor]:
        """Edges and weights of (A + I)^2 without its diagonal."""
        edge_index, edge_weight = remove_self_loops(edge_index, edge_weight)
        edge_index, edge_weight = add_self_loops(edge_index, edge_weight, num_nodes=num_nodes)
        adjacency = torch.sparse_coo_tensor(
            edge_index, edge_weight, (num_nodes, num_nodes), check_invariants=False
        ).coalesce()
        squared = torch.sparse.mm(adjacency, adjacency).coalesce()
        edge_index, edge_weight = remove_self_loops(squared.indices(), squared.values())
        return edge_index, edge_weight


def gcn(features: int, hidden: int, widths: int) -> BitWidthNet:
    """Graph convolution first."""
    return BitWidthNet(GCNConv(features, hidden), hidden, widths)


def unet(features: int, hidden: int, widths: int) -> BitWidthNet:
    """A Graph U-Net of depth two in place of the graph convolution."""
    return BitWidthNet(_GraphUNet(features, hidden, hidden, depth=2), hidden, widths)
