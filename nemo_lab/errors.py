"""What nemo_lab raises: each error says what is wrong and names the way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, Self

SHOWN = 600  # characters of a refused value that a message shows


def shown(value: Any) -> str:
    """A refused value for a message, whatever it is and however long; a number of NumPy as a plain one."""
    try:
        single = getattr(value, "ndim", None) == 0 and hasattr(value, "dtype")
        text = repr(value.item() if single else value)
    except Exception:  # a number of too many digits, or an object's own fault
        text = f"<{type(value).__name__}>"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


class NemoError(Exception):
    """Base of all errors of nemo_lab.

    Args:
        message: what is wrong, with the offending value.
        hint: what to do about it.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        self.message = message
        self.hint = hint
        super().__init__(f"{message}; {hint}" if hint else message)

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self.message, self.hint)

    def at(self, place: str) -> Self:
        """The same error, said of a place, such as a line of a file.

        >>> str(NemoError("no node 'a'", "known: b").at("line 3"))
        "line 3: no node 'a'; known: b"
        """
        NemoError.__init__(self, f"{place}: {self.message}", self.hint)
        return self


def _again(kind: type[NemoError], message: str, hint: str) -> NemoError:
    """An error as it was, of whatever it had been made."""
    error = kind.__new__(kind)
    NemoError.__init__(error, message, hint)
    return error


class UnknownNameError(NemoError, KeyError):
    """A name that is not among the known ones; the hint proposes the nearest."""

    def __init__(self, kind: str, name: object, known: Iterable[str]) -> None:
        names = list(known)
        text = shown(name)
        near = difflib.get_close_matches(text.strip("'"), names, n=1, cutoff=0.5)
        some = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        super().__init__(
            f"no {kind} {text}",
            f"did you mean {near[0]!r}?" if near else f"known: {some}" if names else "there are none",
        )

    __str__ = Exception.__str__


class BitWidthError(NemoError, ValueError):
    """Bit-widths out of range or of the wrong shape."""


class DataError(NemoError, ValueError):
    """Images or labels that cannot be used: NaN, empty, wrong shape."""


class ArgumentError(NemoError, ValueError):
    """Any other argument that cannot be used."""


class TraceError(NemoError):
    """A module that cannot be turned into a graph of quantizers."""


class StudyStateError(NemoError, RuntimeError):
    """A call that does not fit the state of the study, such as starting it twice."""


class StorageError(NemoError):
    """A journal that cannot be read or written, or does not fit what it is opened for."""


class EvaluationError(NemoError, RuntimeError):
    """The evaluator failed or returned what cannot be an objective vector."""


class ExportError(NemoError):
    """A configuration that cannot be written in a format."""


class VerificationError(ExportError):
    """A file that does not compute what was searched; says from which layer on."""


class CopyError(NemoError, TypeError):
    """A copy of what cannot be there twice, such as a study, by ``copy`` or ``pickle``."""


class ContractError(ArgumentError, AssertionError):
    """A species or a problem of one's own breaks a promise; says which, and how to mend it."""


class NemoWarning(UserWarning):
    """Something worked, but not quite as might be expected; says what to do."""
