"""Fake quantization of a torch network, its calibration and its evaluation."""

from nemo_lab.quantize.config import QuantizationConfig
from nemo_lab.quantize.problem import BIT_WIDTHS, QuantizationProblem

__all__ = ["BIT_WIDTHS", "QuantizationConfig", "QuantizationProblem"]
