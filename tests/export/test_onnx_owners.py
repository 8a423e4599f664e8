"""Which nodes an operation belongs to, in a graph as it is written and as a runtime arranges it."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from nemo_lab.export.onnx_owners import Owners

NODES = {"x": 0, "conv.weight": 1, "y": 2, "z": 3, "head.weight": 4}


def graph() -> Any:
    """A layer between roundings, an addition, a layer behind a reshape, and one in full precision."""
    operations = [
        ("QuantizeLinear", ["image", "x_scale", "x_zero_point"], "q0"),
        ("Clip", ["q0", "x_low", "x_high"], "q1"),
        ("DequantizeLinear", ["q1", "x_scale", "x_zero_point"], "x"),
        ("DequantizeLinear", ["conv.weight_codes", "conv.weight_scale"], "conv.weight"),
        ("DequantizeLinear", ["conv.bias_codes", "conv.bias_scale"], "conv.bias"),
        ("Conv", ["x", "conv.weight", "conv.bias"], "a"),
        ("Clip", ["a", "y_low", "y_high"], "a1"),
        ("QuantizeLinear", ["a1", "y_scale", "y_zero_point"], "q2"),
        ("DequantizeLinear", ["q2", "y_scale", "y_zero_point"], "y"),
        ("Add", ["x", "y"], "b"),
        ("QuantizeLinear", ["b", "z_scale", "z_zero_point"], "q3"),
        ("DequantizeLinear", ["q3", "z_scale", "z_zero_point"], "z"),
        ("Reshape", ["z", "shape"], "c"),
        ("DequantizeLinear", ["head.weight_codes", "head.weight_scale"], "head.weight"),
        ("Transpose", ["head.weight"], "turned"),
        ("MatMul", ["c", "turned"], "d"),
        ("Add", ["d", "head.bias"], "e"),
        ("Softmax", ["e"], "f"),
        ("MatMul", ["z", "other"], "g"),
        ("Shape", ["z"], "h"),
        ("Squeeze", ["h"], "i"),
    ]
    read = {name for _, names, _ in operations for name in names}
    made = {name for _, _, name in operations}
    stored = [
        numpy_helper.from_array(np.zeros(1, np.float32), name) for name in sorted(read - made - {"image"})
    ]
    (image,) = (helper.make_tensor_value_info("image", TensorProto.FLOAT, [1]),)
    nodes = [helper.make_node(kind, names, [name]) for kind, names, name in operations]
    return helper.make_graph(nodes, "graph", [image], [], stored)


def test_operations_of_the_graph() -> None:
    written = graph()
    owners = Owners(written, NODES)
    assert {node.output[0]: owners.of(node) for node in written.node} == {
        "q0": (0,),
        "q1": (0,),
        "x": (0, 1, 2),  # the layer reads it, and the addition
        "conv.weight": (1,),
        "conv.bias": (1,),
        "a": (1,),
        "a1": (2,),
        "q2": (1,),  # a layer in integers gives rounded numbers
        "y": (0, 2),
        "b": (0, 2),
        "q3": (0, 2),
        "z": (4,),
        "c": (4,),
        "head.weight": (4,),
        "turned": (4,),
        "d": (4,),
        "e": (4,),
        "f": (),
        "g": (),
        "h": (),
        "i": (),
    }


def test_operations_that_a_runtime_puts_in_their_place() -> None:
    owners = Owners(graph(), NODES)
    for name, inputs, output, expected in [
        ("<5>_token_3", ["Transpose_out0", "conv.weight_codes"], "a", (1,)),  # joined
        ("fused <15>", [], "d", (4,)),
        ("Transpose", ["q0"], "Transpose_out0", (0,)),  # of another layout
        ("Transpose_token_7", ["Transpose_out4"], "q2", (1,)),
        ("DequantizeLinear_token_1", ["moved", "x_scale", "z_zero_point"], "w", (3,)),  # x_scale is shared
        ("c_dq", ["c_q"], "c_post", (4,)),
        ("BiasGelu", [], "f", ()),
        ("Cast", ["unknown"], "strange", ()),
    ]:
        operation = helper.make_node("Any", inputs, [output], name)
        assert owners.of(operation) == expected, name
