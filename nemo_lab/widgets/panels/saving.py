"""The row of the controls that writes files: the report and the front."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import ipywidgets as w

from nemo_lab.study.run.notices import notice
from nemo_lab.widgets.panels.base import Panel, field, row

SUFFIXES = (".html", ".json")


class SavingControls:
    """A name, and a button for each kind of file.

    Args:
        panel: under which is shown where a file is.
        save_report: writes a report to a path.

    A file that was there before is replaced only when the button is pressed once more.
    """

    def __init__(self, panel: Panel, save_report: Callable[[Path], object]) -> None:
        self._panel, self._save_report = panel, save_report
        title = panel.study.title
        self._name = "".join(one if one.isalnum() or one in "-_." else "_" for one in title) or "run"
        self._replaceable: set[Path] = set()
        self.file = field(w.Text, "Save as", 170, 52, value=self._name)
        report = panel.press(
            "Save report",
            "One HTML file with figures and tables, which opens without a kernel",
            lambda: self._save(".html", "report", self._save_report),
        )
        front = panel.press(
            "Save front",
            "The front as JSON: bit-widths, objectives, interventions and versions",
            lambda: self._save(".json", "front", self._save_front),
        )
        self.row = row(self.file, report, front)

    def _save(self, suffix: str, what: str, write: Callable[[Path], object]) -> None:
        given = Path(self.file.value.strip() or self._name).expanduser()
        stem = given.stem if given.suffix in SUFFIXES else given.name
        path = given.with_name(stem + suffix).absolute()

        def save() -> None:
            if path.exists() and path not in self._replaceable:
                self._replaceable.add(path)
                raise ValueError(f"{path} already exists; press again to replace it, or change the name")
            write(path)
            self._replaceable.add(path)
            notice(f"saved the {what} to {path}")

        self._panel.in_background(save)

    def _save_front(self, path: Path) -> None:
        from nemo_lab.export import save_front

        save_front(self._panel.study, path)
