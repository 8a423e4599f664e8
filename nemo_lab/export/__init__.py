"""From a front, or a member of it, to something to keep or deploy: JSON, CSV, and a quantized network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nemo_lab.export.bit_map import load_bits, save_bits
from nemo_lab.export.front import front_to_dict, load_front, save_front
from nemo_lab.export.record import save_json, to_dict

if TYPE_CHECKING:
    from nemo_lab.export.network import quantized_module

__all__ = [
    "front_to_dict",
    "load_bits",
    "load_front",
    "quantized_module",
    "save_bits",
    "save_front",
    "save_json",
    "to_dict",
]


def __getattr__(name: str) -> Any:
    if name == "quantized_module":  # the one part that needs torch
        from nemo_lab.export.network import quantized_module

        return quantized_module
    raise AttributeError(f"module 'nemo_lab.export' has no attribute {name!r}")
