"""How fast the dashboard is on the screen: ``python -m benchmarks.lab.dashboard`` writes DASHBOARD.md.

In a real JupyterLab with a real Chromium on the same cores as the search: the time from running a cell to the
first words and to every figure drawn, in a kernel that has shown one before; what an update costs on the
wire, how many updates a second reach the page and how evenly, while two networks are searched; how long
the kernel takes to answer an empty cell meanwhile; whether what is on the screen is the study's after a
cell that kept the kernel busy; how all this is in a page that has less of its processor; and how good the
estimate of the time left was.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import os
import platform
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient

from benchmarks.lab.run import HERE, kernel_pings, load_lab, percentiles

ROOT = HERE.parents[1]
BIG = "resnext101_32x8d"
SLOWER = (2, 4)
LONGEST = 1_200_000  # milliseconds that a cell may take
# notes when the rows of the front's figure change
WATCH = """() => {
  globalThis.__updates = [];
  const figure = [...document.querySelectorAll(".nemo-figure[aria-label^='Pareto front']")].at(-1);
  const rows = {attributes: true, attributeFilter: ["data-count-evaluated"]};
  new MutationObserver(() => globalThis.__updates.push(performance.now())).observe(figure, rows);
}"""

COUNTS = "() => ({updates: globalThis.__updates, received: globalThis.__received})"
LAST = "[...document.querySelectorAll('.jp-CodeCell')].at(-1)"
WORDS = f"() => {LAST}.querySelector('.nemo-status')"
FIGURES = f"""() => {{
  const figures = [...{LAST}.querySelectorAll(".nemo-figure")];
  return figures.length > 3 && figures.every((one) => one.dataset.ready === "true" || !one.offsetParent);
}}"""
BUSY = """import time
end = time.time() + 5
while time.time() < end: sum(range(1000))"""


# counts in the page what it receives: whoever listens from outside takes time from it
LISTEN = """
globalThis.__received = 0;
globalThis.WebSocket = class extends globalThis.WebSocket {
  constructor(...given) {
    super(...given);
    this.addEventListener("message", ({data}) => {
      globalThis.__received += data.byteLength ?? data.size ?? data.length;
    });
  }
};"""


class Session:
    """A notebook whose dashboards are measured."""

    def __init__(self, lab: Any, server: Any, browser: Any, folder: Path) -> None:
        self.lab = lab
        self.page = browser.new_page(viewport={"width": 1280, "height": 1500})
        self.page.add_init_script(LISTEN)
        tab = lab.Tab(browser, server)
        name = f"{tab.kernel}.ipynb"  # a notebook keeps the kernel that it was opened with
        shutil.copy(server.folder / "00_quickstart.ipynb", server.folder / name)
        self.notebook = lab.Notebook(tab, name, page=self.page)
        self.page.set_default_timeout(LONGEST)
        lab.expect.set_options(timeout=LONGEST)
        self.notebook.open_dashboard()
        file = folder / f"runtime/kernel-{tab.kernel}.json"
        self.client = BlockingKernelClient(connection_file=str(file))
        self.client.load_connection_file()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)
        self.notebook.ask(f"import sys, nemo_lab as nl; sys.path.insert(0, {str(ROOT)!r}); print('there')")

    def painted(self, repeats: int) -> list[tuple[float, float]]:
        """Seconds from running a cell to its first words, and to all its figures."""
        found = []
        for _ in range(repeats):
            self.notebook.type("nl.Dashboard('digits')")
            began = time.perf_counter()
            self.page.keyboard.press("Control+Enter")
            self.page.wait_for_function(WORDS)
            words = time.perf_counter() - began
            self.page.wait_for_function(FIGURES)
            found.append((words, time.perf_counter() - began))
        return found

    def watched(self, name: str, at: int, seconds: float) -> dict[str, Any]:
        """Search a problem, and from ``at`` evaluations on watch for some seconds what comes."""
        lines = [
            "from benchmarks.search.problems import PROBLEMS",
            f"problem = PROBLEMS[{name!r}]()",
            "study = nl.create_study(problem)",
            f"study.optimize({at}, progress=False)",
            "print('ready')",
        ]
        self.notebook.ask("\n".join(lines))
        self.notebook.ask("nl.Dashboard(study)")
        shown = self.page.locator(".nemo-dashboard").last
        # what nobody sees is not painted
        shown.evaluate("element => element.scrollIntoView({block: 'start'})")
        self.page.wait_for_timeout(3000)
        self.page.evaluate(WATCH)
        self.client.execute_interactive("study.start(100_000)", silent=True)  # the page has enough to do
        self.page.wait_for_timeout(1000)
        before, began = self.page.evaluate(COUNTS), time.perf_counter()
        self.page.wait_for_timeout(1000 * seconds)
        after, took = self.page.evaluate(COUNTS), time.perf_counter() - began
        times = after["updates"][len(before["updates"]) :]
        pings: list[float] = []
        while len(pings) < 100:
            pings += kernel_pings(self.client, 20)
        self.client.execute_interactive(BUSY, silent=True)
        self.client.execute_interactive("study.stop(); study.wait()", silent=True)
        self.page.wait_for_timeout(2000)
        true = self.notebook.ask("print(len(study.evaluations()), len(study.front()))").split()[-2:]
        shown = self.page.locator(".nemo-figure[aria-label^='Pareto front']").last
        seen = [shown.get_attribute(f"data-count-{one}") for one in ("evaluated", "front")]
        return {
            "updates": len(times) / took,
            "waits": [later - earlier for earlier, later in itertools.pairwise(times)],
            "bytes": (after["received"] - before["received"]) / max(len(times), 1),
            "pings": pings,
            "same": seen == true,
            "seen": seen,
            "true": true,
            "points": int(true[0]),
        }


def slowed(session: Session, times: float, seconds: float) -> tuple[float, float]:
    """With so many times less of a processor for the page: updates a second, and seconds a reload takes."""
    notebook, page = session.notebook, session.page
    notebook.ask("study = nl.create_study('digits'); study.start(1_000_000); print('on')")
    notebook.ask("nl.Dashboard(study)")
    page.locator(".nemo-dashboard").last.evaluate("element => element.scrollIntoView({block: 'start'})")
    page.wait_for_timeout(3000)
    notebook.save()
    with notebook.slow(times):
        page.evaluate(WATCH)
        page.wait_for_timeout(1000 * seconds)
        updates = len(page.evaluate(COUNTS)["updates"])
        began = time.perf_counter()
        page.reload()
        notebook.figure("Pareto front").wait_for()
        shown = notebook.points("evaluated")
        notebook.until(lambda: notebook.points("evaluated") > shown)
        took = time.perf_counter() - began
    notebook.ask("study.stop(); print('off')")
    notebook.close()
    return updates / seconds, took


def time_left(session: Session, evaluations: int, after: float) -> tuple[float, float]:
    """The time left that is told after some seconds of a run, and what it then took."""
    code = (
        "import time\n"
        "study = nl.create_study('fashion')\n"
        f"study.start({evaluations}); time.sleep({after})\n"
        "told, began = study.snapshot.seconds_left, time.perf_counter()\n"
        "study.wait(); print(told, time.perf_counter() - began)"
    )
    told, took = map(float, session.notebook.ask(code).split()[-2:])
    return told, took


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5, help="of the first paint")
    parser.add_argument("--seconds", type=float, default=20, help="that updates are watched")
    parser.add_argument("--evaluations", type=int, default=6000, help="of the run whose time left is told")
    options = parser.parse_args()
    lab = load_lab()
    with (
        tempfile.TemporaryDirectory() as name,
        lab.jupyterlab(Path(name), "--expose-app-in-browser") as server,
        lab.chromium() as browser,
    ):
        session = Session(lab, server, browser, Path(name))
        paints = session.painted(options.repeats)
        words, figures = (statistics.median(one[which] for one in paints) for which in (0, 1))
        first = f"from running a cell to its first words, warm kernel, median of {len(paints)}"
        rows = [
            (first, f"{words:.2f} s", "2 s"),
            ("from running a cell to every figure drawn", f"{figures:.2f} s", "-"),
        ]
        for problem, at in (("digits", 500), (BIG, 500), (BIG, 5000)):
            found = session.watched(problem, at, options.seconds)
            what = f"{problem} from {at:,} points ({found['points']:,} at the end)"
            new = [
                (f"{what}: updates a second", f"{found['updates']:.1f}", "4"),
                (
                    f"{what}: from one update to the next, 50th / 95th percentile",
                    f"{percentiles(found['waits'])} ms",
                    "-",
                ),
                (f"{what}: received for an update", f"{found['bytes'] / 1000:.1f} kB", "20 kB"),
                (
                    f"{what}: an empty cell is answered, 50th / 95th percentile of {len(found['pings'])}",
                    f"{percentiles(found['pings'])} ms",
                    "100 ms (95th)",
                ),
                (
                    f"{what}: after a busy cell the screen shows the study's points and front",
                    "yes" if found["same"] else f"no: {found['seen']} of {found['true']}",
                    "yes",
                ),
            ]
            rows += new
            print(new, flush=True)
        for times in SLOWER:
            updates, took = slowed(Session(lab, server, browser, Path(name)), times, options.seconds)
            what = f"digits, in a page with 1/{times} of its processor"
            rows += [
                (f"{what}: updates a second", f"{updates:.1f}", "-"),
                (f"{what}: from a reload in the middle of a run to living figures", f"{took:.1f} s", "-"),
            ]
        told, took = time_left(session, options.evaluations, 60)
        rows.append(
            (f"fashion, {options.evaluations} evaluations: time left told after a minute, and taken",
             f"{told:.0f} s, {took:.0f} s", "-")
        )  # fmt: skip
    lines = (f"| {figure} | {measured} | {goal} |" for figure, measured, goal in rows)
    table = "\n".join(["| figure | measured | goal |", "|---|---|---|", *lines])
    text = (
        "# The dashboard on the screen\n\n"
        f"`python -m benchmarks.lab.dashboard`, {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}, "
        f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}\n\n{table}\n"
    )
    (HERE / "DASHBOARD.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
