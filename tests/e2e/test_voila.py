"""The dashboard as a page of its own, served by Voila, with no network but the way to it."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.waiting import PATIENCE, until

pytestmark = pytest.mark.browser

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
# what Voila's own page asks for, in vain here: icons for buttons, which ours have not
VOILAS = ("https://cdn.jsdelivr.net/npm/@fortawesome/",)
SMALL = "import nemo_lab as nl\nnl.Dashboard('digits', species=('continuous', 'floor'), population=12)"

# the configurations that a source of a figure has, and their places in its first plot
KEYS = """(el, source) => {
  for (const Bokeh of el.ownerDocument.defaultView.__nemo_lab_bokeh_loaded) {
    for (const root of Object.values(Bokeh.index)) {
      if (!el.contains(root.el)) continue;
      const sources = [...root.model.document._all_models.values()];
      const found = sources.find((one) => one.name === source && one.data);
      const { key, x1, y } = found.data;
      return Array.from(key, (one, i) => [one, x1[i], y[i]]).filter(([one]) => one >= 0); // -1 is a free row
    }
  }
}"""


@contextlib.contextmanager
def voila(notebook: Path, folder: Path, *options: str) -> Iterator[str]:
    """Serve a notebook on a free port of loopback; give its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    isolated = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "IPYTHONDIR": str(folder / "ipython"),
    }
    command = [
        sys.executable, "-m", "voila", str(notebook), "--no-browser", "--Voila.ip=127.0.0.1",
        f"--port={port}", *options,
    ]  # fmt: skip
    log = folder / "voila.log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=isolated, stdout=file, stderr=subprocess.STDOUT)

    def answers() -> bool:
        if process.poll() is not None:
            raise RuntimeError(log.read_text())
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/voila/static/voila.js", timeout=PATIENCE).close()
            return True
        return False

    try:
        until(answers, log.read_text)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class VoilaPage(sys.modules["nemo_lab_e2e"].Notebook):  # type: ignore[misc]
    """A page of Voila's, looked at as a notebook is; everything but its server is out of reach."""

    def __init__(self, browser: Any, url: str) -> None:
        self.page = browser.new_page(viewport={"width": 1200, "height": 1500})
        self.page.set_default_timeout(1000 * PATIENCE)
        self.errors, self.outside = [], []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.route(lambda address: not address.startswith((url, "data:", "blob:")), self._refuse)
        self.page.goto(url, wait_until="domcontentloaded")
        for label in ("Pareto front", "The network", "Bit-width", "Population"):
            self.figure(label).wait_for()

    def _refuse(self, route: Any) -> None:
        self.outside.append(route.request.url)
        route.abort()


def background(locator: Any) -> tuple[float, float]:
    """Grey of the background of a picture, and of the ink on it."""
    grey = np.asarray(Image.open(io.BytesIO(locator.screenshot())).convert("L"), dtype=float)
    header = grey[: int(0.2 * grey.shape[0])]
    paper = float(np.median(grey))
    return paper, float(header[np.abs(header - paper) > 100].mean())


def most_alone(front: list[list[float]], text: str) -> int:
    """The point that is farthest from all others, of those that a page does not show already."""
    places = np.array(front)[:, 1:]
    places = (places - places.min(axis=0)) / np.maximum(np.ptp(places, axis=0), 1e-9)
    far = np.linalg.norm(places[:, None] - places, axis=2) + 9 * np.eye(len(places))
    shown = [f"study.config({key:g})" in text for key, *_ in front]
    return int(front[int(np.where(shown, -1, far.min(axis=1)).argmax())][0])


def test_the_quickstart_is_a_page(browser: Any, tmp_path: Path) -> None:
    with voila(NOTEBOOKS / "00_quickstart.ipynb", tmp_path) as url:
        page = VoilaPage(browser, url)
        page.wait_for_evaluations(100)  # the notebook's own cells let it run
        expect(page.page.locator(".nemo-static").first).to_be_hidden()
        paper, ink = background(page.figure("The network"))
        assert paper > 200
        assert ink < 100
        assert [one for one in page.outside if not one.startswith(VOILAS)] == []
        assert page.errors == []
        page.page.close()


def test_it_is_tapped_and_steered_by_mouse_and_keyboard_in_the_dark(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "small.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(SMALL)]), path)
    with voila(path, tmp_path, "--theme=dark") as url:
        page = VoilaPage(browser, url)
        press = page.page.keyboard.press
        page.button("Start").click()
        page.wait_for_evaluations(40)
        page.tap("The network", "nodes", key=1)
        expect(page.page.locator(".nemo-dashboard select[multiple]")).to_have_values(["stem.conv.weight"])
        page.button("Pin").click()
        page.wait_for_text("stem.conv.weight = 8")
        page.button("Undo").click()
        page.wait_for_text("Nothing is pinned")
        page.button("Stop").focus()
        press("Enter")
        expect(page.button("Start")).to_be_enabled()
        assert page.points("front") > 1
        shown = page.page.locator(".nemo-dashboard .nemo-hint", has_text="study.config(").first
        for step in ("Next", "Next", "Previous"):
            before = shown.inner_text()
            page.button(step).focus()
            press("Enter")
            expect(shown).not_to_have_text(before)
        network = page.figure("The network")
        network.scroll_into_view_if_needed()
        grey = network.screenshot()
        other = most_alone(page.figure("Pareto front").evaluate(KEYS, "front"), page.text())
        page.tap("Pareto front", "front", key=other)
        expect(shown).to_contain_text(f"study.config({other})")
        page.wait_for_text(f"Configuration {other}")
        page.page.mouse.move(5, 5)
        network.scroll_into_view_if_needed()
        page.until(lambda: network.screenshot() != grey)
        paper, ink = background(network)
        assert paper < 80
        assert ink > 150
        assert [one for one in page.outside if not one.startswith(VOILAS)] == []
        assert page.errors == []
        page.page.close()
