"""One run: its records, its commands, the thread that owns it, and the study people hold."""

from nemo_lab.search.reseeding import SOURCES
from nemo_lab.study.compare import compare
from nemo_lab.study.create import create_study
from nemo_lab.study.journal import salvage, studies
from nemo_lab.study.load import load_study
from nemo_lab.study.results.history import past
from nemo_lab.study.results.snapshot import Intervention, Snapshot
from nemo_lab.study.study import Study

__all__ = [
    "SOURCES",
    "Intervention",
    "Snapshot",
    "Study",
    "compare",
    "create_study",
    "load_study",
    "past",
    "salvage",
    "studies",
]
