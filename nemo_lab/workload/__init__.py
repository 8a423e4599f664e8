"""What is quantized: frozen records, tracing a torch module, and a zoo of ready workloads."""

from nemo_lab.workload.records import FullPrecision, Layer, Node, Quantizer, Split, Splits
from nemo_lab.workload.workload import Workload
from nemo_lab.workload.zoo import load_workload

__all__ = [
    "FullPrecision",
    "Layer",
    "Node",
    "Quantizer",
    "Split",
    "Splits",
    "Workload",
    "load_workload",
]
