"""The operations of an ONNX graph that hold and give integers, in place of those of floating point."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nemo_lab.export.codes import BiasCodes, WeightCodes
from nemo_lab.export.extra import needed
from nemo_lab.export.onnx_tracing import constant
from nemo_lab.export.runtimes.onnx_runtime import CODES
from nemo_lab.quantize.affine import Affine

LAYERS = ("Conv", "ConvTranspose", "Gemm")  # whose third input is a bias
FACTORS = ("alpha", "beta")  # of Gemm
NARROW = 4  # bits: what has no more is stored as uint4


class Integers:
    """Puts integers into a model that torch wrote in floating point.

    Args:
        ir: the module ``onnx_ir``.
        graph: changed in place.
        widths: of every quantizer, by name.
    """

    def __init__(self, ir: Any, graph: Any, widths: Mapping[str, int]) -> None:
        self.ir, self.graph, self.widths = ir, graph, widths

    def activation(self, node: Any, quantizer: Affine, zero: int) -> None:
        """Replace a rounding by QuantizeLinear, Clip where it is narrower than its type, DequantizeLinear.

        ``zero`` is the zero point, of the whole width also where an activation function cuts part of it off.
        """
        name = node.attributes["name"].as_string()
        kind = np.uint8 if self.widths[name] <= 8 else np.uint16
        low, high = int(quantizer.low) + zero, int(quantizer.high) + zero
        scale = self._constant(f"{name}_scale", np.float32(quantizer.scale))
        zero_point = self._constant(f"{name}_zero_point", kind(zero))
        steps = [self.ir.node("QuantizeLinear", [node.inputs[0], scale, zero_point])]
        if (low, high) != (0, np.iinfo(kind).max):
            step = scale.const_value.numpy()
            as_floats = kind is np.uint16  # whose integers runtimes do not clip
            bounds = [
                self._constant(f"{name}_{end}", np.float32(one - zero) * step if as_floats else kind(one))
                for end, one in (("low", low), ("high", high))
            ]
            if as_floats:
                clip = self.ir.node("Clip", [node.inputs[0], *bounds])
                steps = [clip, self.ir.node("QuantizeLinear", [clip.outputs[0], scale, zero_point])]
            else:
                steps.append(self.ir.node("Clip", [steps[0].outputs[0], *bounds]))
        steps.append(self.ir.node("DequantizeLinear", [steps[-1].outputs[0], scale, zero_point]))
        result = steps[-1].outputs[0]
        result.shape, result.type = node.outputs[0].shape, node.outputs[0].type
        self.ir.convenience.replace_nodes_and_values(
            self.graph, node, [node], steps, [node.outputs[0]], [result]
        )
        result.name = name

    def weight(self, value: Any, path: str, codes: WeightCodes) -> None:
        """Replace a tensor by its codes and a DequantizeLinear, of one scale, or along one axis."""
        narrow = codes.bits <= NARROW
        stored = self._constant(f"{path}{CODES}", codes.codes, narrow)
        axes = [axis for axis, count in enumerate(codes.scales.shape) if count > 1]
        if len(axes) <= 1 and all(codes.scales.shape[axis] == codes.codes.shape[axis] for axis in axes):
            scale = self._constant(
                f"{path}_scale", codes.scales.reshape(-1) if axes else codes.scales.reshape(())
            )
            zero_points = codes.zero_points.reshape(scale.const_value.shape.numpy())
            zero = self._constant(f"{path}_zero_point", zero_points, narrow)
            attributes = {"axis": axes[0]} if axes else {}
            steps = [self.ir.node("DequantizeLinear", [stored, scale, zero], attributes)]
        else:  # scales along two axes, or of runs: written out
            to = {"to": self.ir.DataType.FLOAT}
            scale, zero = (
                self._constant(f"{path}_{name}", np.ascontiguousarray(codes.spread(part.astype(np.float32))))
                for name, part in (("scale", codes.scales), ("zero_point", codes.zero_points))
            )
            steps = [self.ir.node("Cast", [stored], to)]
            steps.append(self.ir.node("Sub", [steps[-1].outputs[0], zero]))
            steps.append(self.ir.node("Mul", [steps[-1].outputs[0], scale]))
        self._in_place_of(value, path, steps)

    def bias(self, value: Any, codes: BiasCodes) -> None:
        """Replace a bias by its codes and a DequantizeLinear."""
        stored, scale = (
            self._constant(f"{codes.path}_{name}", part)
            for name, part in (("codes", codes.codes), ("scale", codes.scales))
        )
        attributes = {"axis": 0} if codes.scales.ndim else {}
        self._in_place_of(value, codes.path, [self.ir.node("DequantizeLinear", [stored, scale], attributes)])

    def keep_biases(self) -> None:
        """Add the biases of layers behind them: runtimes round those that are part of a quantized layer."""
        for node in list(self.graph):
            inputs = list(node.inputs)
            if node.op_type not in LAYERS or len(inputs) < 3 or inputs[2] is None:
                continue
            scaled = any(
                name in node.attributes and node.attributes[name].as_float() != 1 for name in FACTORS
            )
            if scaled or inputs[2].const_value is None or node.outputs[0].shape is None:
                continue  # none that a runtime takes for the bias of a quantized layer
            bias, result, axes = inputs[2], node.outputs[0], len(node.outputs[0].shape) - 2
            if node.op_type != "Gemm" and axes:
                values = bias.const_value.numpy().reshape(-1, *[1] * axes)
                bias = self._constant(f"{bias.name}_of_{node.name}", values)
            alone = self.ir.node(node.op_type, inputs[:2], node.attributes)
            alone.outputs[0].shape, alone.outputs[0].type = result.shape, result.type
            added = self.ir.node("Add", [alone.outputs[0], bias])
            added.outputs[0].shape, added.outputs[0].type = result.shape, result.type
            self.ir.convenience.replace_nodes_and_values(
                self.graph, node, [node], [alone, added], [result], [added.outputs[0]]
            )

    def _in_place_of(self, value: Any, path: str, steps: list[Any]) -> None:
        result = steps[-1].outputs[0]
        result.name, result.shape, result.type = path, value.shape, value.type
        del self.graph.initializers[value.name]
        value.name = f"{path}_float"
        self.ir.convenience.replace_all_uses_with(value, result)
        self.graph.insert_before(self.graph[0], steps)

    def _constant(self, name: str, array: Any, narrow: bool = False) -> Any:
        """A stored tensor of the graph; ``narrow`` in half a byte for each number."""
        array = np.asarray(array)
        if narrow:
            array = array.astype(needed("ml_dtypes", purpose="to write ONNX").uint4)
        return constant(self.graph, name, array)
