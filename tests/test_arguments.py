"""Domains of arguments: what each takes, what comes out, and what is said about everything else."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nemo_lab.arguments import (
    Choice,
    Domain,
    File,
    Flag,
    Instance,
    Number,
    OrNone,
    Several,
    Text,
    Whole,
)
from nemo_lab.errors import ArgumentError, UnknownNameError
from nemo_lab.search import SearchOptions

PRICES: Domain[tuple[float, ...]] = Several(Number(0, open="low"), 2, 2, ascending=True)


@pytest.mark.parametrize(
    ("domain", "value", "expected"),
    [
        (Whole(1), 3, 3),
        (Whole(1), np.uint8(3), 3),
        (Whole(1), torch.tensor(3), 3),
        (Number(0), 3, 3.0),
        (Number(0), np.float32(0.5), 0.5),
        (Number(0), torch.tensor(0.5), 0.5),
        (Number(0, 1, open="low"), 1, 1.0),
        (Choice(("a", "b")), np.str_("b"), "b"),
        (Flag(), np.bool_(True), True),
        (Text(), " a ", " a "),
        (File(), Path("a/b"), "a/b"),
        (Instance(dict), {}, {}),
        (OrNone(Whole()), None, None),
        (OrNone(Whole()), 0, 0),
        (PRICES, [1, np.int64(1)], (1.0, 1.0)),
        (Several(Whole()), np.array([4, 8]), (4, 8)),
        (Several(Whole()), torch.tensor([4, 8]), (4, 8)),
        (Several(Whole()), (n for n in (1, 2)), (1, 2)),
    ],
)
def test_what_fits_comes_out_as_plain_python(domain: Domain[Any], value: Any, expected: Any) -> None:
    found = domain.check("name", value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("domain", "words", "values"),
    [
        (Whole(1), "a whole number of at least 1", (0, -1, 1.0, "1")),
        (Whole(1, 3), "a whole number from 1 to 3", (0, 4, 10**400, torch.tensor(2.0))),
        (Number(), "a finite number", (float("nan"), float("inf"), "1", 1j, np.complex128(1))),
        (Number(0), "a number of at least 0", (-0.1, 10**400)),
        (Number(high=2), "a number up to 2", (2.1,)),
        (Number(0, open="low"), "a number above 0", (0,)),
        (Number(0, 1), "a number from 0 to 1", (-0.1, 1.1)),
        (Number(0, 1, open="low"), "a number above 0 and up to 1", (0, 1.1)),
        (Number(0, 1, open="high"), "a number of at least 0 and below 1", (1, -0.1)),
        (Number(0, 1, open="both"), "a number above 0 and below 1", (0, 1)),
        (Choice(("a", "b", "c")), "'a', 'b' or 'c'", ("d", ["a"])),
        (Flag(), "True or False", (1, "no", np.int64(0))),
        (Text(), "a text that is not blank", ("", " ", "\ud800")),
        (File(), "the path of a file", ("", "a\0b", b"a", 1, "\udc00\ud800")),
        (Instance(dict), "a dict", ([],)),
        (OrNone(Whole(1)), "a whole number of at least 1, or None", (0,)),
        (PRICES, "2 values, in ascending order, each a number above 0", ((1,), (2, 1), (0, 1), "12")),
        (Several(Whole(), distinct=True), "a list, each a whole number of at least 0", ((1, 1), {1: 2})),
    ],
    ids=str,
)
def test_what_does_not_fit_is_told_the_domain(
    domain: Domain[Any], words: str, values: tuple[Any, ...]
) -> None:
    for value in values:
        with pytest.raises(ArgumentError) as refused:
            domain.check("name", value)
        assert refused.value.message.startswith("name=")
        assert refused.value.hint == f"give {words}"


class Spiteful:
    """Raises whatever it is asked."""

    def _no(self, *_: object) -> Any:
        raise RuntimeError("no")

    __index__ = __float__ = __eq__ = __iter__ = __fspath__ = __len__ = __repr__ = _no
    __hash__ = object.__hash__


DOMAINS = (Whole(), Number(), Choice(("a",)), Flag(), Text(), File(), PRICES, Instance(int), OrNone(Whole()))


@pytest.mark.parametrize("domain", DOMAINS, ids=str)
@pytest.mark.parametrize("value", [Spiteful(), 1j, object(), torch.ones(3), np.ones((2, 2)), {}, print])
def test_whatever_comes_the_error_is_ours(domain: Domain[Any], value: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^name="):
        domain.check("name", value)


def test_values_that_cannot_be_shown_are_named_by_their_type() -> None:
    with pytest.raises(ArgumentError, match=r"^name=<Spiteful>; give a whole"):
        Whole().check("name", Spiteful())
    with pytest.raises(ArgumentError, match=r"^name=<int>; give a whole"):
        Whole(0, 3).check("name", 10**5000)
    with pytest.raises(ArgumentError, match=r"0\.\.\.; give a whole"):
        Whole(0, 3).check("name", 10**4000)
    with pytest.raises(UnknownNameError, match="no species <Spiteful>; known: floor"):
        raise UnknownNameError("species", Spiteful(), ["floor"])


BAD: dict[type, tuple[Any, ...]] = {
    bool: ("no", 1, None),
    int: (-1, 2.5, "x", None, True, 10**9, float("nan")),
    float: (-1, "x", None, True, float("nan"), float("inf"), 1j, [1.0]),
    str: ("x", 1, True, None),
    tuple: (1.0, (1.0,), (2.0, 1.0), (0.0, 1.0), "ab", None, (1.0, float("inf"))),
    type(None): (0, -1, 2.5, "x", True),
}


@pytest.mark.parametrize("option", [one.name for one in dataclasses.fields(SearchOptions)])
def test_every_option_refuses_what_is_outside_of_its_domain(option: str) -> None:
    default = getattr(SearchOptions(), option)
    for value in BAD[type(default)]:
        if option == "initial" and value == 0:  # no first members
            continue
        with pytest.raises(ArgumentError, match=rf"^{option}=.*; give "):
            SearchOptions.make(**{option: value})
    assert SearchOptions.make(**{option: default}) == SearchOptions()


@pytest.mark.parametrize(
    "option", [name for name in vars(SearchOptions()) if name.endswith(("_prob", "_explore", "_fraction"))]
)
def test_probabilities_and_shares_end_at_one(option: str) -> None:
    assert getattr(SearchOptions.make(**{option: 1}), option) == 1.0
    with pytest.raises(ArgumentError, match=f"{option}=1.01; give a .*from 0 to 1"):
        SearchOptions.make(**{option: 1.01})


def test_the_docstring_tells_every_option_with_its_default_and_domain() -> None:
    text = str(SearchOptions.__doc__)
    for name, default in vars(SearchOptions()).items():
        assert f"        {name}: " in text
        line = next(line for line in text.splitlines() if line.startswith(f"        {name}: "))
        assert line.endswith(f"{default!r} by default.")
