"""The graph networks that a study has taken over from others."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from nemo_lab.search.species import Genome

Networks = Mapping[str, Sequence[Genome]]


@dataclass(frozen=True, eq=False)
class Inherited:
    """What the graph species of a study begin with.

    Attributes:
        networks: of each species by name, parameters in the order of its ``names``.
        sources: file and name of each study that they come from, None for one in no file.
    """

    networks: Networks = field(default_factory=dict, repr=False)
    sources: tuple[tuple[str, str] | None, ...] = ()

    @cached_property
    def digest(self) -> str:
        """Equal where the networks are the same; empty for none."""
        parts = hashlib.sha256()
        for name in sorted(self.networks):
            parts.update(name.encode())
            for genome in self.networks[name]:
                for part in genome:
                    parts.update(np.ascontiguousarray(part, dtype="<f4").tobytes())
        return parts.hexdigest()[:16] if self.networks else ""

    def saved(self) -> dict[str, Any]:
        """What ``read`` takes."""
        networks = {name: list(map(list, given)) for name, given in self.networks.items()}
        return {"networks": networks, "sources": list(self.sources)}

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> Inherited:
        """From what a file says; raises any exception if that is nothing of ours."""
        networks = {
            str(name): [tuple(map(_array, one)) for one in given]
            for name, given in fields["networks"].items()
        }
        sources = tuple(None if one is None else _source(*one) for one in fields["sources"])
        return cls(networks, sources)


def _source(path: Any, name: Any) -> tuple[str, str]:
    if not isinstance(path, str) or not isinstance(name, str):
        raise TypeError("a study's file and name are not texts")
    return path, name


def _array(given: Any) -> np.ndarray:
    if not isinstance(given, np.ndarray) or given.dtype != np.float32:
        raise TypeError("a parameter is not an array of float32")
    return given


NO_NETWORKS = Inherited()
