"""From a front, or a member of it, to something to keep or deploy: JSON, CSV, and a quantized network."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from nemo_lab.export.bit_map import load_bits, save_bits
from nemo_lab.export.front import front_to_dict, load_front, save_front
from nemo_lab.export.record import save_json, to_dict

if TYPE_CHECKING:
    from nemo_lab.export.deployment import deploy
    from nemo_lab.export.encodings_file import save_encodings
    from nemo_lab.export.latency import measure_latency
    from nemo_lab.export.network import quantized_module
    from nemo_lab.export.onnx_file import save_onnx, verify
    from nemo_lab.export.packed_file import load_packed, save_packed
    from nemo_lab.export.qonnx_file import save_qonnx
    from nemo_lab.export.torch_file import save_torch

__all__ = [
    "deploy",
    "front_to_dict",
    "load_bits",
    "load_front",
    "load_packed",
    "measure_latency",
    "quantized_module",
    "save_bits",
    "save_encodings",
    "save_front",
    "save_json",
    "save_onnx",
    "save_packed",
    "save_qonnx",
    "save_torch",
    "to_dict",
    "verify",
]

_WITH_TORCH = {  # the parts that need it, and where they are
    "quantized_module": "network",
    "deploy": "deployment",
    "load_packed": "packed_file",
    "measure_latency": "latency",
    "save_encodings": "encodings_file",
    "save_onnx": "onnx_file",
    "save_packed": "packed_file",
    "save_qonnx": "qonnx_file",
    "save_torch": "torch_file",
    "verify": "onnx_file",
}


def __getattr__(name: str) -> Any:
    if name in _WITH_TORCH:
        return getattr(importlib.import_module(f"nemo_lab.export.{_WITH_TORCH[name]}"), name)
    raise AttributeError(f"module 'nemo_lab.export' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
