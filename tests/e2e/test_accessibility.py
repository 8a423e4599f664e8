"""An audit of the rendered dashboard by axe-core: nothing serious or critical that is ours."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from typing import Any

import pytest

pytestmark = pytest.mark.browser
Opened = Callable[..., Any]
GRAVE = ("serious", "critical")
AUDIT = """async () => {
  const found = await axe.run(".nemo-dashboard", {resultTypes: ["violations"]});
  return found.violations.map(({id, impact, help, nodes}) => ({
    id, impact, help,
    nodes: nodes.map(({html, failureSummary}) => `${html.slice(0, 200)}: ${failureSummary}`),
  }));
}"""


def audit(page: Any) -> list[dict[str, Any]]:
    """The violations in the dashboard."""
    if not page.evaluate("() => Boolean(globalThis.axe)"):
        script = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
        # JupyterLab has an AMD loader that would take it away
        page.evaluate("source => { new Function('define', 'module', 'exports', source)(); }", script)
    return list(page.evaluate(AUDIT))


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_grave(open_notebook: Opened, dark: bool) -> None:
    notebook = open_notebook(dark=dark)
    notebook.open_dashboard()
    notebook.ask("dashboard.study.optimize(60, progress=False); print('done')")
    notebook.wait_for_evaluations(60)
    notebook.button("Pin").click()  # a notice is on the screen, too
    notebook.wait_for_text("no node is selected")
    found = [one for one in audit(notebook.page) if one["impact"] in GRAVE]
    assert not found, "\n".join(
        f"{one['impact']} {one['id']}: {one['help']}\n   " + "\n   ".join(one["nodes"]) for one in found
    )
