"""A configuration written to JSON and read back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nemo_lab as nl
from nemo_lab.errors import ArgumentError, BitWidthError, DataError, NemoError, NemoWarning, UnknownNameError
from nemo_lab.export import load_bits, save_json, to_dict

HOSTILE_NAME = '../"<script>alert(1)</script>\n; DROP TABLE nodes; --\u202e'


class ToyProblem:
    """Not a quantization problem at all, with a name that means harm."""

    num_nodes = 3
    node_names = ("a", HOSTILE_NAME, "c")
    bit_widths = (2, 4, 8)
    objective_names = ("error", "cost")
    node_features = np.zeros((3, 1), dtype=np.float32)
    edges = np.array([[0, 1], [1, 2]])

    def evaluate(self, bits: Any) -> Any:
        bits = np.atleast_2d(bits).astype(float)
        return np.stack([1 / bits.mean(1), bits.mean(1) / 8], axis=1)


@pytest.fixture(scope="module")
def study() -> nl.Study:
    study = nl.create_study("digits", seed=3, species=("continuous", "floor"), population=8)
    return study.optimize(16, progress=False)


@pytest.fixture
def saved(study: nl.Study, tmp_path: Path) -> Path:
    return save_json(study, study.front().index[0], tmp_path / "best.json")


def test_round_trip(study: nl.Study, tmp_path: Path) -> None:
    for config in study.front().index:
        path = save_json(study, config, tmp_path / "record.json")
        np.testing.assert_array_equal(
            load_bits(path, study.problem), study.snapshot.evaluations.bits[int(config)]
        )
    assert [file.name for file in tmp_path.iterdir()] == ["record.json"]


def test_record_says_what_was_found(study: nl.Study) -> None:
    config = int(study.front().index[0])
    record = to_dict(study, config)
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    row = study.evaluations().loc[config]
    assert record["objectives"] == {name: row[name] for name in study.problem.objective_names}
    assert (record["species"], record["generation"]) == (row["species"], row["generation"])
    assert (record["workload"], record["seed"], record["nemo_lab"]) == ("digits", 3, nl.__version__)
    assert record["problem"] == {"bit_widths": [2, 3, 4, 5, 6, 7, 8], "metric": "top1", "bitops": "max"}
    assert {node["name"]: node["bits"] for node in record["nodes"]} == dict(study.config(config))


def test_quantizers_of_activations_fit_their_ranges(study: nl.Study) -> None:
    nodes = to_dict(study, 0)["nodes"]
    assert {node["kind"] for node in nodes} == {"weight", "activation"}
    for node in nodes:
        if node["kind"] == "weight":
            assert "scale" not in node
            continue
        low, high = node["range"]
        assert node["quant_max"] - node["quant_min"] == 2 ** node["bits"] - 1
        assert node["quant_min"] <= node["zero_point"] <= node["quant_max"]
        ends = [(q - node["zero_point"]) * node["scale"] for q in (node["quant_min"], node["quant_max"])]
        np.testing.assert_allclose(ends, [min(low, 0), max(high, 0)], atol=0.51 * node["scale"])


def test_any_problem_and_any_name(tmp_path: Path) -> None:
    study = nl.create_study(ToyProblem(), species=("continuous",), population=4).optimize(6, progress=False)
    study.enqueue(4)
    study.optimize(1, progress=False)
    path = save_json(study, 6, tmp_path / "toy.json")
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["species"] == "no species"
    assert record["nodes"][1] == {"name": HOSTILE_NAME, "kind": None, "bits": 4}
    np.testing.assert_array_equal(load_bits(path, study.problem), [4, 4, 4])
    assert list(tmp_path.iterdir()) == [path]


def test_unknown_config(study: nl.Study, tmp_path: Path) -> None:
    for config in (16, -1, True, 1.0, "0", None):
        with pytest.raises(UnknownNameError, match="0 to 15"):
            save_json(study, config, tmp_path / "never.json")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_or_read(study: nl.Study, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="folder that exists"):
        save_json(study, 0, tmp_path / "missing" / "best.json")
    with pytest.raises(ArgumentError, match="cannot write"):
        save_json(study, 0, tmp_path)
    for path in (tmp_path / "missing.json", tmp_path):
        with pytest.raises(ArgumentError, match="cannot read"):
            load_bits(path, study.problem)
    with pytest.raises(ArgumentError, match="give the path of a file"):
        load_bits("nul\0byte", study.problem)
    assert not list(tmp_path.iterdir())


def test_a_failed_save_keeps_the_file_that_was_there(
    saved: Path, study: nl.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(ArgumentError, match="No space left"):
        save_json(study, 1, saved)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00",
        b"null",
        b"[]",
        b'{"format": "nemo_lab configuration"',
        b'{"format": "something else"}',
        b"[" * 100_000,
        b"9" * 10_000,
        b'{"format": "nemo_lab configuration", "version": 2, "nodes": []}',
        b'{"format": "nemo_lab configuration", "version": 1}',
        b'{"format": "nemo_lab configuration", "version": 1, "nodes": {"a": 1}}',
        b'{"format": "nemo_lab configuration", "version": 1, "nodes": [7]}',
        b'{"format": "nemo_lab configuration", "version": 1, "nodes": [{"name": ["a"], "bits": 4}]}',
    ],
)
def test_damaged_file(content: bytes, study: nl.Study, tmp_path: Path) -> None:
    path = tmp_path / "damaged.json"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        load_bits(path, study.problem)
    assert caught.value.hint


def test_every_truncation_is_refused(saved: Path, study: nl.Study) -> None:
    content = saved.read_bytes().rstrip()
    for length in range(0, len(content), 97):
        saved.write_bytes(content[:length])
        with pytest.raises(NemoError):
            load_bits(saved, study.problem)


def test_too_large_a_file(saved: Path, study: nl.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nemo_lab.study.bit_maps.text.MAX_BYTES", 100)
    with pytest.raises(DataError, match="larger than"):
        load_bits(saved, study.problem)


@pytest.mark.parametrize("width", [0, -8, 33, 2**70, 4.0, "8", None, True, [8], float("nan")])
def test_widths_that_are_none(width: Any, saved: Path, study: nl.Study) -> None:
    record = json.loads(saved.read_text(encoding="utf-8"))
    record["nodes"][5]["bits"] = width
    saved.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(DataError, match="has bits"):
        load_bits(saved, study.problem)


def test_nodes_that_do_not_fit(saved: Path, study: nl.Study) -> None:
    record = json.loads(saved.read_text(encoding="utf-8"))

    def load(nodes: list[dict[str, Any]]) -> Any:
        saved.write_text(json.dumps({**record, "nodes": nodes}), encoding="utf-8")
        return load_bits(saved, study.problem)

    first, *rest = record["nodes"]
    with pytest.raises(DataError, match="1 of 36 nodes are missing"):
        load(rest)
    with pytest.raises(DataError, match="twice"):
        load([first, first, *rest])
    with pytest.raises(UnknownNameError, match="did you mean"):
        load([{**first, "name": first["name"] + "x"}, *rest])
    with pytest.raises(BitWidthError, match="bit-width 9"):
        load([{**first, "bits": 9}, *rest])
    np.testing.assert_array_equal(load([*reversed(rest), first]), [n["bits"] for n in record["nodes"]])


def test_another_workload_with_the_same_nodes_warns(saved: Path, study: nl.Study) -> None:
    record = json.loads(saved.read_text(encoding="utf-8"))
    saved.write_text(json.dumps({**record, "workload": "my net"}), encoding="utf-8")
    with pytest.warns(NemoWarning, match="'my net'"):
        load_bits(saved, study.problem)


def test_records_are_read_without_torch() -> None:
    code = "import sys, nemo_lab.export; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
