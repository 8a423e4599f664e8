"""What remains of the dashboard without a kernel: a picture of the front and a table."""

from __future__ import annotations

import html
from collections.abc import Iterator

import numpy as np

from nemo_lab.plots import info as infos
from nemo_lab.plots import style
from nemo_lab.study import Study

WIDTH, HEIGHT, MARGIN = 420, 260, 46
MOST_DOTS = 300


def page(study: Study) -> str:
    """HTML with both projections as SVG, and the first rows of the front."""
    names = tuple(one.name for one in study.species)
    drawn = infos.front_info(study.snapshot, study.problem, names)
    pictures = "".join(projection(drawn, place) for place in (1, 2)) if len(drawn.config) else ""
    return f"<div>{pictures}{study._repr_html_()}</div>"


def projection(drawn: infos.FrontInfo, place: int) -> str:
    """One projection: all evaluated points faint, the front strong."""
    x, y = drawn.values[:, place], drawn.values[:, 0]
    left, right = _range(x)
    low, high = _range(y)

    def dots() -> Iterator[str]:
        rest = np.flatnonzero(~drawn.on_front)
        thinned = rest[:: max(1, len(rest) // MOST_DOTS)]
        for i in np.concatenate([thinned, np.flatnonzero(drawn.on_front)]):
            cx = MARGIN + (x[i] - left) / (right - left) * (WIDTH - 2 * MARGIN)
            cy = HEIGHT - MARGIN - (y[i] - low) / (high - low) * (HEIGHT - 2 * MARGIN)
            front = bool(drawn.on_front[i])
            color = style.species_color(int(drawn.species[i])) if front else "#999999"
            yield (
                f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="{4 if front else 2}" fill="{color}" '
                f'opacity="{0.95 if front else 0.35}"/>'
            )

    label_x, label_y = (html.escape(style.objective_label(drawn.names[k])) for k in (place, 0))
    middle = HEIGHT / 2
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" role="img" '
        f'aria-label="{label_y} over {label_x}" font-family="sans-serif" font-size="11" fill="currentColor">'
        f'<path d="M{MARGIN} {MARGIN}V{HEIGHT - MARGIN}H{WIDTH - MARGIN}" fill="none" stroke="currentColor"/>'
        f"{''.join(dots())}"
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">{label_x}</text>'
        f'<text x="12" y="{middle}" text-anchor="middle" transform="rotate(-90 12 {middle})">{label_y}</text>'
        f'<text x="{MARGIN}" y="{HEIGHT - MARGIN + 14}">{left:.3g}</text>'
        f'<text x="{WIDTH - MARGIN}" y="{HEIGHT - MARGIN + 14}" text-anchor="end">{right:.3g}</text>'
        f'<text x="{MARGIN - 4}" y="{HEIGHT - MARGIN}" text-anchor="end">{low:.3g}</text>'
        f'<text x="{MARGIN - 4}" y="{MARGIN + 8}" text-anchor="end">{high:.3g}</text></svg>'
    )


def _range(values: np.ndarray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)
