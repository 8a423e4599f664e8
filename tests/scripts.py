"""Runs that are made again by their scripts."""

from __future__ import annotations

import contextlib
import io
import warnings
from typing import Any

from nemo_lab import NemoWarning, Study


def made_by(text: str, **names: Any) -> Study:
    """Run a script of ``Study.to_script`` in which objects of one's own stand by these names; its study."""
    made = dict(names)
    sink = io.StringIO()
    with contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink), warnings.catch_warnings():
        warnings.simplefilter("ignore", NemoWarning)
        exec(compile(text, "script", "exec"), made)
    study: Study = made["study"]
    return study
