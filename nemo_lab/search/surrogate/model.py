"""The surrogate model: how a measured objective grows as widths shrink, fitted to all evaluations so far.

Ours. Every node adds its own damage, exp(e_qb + s_q - r_q (b_q - 4) + d_qb), and the error grows from a
floor to a ceiling as 1 - exp(-(sum of damages)**power). Where a sensitivity is known, e_qb is its logarithm,
and all else starts at 0. Where not, e_qb is 0; quantization noise has a power of about 4^-b, so r_q starts at
ln 4; s_q starts at what the node's features say, and d_qb at 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nemo_lab._quiet import importing
from nemo_lab.search.surrogate import kernels

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Priors:
    """Standard deviations of what is not measured, in natural logarithms of damage.

    Attributes:
        noise: of a measured error that is at the floor, as a share of the span from floor to ceiling.
        misfit: of one that is at the ceiling, where the model holds less well; in between its square grows
            with the error, as the variance of a count of wrong answers does.
        features: of the weight of a node feature, scaled to [0, 1].
        node: of a node's s_q around what its features say.
        slope: of a node's r_q around the common one.
        width: of d_qb.
        power: of the logarithm of the power.
    """

    noise: float = 0.005
    misfit: float = 0.03
    features: float = 1.0
    node: float = 1.0
    slope: float = 0.2
    width: float = 0.3
    power: float = 0.5


FORESEEN = Priors(features=0.3, node=0.6, slope=0.1, width=0.15)  # around a sensitivity
UNFELT = 1e-6  # damage that a node has at least, as a share of the median


class DamageModel:
    """Predicts one measured objective from widths.

    Args:
        features: float[Q, F] of the nodes.
        widths: ascending, W of them.
        sensitivity: float64[Q, W], the damage that is expected, in any unit; None if nothing is.
    """

    def __init__(
        self, features: NDArray[np.float32], widths: NDArray[np.int64], sensitivity: Floats | None = None
    ) -> None:
        self.priors = priors = Priors() if sensitivity is None else FORESEEN
        self._expected = None if sensitivity is None else _expected(sensitivity, widths)
        nodes, count = len(features), len(widths)
        varied = np.asarray(features, dtype=np.float64)
        span = np.ptp(varied, axis=0)
        varied = (varied[:, span > 0] - varied[:, span > 0].mean(axis=0)) / span[span > 0]
        self._design = varied
        self._steps = np.asarray(widths, dtype=np.float64) - 4.0
        self._shapes = ((1,), (1,), (varied.shape[1],), (nodes,), (nodes,), (nodes, count))
        self._sizes = [int(np.prod(shape)) for shape in self._shapes]
        ends = np.cumsum(self._sizes).tolist()
        self._parts = [slice(end - size, end) for end, size in zip(ends, self._sizes, strict=True)]
        self.point = np.zeros(2 + sum(self._sizes))
        if sensitivity is None:
            self.point[2] = -np.log(nodes)  # all nodes at 4 bits: damage 1
            self.point[3] = np.log(4.0)
        self._centre = self.point.copy()
        self._deviations = np.concatenate(
            [
                np.array([0.05, priors.power]),
                *(
                    np.full(size, deviation)
                    for size, deviation in zip(
                        self._sizes,
                        (3.0, 0.3, priors.features, priors.node, priors.slope, priors.width),
                        strict=True,
                    )
                ),
            ]
        )
        self.power = 1.0
        self.floor, self.ceiling = 0.0, 1.0

    def fit(self, levels: NDArray[np.uint8], errors: Floats, iterations: int = 50) -> None:
        """Fit to uint8[N, Q] positions of widths and errors float[N], from the fit before."""
        with importing():
            from scipy.optimize import minimize

        errors = np.ascontiguousarray(errors)
        low, span = self._read(levels, errors)

        def objective(point: Floats) -> tuple[float, Floats]:
            table, floor, power = self._table(point[2:]), point[0], float(np.exp(point[1]))
            value, gradient, by_floor, by_power = kernels.loss_and_gradient(
                levels, table, low + floor * span, self.ceiling, power, errors, self._weights
            )
            by_theta = gradient * table
            by_node = by_theta.sum(axis=1)
            by_slope = -(by_theta * self._steps).sum(axis=1)
            off = (point - self._centre) / self._deviations
            whole = off / self._deviations
            whole[0] += by_floor * span
            whole[1] += by_power
            parts = by_node.sum(), by_slope.sum(), by_node @ self._design, by_node, by_slope, by_theta.ravel()
            for place, part in zip(self._parts, parts, strict=True):
                whole[2:][place] += part
            return value + 0.5 * float(off @ off), whole

        self.point[0] = 0.0  # the lowest error may have become lower
        found = minimize(objective, self.point, jac=True, method="L-BFGS-B", options={"maxiter": iterations})
        self._settle(found.x, low, span)

    def recall(self, levels: NDArray[np.uint8], errors: Floats, point: Floats) -> None:
        """Be as after a fit to the same data that ended at ``point``."""
        self._settle(point, *self._read(levels, np.ascontiguousarray(errors)))

    def _read(self, levels: NDArray[np.uint8], errors: Floats) -> tuple[float, float]:
        """Take the data in; returns the lowest error and the span above it."""
        low, high = float(errors.min()), float(errors.max())
        span = max(high - low, 1e-9)
        self.ceiling = high + 1e-3 * span
        variance = self.priors.noise**2 + self.priors.misfit**2 * (errors - low) / span
        self._weights = 1.0 / (variance * span**2)
        self._levels = levels
        return low, span

    def _settle(self, point: Floats, low: float, span: float) -> None:
        self.point = point
        self.floor, self.power = low + point[0] * span, float(np.exp(point[1]))
        self.table = self._table(point[2:])

    def sample(self, rng: np.random.Generator, count: int, scale: float) -> Floats:
        """Tables that the data do not rule out: float[count, Q, W], by Laplace's approximation by node."""
        known = kernels.information(
            self._levels, self.table, self.floor, self.ceiling, self.power, self._weights
        )
        node = 1.0 / np.sqrt(known.sum(axis=1) + 1.0 / self.priors.node**2)
        slope = 1.0 / np.sqrt((known * self._steps**2).sum(axis=1) + 1.0 / self.priors.slope**2)
        draws = rng.standard_normal((count, 2, len(node))) * scale
        theta = np.log(self.table) + (draws[:, 0] * node)[:, :, None]
        theta = theta - (draws[:, 1] * slope)[:, :, None] * self._steps
        return np.asarray(np.exp(theta))

    def predict(self, levels: NDArray[np.uint8]) -> Floats:
        """Errors float[N] of uint8[N, Q] positions of widths."""
        damage = kernels.add_up(levels, self.table)
        return np.asarray(self.ceiling - (self.ceiling - self.floor) * np.exp(-(damage**self.power)))

    def _table(self, point: Floats) -> Floats:
        """Damage of every node at every width: float[Q, W]."""
        common, slope, features, node, slopes, rest = (
            point[part].reshape(shape) for part, shape in zip(self._parts, self._shapes, strict=True)
        )
        start = common + self._design @ features + node
        theta = start[:, None] - (slope + slopes)[:, None] * self._steps + rest
        if self._expected is not None:
            theta = theta + self._expected
        return np.asarray(np.exp(np.clip(theta, -40.0, 20.0)))


def _expected(sensitivity: Floats, widths: NDArray[np.int64]) -> Floats:
    """Logarithms of damages, of which all at 4 bits are 1 together: float[Q, W]."""
    least = np.maximum(UNFELT * np.median(sensitivity, axis=0), np.finfo(np.float64).tiny)
    found = np.log(np.maximum(sensitivity, least))
    return np.asarray(found - np.log(np.exp(found[:, np.argmin(np.abs(widths - 4))]).sum()))
