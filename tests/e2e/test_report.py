"""The saved report in a browser: a file, no kernel, no network."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nemo_lab_e2e import SLOW_HAND, breath
from PIL import Image
from playwright.sync_api import expect

from nemo_lab import QuantizationProblem, Study, create_study
from nemo_lab.export import load_front
from nemo_lab.widgets.static import report
from tests.waiting import still, until

pytestmark = pytest.mark.browser

# where a point of the front is on the screen
PLACE = """(el, key) => {
  for (const root of Object.values(Bokeh.index)) {
    if (!el.contains(root.el)) continue;
    const view = [...root.child_views].find((one) => one.model.type === "Figure");
    const drawn = view.model.renderers.find((one) => one.data_source?.name === "front");
    const data = drawn.data_source.data;
    const row = Array.from(data.key).indexOf(key);
    const box = view.el.getBoundingClientRect();
    const { x_scale, y_scale } = view.frame;
    return [box.x + x_scale.compute(data.x1[row]), box.y + y_scale.compute(data.y[row])];
  }
}"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Path]:
    study = create_study("digits", seed=1, species=("continuous", "floor"), population=16)
    study.pin("stem.conv", weight=8)
    study.optimize(120, progress=False)
    return study, report.save(study, tmp_path_factory.mktemp("report") / "report.html")


def opened(browser: Any, path: Path, **options: Any) -> Any:
    page = browser.new_page(viewport={"width": 900, "height": 1400}, **options)
    page.outside, page.trouble = [], []
    page.on(
        "request", lambda one: one.url.startswith(("file:", "data:", "blob:")) or page.outside.append(one.url)
    )
    page.on("pageerror", lambda error: page.trouble.append(str(error)))
    page.on("console", lambda one: one.type == "error" and page.trouble.append(one.text))
    page.goto(path.as_uri())
    page.locator("html[data-ready=true]").wait_for(state="attached")
    return page


def grey(locator: Any) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(locator.screenshot())).convert("L"), dtype=float)


def test_a_configuration_is_loaded_by_tap_menu_and_table(
    browser: Any, saved: tuple[Study, Path], tmp_path: Path, digits_problem: QuantizationProblem
) -> None:
    study, path = saved
    page = opened(browser, path)
    for figure in page.locator(".figure").all():
        expect(figure).to_have_attribute("data-ready", "true")
        assert len(figure.get_attribute("aria-label")) > 20
    expect(page.get_by_role("heading", level=1)).to_have_text("Mixed precision for digits")
    network = page.locator("[data-figure=graph]")
    by_size = study.front().sort_values("model_ratio", kind="stable").index.tolist()
    page.locator("#chooser").select_option(str(by_size[-1]))
    expect(page.locator("#shown")).to_contain_text(f"Configuration {by_size[-1]}: accuracy")
    before = still(lambda: grey(network), pause=breath(page))

    front = page.locator("[data-figure=front]")
    front.scroll_into_view_if_needed()
    page.mouse.click(*front.evaluate(PLACE, by_size[0]), delay=SLOW_HAND)
    expect(page.locator("#shown")).to_contain_text(f"Configuration {by_size[0]}: accuracy")
    expect(page.locator("tr[aria-current=true]")).to_have_attribute("data-config", str(by_size[0]))
    expect(page.locator("#chooser")).to_have_value(str(by_size[0]))
    until(lambda: (np.abs(grey(network) - before) > 30).mean() > 0.001, pause=breath(page))

    # by keyboard: a step, then a row of the table, then a heading
    page.locator("#next").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#shown")).to_contain_text(f"Configuration {by_size[1]}:")
    page.locator(f"tr[data-config='{by_size[2]}'] button").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#shown")).to_contain_text(f"Configuration {by_size[2]}:")
    heading = page.get_by_role("columnheader", name="model size ratio")
    heading.get_by_role("button").press("Enter")
    expect(heading).to_have_attribute("aria-sort", "ascending")
    rows = page.locator("#front-table tbody tr")
    assert int(rows.first.get_attribute("data-config")) == by_size[0]
    heading.get_by_role("button").press("Enter")
    assert int(rows.first.get_attribute("data-config")) == by_size[-1]

    with page.expect_download() as download:
        page.get_by_role("button", name="Download the front as JSON").click()
    download.value.save_as(tmp_path / "front.json")
    bits = load_front(tmp_path / "front.json", digits_problem)
    assert len(bits) == len(by_size)
    assert bits[:, list(digits_problem.node_names).index("stem.conv.weight")].tolist() == [8] * len(bits)

    page.locator("summary").click()
    expect(page.locator("pre")).to_contain_text("study.pin(")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 900
    assert page.outside == []
    assert page.trouble == []
    page.close()


@pytest.mark.parametrize("dark", [False, True])
def test_it_is_readable_in_the_dark_and_on_paper(browser: Any, saved: tuple[Study, Path], dark: bool) -> None:
    page = opened(browser, saved[1], color_scheme="dark" if dark else "light")
    network = page.locator("[data-figure=graph]")
    for media, is_dark in (("screen", dark), ("print", False)):
        page.emulate_media(media=media)
        until(lambda is_dark=is_dark: (np.median(grey(network)) < 80) == is_dark, pause=breath(page))
        seen = still(lambda: grey(network), pause=breath(page))
        background = float(np.median(seen))
        header = seen[: int(0.2 * seen.shape[0])]
        ink = header[np.abs(header - background) > 100]
        assert len(ink) > 50  # the names of the blocks
        assert (ink.mean() > background) == is_dark
    page.close()


def test_without_scripts_a_picture_and_the_table_remain(browser: Any, saved: tuple[Study, Path]) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto(saved[1].as_uri())
    assert page.locator("noscript img").count() == 1
    assert page.locator("#front-table tbody tr").count() == len(saved[0].front())
    page.close()
