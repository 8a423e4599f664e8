"""Graph networks that were evolved on one network, and what another search makes of them."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nemo_lab as nl
from nemo_lab import Study, create_study, load_study
from nemo_lab.errors import ArgumentError, DataError, StorageError
from nemo_lab.search import SearchOptions
from nemo_lab.search.problem import feature_names_of
from nemo_lab.search.species import make_species
from nemo_lab.search.species.graph import GraphSpecies
from nemo_lab.search.species.transfer import Evolved, adapted, spread
from nemo_lab.study.journal import Journal
from tests.toy import ToyProblem
from tests.waiting import PATIENCE

PAPER: dict[str, Any] = {"preset": "paper", "population": 12, "min_size": 2}
OPTIONS = SearchOptions()
GOLDEN = Path(__file__).parents[1] / "golden/journals"


class Named(ToyProblem):
    """Says what its features are."""

    def __init__(self, *names: str, nodes: int = 6, widths: tuple[int, ...] = (2, 3, 4, 5, 6, 7, 8)) -> None:
        super().__init__(nodes, widths)
        self.feature_names = names or ("op: conv", "op: add", "params", "macs")
        rng = np.random.default_rng(1)
        self.node_features = rng.random((nodes, len(self.feature_names))).astype(np.float32)


def searched(problem: Any = None, count: int = 60, **more: Any) -> Study:
    return create_study(problem or Named(), **{**PAPER, **more}).optimize(count, progress=False)


def table(study: Study) -> list[list[float]]:
    return [list(map(float, row)) for row in np.column_stack([_bits(study), _objectives(study)])]


def _bits(study: Study) -> np.ndarray:
    return study.snapshot.evaluations.bits


def _objectives(study: Study) -> np.ndarray:
    return study.snapshot.evaluations.objectives


def graph(name: str, problem: Any, options: SearchOptions = OPTIONS) -> GraphSpecies:
    (made,) = make_species([name], problem, options)
    assert isinstance(made, GraphSpecies)
    return made


@pytest.mark.parametrize("name", ["gcn", "unet"])
def test_on_the_same_network_they_are_the_same(name: str) -> None:
    problem = Named()
    species = graph(name, problem)
    networks = species.initial(6, np.random.default_rng(0))
    evolved = Evolved("here", problem.feature_names, problem.bit_widths, {}, {name: networks})
    found = adapted(evolved, species, problem, OPTIONS)
    for before, (after, bits) in zip(networks, found, strict=True):
        assert all(map(np.array_equal, before, after))
        assert bits.tolist() == species.decode(before).tolist()


@pytest.mark.parametrize("name", ["gcn", "unet"])
def test_columns_go_by_name_and_widths_by_the_nearest(name: str) -> None:
    there = Named("op: conv", "params", "op: add")
    here = Named("op: new", "op: add", "size", "params", nodes=9, widths=(3, 4, 8, 16))
    species, first = graph(name, here), graph(name, there)
    (network,) = first.initial(1, np.random.default_rng(0))
    before = dict(zip(first.names, network, strict=True))
    evolved = Evolved("there", there.feature_names, there.bit_widths, {}, {name: [network]})
    ((found, bits),) = adapted(evolved, species, here, OPTIONS)
    after = dict(zip(species.names, found, strict=True))
    conv, params, add = before[species.reads].T
    wanted = np.stack([(conv + add) / 2, add, np.zeros_like(add), params]).T
    assert np.allclose(after[species.reads], wanted)
    assert after["output.bias"].tolist() == before["output.bias"][[1, 2, 6, 6]].tolist()
    assert after["output.weight"].tolist() == before["output.weight"][[1, 2, 6, 6]].tolist()
    others = set(species.names) - {species.reads, "output.bias", "output.weight"}
    assert all(np.array_equal(after[one], before[one]) for one in others)
    assert bits.tolist() == species.decode(found).tolist()


def test_the_first_few_lie_far_apart() -> None:
    found = [((np.full(1, i, dtype=np.float32),), np.full(3, i, dtype=np.uint8)) for i in (5, 2, 9, 2, 7, 3)]
    assert [int(one[0][0]) for one in spread(found)] == [2, 9, 5, 3, 7]


def test_graph_species_begin_with_what_others_evolved() -> None:
    source = searched()
    plain, study = searched(count=20), searched(count=20, transfer=source)
    assert (source.transferred.digest, plain.transferred.digest) == ("", "")
    names = [one.name for one in study.species]
    for name in ("gcn", "unet"):
        rows = study.snapshot.evaluations.species == names.index(name)
        first = _bits(study)[rows][:3].tolist()
        assert first == [
            one for one in first if one in _bits(source).tolist()
        ]  # the same problem: known there
        assert first != _bits(plain)[plain.snapshot.evaluations.species == names.index(name)][:3].tolist()


def test_a_study_a_file_and_one_that_is_only_watched_give_the_same(tmp_path: Path) -> None:
    source = searched(storage=tmp_path / "there.sqlite")
    given: list[Any] = [source, tmp_path / "there.sqlite", str(tmp_path / "there.sqlite")]
    given += [load_study(tmp_path / "there.sqlite", read_only=True), [source], (source,)]
    assert len({create_study(Named(), **PAPER, transfer=one).transferred.digest for one in given}) == 1
    source.close()
    both = create_study(Named(), **PAPER, transfer=[tmp_path / "there.sqlite", searched(seed=1)])
    assert both.transferred.digest not in (
        "",
        create_study(Named(), **PAPER, transfer=given[1]).transferred.digest,
    )


@pytest.mark.parametrize("stops", [(7,), (30,), (3, 20, 45)])
def test_a_run_goes_on_from_its_file_bit_for_bit(stops: tuple[int, ...], tmp_path: Path) -> None:
    source, path = searched(), tmp_path / "run.sqlite"
    whole = searched(transfer=source)
    create_study(Named(), **PAPER, transfer=source, storage=path).close()
    for stop in (*stops, 60):
        study = load_study(path, problem=Named())
        assert study.transferred.digest == whole.transferred.digest
        study.optimize(until=stop, progress=False).close()
    assert table(study) == table(whole)


def test_a_species_that_was_removed_goes_on_with_the_next_ones() -> None:
    study = searched(count=10, transfer=searched())
    study.remove_species("gcn")
    study.optimize(10, progress=False)
    study.add_species("gcn")
    study.optimize(20, progress=False)
    again: dict[str, Any] = {}
    source = searched()
    text = study.to_script().replace("...,  # fill in the study", "SOURCE,").replace("print(", "str(")
    text = text.replace("problem = ...", "problem = PROBLEM")
    exec(text, {"SOURCE": source, "PROBLEM": Named()} | again, again)
    assert table(again["study"]) == table(study)


def test_a_script_says_where_they_came_from_and_takes_no_others(tmp_path: Path) -> None:
    source = searched(storage=tmp_path / "there.sqlite")
    study = searched(count=30, transfer=source)
    text = study.to_script().replace("problem = ...", "problem = PROBLEM").replace("print(", "str(")
    assert f"nl.load_study({str(tmp_path / 'there.sqlite')!a}, 'study 1', read_only=True)," in text
    made: dict[str, Any] = {}
    exec(text.replace("def make_problem", "def unused"), {"make_problem": Named} | made, made)
    assert table(made["study"]) == table(study)
    source.optimize(60, progress=False)
    with pytest.raises(SystemExit, match="a copy of it as it was"):
        exec(text.replace("def make_problem", "def unused"), {"make_problem": Named}, {})


def test_between_embedded_networks(digits: nl.Workload) -> None:
    source = create_study(digits, **PAPER).optimize(30, progress=False)
    study = create_study("text", **PAPER, transfer=source)
    assert study.transferred.digest
    assert len(study.optimize(8, progress=False).evaluations()) == 8


def test_a_file_of_before_knows_its_columns_by_its_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nemo_lab.study.journal.records.feature_names_of", lambda problem: ())
    create_study("digits", **PAPER, storage=tmp_path / "old.sqlite").optimize(16, progress=False).close()
    own = Named()
    searched(own, storage=tmp_path / "own.sqlite", count=16).close()
    assert create_study("digits", **PAPER, transfer=tmp_path / "old.sqlite").transferred.digest
    with pytest.raises(DataError, match="feature_names"):
        create_study(Named(), **PAPER, transfer=tmp_path / "own.sqlite")


@pytest.mark.parametrize(
    ("given", "options", "said"),
    [
        (lambda: 3, {}, "a study, the path of the file"),
        (lambda: None, {}, None),
        (list, {}, "no graph network"),
        (lambda: create_study(Named(), **PAPER), {}, "no graph network"),
        (lambda: searched(species=("floor",), count=16), {}, "no graph network"),
        (searched, {"species": ("floor", "integer")}, "without a graph species"),
        (searched, {"gnn_hidden": 16}, "gnn_hidden=32"),
        (searched, {"gnn_position": 1}, "gnn_position=0"),
        (searched, {"gnn_edges": "topology"}, "gnn_edges="),
        (lambda: searched(Named("a", "b"), count=16), {}, "read nothing"),
        (lambda: searched(Named("a", "a"), count=16), {}, "a text of its own for each"),
        (lambda: searched(ToyProblem(), count=16), {}, "feature_names"),
    ],
)
def test_what_cannot_be_taken_over(
    given: Callable[[], Any], options: dict[str, Any], said: str | None
) -> None:
    if said is None:
        assert create_study(Named(), **PAPER, transfer=given()).transferred.digest == ""
        return
    with pytest.raises((ArgumentError, DataError), match=said):
        create_study(Named(), **{**PAPER, **options}, transfer=given())


def test_a_problem_has_to_say_what_its_features_are() -> None:
    source = searched()
    with pytest.raises(ArgumentError, match="feature_names"):
        create_study(ToyProblem(), **PAPER, transfer=source)


def test_there_has_to_be_such_a_file(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"no\.sqlite"):
        create_study(Named(), **PAPER, transfer=tmp_path / "no.sqlite")
    assert not list(tmp_path.iterdir())


def test_a_running_study_can_be_taken_over_from() -> None:
    source = searched(count=16)
    source.start(10_000)
    assert create_study(Named(), **PAPER, transfer=source).transferred.digest
    assert source.state == "running"
    source.stop()
    assert source.wait(PATIENCE)


def test_a_file_that_says_anything_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    create_study(Named(), **PAPER, transfer=searched(), storage=path).close()
    with Journal.open(path, write=False) as journal:
        inherited = journal.header.inherited
    assert inherited.digest
    for wrong in (
        {"networks": {"gcn": [[1.0]]}, "sources": []},
        {"networks": {}, "sources": [3]},
        {"sources": []},
    ):
        with pytest.raises((TypeError, KeyError)):
            type(inherited).read(wrong)


@pytest.mark.parametrize(
    "names", [None, 3, "abcd", ["a", "b"], ["a", "a", "b", "c"], [1, 2, 3, 4], iter("abcd")]
)
def test_names_that_are_none_are_minded_by_nobody_else(names: Any, tmp_path: Path) -> None:
    problem = Named()
    problem.feature_names = names
    searched(problem, count=16, storage=tmp_path / "run.sqlite").close()
    with pytest.raises(ArgumentError, match="feature_names"):
        create_study(problem, **PAPER, transfer=searched())


def test_a_problem_says_itself_what_its_columns_are(digits: nl.Workload) -> None:
    plain, turned = nl.QuantizationProblem(digits), nl.QuantizationProblem(digits)
    turned.node_features = plain.node_features[:, ::-1].copy()
    assert feature_names_of(plain) == digits.feature_names
    assert feature_names_of(turned) == ()
    turned.feature_names = digits.feature_names[::-1]  # type: ignore[attr-defined]
    assert feature_names_of(turned) == digits.feature_names[::-1]


def test_of_several_studies_in_a_file_the_one_that_is_meant(tmp_path: Path) -> None:
    path = tmp_path / "two.sqlite"
    searched(storage=path, name="first").close()
    searched(seed=5, storage=path, name="second").close()
    first = load_study(path, "first", read_only=True)
    two = create_study(Named(), **PAPER, transfer=path)
    one = create_study(Named(), **PAPER, transfer=first, storage=path)  # the newest of the file now
    assert one.transferred.digest != two.transferred.digest
    for study, name in ((one, "first"), (two, "second")):
        study.optimize(14, progress=False)
        text = study.to_script().replace("problem = ...", "return Named()").replace("print(", "str(")
        made: dict[str, Any] = {"Named": Named}
        exec(text, made)
        assert f"{name!r}, read_only=True" in text
        assert table(made["study"]) == table(study)


def test_what_a_file_does_not_hold_its_study_does(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    source = searched(storage=path)
    with sqlite3.connect(path) as file:
        file.execute("DELETE FROM checkpoints")
    with pytest.raises(StorageError, match=r"transfer=load_study\("):
        create_study(Named(), **PAPER, transfer=path)
    assert create_study(Named(), **PAPER, transfer=source).transferred.digest


@pytest.mark.parametrize("version", [1, 2, 3])
def test_files_of_every_format(version: int, tmp_path: Path) -> None:
    shutil.copy(GOLDEN / f"format{version}.sqlite", tmp_path / "old.sqlite")
    assert create_study("digits", **PAPER, transfer=tmp_path / "old.sqlite").transferred.digest


def test_where_widths_are_sampled_the_noise_is_new() -> None:
    source = searched(gnn_decode="sample")
    study = searched(count=20, gnn_decode="sample", transfer=source)
    again = searched(count=20, gnn_decode="sample", transfer=source)
    assert table(study) == table(again)
    species = graph("gcn", Named(), SearchOptions(gnn_decode="sample"))
    species.inherit(study.transferred.networks["gcn"])
    for network in species.initial(2, np.random.default_rng(0)):
        assert tuple(part.shape for part in network) == species.shapes
        assert network[-1].std() > 0.5
