"""Start-up, memory and responsiveness of the lab: ``python -m benchmarks.lab.run``.

Measures, in one run: the time of ``import nemo_lab``; the time from running the first cell of the
quickstart in a fresh kernel to every figure drawn; the peak memory of server and kernel together
through a run of 500 evaluations on ``digits``; how long an empty cell takes to be answered while 300
evaluations run in the background; and what the dashboard sends meanwhile. Writes RESULTS.md beside it.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil
from jupyter_client.blocking.client import BlockingKernelClient

HERE = Path(__file__).parent
E2E = HERE.parents[1] / "tests" / "e2e" / "lab.py"


def load_lab() -> Any:
    """The browser tests' JupyterLab and Chromium."""
    spec = importlib.util.spec_from_file_location("nemo_lab_e2e", E2E)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(E2E)
    module = importlib.util.module_from_spec(spec)
    sys.modules["nemo_lab_e2e"] = module
    spec.loader.exec_module(module)
    return module


def import_seconds(repeats: int = 5) -> list[float]:
    """``import nemo_lab`` in fresh processes, the interpreter's own start not counted."""
    code = "import time; t = time.perf_counter(); import nemo_lab; print(time.perf_counter() - t)"
    return [
        float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
        for _ in range(repeats)
    ]


class Memory:
    """Peak of the resident memory of a process and all its children."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self.server = self.kernels = self.both = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            try:
                server = self._root.memory_info().rss
                kernels = sum(child.memory_info().rss for child in self._root.children(recursive=True))
            except psutil.Error:
                continue
            self.server, self.kernels = max(self.server, server), max(self.kernels, kernels)
            self.both = max(self.both, server + kernels)

    def stop(self) -> None:
        """End the watch."""
        self._stop.set()
        self._thread.join()


# times empty execute requests through the page's own connection to the kernel, the page's work included
PAGE_PING = """async (count) => {
  const panel = [...window.jupyterapp.shell.widgets("main")].find((one) => one.sessionContext);
  const kernel = panel.sessionContext.session.kernel;
  const times = [];
  for (let i = 0; i < count; i++) {
    const began = performance.now();
    await kernel.requestExecute({code: "", silent: true, store_history: false}).done;
    times.push(performance.now() - began);
    await new Promise((resume) => setTimeout(resume, 40));
  }
  return times;
}"""


def kernel_pings(client: BlockingKernelClient, count: int) -> list[float]:
    """Milliseconds in which the kernel answers an empty cell, asked by another process."""
    times = []
    for _ in range(count):
        began = time.perf_counter()
        asked = client.execute("", silent=True, store_history=False)
        while client.get_shell_msg(timeout=30)["parent_header"].get("msg_id") != asked:
            pass
        times.append(1000 * (time.perf_counter() - began))
        time.sleep(0.04)
    return times


def measure(evaluations: int, pinged: int) -> dict[str, Any]:
    """All figures of one session."""
    lab = load_lab()
    found: dict[str, Any] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        lab.jupyterlab(Path(folder), "--expose-app-in-browser") as server,
        lab.chromium() as browser,
    ):
        memory = Memory(server.process.pid)
        notebook = lab.Notebook(lab.Tab(browser, server), "00_quickstart.ipynb")
        began = time.perf_counter()
        notebook.open_dashboard()
        found["on_screen"] = time.perf_counter() - began
        notebook.page.wait_for_timeout(4000)

        client = BlockingKernelClient(connection_file=str(next(Path(folder).glob("runtime/kernel-*.json"))))
        client.load_connection_file()
        client.start_channels()
        client.wait_for_ready(timeout=60)
        notebook.ask(f"dashboard.study.start({pinged}); print('on')")
        kernel: list[float] = []
        page: list[float] = []
        while notebook.evaluated() < pinged:
            kernel += kernel_pings(client, 20)
            page += notebook.page.evaluate(PAGE_PING, 10)
        found |= {"kernel_pings": kernel, "page_pings": page, "idle": kernel_pings(client, 50)}
        notebook.ask(f"dashboard.study.optimize({evaluations - pinged}, progress=False); print('done')")
        notebook.wait_for_evaluations(evaluations)
        frame = notebook.ask(
            "f = dashboard._front.figure.frame['columns']\n"
            "size = lambda v: len(v['data']) if isinstance(v, dict) else len(str(v))\n"
            "print(sum(size(v) for columns in f.values() for v in columns.values()))"
        )
        found["frame_bytes"] = int(frame.split()[-1])
        memory.stop()
        found |= {"server": memory.server, "kernel": memory.kernels, "both": memory.both}
    return found


def percentiles(values: list[float]) -> str:
    """The 50th and the 95th percentile, to stand before their unit."""
    ranked = statistics.quantiles(values, n=100, method="inclusive")
    return f"{ranked[49]:.0f} / {ranked[94]:.0f}"


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--evaluations", type=int, default=500)
    parser.add_argument("--pinged", type=int, default=300, help="evaluations while empty cells are timed")
    options = parser.parse_args()
    imports = import_seconds()
    found = measure(options.evaluations, options.pinged)
    mib = 1024 * 1024

    def spread(values: list[float]) -> str:
        return f"{percentiles(values)} / {max(values):.0f} ms"

    memory = f"{found['both'] / mib:.0f} MiB ({found['server'] / mib:.0f} + {found['kernel'] / mib:.0f})"
    done, pinged = options.evaluations, options.pinged
    rows = [
        ("`import nemo_lab`, median of 5", f"{statistics.median(imports):.3f} s", "0.5 s"),
        ("first cell run to all figures drawn, fresh kernel", f"{found['on_screen']:.1f} s", "10 s"),
        (f"peak memory of server + kernel, {done} evaluations", memory, "1,024 MiB"),
        (
            f"kernel answers an empty cell during {pinged} evaluations, 50th / 95th percentile / worst of "
            f"{len(found['kernel_pings'])}",
            spread(found["kernel_pings"]),
            "100 ms (95th)",
        ),
        (
            f"the same asked from the page that draws the dashboard, {len(found['page_pings'])} times",
            spread(found["page_pings"]),
            "-",
        ),
        ("kernel answers an empty cell, nothing running", spread(found["idle"]), "-"),
        (f"one frame of the front panel at {done} points", f"{found['frame_bytes'] / 1000:.1f} kB", "20 kB"),
    ]
    lines = (f"| {figure} | {measured} | {goal} |" for figure, measured, goal in rows)
    table = "\n".join(["| figure | measured | goal |", "|---|---|---|", *lines])
    text = (
        "# The lab: start-up, memory, responsiveness\n\n"
        f"`python -m benchmarks.lab.run`, {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}, "
        f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}\n\n{table}\n"
    )
    (HERE / "RESULTS.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
