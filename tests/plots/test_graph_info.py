"""What the graph panel and the bits strip show of a workload, and of a problem without one."""

from __future__ import annotations

import numpy as np
import pytest

from nemo_lab import QuantizationProblem
from nemo_lab.plots import bits_columns, graph_columns, graph_info
from nemo_lab.plots.graph_colors import scale_ends
from nemo_lab.plots.graph_layout import Block, Stage, folded_at_first, graph_layout, nodes_of, parts_with
from nemo_lab.plots.info import block_name
from nemo_lab.plots.style import MUTED, width_colors
from nemo_lab.testing import check_problem
from tests.toy import ToyProblem

RESIDUAL = {(12, 19), (25, 32)}  # the inputs of blocks 2 and 4 to the additions behind them


def test_digits_blocks_in_execution_order(digits_problem: QuantizationProblem) -> None:
    info = graph_info(digits_problem)
    assert info.groups == (
        ("stem", 0, 1),
        ("blocks.0", 2, 5),
        ("blocks.1", 6, 11),
        ("blocks.2", 12, 18),
        ("blocks.3", 19, 24),
        ("blocks.4", 25, 31),
        ("head", 32, 33),
        ("classifier", 34, 35),
    )
    assert info.kinds.count("weight") == 17
    assert info.kinds.count("activation") == 19
    assert info.params.sum() == digits_problem.workload.params
    assert info.shapes[1] == "12 x 1 x 3 x 3"


def test_digits_edges_are_the_data_flow_with_both_shortcuts(digits_problem: QuantizationProblem) -> None:
    edges = set(map(tuple, graph_info(digits_problem).edges.T.tolist()))
    assert {(start, end) for start, end in edges if end - start > 1} == RESIDUAL
    assert edges - RESIDUAL == {(i, i + 1) for i in range(35)}


def test_shortcuts_are_drawn_as_arcs_and_the_rest_as_lines(digits_problem: QuantizationProblem) -> None:
    columns = graph_columns(graph_info(digits_problem), None, digits_problem.bit_widths, {})
    arcs, lines = columns["arcs"], columns["near"]
    assert set(zip(arcs["x0"].tolist(), arcs["x1"].tolist(), strict=True)) == RESIDUAL
    assert np.all(arcs["cy"] < np.minimum(arcs["y0"], arcs["y1"]))  # away from the nodes between
    assert len(lines["x0"]) == 35


def test_folded_blocks_take_the_place_of_two_nodes(digits_problem: QuantizationProblem) -> None:
    info = graph_info(digits_problem)
    layout = graph_layout(info, {Block(1), Block(3)})  # blocks.0 of four nodes, blocks.2 of seven
    assert layout.width == 36 - 4 - 7 + 2 * 2
    assert layout.right[:-1].tolist() == layout.left[1:].tolist()
    bits = np.full(36, 4, dtype=np.uint8)
    bits[2:6] = [2, 2, 8, 8]
    columns = graph_columns(info, bits, digits_problem.bit_widths, {3: 8, 12: 4, 13: (4, 6)}, layout)
    nodes, folded = columns["nodes"], columns["folded"]
    assert np.isnan(nodes["x"]).tolist() == [2 <= n <= 5 or 12 <= n <= 18 for n in range(36)]
    assert folded["key"].tolist() == [1, 3]
    assert folded["text"] == ["5.0", "4.0"]
    assert "4 nodes, mean bits 5.00, 1 pinned" in folded["tip"][0]
    assert "7 nodes, mean bits 4.00, 2 pinned" in folded["tip"][1]
    assert set(columns["pins"]["x"]) == {layout.x[3], layout.x[12]}
    # the shortcut around block 2 is inside it now, but for its last step; that around block 4 is still there
    inside = set(map(tuple, layout.arcs.T.tolist()))
    assert inside == {(25, 32)}
    assert all(layout.block[a] != layout.block[b] or not layout.folded[layout.block[a]]
               for a, b in layout.near.T)  # fmt: skip


def test_big_networks_begin_folded_and_every_node_stays_findable() -> None:
    info = graph_info(digits_like(150))
    folded = folded_at_first(info)
    assert len(folded) == 50
    assert graph_layout(info, folded).width == 100
    assert folded_at_first(graph_info(digits_like(20))) == frozenset()


def digits_like(layers: int) -> ToyProblem:
    """A problem of so many layers, three to a block."""
    problem = ToyProblem(2 * layers)
    problem.node_names = tuple(
        f"stage.{layer // 3}.conv{layer % 3}.{part}"
        for layer in range(layers)
        for part in ("input", "weight")
    )
    return problem


def test_a_problem_without_a_workload_is_drawn_from_its_names(toy: ToyProblem) -> None:
    info = graph_info(toy)
    assert info.names == toy.node_names
    assert info.kinds == ("activation", "weight") * 3
    assert info.groups == (("layer0", 0, 1), ("layer1", 2, 3), ("layer2", 4, 5))
    assert info.edges.tolist() == toy.edges.tolist()
    columns = graph_columns(info, None, toy.bit_widths, {})["nodes"]
    assert columns["bits"] == ["-"] * 6
    assert columns["text"] == [""] * 6
    assert len(set(columns["color"])) == 1
    assert np.isfinite(columns["size"]).all()


def test_nodes_carry_the_bits_and_the_pins(toy: ToyProblem) -> None:
    bits = np.array([2, 3, 4, 5, 8, 8], dtype=np.uint8)
    columns = graph_columns(graph_info(toy), bits, toy.bit_widths, {1: 3, 4: 8})
    nodes = columns["nodes"]
    assert nodes["text"] == nodes["bits"] == ["2", "3", "4", "5", "8", "8"]
    assert nodes["pinned"] == ["-", "3", "-", "-", "8", "-"]
    colors = width_colors(toy.bit_widths)
    assert nodes["color"] == [colors[b] for b in bits]
    assert nodes["marker"] == ["circle", "square"] * 3
    assert columns["pins"]["x"].tolist() == [1.0, 4.0]
    assert np.all(columns["pins"]["y"] > nodes["y"][[1, 4]])


def test_size_orders_weights_by_parameters_and_activations_by_macs(
    digits_problem: QuantizationProblem,
) -> None:
    info = graph_info(digits_problem)
    size = graph_columns(info, None, digits_problem.bit_widths, {})["nodes"]["size"]
    for kind, magnitude in (("weight", info.params), ("activation", info.macs)):
        lane = np.flatnonzero(np.array(info.kinds) == kind)
        assert np.all(np.diff(size[lane][np.argsort(magnitude[lane], kind="stable")]) >= 0)
        assert size[lane].max() == pytest.approx(27)


def test_the_strip_has_a_bar_a_node() -> None:
    bits = np.array([2, 8, 5], dtype=np.uint8)
    bars = bits_columns(bits, ("a", "b", "c"), (2, 5, 8))["bars"]
    assert bars["bits"].tolist() == [2, 8, 5]
    assert bars["name"] == ["a", "b", "c"]
    assert len(set(bars["color"])) == 3
    empty = bits_columns(None, ("a", "b", "c"), (2, 5, 8))["bars"]
    assert [len(column) for column in empty.values()] == [0] * len(bars)
    marks = bits_columns(bits, ("a", "b", "c"), (2, 5, 8), np.array([2, 5, 8], dtype=np.uint8))["marks"]
    assert marks["x"].tolist() == [1, 2]
    assert marks["was"].tolist() == [5, 8]
    assert marks["sign"] == ["triangle", "inverted_triangle"]


def test_blocks_and_stages_are_read_from_names() -> None:
    blocks = {
        "encoder.layers.encoder_layer_3.mlp.0.weight": "encoder.layers.encoder_layer_3",
        "encoder.pos_embedding": "encoder",
        "layer1.0.downsample.0.weight": "layer1.0",
        "features.3.conv.0.0.weight": "features.3",
        "features.0.0.weight": "features.0",
        "classifier.1.input": "classifier.1",
        "stem.conv1.weight": "stem",
        "conv1.input": "conv1",
        "fc.weight": "fc",
    }
    assert {name: block_name(name) for name in blocks} == blocks
    assert graph_info(staged(12)).stages == (("layer1", 1, 2), ("layer2", 3, 4), ("layer3", 5, 6))
    assert graph_info(digits_like(30)).stages == ()  # one parent of all blocks says nothing


def staged(layers: int) -> ToyProblem:
    """A stem and that many layers: two to a block, two blocks to a stage."""
    problem = ToyProblem(2 * layers + 2)
    problem.node_names = (
        "stem.conv.input",
        "stem.conv.weight",
        *(
            f"layer{1 + layer // 4}.{layer // 2 % 2}.conv{layer % 2}.{part}"
            for layer in range(layers)
            for part in ("input", "weight")
        ),
    )
    return problem


def test_a_folded_stage_is_one_block_and_edges_go_around_it() -> None:
    problem = staged(12)
    info = graph_info(problem)
    layout = graph_layout(info, {Block(1), Block(5), Stage(1)})
    assert [label for label, _, _ in layout.parts] == ["stem", "layer1.0", "layer1.1", "layer2", "layer3.0",
                                                       "layer3.1"]  # fmt: skip
    assert layout.folded.tolist() == [False, True, False, True, True, False]
    assert layout.keys.tolist() == [0, 1, 2, 3, 5, 6]
    assert layout.width == 2 + 2 + 4 + 2 + 2 + 4
    assert layout.stages.T.tolist() == [[1.5, 7.5], [7.5, 9.5], [9.5, 15.5]]
    columns = graph_columns(info, None, problem.bit_widths, {10: 4}, layout, selected=[11, 2], found=[3, 12])
    assert columns["framed"]["x"].tolist() == [2.5, 8.5]
    assert columns["found"]["x"].tolist() == [2.5, 8.5]
    assert "layer2: 8 nodes, mean bits -, 1 pinned" in columns["folded"]["tip"][1]
    assert layout.folded_stages.tolist() == [False, True, False]
    assert "click to collapse" in columns["stages"]["tip"][0]
    assert "click to expand" in columns["stages"]["tip"][1]
    assert len(layout.near[0]) + len(layout.arcs[0]) == layout.width - 3 - 1  # a line less in each of three


def test_a_network_of_500_nodes_begins_in_stages() -> None:
    info = graph_info(staged(249))
    assert len(info.names) == 500
    folded = folded_at_first(info)
    stages = {part for part in folded if isinstance(part, Stage)}
    assert len(stages) == len(info.stages) == 62
    assert not any(isinstance(part, Stage) for part in folded_at_first(graph_info(staged(60))))
    assert graph_layout(info, folded).width < graph_layout(info, folded - stages).width


def test_a_stage_is_told_from_a_block_of_the_same_position_and_says_whether_it_is_folded() -> None:
    problem = ToyProblem(8)
    problem.node_names = tuple(f"layer{1 + node // 2}.{node % 2}.conv.weight" for node in range(8))
    info = graph_info(problem)
    assert [label for label, _, _ in info.stages] == ["layer1", "layer2", "layer3", "layer4"]
    assert Stage(1) != Block(1)
    assert nodes_of(Stage(1), info) == range(2, 4)
    assert nodes_of(Block(1), info) == range(1, 2)
    assert parts_with([3], info) == {Block(3), Stage(1)}
    # open, a stage of two nodes is as wide as a folded one
    for folded, word in ((set(), "collapse"), ({Stage(1)}, "expand")):
        layout = graph_layout(info, folded)
        assert layout.width == 8
        tip = graph_columns(info, None, problem.bit_widths, {}, layout)["stages"]["tip"][1]
        assert tip == f"layer2: 2 blocks; click to {word}"


def test_numbers_and_headings_show_where_there_is_room() -> None:
    info = graph_info(digits_like(150))
    bits = np.full(300, 4, dtype=np.uint8)
    far = graph_columns(info, bits, (2, 4, 8), {})
    near = graph_columns(info, bits, (2, 4, 8), {}, seen=(230, 260))
    assert set(far["nodes"]["text"]) == {""}
    assert set(near["nodes"]["text"]) == {"4"}
    assert far["nodes"]["size"].max() < 6 < 16 <= near["nodes"]["size"].min()
    assert max(map(len, far["blocks"]["label"])) == 2  # of stage.40 the number
    assert near["blocks"]["label"][40] == "stage.40"
    # a block of which a part is seen has its heading there
    assert graph_columns(info, bits, (2, 4, 8), {}, seen=(243, 273))["blocks"]["x"][40] == (243 + 245.5) / 2
    folded = graph_layout(info, folded_at_first(info))
    assert "4.0" in graph_columns(info, bits, (2, 4, 8), {}, folded, seen=(0, 40))["folded"]["text"]
    assert set(graph_columns(info, bits, (2, 4, 8), {}, folded, seen=(0, 100))["folded"]["text"]) == {""}


def test_what_is_not_measured_yet_is_grey_and_what_is_without_noise_is_bright(toy: ToyProblem) -> None:
    info = graph_info(toy)
    layout = graph_layout(info, {Block(0), Block(1)})
    measured = np.array([1.0, 3.0, np.nan, np.nan, np.inf, np.nan])
    columns = graph_columns(info, None, toy.bit_widths, {}, layout, measured=measured)
    nodes, folded = columns["nodes"]["color"], columns["folded"]["color"]
    assert nodes[2] == nodes[3] == nodes[5] == folded[1] == MUTED
    assert nodes[1] == nodes[4] != nodes[0]
    assert folded[0] not in (nodes[0], nodes[1], MUTED)  # the mean of the two
    assert scale_ends(measured) == (1.0, 3.0)
    assert scale_ends(np.full(3, np.nan)) == (0.0, 0.0)


def test_edges_may_be_lists() -> None:
    problem = ToyProblem()
    problem.edges = [[0, 1], [1, 2]]  # type: ignore[assignment]
    check_problem(problem)
    layout = graph_layout(graph_info(problem))
    assert layout.near.shape[1] + layout.arcs.shape[1] == 2
