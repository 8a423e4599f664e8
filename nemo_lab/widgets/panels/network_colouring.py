"""Colours of the network other than bit-widths: measured when somebody chooses them, and kept."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import numpy as np
from bokeh.palettes import Cividis256

from nemo_lab.choices import ends
from nemo_lab.plots.graph_colors import scale_ends
from nemo_lab.widgets.view.state import ViewState

BITS, EXPECTED, SENSITIVITY, SQNR = "bits", "expected damage", "sensitivity", "SQNR"
SAID = {
    EXPECTED: "share of the damage that gradients predict for all nodes at the bit-width shown",
    SENSITIVITY: "points lost with only this node at the narrowest bit-width",
    SQNR: "signal-to-quantization-noise ratio at the bit-width shown, in dB",
}
TINY = 1e-4  # percent, of what is nothing or less than this
Floats = np.ndarray


class NetworkColouring:
    """Sensitivities and signal-to-noise ratios of the nodes of a problem.

    Args:
        state: what people look at, shared by all panels.
        in_background: carries out a slow action on a thread of its own.
    """

    def __init__(self, state: ViewState, in_background: Callable[[Callable[[], object]], None]) -> None:
        self._state, self._in_background = state, in_background
        problem: Any = state.problem
        foresees = callable(problem.sensitivity) and not state.study.following
        self.names = [BITS, *([EXPECTED] if foresees else [])]
        self.names += [] if state.study.following else [SENSITIVITY]
        self.names += [SQNR] if problem.sqnr is not None else []
        self.chosen = BITS
        self.failed = False  # what was chosen could not be measured, bit-widths are shown in its place
        self._sensitivity = np.full(problem.num_nodes, np.nan)
        self._sqnr: Floats | None = None  # float[Q, W]
        self._damages: Floats | None = None  # float[Q, W]
        self._busy: set[str] = set()

    def choose(self, name: str) -> None:
        """Colour by something from now on; measures it first where that is not done yet."""
        self.chosen = name
        work = {
            EXPECTED: self._predict_damage,
            SENSITIVITY: self._measure_sensitivity,
            SQNR: self._measure_sqnr,
        }.get(name)
        if work is not None and name not in self._busy:
            self._busy.add(name)
            self._in_background(lambda: self._try(name, work))
        self._state.redraw()

    def values(self, bits: Floats | None) -> Floats | None:
        """float[Q] to colour by, NaN where it is not measured yet; None for bit-widths."""
        if self.chosen == SENSITIVITY:
            return None if np.isnan(self._sensitivity).all() else self._sensitivity
        if self.chosen == EXPECTED:
            shares = self._shares(bits)
            return None if shares is None else np.log10(shares)  # they range over many orders
        return self._ratios(bits) if self.chosen == SQNR else None

    def known(self, bits: Floats | None) -> list[str]:
        """All that is measured of each node, in words."""
        ratios, shares = self._ratios(bits), self._shares(bits)
        words = [
            [
                *([] if shares is None else [f"expected damage {shares[node]:.2g} %"]),
                *([] if np.isnan(loss) else [f"sensitivity {loss:.3g} points"]),
                *([] if ratios is None else [f"SQNR {ratios[node]:.3g} dB"]),
            ]
            for node, loss in enumerate(self._sensitivity)
        ]
        return [", ".join(one) or "-" for one in words]

    def _ratios(self, bits: Floats | None) -> Floats | None:
        return None if self._sqnr is None else self._at(self._sqnr, bits)

    def _shares(self, bits: Floats | None) -> Floats | None:
        """Percents of the damage expected of all nodes, float[Q], TINY at the least."""
        if self._damages is None:
            return None
        found = self._at(self._damages, bits)
        total = float(found.sum())
        return np.asarray(np.maximum(100 * found / total if total > 0 else found, TINY))

    def _at(self, table: Floats, bits: Floats | None) -> Floats:
        """Of a table float[Q, W] the column of each node's width, or of the narrowest."""
        widths = list(self._state.problem.bit_widths)
        column = [widths.index(int(b)) for b in bits] if bits is not None else [0] * len(table)
        return np.asarray(table[np.arange(len(table)), column])

    def legend(self, values: Floats | None) -> str:
        """The scale in colours, and what it means."""
        if values is None:
            return '<div class="nemo-legend nemo-hint" role="status">measuring...</div>'
        (low, high), missing = scale_ends(values), int(np.isnan(values).sum())
        stops = ", ".join(Cividis256[::51])
        more = f"; {missing} of {len(values)} not measured yet" if missing else ""
        scale = f'<i class="nemo-scale" style="background:linear-gradient(to right, {stops})"></i>'
        said = f"{self._worst(values)}{SAID[self.chosen]}{more}"
        first, last = f"{low:.3g}", f"{high:.3g}"
        if self.chosen == EXPECTED:
            first, last = f"{10**low:.2g} %", f"{10**high:.2g} %"
        return f'<div class="nemo-legend nemo-hint">{first} {scale} {last} &nbsp; {said}</div>'

    def _worst(self, values: Floats) -> str:
        if self.chosen not in (EXPECTED, SENSITIVITY) or np.isnan(values).any() or np.ptp(values) == 0:
            return ""
        worst = int(values.argmax())
        name = html.escape(self._state.problem.node_names[worst])
        return f"<b>Most sensitive: {name}.</b> "

    def _try(self, name: str, work: Callable[[], None]) -> None:
        """Measure; an error is raised, and bit-widths are shown until somebody chooses again."""
        try:
            work()
        except BaseException:
            self._busy.discard(name)
            if self.chosen == name:
                self.chosen, self.failed = BITS, True
                self._state.redraw()
            raise

    def _measure_sensitivity(self) -> None:
        """One evaluation for every node, beside the search."""
        state = self._state
        lowest, best = ends(state.problem)
        whole = float(state.study.what_if(best).iloc[0])
        for node in range(len(best)):
            if state.publisher.closed:
                return
            bits = best.copy()
            bits[node] = lowest[node]
            found = self._sensitivity.copy()
            found[node] = 100 * (float(state.study.what_if(bits).iloc[0]) - whole)
            self._sensitivity = found
            state.redraw()

    def _predict_damage(self) -> None:
        self._damages = self._state.study.sensitivity()
        self._state.redraw()

    def _measure_sqnr(self) -> None:
        problem: Any = self._state.problem
        self._sqnr = problem.sqnr().to_numpy()
        self._state.redraw()
