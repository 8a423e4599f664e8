"""A study on disk: evaluations, interventions and the engine's state in an SQLite file."""

from nemo_lab.study.journal.backup import backup
from nemo_lab.study.journal.journal import Journal
from nemo_lab.study.journal.listing import studies
from nemo_lab.study.journal.recorder import Recorder
from nemo_lab.study.journal.records import Checkpoint, Header, Stored, StoredProblem
from nemo_lab.study.journal.resume import resumed, state_of
from nemo_lab.study.journal.salvage import salvage

__all__ = [
    "Checkpoint",
    "Header",
    "Journal",
    "Recorder",
    "Stored",
    "StoredProblem",
    "backup",
    "resumed",
    "salvage",
    "state_of",
    "studies",
]
