"""The species of graph networks: layers as in the method, differing members, imitation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch_geometric.nn import GATConv, GCNConv, GraphUNet

from nemo_lab import QuantizationProblem
from nemo_lab.search.options import SearchOptions
from nemo_lab.search.species.graph import GcnSpecies, UnetSpecies
from tests.toy import ToyProblem

CLASSES = [GcnSpecies, UnetSpecies]


@pytest.fixture(scope="module", params=CLASSES, ids=["gcn", "unet"])
def species(request: pytest.FixtureRequest, digits_problem: QuantizationProblem) -> Any:
    return request.param(digits_problem, SearchOptions())


def test_layers_are_those_of_the_method(species: Any) -> None:
    first = GCNConv if isinstance(species, GcnSpecies) else GraphUNet
    assert isinstance(species.net.encoder, first)
    assert type(species.net.attention) is GATConv
    assert species.net.output.out_features == 7
    assert {len(shape) for shape in species.shapes} == {1, 2, 3}


def test_untrained_members_differ_between_nodes_and_between_members(species: Any) -> None:
    bits = np.array([species.decode(g) for g in species.initial(16, np.random.default_rng(0))])
    assert bits.dtype == np.uint8
    assert set(bits.ravel().tolist()) == set(range(2, 9))
    assert sum(len(np.unique(row)) > 1 for row in bits) >= 14, "members give every node one width"
    assert len(np.unique(bits, axis=0)) == 16, "members repeat each other"
    levels = bits.mean(axis=1)
    assert levels.max() - levels.min() > 3, "members should be spread over width levels"


def test_imitation_is_close(species: Any) -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(2, 9, (4, 36)).astype(np.uint8)
    decoded = np.array([species.decode(genome) for genome in species.imitate(bits, rng)])
    unrelated = np.abs(bits.astype(int) - bits[::-1]).mean()
    assert np.abs(decoded.astype(int) - bits).mean() < unrelated / 2
    uniform = np.full((1, 36), 4, dtype=np.uint8)
    assert species.decode(species.imitate(uniform, rng)[0]).tolist() == [4] * 36


def test_children_differ_and_parents_stay(species: Any) -> None:
    rng = np.random.default_rng(0)
    parents = species.initial(4, rng)
    before = [[tensor.copy() for tensor in parent] for parent in parents]
    children = species.offspring(parents, 5, rng)
    assert len(children) == 5
    for child in children:
        assert tuple(tensor.shape for tensor in child) == species.shapes
        assert set(species.decode(child).tolist()) <= set(range(2, 9))
        assert not any(
            all(np.array_equal(a, b) for a, b in zip(child, parent, strict=True)) for parent in parents
        )
    for parent, kept in zip(parents, before, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(parent, kept, strict=True))


def test_only_the_given_generator_counts(species: Any) -> None:
    def run() -> list[list[int]]:
        rng = np.random.default_rng(7)
        members = species.initial(2, rng)
        members += species.offspring(members, 2, rng)
        members += species.imitate(np.full((1, 36), 3, dtype=np.uint8), rng)
        return [species.decode(member).tolist() for member in members]

    torch.manual_seed(1)
    first = run()
    torch.manual_seed(2)
    assert run() == first


@pytest.mark.parametrize("kind", CLASSES)
def test_making_a_species_draws_nothing_from_torch(kind: Any) -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    kind(ToyProblem(), SearchOptions())
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("widths", [(2, 4, 8), (4,)])
def test_small_graphs_and_few_widths(kind: Any, widths: tuple[int, ...]) -> None:
    species = kind(ToyProblem(2, widths), SearchOptions())
    for genome in species.initial(3, np.random.default_rng(0)):
        assert set(species.decode(genome).tolist()) <= set(widths)


def test_edges_can_follow_the_data_flow(digits_problem: QuantizationProblem) -> None:
    sequential = GcnSpecies(digits_problem, SearchOptions())
    topology = GcnSpecies(digits_problem, SearchOptions(gnn_edges="topology"))
    assert sequential.edges.shape[1] == 2 * 35
    pairs = {tuple(edge) for edge in topology.edges.T.tolist()}
    expected = {tuple(edge) for edge in digits_problem.workload.topology.T.tolist()}
    assert pairs == expected | {(b, a) for a, b in expected}
