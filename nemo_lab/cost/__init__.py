"""Exact costs of a configuration: model size, bit-operations and cost tables, by Numba kernels."""

from nemo_lab.cost.bits import as_bits
from nemo_lab.cost.model import COST_NAMES, CostModel

__all__ = ["COST_NAMES", "CostModel", "as_bits"]
