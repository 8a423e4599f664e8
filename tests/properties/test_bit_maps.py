"""Out and in again: any names and widths, by any separator, in any order, are what they were."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nemo_lab import NemoError, create_study
from nemo_lab.export import load_bits, save_bits
from nemo_lab.study.parsing.nodes import Selection
from tests.toy import ToyProblem

NAME = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
NAMES = st.lists(NAME.filter(str.strip), min_size=2, max_size=5, unique=True)


@st.composite
def maps(draw: Any) -> tuple[ToyProblem, list[int]]:
    """A problem whose nodes are called anything, and a width for each."""
    names = draw(NAMES)
    names = names[: len(names) // 2 * 2]  # nodes of the toy come in pairs
    problem = ToyProblem(len(names))
    problem.node_names = tuple(names)
    return problem, draw(st.lists(st.integers(2, 8), min_size=len(names), max_size=len(names)))


def read(content: str, problem: ToyProblem, name: str = "bits") -> list[int]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_text(content, encoding="utf-8", newline="")
        return [int(width) for width in load_bits(path, problem)]


@given(maps(), st.sampled_from([".json", ".csv"]))
@settings(max_examples=25)
def test_what_is_written_is_read(made: tuple[ToyProblem, list[int]], ending: str) -> None:
    problem, bits = made
    study = create_study(problem, species=("integer",), population=2, min_size=1, initial=2)
    study.enqueue(bits)
    study.optimize(1, progress=False)
    with tempfile.TemporaryDirectory() as folder:
        path = save_bits(study, 0, Path(folder, f"bits{ending}"))
        assert load_bits(path, problem).tolist() == bits


@given(
    maps(),
    st.sampled_from(",;\t"),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    st.booleans(),
    st.randoms(use_true_random=False),
)
@settings(max_examples=100)
def test_any_separator_order_and_line_end(
    made: tuple[ToyProblem, list[int]], separator: str, end: str, quoting: Any, header: bool, random: Any
) -> None:
    problem, bits = made
    rows = list(zip(problem.node_names, bits, strict=True))
    random.shuffle(rows)
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, lineterminator=end, quoting=quoting)
    writer.writerows([*([("node", "bits")] if header else []), *rows])
    assert read(text.getvalue(), problem) == bits


@given(st.one_of(st.text(max_size=60), st.text("layer0.input,;\t\n\"'{}:48 *", max_size=60)))
@settings(max_examples=100)
def test_any_text_is_a_configuration_or_an_error_of_ours(text: str) -> None:
    for name in ("bits.csv", "bits.json"):
        try:
            found = read(text.encode(errors="ignore").decode(), ToyProblem(), name)
        except NemoError:
            continue
        assert np.isin(found, ToyProblem().bit_widths).all()


@given(st.dictionaries(st.sampled_from([*ToyProblem().node_names, "*", "layer1"]), st.integers(1, 9)))
def test_a_map_means_what_it_means_to_enqueue_or_is_refused(given: dict[str, int]) -> None:
    try:
        found = read(json.dumps(given), ToyProblem())
    except NemoError:
        return
    assert Selection(ToyProblem()).bits(given)[0].tolist() == found
