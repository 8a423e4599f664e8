"""How people keep a study: in another file, or in a copy of the one it is in."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn

from nemo_lab.arguments import File, OrNone, Text
from nemo_lab.errors import CopyError, StudyStateError
from nemo_lab.search import Engine
from nemo_lab.study.journal import Header, Journal, Recorder, backup
from nemo_lab.study.run.aside import call_aside
from nemo_lab.study.run.inside import check_outside
from nemo_lab.study.run.runner import Runner

Described = Callable[[], tuple[Header, Sequence[Mapping[str, str]]]]


class Keeping:
    """The part of a ``Study`` that keeps it.

    Args:
        runner: of the study.
        recorder: of the run.
        described: gives what the study is, and further forms of its fingerprint.
    """

    def __init__(self, runner: Runner, recorder: Recorder, described: Described) -> None:
        self._runner, self._recorder, self._described = runner, recorder, described

    @property
    def journal(self) -> Journal | None:
        """The journal that the study is in, if it is in one."""
        return self._recorder.journal

    def save_as(self, path: str | os.PathLike[str], name: str | None = None) -> None:
        """Write everything to another file, and go on there; a study without ``storage`` gets a journal so.

        Also when the journal it was in cannot be written any more: nothing of it is needed. Blocks, while a
        run is on until the evaluation in flight is made.

        Args:
            path: of an SQLite file: a new one, or a journal, in which it becomes a further study.
            name: of the study in the file; that which it has by default.

        Raises:
            ArgumentError: if the file has a study of that name.
            StorageError: if the file is something else, or cannot be written; the study stays where it is.
            StudyStateError: if the study is only followed here, or closed, or a part of its run asks.

        >>> import tempfile
        >>> from nemo_lab import create_study, load_study
        >>> study = create_study("digits", population=8, min_size=2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     study.optimize(5, progress=False).save_as(f"{folder}/run.sqlite")
        ...     study.close()
        ...     len(load_study(f"{folder}/run.sqlite", read_only=True).evaluations())
        5
        """
        check_outside(self._runner, "save_as()")
        path, name = File().check("path", path), OrNone(Text()).check("name", name)

        def work(engine: Engine) -> None:
            old = self.journal
            header, forms = self._described() if old is None else (old.header, old.fingerprints)
            header = replace(header, name=name or header.name)
            self._recorder.save_as(path, header, forms, engine, self._runner.snapshot)

        call_aside(self._runner, work)

    def backup(self, path: str | os.PathLike[str]) -> None:
        """Copy the journal with all its studies, whole also while runs write them. Blocks.

        Args:
            path: of the copy.

        Raises:
            StudyStateError: if the study is in no journal.
            StorageError: if there is a file already, the journal cannot be read, or the copy not be written.
        """
        path = File().check("path", path)
        if self.journal is None:
            raise StudyStateError("the study is in no journal", "study.save_as(path) puts it in one")
        backup(self.journal.place, path)


class NotCopied:
    """What cannot be there twice: ``copy`` and ``pickle`` refuse it."""

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        """Refuse.

        Raises:
            CopyError: names what to do instead.
        """
        raise CopyError(
            "a study cannot be copied or pickled",
            "backup(path) or save_as(path) write all of it to a file, from which load_study(path) goes on, "
            "in another process, too; to_script() makes the run again",
        )
