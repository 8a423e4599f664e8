"""What is quantized: frozen records, tracing a torch module, and a zoo of ready workloads."""

from nemo_lab.workload.records import Layer, Node, Split, Splits, Workload
from nemo_lab.workload.zoo import load_workload

__all__ = ["Layer", "Node", "Split", "Splits", "Workload", "load_workload"]
