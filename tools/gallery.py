"""Take the screenshots of docs/gallery.md: every panel in both themes, three networks, a film of a pin.

.venv/bin/python tools/gallery.py
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

import lab  # noqa: E402  the browser tests' JupyterLab and Chromium

IMAGES = ROOT / "docs" / "images"
PANELS = ("controls", "front", "graph", "steering", "inspector", "species", "history")
COLORS = 256  # of an image: figures have few
# a network of that many nodes, for its sizes only: the accuracy is made up
BIG = """
import sys; sys.path.insert(0, {root!r})
import nemo_lab as nl
from benchmarks.search.problems import PROBLEMS
study = nl.create_study(PROBLEMS[{name!r}]())
study.optimize(400, progress=False)
dashboard = nl.Dashboard(study)
dashboard
"""


def write(picture: bytes, name: str) -> None:
    """A screenshot with few colours, which is a quarter of the bytes."""
    image = Image.open(io.BytesIO(picture)).convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
    image.save(IMAGES / f"{name}.png", optimize=True)


def opened(server: lab.Server, browser: lab.Browser, theme: str, name: str) -> lab.Notebook:
    """A notebook of that name with room for everything."""
    shutil.copy(server.folder / "00_quickstart.ipynb", server.folder / name)
    notebook = lab.Notebook(browser, server, name, dark=theme == "dark")
    notebook.page.set_viewport_size({"width": 1480, "height": 2300})
    notebook.page.keyboard.press("Control+b")  # the file browser away
    return notebook


def steered(notebook: lab.Notebook, film: bool) -> None:
    """A run with a pin, a re-seed and a measurement; the film has four pictures of its front."""
    frames = []

    def picture(words: str) -> None:
        notebook.page.mouse.move(5, 900)
        notebook.page.wait_for_timeout(700)
        frames.append((words, notebook.page.locator(".nemo-dashboard .nemo-panel").nth(1).screenshot()))

    notebook.open_dashboard()
    notebook.button("Start").click()
    for wanted in (40, 150) if film else (150,):
        notebook.wait_for_evaluations(wanted)
        picture(f"{wanted} evaluations")
    notebook.tap("The network", "nodes", key=1)
    notebook.label("to bits").select_option("8")
    notebook.button("Pin").click()
    notebook.wait_for_text("stem.conv.weight = 8")
    picture("pinned")
    notebook.label("Species").select_option("floor")
    notebook.label("from").select_option("front")
    notebook.button("Re-seed").click()
    notebook.wait_for_text("floor from front")
    notebook.wait_for_evaluations(320)
    picture("later")
    if film:
        strips = [Image.open(io.BytesIO(one)).convert("RGB") for _, one in frames]
        # the three views and the course, side by side in pairs
        width, height = strips[0].width // 2, min(one.height for one in strips) // 2
        sheet = Image.new("RGB", (2 * width, 2 * height), "white")
        for place, one in enumerate(strips[:4]):
            sheet.paste(one.resize((width, one.height // 2)), ((place % 2) * width, (place // 2) * height))
        buffer = io.BytesIO()
        sheet.save(buffer, "png")
        write(buffer.getvalue(), "film")
    notebook.button("Next").click()
    notebook.button("Validate").click()
    notebook.wait_for_text("held out")
    notebook.page.mouse.move(5, 900)
    notebook.page.wait_for_timeout(800)


def main() -> None:
    """All pictures, or those of the themes given as arguments."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    themes = sys.argv[1:] or ["light", "dark"]
    with (
        tempfile.TemporaryDirectory() as folder,
        lab.jupyterlab(Path(folder)) as server,
        lab.chromium() as browser,
    ):
        for theme in themes:
            notebook = opened(server, browser, theme, f"{theme}.ipynb")
            steered(notebook, film=theme == "light")
            write(notebook.page.locator(".nemo-dashboard").first.screenshot(), f"dashboard-{theme}")
            panels = notebook.page.locator(".nemo-dashboard .nemo-panel")
            for place, name in enumerate(PANELS):
                write(panels.nth(place).screenshot(), f"{name}-{theme}")
            notebook.close()
            for name, nodes in (("mobilenet_v2", 116), ("resnext101_32x8d", 244)):
                notebook = opened(server, browser, theme, f"{theme}-{nodes}.ipynb")
                notebook.ask(BIG.format(root=str(ROOT), name=name), seconds=300)
                notebook.figure("The network").wait_for()
                notebook.page.mouse.move(5, 900)
                notebook.page.wait_for_timeout(1500)
                write(
                    notebook.page.locator(".nemo-dashboard .nemo-panel").nth(1).screenshot(),
                    f"front-{nodes}-{theme}",
                )
                write(
                    notebook.page.locator(".nemo-dashboard .nemo-panel").nth(2).screenshot(),
                    f"graph-{nodes}-{theme}",
                )
                notebook.close()


if __name__ == "__main__":
    main()
