"""Whether quantization behaves as published: task error at uniform widths by every way to find ranges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import nemo_lab as nl

WIDTHS = (8, 6, 5, 4, 3)
NETWORKS = ("fashion", "digits")
MINMAX, CHANNEL, MSE = "per tensor, min/max", "per channel, min/max", "per tensor, MSE"
SCHEMES: dict[str, dict[str, Any]] = {
    MINMAX: {"ranges": "minmax"},
    "per tensor, percentile 99.99": {"ranges": "percentile"},
    MSE: {"ranges": "mse"},
    CHANNEL: {"ranges": "minmax", "per_channel": True},
    "per channel, MSE": {"ranges": "mse", "per_channel": True},
    "per channel, symmetric min/max": {"ranges": "minmax", "per_channel": True, "symmetric": True},
    "per tensor, min/max, batch norms not folded": {"ranges": "minmax", "fold": False},
}


@dataclass(frozen=True)
class Errors:
    """Task errors on held-out images.

    Attributes:
        network: which.
        images: how many.
        full: in full precision.
        schemes: name -> error with everything at each of ``WIDTHS``.
        weights: name -> error with the weights at each of them, activations at 8 bits.
    """

    network: str
    images: int
    full: float
    schemes: dict[str, list[float]]
    weights: dict[str, list[float]]

    def lost(self, errors: dict[str, list[float]], scheme: str) -> float:
        """Mean over 6, 5 and 4 bits of the percentage points that a scheme loses."""
        return 100 * (float(np.mean(errors[scheme][1:4])) - self.full)


def measure(network: str) -> Errors:
    """Every scheme on one network."""
    workload = nl.load_workload(network)
    assert workload.data is not None
    data, schemes, weights, full = workload.data.held_out, {}, {}, 1.0
    are_weights = np.array([node.kind == "weight" for node in workload.nodes])
    for name, options in SCHEMES.items():
        problem = nl.QuantizationProblem(workload, threads=1, kept_mb=0, **options)
        rows = np.repeat(np.array(WIDTHS)[:, None], problem.num_nodes, axis=1)
        schemes[name] = problem.error(rows, data).tolist()
        weights[name] = problem.error(np.where(are_weights, rows, 8), data).tolist()
        full = problem.full_precision_error(data)
    return Errors(network, len(data), full, schemes, weights)


def section(measured: list[Errors]) -> str:
    """The section of the page."""
    lines = [
        "## Published behaviour",
        "",
        "Task error (1 - top-1) on held-out images with all weights and activations at one width, and with "
        "the weights alone below 8 bits. Known from the literature: networks with depthwise convolutions "
        "lose most with one min/max range for a whole tensor, because the channels' ranges differ; ranges "
        "per channel, or of least squared error, lose less.",
    ]
    for one in measured:
        lines += ["", f"`{one.network}`, {one.images:,} images, {one.full:.1%} in full precision:"]
        lines += _table(one.schemes, "W{0}A{0}") + _table(one.weights, "W{0}A8")
    lines += [
        "",
        "Goal: per-tensor min/max loses far more at 4 to 6 bits than per-channel ranges or MSE ranges. "
        "Points lost against full precision, mean over the three widths; *far* is twice as much, "
        "and over a point.",
        "",
        "| | per tensor, min/max | per channel, min/max | per tensor, MSE | far more than each of these |",
        "|---|---|---|---|---|",
    ]
    for one in measured:
        for what, errors in (("weights and activations", one.schemes), ("weights alone", one.weights)):
            lost, *others = (one.lost(errors, name) for name in (MINMAX, CHANNEL, MSE))
            met = ["**met**" if lost > max(1.0, 2 * other) else "**not met**" for other in others]
            numbers = " | ".join(f"{value:.1f}" for value in (lost, *others))
            lines.append(f"| `{one.network}`, {what} | {numbers} | {', '.join(met)} |")
    return "\n".join(lines) + "\n"


def _table(rows: dict[str, list[float]], title: str) -> list[str]:
    return [
        "",
        "| | " + " | ".join(title.format(width) for width in WIDTHS) + " |",
        "|---" * (len(WIDTHS) + 1) + "|",
        *(
            f"| {name} | " + " | ".join(f"{error:.1%}" for error in errors) + " |"
            for name, errors in rows.items()
        ),
    ]


if __name__ == "__main__":
    print(section([measure(network) for network in NETWORKS]))
