"""Our squared adjacency equals torch-geometric's, without its leak."""

from __future__ import annotations

import warnings

import torch
from torch_geometric.nn import GraphUNet

from nemo_lab.search.species.graph_nets import unet


def test_the_squared_adjacency_is_the_librarys() -> None:
    generator = torch.Generator().manual_seed(0)
    ours = unet(5, 8, 7).encoder
    for nodes in (3, 10, 36):
        edges = torch.randint(0, nodes, (2, 3 * nodes), generator=generator)
        edges = torch.unique(edges, dim=1)
        weight = torch.rand(edges.shape[1], generator=generator)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            index, value = GraphUNet.augment_adj(ours, edges, weight, nodes)
        our_index, our_value = ours.augment_adj(edges, weight, nodes)
        assert len(our_value) == len(value)
        size = (nodes, nodes)
        expected = torch.sparse_coo_tensor(index, value, size, check_invariants=True).to_dense()
        found = torch.sparse_coo_tensor(our_index, our_value, size, check_invariants=True).to_dense()
        assert torch.allclose(found, expected)
        assert found.diagonal().eq(0).all()
