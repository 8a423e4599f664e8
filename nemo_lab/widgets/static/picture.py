"""What remains of the dashboard without a kernel: a picture of the front and a table."""

from __future__ import annotations

import base64
import datetime
import html

from nemo_lab.plots import info as infos
from nemo_lab.plots.png import WIDTH, front_png
from nemo_lab.study import Snapshot, Study
from nemo_lab.study.results.decision_making import choose, within_a_point
from nemo_lab.study.results.frames import front_frame, study_html
from nemo_lab.widgets import markup

# beside a live view the picture would only repeat it; and where the kernel is gone, JupyterLab has nothing to
# say of the view but that a model was not found. Who drops styles shows a little more.
STYLE = """<style>
.jp-OutputArea:has(.nemo-panel:not(.jupyter-widgets-disconnected)) .nemo-static { display: none }
.jp-OutputArea:has(.nemo-static) .jupyter-widgets.jp-OutputArea-output:not(:has(*)) { display: none }
</style>"""
ALONE = (
    f'{STYLE}<div class="nemo-static"><p><i>This was a panel of the dashboard. Run this notebook in Jupyter '
    "to make it live again; the whole dashboard leaves a picture here.</i></p></div>"
)


def page(study: Study, config: int | None = None) -> str:
    """HTML that says how the study stood, in words, a picture and the first rows of the front.

    Every tag and attribute in it is one that sanitisers keep: images of pixels, tables, no layout by style.
    """
    snapshot = study.snapshot
    now = datetime.datetime.now(datetime.UTC)
    table = study_html(snapshot, f"study of {study.title}", front_frame(snapshot, study.problem))
    return (
        f'{STYLE}<div class="nemo-static"><p><i>This is a picture of the dashboard, taken on '
        f"{now:%Y-%m-%d at %H:%M} UTC. Run this cell in Jupyter to make it live again.</i></p>"
        f"{picture(study, snapshot, config)}{table}</div>"
    )


def picture(study: Study, snapshot: Snapshot, config: int | None = None) -> str:
    """The front and a configuration's bit-widths as an image, with the legend; empty before there is any."""
    log = snapshot.evaluations
    if not len(snapshot.front):
        return ""
    if config is None or config >= len(log):
        config = choose(snapshot, within_a_point, study.problem)
    names = tuple(one.name for one in study.species)
    drawn = infos.front_info(snapshot, study.problem, names)
    png = front_png(drawn, config, log.bits[config], study.problem.bit_widths)
    labels = [one.axis for one in drawn.axes]
    described = (
        f"{labels[0]} over {labels[1]}, and over {labels[2]}: {len(log)} evaluations, {len(snapshot.front)} "
        f"on the front; below, the bit-widths of configuration {config}"
    )
    return (
        f'<p><img width="{WIDTH}" alt="{html.escape(described)}" '
        f'src="data:image/png;base64,{base64.b64encode(png).decode()}"></p>'
        f"<p>{markup.species_legend(names)}</p>"
    )
