"""A real JupyterLab on loopback, and a real Chromium that looks at it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.waiting import PATIENCE, Seen, still, until

expect.set_options(timeout=1000 * PATIENCE)  # the search, the server and the browser share the cores

LATE = "[anywidget] Failed to initialize model."  # which a slow page says, see elements/element.js
SLOW_HAND = 400.0  # milliseconds that a button is held: longer than BokehJS has patience by itself
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
TOKEN = "only-for-tests"
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@dataclass(frozen=True)
class Server:
    """A running JupyterLab."""

    url: str
    folder: Path
    process: subprocess.Popen[bytes]

    def api(self, path: str) -> Any:
        """Answer of the server's REST interface."""
        with self._open(path, "GET") as answer:
            return json.load(answer)

    def delete(self, path: str) -> None:
        """Delete something by the server's REST interface."""
        self._open(path, "DELETE").close()

    def post(self, path: str, /, **fields: Any) -> Any:
        """Ask for something by the server's REST interface."""
        with self._open(path, "POST", json.dumps(fields).encode()) as answer:
            return json.load(answer)

    def note_outside(self, url: str, into: list[str]) -> None:
        """Add the address of a request to a list if it leads away from here."""
        if not url.startswith((self.url, "data:", "blob:")):
            into.append(url)

    def _open(self, path: str, method: str, data: bytes | None = None) -> Any:
        headers = {"Authorization": f"token {TOKEN}"}
        request = urllib.request.Request(f"{self.url}/api/{path}", data, headers, method=method)
        return urllib.request.urlopen(request, timeout=PATIENCE)

    def answers(self) -> bool:
        """Whether it is there; raises with its log if it has given up."""
        if self.process.poll() is not None:
            raise RuntimeError((self.folder.parent / "server.log").read_text())
        with contextlib.suppress(OSError):
            self.api("status")
            return True
        return False


@contextlib.contextmanager
def jupyterlab(folder: Path, *options: str) -> Iterator[Server]:
    """Start JupyterLab with copies of our notebooks in ``folder``, on a free port; end it after."""
    work = folder / "work"
    shutil.copytree(NOTEBOOKS, work, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    quiet = folder / "settings" / "@jupyterlab" / "apputils-extension"
    quiet.mkdir(parents=True)
    (quiet / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    isolated = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
    }
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root",
        "--ip=127.0.0.1", f"--port={port}",
        f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={work}",
        "--LabApp.expose_app_in_browser=True", *options,
    ]  # fmt: skip
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=isolated, stdout=log, stderr=subprocess.STDOUT)
        server = Server(f"http://127.0.0.1:{port}", work, process)
        try:
            until(server.answers, lambda: (folder / "server.log").read_text())
            yield server
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, or the one that NEMO_LAB_CHROMIUM names, or Playwright's own."""
    path = os.environ.get("NEMO_LAB_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def breath(page: Page) -> Callable[[], None]:
    """What to do between two looks at a page: let it, and what is heard of it, go on."""
    return lambda: page.wait_for_timeout(100)


class Tab:
    """JupyterLab in a tab that stays open, with one kernel: notebooks come and go, as in a day of work."""

    def __init__(self, browser: Browser, server: Server) -> None:
        self.server = server
        self.page = browser.new_page()
        self.outside: list[str] = []
        self.page.on("request", lambda request: server.note_outside(request.url, self.outside))
        self.enter(self.page)
        self.kernel = server.post("kernels", name="python3", path="")["id"]

    def enter(self, page: Page) -> None:
        """Have JupyterLab in a page, with nothing open."""
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(f"{self.server.url}/lab?token={TOKEN}&reset")
        page.locator(".jp-Launcher").first.wait_for()

    def open(self, name: str, page: Page) -> None:
        """Open a notebook with the kernel, here or in another page."""
        kernel = {"id": self.kernel}
        self.server.post("sessions", path=name, name=name, type="notebook", kernel=kernel)
        page.evaluate("path => { jupyterapp.commands.execute('docmanager:open', {path}); }", name)

    def leave(self, page: Page) -> None:
        """Close what is open without saving, and have the kernel forget it; at the worst, restart it."""
        if not page.evaluate(LEAVE, {"code": FORGET, "seconds": PATIENCE}):
            self.server.post(f"kernels/{self.kernel}/restart")

    def close(self) -> None:
        """Close the tab, and end its kernel."""
        self.page.close()
        self.server.delete(f"kernels/{self.kernel}")


FORGET = """
import gc, sys
ours = sys.modules.get("nemo_lab")
for one in gc.get_objects() if ours else ():
    if type(one) in (ours.Dashboard, ours.Study):
        one.close()
get_ipython().run_line_magic("reset", "-f")
"""
# whether every kernel has done it
LEAVE = """async ({code, seconds}) => {
  const open = [...jupyterapp.shell.widgets("main")].filter((one) => one.sessionContext);
  const leave = async (one) => {
    const late = new Promise((go) => setTimeout(go, 1000 * seconds));
    const asked = one.sessionContext.session?.kernel?.requestExecute({code}).done;
    const answer = await Promise.race([asked, late]).catch(() => null);
    one.dispose();
    return answer?.content.status === "ok";
  };
  return (await Promise.all(open.map(leave))).every(Boolean);
}"""


SOON = 20.0  # seconds in which a kernel answers that has nothing to do, or the page connects to it anew
ANSWERS = """async ({name, seconds}) => {
  const one = [...jupyterapp.shell.widgets("main")].find((one) => one.context?.path === name);
  const kernel = one?.sessionContext?.session?.kernel;
  if (!kernel) return false;
  const late = new Promise((go) => setTimeout(go, 1000 * seconds));
  const answer = await Promise.race([kernel.requestKernelInfo(), late]).catch(() => null);
  if (!answer) await kernel.reconnect().catch(() => null);
  return answer?.content.status === "ok";
}"""


class Notebook:
    """One notebook with the kernel of a tab, in this tab or in a page of its own."""

    def __init__(
        self,
        tab: Tab,
        name: str,
        *,
        dark: bool = False,
        width: int = 1280,
        page: Page | None = None,
    ) -> None:
        self.server, self.name, self.tab = tab.server, name, tab
        self.page: Page = page or tab.page
        self.errors: list[str] = []
        self.outside: list[str] = []
        self.late: list[str] = []  # said of modules that came too late for anywidget
        self._heard = {
            "pageerror": lambda error: (self.late if str(error) == LATE else self.errors).append(str(error)),
            "request": lambda request: tab.server.note_outside(request.url, self.outside),
        }
        for event, listener in self._heard.items():
            self.page.on(event, listener)  # type: ignore[call-overload]
        if page is None:
            self.page.set_viewport_size({"width": width, "height": 1500})
        else:
            tab.enter(page)
        self._open()
        wanted = "JupyterLab Dark" if dark else "JupyterLab Light"
        if self.page.evaluate("document.body.dataset.jpThemeName") != wanted:  # left by the one before
            self.theme(wanted)

    def _open(self) -> None:
        self.tab.open(self.name, self.page)
        self.page.locator(".jp-Notebook .jp-Cell").first.wait_for()
        self.ready()

    def ready(self) -> None:
        """Wait until the page gets an answer of the kernel; what it says of its state may be out of date."""
        asked = {"name": self.name, "seconds": SOON}
        self.until(lambda: self.page.evaluate(ANSWERS, asked), f"an answer of the kernel of {self.name}")

    def reopen(self) -> None:
        """Leave it as it was saved, and open it again with a kernel that knows nothing of it."""
        self.tab.leave(self.page)
        self._open()

    def theme(self, name: str) -> None:
        """Change JupyterLab's theme by its menu."""
        self.page.locator(".lm-MenuBar-item", has_text="Settings").click()
        self.page.locator(".lm-Menu-item", has_text="Theme").first.click()
        self.page.locator(".lm-Menu-item", has_text=name).first.click()
        self.page.wait_for_function("name => document.body.dataset.jpThemeName === name", arg=name)

    def cell(self, index: int) -> Locator:
        """The index-th code cell."""
        return self.page.locator(".jp-CodeCell").nth(index)

    def open_dashboard(self) -> None:
        """Run the first cell and wait until every figure is drawn."""
        self.run(0)
        for label in ("Pareto front", "The network", "Bit-width", "Population"):
            self.figure(label).wait_for()

    def run(self, index: int) -> Locator:
        """Run the index-th code cell by keyboard."""
        cell = self.cell(index)
        cell.scroll_into_view_if_needed()
        cell.locator(".cm-content").click()
        self.page.keyboard.press("Control+Enter")
        return cell

    def save(self) -> None:
        """Save the notebook by keyboard, and wait until the file is written."""
        path = self.server.folder / self.name
        before = path.stat().st_mtime_ns
        self.page.keyboard.press("Control+s")
        self.until(lambda: path.stat().st_mtime_ns != before, f"{self.name} saved")

    def until(self, look: Callable[[], Seen], what: str | None = None) -> Seen:
        """Wait for something to be seen in the page, and give that."""
        return until(look, what or self.text, pause=breath(self.page))

    def still(self, look: Callable[[], Seen]) -> Seen:
        """What is seen in the page once two looks in a row see the same."""
        return still(look, pause=breath(self.page))

    def rest(self) -> None:
        """Wait until the page shows all that was done: nothing of the dashboard's is under way in the kernel.

        Twice in a row, since the browser may hold a message back until the one before is answered.
        """
        for _ in range(2):
            self.until(lambda: self.page.evaluate(AT_REST), "a dashboard at rest")

    @contextlib.contextmanager
    def slow(self, times: float) -> Iterator[None]:
        """A browser that has so many times less of its processor."""
        session = self.page.context.new_cdp_session(self.page)
        try:
            session.send("Emulation.setCPUThrottlingRate", {"rate": times})
            yield
        finally:
            session.send("Emulation.setCPUThrottlingRate", {"rate": 1})
            session.detach()

    def type(self, code: str) -> Locator:
        """Write code into a new cell at the end, and leave it there."""
        footer, cells = self.page.locator(".jp-Notebook-footer"), self.page.evaluate(CELLS)

        def added() -> bool:
            footer.scroll_into_view_if_needed()
            footer.click()  # which misses where the page moves under the mouse
            return bool(self.page.evaluate(CELLS) > cells)

        self.until(added, "a new cell")
        cell = self.page.locator(f".jp-CodeCell[data-windowed-list-index='{cells}']")
        cell.locator(".cm-content").click()
        self.page.keyboard.insert_text(code)
        return cell

    def ask(self, code: str, *, fails: bool = False) -> str:
        """Run code in a new cell at the end and return what it prints; whether that fails is checked."""
        cell = self.type(code)
        self.page.keyboard.press("Control+Enter")
        output = cell.locator(".jp-OutputArea-output")
        output.first.wait_for()
        expect(cell.locator(".jp-InputPrompt")).not_to_have_text("[*]:")
        text = "\n".join(output.all_inner_texts()).strip()
        assert self.page.evaluate(FAILED) is fails, text
        return text

    def button(self, name: str) -> Locator:
        """A dashboard's button."""
        return self.page.locator(".nemo-dashboard").get_by_role("button", name=name, exact=True).first

    def label(self, text: str) -> Locator:
        """A dashboard's input, by its label."""
        return self.page.locator(".nemo-dashboard").get_by_label(text, exact=True).first

    def figure(self, label: str) -> Locator:
        """A drawn figure, by the beginning of its label."""
        return self.page.locator(f".nemo-figure[aria-label^='{label}'][data-ready='true']").first

    def in_sight(self, label: str) -> Locator:
        """A drawn figure, scrolled to; Playwright would wait until a page that shows a run stands still."""
        figure = self.figure(label)
        figure.evaluate("one => one.scrollIntoViewIfNeeded()")
        return figure

    def points(self, source: str) -> int:
        """How many rows a source of the front has in the browser."""
        front = self.in_sight("Pareto front")  # what nobody sees is not painted
        front.evaluate(SEEN)
        value = front.get_attribute(f"data-count-{source}")
        return int(value or 0)

    def text(self) -> str:
        """Everything the dashboard says."""
        return self.page.locator(".nemo-dashboard").first.inner_text()

    def evaluated(self) -> int:
        """The number of evaluations that the dashboard shows."""
        words = self.page.locator(".nemo-status").first.inner_text()
        return int(words.split(" of ")[0].split()[-1])

    def wait_for_text(self, text: str) -> None:
        """Wait until the dashboard says something."""
        expect(self.page.locator(".nemo-dashboard").first).to_contain_text(text)

    def wait_for_evaluations(self, count: int) -> None:
        """Wait until the dashboard shows at least so many evaluations."""
        self.until(lambda: self.evaluated() >= count)

    def tap(
        self, label: str, source: str, key: int, plot: int = 0, x: str | None = None, y: str | None = None
    ) -> None:
        """Click on a point of a figure as a slow hand would, at the place where it is drawn.

        Columns ``x`` and ``y`` say where that is, those of the glyph by default.
        """
        self.page.mouse.click(
            *self._place(label, source=source, key=key, plot=plot, x=x, y=y), delay=SLOW_HAND
        )

    def drawn_at(self, label: str, plot: int, x: float, y: float) -> tuple[float, float]:
        """Where on the screen a plot of a figure draws a value."""
        return self._place(label, plot=plot, x=x, y=y)

    def _place(self, label: str, **drawn: object) -> tuple[float, float]:
        figure = self.in_sight(label)
        place = self.still(lambda: figure.evaluate(PLACE, drawn))
        return place["x"], place["y"]

    def drag(self, label: str, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drag the mouse over the first plot of a figure, from one value to another; the hand rests first."""
        first, last = (self.drawn_at(label, 0, *place) for place in (start, end))
        self.page.mouse.move(*first)
        self.page.mouse.down()
        self.page.wait_for_timeout(SLOW_HAND)
        self.page.mouse.move(*last, steps=8)
        self.page.mouse.up()

    def close(self) -> None:
        """Leave it as it was saved, and a page of its own, too; the kernel goes on without it."""
        self.tab.leave(self.page)
        if self.page is not self.tab.page:
            self.page.close()
            return
        for event, listener in self._heard.items():
            self.page.remove_listener(event, listener)


# whether the last cell ended in an error
FAILED = """() => {
  const cell = [...jupyterapp.shell.currentWidget.content.widgets].at(-1).model.toJSON();
  return cell.outputs.some((one) => one.output_type === "error");
}"""
# how many cells the notebook has
CELLS = "jupyterapp.shell.currentWidget.content.widgets.length"
# whether no thread of a dashboard has anything to do or to draw, and the page has painted what they drew
AT_REST = """async () => {
  const names = "{one.name for one in __import__('threading').enumerate()}";
  const busy = `bool(${names} & {'nemo_lab publisher', 'nemo_lab background'})`;
  const { kernel } = jupyterapp.shell.currentWidget.sessionContext.session;
  const question = {code: "pass", store_history: false, user_expressions: {busy}};
  const { content } = await kernel.requestExecute(question).done;
  do await new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)));
  while (globalThis.__nemo_lab_turns?.taken);
  return content.user_expressions.busy.data["text/plain"] === "False";
}"""

# resolves after a figure was told that it is in sight, and painted: its own observer is called first
SEEN = """(el) => new Promise((go) => {
  const sight = new IntersectionObserver(() => {
    sight.disconnect();
    requestAnimationFrame(() => requestAnimationFrame(go));
  });
  sight.observe(el);
})"""

# where a value is on the screen: asks BokehJS for the frame of a plot
PLACE = """(el, {plot, source, key, x, y}) => {
  for (const Bokeh of el.ownerDocument.defaultView.__nemo_lab_bokeh_loaded) {
    for (const root of Object.values(Bokeh.index)) {
      if (!el.contains(root.el)) continue;
      const views = root.child_views?.length ? [...root.child_views] : [root];
      const view = views.filter((one) => one.model.type === "Figure")[plot];
      if (source) {
        const renderer = view.model.renderers.find((one) => one.data_source?.name === source);
        const data = renderer.data_source.data;
        const row = Array.from(data.key).indexOf(key);
        x = data[x ?? renderer.glyph.x.field][row];
        y = data[y ?? renderer.glyph.y.field][row];
      }
      const box = view.el.getBoundingClientRect();
      return {x: box.x + view.frame.x_scale.compute(x), y: box.y + view.frame.y_scale.compute(y)};
    }
  }
  throw new Error("no such figure");
}"""
