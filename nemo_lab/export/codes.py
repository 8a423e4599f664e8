"""The whole numbers that a configuration stores: of weights and biases, with their scales and zero points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.quantize.network import QuantizedNetwork
from nemo_lab.quantize.weights import runs


@dataclass(frozen=True, eq=False)
class WeightCodes:
    """A stored tensor: x_hat = (codes - zero_points) * scales, runs of ``codes`` sharing one of them.

    Attributes:
        name: of the quantizer.
        bits: its width.
        codes: 0 to 2^bits - 1, uint8, or uint16 above 8 bits; in the shape of the tensor.
        scales: float32, in the shape ``axes``; runs of equal length lie along each axis.
        zero_points: in the same shape and of the type of ``codes``.
    """

    name: str
    bits: int
    codes: NDArray[Any]
    scales: NDArray[np.float32]
    zero_points: NDArray[Any]

    def decode(self) -> NDArray[np.float32]:
        """The numbers, bit for bit those that were evaluated."""
        scales, zeros = self.spread(self.scales), self.spread(self.zero_points.astype(np.float32))
        return (self.codes.astype(np.float32) - zeros) * scales

    def spread(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scales or zero points as they broadcast to the tensor."""
        return spread(values, self.codes.shape)


@dataclass(frozen=True, eq=False)
class BiasCodes:
    """A bias: x_hat = codes * scales.

    Attributes:
        path: of the parameter in the network.
        codes: int32[C].
        scales: float32[], or float32[C]: the product of the scale of the input and that of the weight.
    """

    path: str
    codes: NDArray[np.int32]
    scales: NDArray[np.float32]

    def decode(self) -> NDArray[np.float32]:
        """The numbers that were evaluated."""
        return self.codes.astype(np.float32) * self.scales


def spread(values: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Numbers of runs, one for each along every axis, as they broadcast to a tensor of a shape."""
    for axis, count in enumerate(values.shape):
        if count not in (1, shape[axis]):
            lengths = [len(run) for run in np.array_split(np.arange(shape[axis]), count)]
            values = np.repeat(values, lengths, axis=axis)
    return values


def weight_codes(network: QuantizedNetwork, name: str, bits: int) -> WeightCodes:
    """The codes of a weight at a width."""
    weights = network.weights
    rounded = weights.at(name, bits).cpu().contiguous()
    counts = tuple(weights.scales_of(name)) or (1,) * rounded.ndim
    quantizers = weights.quantizers(name, bits)
    kind = np.uint8 if bits <= 8 else np.uint16
    codes = rounded.new_empty(rounded.shape)
    for part, out, one in zip(runs(rounded, counts), runs(codes, counts), quantizers, strict=True):
        out.copy_((part / one.scale).round() - one.low)
    scales = np.array([one.scale for one in quantizers], dtype=np.float32).reshape(counts)
    zero_points: NDArray[Any] = np.array([-one.low for one in quantizers]).astype(kind).reshape(counts)
    found = WeightCodes(name, bits, codes.numpy().astype(kind), scales, zero_points)
    if not np.array_equal(found.decode(), rounded.numpy()):
        raise RuntimeError(f"the codes of {name} are not its numbers")
    return found


def bias_codes(network: QuantizedNetwork) -> dict[str, BiasCodes]:
    """The biases that are rounded at the widths a network is set to, by path."""
    found = {}
    for bias in network.biases.found:
        steps = network.biases.steps[bias]
        if steps is None:
            continue
        values, scales = bias.stored.cpu().numpy(), steps.cpu().numpy()
        codes = np.rint(values / scales).astype(np.int64).clip(-(2**31), 2**31 - 1).astype(np.int32)
        scales = scales[0] if len(scales) == 1 else scales
        found[bias.path] = one = BiasCodes(bias.path, codes, np.asarray(scales, dtype=np.float32))
        if not np.array_equal(one.decode(), values):
            raise RuntimeError(f"the codes of {bias.path} are not its numbers")
    return found
