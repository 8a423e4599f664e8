"""Bit maps of other tools and of our own, in and out by name; every refusal, and its way out followed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from nemo_lab import NemoError, NemoWarning, QuantizationProblem, Study, Workload, create_study
from nemo_lab.errors import ArgumentError, BitWidthError, DataError, UnknownNameError
from nemo_lab.export import load_bits, load_front, save_bits, save_front, save_json
from nemo_lab.study.bit_maps import reading, text
from tests.toy import ToyProblem

PROBLEM = ToyProblem()
NAMES = PROBLEM.node_names  # layer0.input, layer0.weight, layer1.input, ...
WANTED = [8, 4, 2, 6, 3, 5]
ROWS = [f"{name},{bits}" for name, bits in zip(NAMES, WANTED, strict=True)]
TABLE = "\n".join(["node,bits", *ROWS])
MAP = dict(zip(NAMES, WANTED, strict=True))
Write = Callable[[str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(content: str | bytes, name: str = "bits.txt") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.fixture(scope="module")
def study() -> Study:
    made = create_study(ToyProblem(), population=8, min_size=2, species=("continuous", "floor"))
    return made.optimize(12, progress=False)


def test_out_is_nothing_but_names_and_widths(study: Study, tmp_path: Path) -> None:
    bits = study.snapshot.evaluations.bits[3].tolist()
    plain, table = save_bits(study, 3, tmp_path / "a.json"), save_bits(study, 3, tmp_path / "b.CSV")
    assert json.loads(plain.read_text()) == dict(study.config(3)) == dict(zip(NAMES, bits, strict=True))
    assert pd.read_csv(table).to_dict("list") == {"node": list(NAMES), "bits": bits}
    for path in (plain, table, save_json(study, 3, tmp_path / "c.json")):
        assert load_bits(path, study.problem).tolist() == bits
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.json", "b.CSV", "c.json"]


@pytest.mark.parametrize("name", ["bits", "bits.xlsx", "bits.json.gz", ".csv"])
def test_the_ending_says_what_it_is_to_be(name: str, study: Study, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"call the file \.json or \.csv"):
        save_bits(study, 0, tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "content",
    [
        TABLE,
        "\n".join(ROWS),
        "\ufeff" + TABLE,
        TABLE.replace("\n", "\r\n") + "\r\n",
        TABLE.replace("\n", "\r"),
        TABLE.replace(",", ";"),
        TABLE.replace(",", "\t"),
        TABLE.replace(",", " , "),
        TABLE.replace("\n", "\n\n \n,,\n"),
        "\n\n" + TABLE,
        TABLE.replace("layer1.weight,6", '"layer1.weight", "6"'),
        TABLE.replace(",6", ",6.0,,"),
        TABLE.replace("node,bits", "Layer,Bit_Width"),
        TABLE.replace("node,bits", "what,bits"),
        "bits,node\n" + "\n".join(",".join(reversed(row.split(","))) for row in ROWS),
        "\n".join(reversed(ROWS)),
        "kind,name,damage,bits\n" + "\n".join(f"x,{row.replace(',', ',0.5,')}" for row in ROWS),
        "*;8\nlayer0.weight;4\nlayer1;2\nlayer1.weight;6\nlayer2.input;3\nlayer2.weight;5\nlayer2.weight;5",
        json.dumps(MAP),
        "\ufeff \n" + json.dumps({name: float(bits) for name, bits in MAP.items()}),
        json.dumps({name: str(bits) for name, bits in MAP.items()}),
        json.dumps({"layer1": 2, **MAP}),
        pd.Series(MAP).to_csv(),
        pd.Series(MAP, name="bits").to_csv(header=False),
        pd.Series(MAP, name=7).rename_axis("node").to_csv(),
        pd.Series(MAP, name="bits").rename_axis("name").reset_index().to_csv(),
        pd.DataFrame({"bits": MAP, "damage": 0.5}).to_csv(sep=";", decimal=","),
    ],
)
def test_what_people_and_tools_write_is_read(content: str, write: Write) -> None:
    assert load_bits(write(content), PROBLEM).tolist() == WANTED


def test_names_mean_what_they_mean_to_enqueue(write: Write) -> None:
    for given in ({"layer0": 4, "layer1": 2, "layer2": 8}, {"*": 4, "weight": 8}, {"*": 4, "*.input": 3}):
        expected = create_study(ToyProblem())
        expected.enqueue(given)
        bits = expected.optimize(1, progress=False).snapshot.evaluations.bits[0]
        assert load_bits(write(json.dumps(given)), PROBLEM).tolist() == bits.tolist()


@pytest.mark.parametrize(
    ("content", "error", "said", "mended"),
    [
        (
            TABLE.replace("layer2.w", "layr2.w"),
            UnknownNameError,
            "line 7 of .*did you mean 'layer2.weight'",
            TABLE,
        ),
        (TABLE.replace(",5", ",9"), BitWidthError, "line 7 of .* 9 is not allowed; choose from 2, ", TABLE),
        (TABLE.replace(",5", ",4.5"), BitWidthError, "line 7 of .*'4.5' is not allowed", TABLE),
        (TABLE.replace(",5", ",nan"), BitWidthError, "'nan' is not allowed", TABLE),
        (TABLE.replace(",5", ",5_0"), BitWidthError, "'5_0' is not allowed", TABLE),
        (TABLE.replace(",5", ","), DataError, "line 7 of .* has 1 cell of 2; give each row a name", TABLE),
        (TABLE.replace(",5", ",5,7"), DataError, "line 7 of .* has 3 cells of 2", TABLE),
        (TABLE.replace(",5", ',"5'), DataError, "line 7 of .* cannot be read: .*save it as CSV again", TABLE),
        (
            TABLE + "\nlayer0.weight,5",
            DataError,
            r"4 bits \(line 3 .*\) and 5 bits \(line 8 .*keep one",
            TABLE,
        ),
        (TABLE + "\nlayer0,8", DataError, "comes before that of a single node", f"layer0,8\n{TABLE[10:]}"),
        (
            "layer0.input,8\nlayer0,8\nlayer0.input,4",  # the width of all is not narrower than its own
            DataError,
            "8 bits .*line 1 .* and 4 bits .*line 3",
            TABLE,
        ),
        (
            TABLE.replace("node,bits", "node,weight_bits,input_bits"),
            DataError,
            "none of its 3 columns 'bits'",
            TABLE,
        ),
        (
            TABLE.replace("node,bits", "a,name,layer,bits"),
            DataError,
            "several columns for .*: name, layer",
            TABLE,
        ),
        ("\n".join(f"0,{row}" for row in ROWS), DataError, "none of its 3 columns 'node'", TABLE),
        (TABLE.replace(",", " "), DataError, "neither JSON nor a table.*write node,bits", TABLE),
        ("node,bits", DataError, "no width for 'layer0.input' .6 of 6", TABLE),
        ("", DataError, "is empty", TABLE),
        (" \n\n", DataError, "is empty", TABLE),
        (b"PK\x03\x04\x00\x00", DataError, "not text in UTF-8; save it from its program as CSV", TABLE),
        (TABLE.encode("utf-16"), DataError, "not text in UTF-8", TABLE),
        (json.dumps(MAP)[:-1], DataError, "cannot be read as JSON", json.dumps(MAP)),
        (json.dumps({**MAP, "layer9": 4}), UnknownNameError, "'layer9' in .*did you mean", json.dumps(MAP)),
        (
            json.dumps({**MAP, NAMES[0]: 4.5}),
            BitWidthError,
            f"'{NAMES[0]}' in .* 4.5 is not",
            json.dumps(MAP),
        ),
        (json.dumps({**MAP, NAMES[0]: True}), BitWidthError, "True is not allowed", json.dumps(MAP)),
        (json.dumps({**MAP, NAMES[0]: {"w": 8}}), BitWidthError, "{'w': 8} is not allowed", json.dumps(MAP)),
        (json.dumps({**MAP, NAMES[0]: float("nan")}), BitWidthError, "nan is not allowed", json.dumps(MAP)),
        (json.dumps(MAP)[:-1] + f', "{NAMES[0]}": 2}}', DataError, "8 bits .* and 2 bits", json.dumps(MAP)),
        (json.dumps({**MAP, "x" * 5000: 4}), ArgumentError, "too long for a name", json.dumps(MAP)),
    ],
)
def test_what_cannot_be_meant_is_refused_where_it_stands(
    content: str | bytes, error: type[NemoError], said: str, mended: str, write: Write
) -> None:
    with pytest.raises(error, match=said) as caught:
        load_bits(write(content), PROBLEM)
    assert caught.value.hint
    assert len(str(caught.value)) < 2000
    assert load_bits(write(mended), PROBLEM).tolist() == WANTED


def test_a_list_names_nothing(tmp_path: Path) -> None:
    path = tmp_path / "bits.json"
    path.write_text(json.dumps(WANTED))
    with pytest.raises(DataError, match=r'holds a list; write \{"name of a node": width'):
        load_bits(path, PROBLEM)


def test_what_is_missing_is_counted_and_filled_on_demand_only(write: Write) -> None:
    path = write("layer1.weight,4\nlayer0,2")
    with pytest.raises(
        DataError, match=r"'layer1.input' \(3 of 6 nodes are missing\).*default=8\)"
    ) as caught:
        load_bits(path, PROBLEM)
    _, call = caught.value.hint.split(": ")
    names = {"load_bits": load_bits, "path": path, "problem": PROBLEM}
    assert eval(call, names).tolist() == [2, 2, 8, 4, 8, 8]
    assert load_bits(path, PROBLEM, 3).tolist() == [2, 2, 3, 4, 3, 3]
    for default in (9, 4.5, "8", True):
        with pytest.raises((BitWidthError, ArgumentError)):
            load_bits(path, PROBLEM, default)  # type: ignore[arg-type]


def test_a_header_is_not_mistaken_for_a_node_nor_a_node_for_a_header(write: Write) -> None:
    problem = ToyProblem()
    problem.node_names = ("node", "name", "layer", "width", "bits", "x,y")
    rows = 'node,8\nname,4\nlayer,2\nwidth,6\nbits,3\n"x,y",5'
    assert load_bits(write(rows), problem).tolist() == WANTED
    assert load_bits(write("node,bits\n" + rows), problem).tolist() == WANTED
    assert load_bits(write("layer,precision_of_it\n" + TABLE[10:]), PROBLEM).tolist() == WANTED


def test_too_much_is_refused_soon(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST", 10)
    with pytest.raises(DataError, match="more than 10 names"):
        load_bits(write("\n".join(ROWS * 2)), PROBLEM)
    monkeypatch.setattr(text, "MAX_BYTES", 50)
    with pytest.raises(DataError, match="larger than"):
        load_bits(write("\n".join(ROWS)), PROBLEM)


def test_a_front_is_not_a_bit_map(study: Study, tmp_path: Path) -> None:
    front = save_front(study, tmp_path / "front.json")
    with pytest.raises(DataError, match=r"a front of \d+ configurations; load_front\(path, problem\)"):
        load_bits(front, study.problem)
    assert len(load_front(front, study.problem)) == len(study.front())
    one = save_bits(study, 0, tmp_path / "one.json")
    with pytest.raises(DataError, match="does not hold a nemo_lab front"):
        load_front(one, study.problem)


def test_a_real_network_by_its_modules(digits_problem: QuantizationProblem, tmp_path: Path) -> None:
    path = tmp_path / "hawq.csv"
    path.write_text("layer,bits\nstem.conv,8\nblocks,4\nclassifier,6\n")
    with pytest.raises(DataError, match="are missing"):
        load_bits(path, digits_problem)
    bits = dict(zip(digits_problem.node_names, load_bits(path, digits_problem, default=5), strict=True))
    assert (bits["stem.conv.weight"], bits["stem.conv.input"], bits["classifier.weight"]) == (8, 8, 6)
    assert {width for name, width in bits.items() if name.startswith("blocks.")} == {4}
    assert np.isin([2, 3, 7], list(bits.values())).sum() == 0


def test_what_stays_in_full_precision_here_is_left_out_with_a_word(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 3)).eval()
    x = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))

    def problem(**settings: object) -> QuantizationProblem:
        ignored = settings.pop("ignore", ())
        workload = Workload.from_module(module, x[:2], ignore=ignored)  # type: ignore[arg-type]
        return QuantizationProblem(workload, x, x, "agreement", **settings)  # type: ignore[arg-type]

    whole, part = problem(), problem(ignore=["0", "2.weight"])
    widths = dict(zip(whole.node_names, range(2, 2 + whole.num_nodes), strict=True))
    path = tmp_path / "all.json"
    path.write_text(json.dumps(widths))
    with pytest.warns(
        NemoWarning, match=r"stays in full precision here, left out: 0\.input, 0\.weight, 2\.weight"
    ):
        found = load_bits(path, part)
    assert found.tolist() == [widths[name] for name in part.node_names]
    path.write_text('{"*": 4, "7.input": 4}')
    with pytest.raises(UnknownNameError, match=r"7\.input"):
        load_bits(path, part)


def test_a_width_that_a_node_may_not_have_is_refused_with_those_that_it_may(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).eval()
    x = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
    widths = {"weight": (2, 4, 8), "activation": (8, 16)}
    problem = QuantizationProblem(Workload.from_module(module, x[:2]), x, x, "agreement", bit_widths=widths)
    path = tmp_path / "bits.json"
    for bits in (3, 16):
        path.write_text(json.dumps({"*": 8, "0.weight": bits}))
        with pytest.raises(
            BitWidthError, match=rf"'0\.weight' may not have {bits} bits; choose from 2, 4, 8$"
        ):
            load_bits(path, problem)
    path.write_text(json.dumps({"activation": 16}))
    with pytest.raises(
        BitWidthError, match=r"default=16 for '0\.weight'.* may not have 16 bits; choose from 2, 4, 8$"
    ):
        load_bits(path, problem, default=16)
    assert load_bits(path, problem, default=8).tolist() == [16, 8, 16, 8]
