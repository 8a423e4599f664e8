"""Take the README's screenshots of the dashboard, light and dark, in the middle of a run.

.venv/bin/python tools/screenshots.py
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

import lab  # noqa: E402  the browser tests' JupyterLab and Chromium

IMAGES = ROOT / "docs" / "images"


def take(server: lab.Server, browser: lab.Browser, theme: str) -> None:
    """One run with a pin and a re-seed, photographed after 300 evaluations."""
    name = f"{theme}.ipynb"
    shutil.copy(server.folder / "00_quickstart.ipynb", server.folder / name)
    notebook = lab.Notebook(browser, server, name, dark=theme == "dark")
    page = notebook.page
    page.set_viewport_size({"width": 1480, "height": 1650})
    page.keyboard.press("Control+b")  # the file browser away
    notebook.open_dashboard()
    notebook.button("Start").click()
    notebook.wait_for_evaluations(150)
    notebook.tap("The network", "nodes", key=1)
    page.get_by_label("to bits", exact=True).select_option("8")
    notebook.button("Pin").click()
    notebook.wait_for_text("stem.conv.weight = 8")
    page.get_by_label("Species", exact=True).select_option("floor")
    page.get_by_label("from", exact=True).select_option("front")
    notebook.button("Re-seed").click()
    notebook.wait_for_text("floor from front")
    notebook.wait_for_evaluations(300)
    notebook.button("Next").click()
    notebook.button("Validate").click()
    notebook.wait_for_text("held out")
    page.mouse.move(5, 900)
    page.wait_for_timeout(600)
    page.locator(".nemo-dashboard").first.screenshot(path=str(IMAGES / f"dashboard-{theme}.png"))
    notebook.close()


def main() -> None:
    """Both themes."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        lab.jupyterlab(Path(folder)) as server,
        lab.chromium() as browser,
    ):
        for theme in ("light", "dark"):
            take(server, browser, theme)


if __name__ == "__main__":
    main()
