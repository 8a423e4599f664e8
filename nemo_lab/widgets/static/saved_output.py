"""The picture that stays in the notebook beside a live view, for whoever reads it without the kernel."""

from __future__ import annotations

import contextvars
import time
import uuid
from typing import Any

from nemo_lab.study import Study
from nemo_lab.widgets.static import picture
from nemo_lab.widgets.view.records import View

PERIOD = 30.0  # seconds between pictures of a run under way


class SavedOutput:
    """An output of its own, so that it can be brought up to date while the live view is left alone.

    A live view is shown when nothing is evaluated yet; a picture made only then would tell whoever opens the
    saved notebook that nothing ever was. Front ends replace an output by its ``display_id``. They do it in
    every notebook that shows it, but not in one that was reloaded since; so the picture bears its time.
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        self._id = uuid.uuid4().hex
        self._mark: tuple[object, ...] | None = None  # of the latest picture, None before there is a place
        self._at = 0.0

    def show(self, bundle: dict[str, Any], config: int | None) -> None:
        """Put a live view and its picture into the outputs of the cell that runs."""
        from IPython.display import display

        # what cannot show the view shows the picture below, and nothing here
        display({**bundle, "text/html": "<div></div>"}, raw=True)
        self._mark, self._at = (), time.monotonic()
        display(self._picture(config), raw=True, display_id=self._id)

    def refresh(self, view: View) -> None:
        """Make the picture anew if the study has changed; now and then while it runs."""
        mark = (view.snapshot.version, view.config)
        if self._mark is None or mark == self._mark:
            return
        resting = view.snapshot.state not in ("running", "stopping")
        if resting or time.monotonic() - self._at > PERIOD:
            self._mark, self._at = mark, time.monotonic()
            # away from the context of the cell that made the view: who runs a notebook from the first cell
            # to the last listens to the one that runs now, and replaces outputs of any
            contextvars.Context().run(self._replace, self._picture(view.config))

    def _picture(self, config: int | None) -> dict[str, str]:
        return {"text/plain": repr(self._study), "text/html": picture.page(self._study, config)}

    def _replace(self, bundle: dict[str, str]) -> None:
        from IPython.display import update_display

        update_display(bundle, raw=True, display_id=self._id)
