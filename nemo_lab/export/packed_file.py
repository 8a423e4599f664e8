"""A configuration as a file of as many bits as it claims, and back."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx

from nemo_lab._version import __version__
from nemo_lab.arguments import File, Instance
from nemo_lab.errors import DataError, VerificationError
from nemo_lab.export.codes import WeightCodes, weight_codes
from nemo_lab.export.extra import needed
from nemo_lab.export.network import configured, written_out
from nemo_lab.export.packing import bytes_of, packed, unpacked
from nemo_lab.export.placing import place
from nemo_lab.fields import differing
from nemo_lab.files import read_bytes, write_bytes
from nemo_lab.quantize.affine import Affine
from nemo_lab.quantize.config import QuantizationConfig
from nemo_lab.quantize.fingerprint import digest, settings_of_modules
from nemo_lab.quantize.folding import paths_of, stored, tensors_of
from nemo_lab.quantize.network import QuantizedNetwork
from nemo_lab.workload.arranged import tensors_read
from nemo_lab.workload.records import Quantizer
from nemo_lab.workload.workload import Workload

KEY, VERSION = "nemo_lab", 1
CODES, SCALES, FLOATS, OTHERS = "codes", "scales", "floats", "other."
STRUCTURE = ("fold", "equalize", "per_channel", "bias")  # settings that say which tensors there are
WORKLOAD = Instance(Workload)

Arrays = dict[str, NDArray[Any]]


def save_packed(problem: Any, bits: Any, path: str | os.PathLike[str]) -> Path:
    """Write a configuration in the bits that it claims: codes of 2 to 16 bits without a gap, in safetensors.

    Beside the codes are their scales and zero points, and what is not quantized, such as biases, in float32.
    It is read again before the file is there; one of that name is replaced, or left whole on failure.

    Args:
        problem: a ``QuantizationProblem``, or a ``TunedNetwork``.
        bits: integers[Q], one width for all nodes, or name -> width as from ``study.config``; of a
            ``TunedNetwork`` its own, or None.
        path: of the file, which ends in ``.safetensors``.

    Raises:
        ArgumentError: if the problem is neither, or the file cannot be written.
        BitWidthError, UnknownNameError: if the bits do not fit.
        VerificationError: if what was written is not what is read again.

    safetensors comes by ``pip install "nemo_lab[deploy]"``.
    """
    target = place(path, ".safetensors")
    safetensors = needed("safetensors.numpy", purpose="to write a packed file")
    network, widths = configured(problem, bits)
    weights = [weight_codes(network, one.name, widths[name]) for name, one in _weights(network.workload)]
    codes = [packed(part, one.bits) for one in weights for part in (one.codes, one.zero_points)]
    floats, others = _rest(network)
    tensors: Arrays = {
        CODES: np.concatenate(codes),
        SCALES: np.concatenate([one.scales.reshape(-1) for one in weights]),
        FLOATS: np.concatenate(
            [np.empty(0, dtype=np.float32), *(one.reshape(-1) for one in floats.values())]
        ),
        **{OTHERS + name: array for name, array in others.items()},
    }
    quantizers = {name: module.quantizer for name, module in network.activations.items()}
    record = {
        "version": VERSION,
        "nemo_lab": __version__,
        "workload": network.workload.name,
        "settings": {key: value for key, value in differing(network.config).items() if key in STRUCTURE},
        "structure": _structure(network),
        "bits": widths,
        "activations": quantizers,
    }
    record["digest"] = _digest(record, tensors)
    data: bytes = safetensors.save(tensors, {KEY: json.dumps(record)})
    again, found = _network(*_read(data, target), network.workload)
    same = all(
        np.array_equal(one.codes, other.codes) and np.array_equal(one.decode(), other.decode())
        for one, other in zip(weights, found, strict=True)
    )
    same &= quantizers == {name: module.quantizer for name, module in again.activations.items()}
    for part, other in zip((floats, others), _rest(again), strict=True):
        same &= all(np.array_equal(array, other[name], equal_nan=True) for name, array in part.items())
    if not same:
        raise VerificationError(f"{target} does not hold what was searched", "report this network")
    return write_bytes(data, target)


def load_packed(path: str | os.PathLike[str], workload: Workload) -> fx.GraphModule:
    """The network in a file of ``save_packed``, as ``quantized_module`` gives it.

    Args:
        path: of the file.
        workload: the network as it was traced; its weights are not read.

    Raises:
        ArgumentError: if the file cannot be read.
        DataError: if it is damaged, or of another network.
    """
    source, known = File().check("path", path), WORKLOAD.check("workload", workload)
    tensors, record = _read(read_bytes(source), source)
    network, _ = _network(tensors, record, known)
    return written_out(network, dict(record["bits"]))


def _weights(workload: Workload) -> Iterator[tuple[str, Quantizer]]:
    """Every stored tensor that is quantized, with the name of its node."""
    for node in workload.nodes:
        yield from ((node.name, one) for one in node.quantizers if one.kind == "weight")


def _rest(network: QuantizedNetwork) -> tuple[Arrays, Arrays]:
    """All other tensors that a network holds, each once: those of float32, and those of other types."""
    graph = network.graph
    used = {id(tensor) for node in graph.graph.nodes for tensor in tensors_read(graph, node)}
    done = {path for _, one in _weights(network.workload) for path in paths_of(graph, one.source)}
    floats, others = Arrays(), Arrays()
    for name, tensor in tensors_of(graph):  # also buffers that no state_dict has
        if name not in done and id(tensor) in used:
            array = tensor.detach().cpu().contiguous().numpy()
            (floats if array.dtype == np.float32 else others)[name] = array
            done.update(paths_of(graph, name))
    return floats, others


def _structure(network: QuantizedNetwork) -> str:
    """A digest of what the network does with its numbers."""
    graph, ours = network.graph, {one.path: one for one in network.activations.values()}
    called = [str(node.target) for node in graph.graph.nodes if node.op == "call_module"]
    bounds = [(path, one.floor, one.ceiling) for path, one in ours.items()]
    told = settings_of_modules(graph, (path for path in called if path not in ours))
    return digest([graph.code, *bounds, *told])


def _digest(record: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> str:
    rest = json.dumps({k: v for k, v in record.items() if k != "digest"}, sort_keys=True)
    return digest([rest, *(part for pair in sorted(tensors.items()) for part in pair)])


def _read(data: bytes, path: str | Path) -> tuple[Arrays, dict[str, Any]]:
    """What is in a file, whole."""
    safetensors = needed("safetensors.numpy", purpose="to read a packed file")
    try:
        tensors: Arrays = safetensors.load(data)
        length = int.from_bytes(data[:8], "little")
        record = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][KEY])
        if record["version"] == VERSION and record["digest"] == _digest(record, tensors):
            return tensors, dict(record)
    except Exception as error:  # whatever a damaged file makes of it
        raise DataError(f"{path} is damaged, or save_packed did not write it", "write it again") from error
    raise DataError(f"{path} is damaged, or of a later version", "write it again")


def _network(
    tensors: Arrays, record: Mapping[str, Any], workload: Workload
) -> tuple[QuantizedNetwork, list[WeightCodes]]:
    """A network with the numbers of a file, and its codes."""
    wrong = DataError(
        f"the file holds another network than {workload.name}: {record['workload']}",
        "give the workload that it was written from",
    )
    if set(record["bits"]) != set(workload.names):
        raise wrong
    config = dataclasses.replace(QuantizationConfig(), **record["settings"])
    network, codes, scales, found = QuantizedNetwork(workload, config), tensors[CODES], tensors[SCALES], []
    if record["structure"] != _structure(network):
        raise wrong
    try:
        for node, one in _weights(workload):
            bits, counts = int(record["bits"][node]), tuple(network.weights.scales_of(one.name))
            counts = counts or (1,) * len(one.shape)
            parts = []
            for shape in (one.shape, counts):
                count = int(np.prod(shape))
                size = bytes_of(count, bits)
                parts.append(unpacked(codes[:size], bits, count).reshape(shape))
                codes = codes[size:]
            many = int(np.prod(counts))
            found.append(WeightCodes(one.name, bits, parts[0], scales[:many].reshape(counts), parts[1]))
            scales = scales[many:]
            stored(network.graph, one.source).data = torch.from_numpy(found[-1].decode())
        floats, (of_float32, others) = tensors[FLOATS], _rest(network)
        for name, array in of_float32.items():
            part, floats = floats[: array.size].reshape(array.shape), floats[array.size :]
            stored(network.graph, name).data = torch.from_numpy(part.copy())
        for name in others:
            stored(network.graph, name).data = torch.from_numpy(tensors[OTHERS + name].copy())
        for name, module in network.activations.items():
            module.quantizer = Affine(*record["activations"][name])
    except (KeyError, ValueError, TypeError) as error:
        raise wrong from error
    if len(codes) or len(scales) or len(floats):
        raise wrong
    return network, found
