"""The embedded language model: counted by hand, causal, trained, and trained again by its script."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

import nemo_lab as nl
from nemo_lab import QuantizationProblem, Workload
from nemo_lab._torch import torch_threads
from nemo_lab.errors import DataError
from nemo_lab.workload.zoo import train, train_text
from nemo_lab.workload.zoo.registry import DATA_FOLDER, EMBEDDED, TextEntry
from nemo_lab.workload.zoo.transformer import CharacterTransformer

V, T, WIDTH, HIDDEN, BLOCKS = 39, 64, 64, 256, 2  # characters, window, and the sizes of the network

ENTRY = EMBEDDED["text"]
assert isinstance(ENTRY, TextEntry)
TOKENS = train_text.read_text(ENTRY, None)
BOOK = "".join(ENTRY.alphabet[token] for token in TOKENS)


@pytest.fixture(scope="module")
def text_problem(text: Workload) -> QuantizationProblem:
    return QuantizationProblem(text)


def test_sizes_are_those_counted_by_hand(text: Workload) -> None:
    kinds = [node.kind for node in text.nodes]
    assert (kinds.count("weight"), kinds.count("activation")) == (2 + 4 * BLOCKS, 17)
    of_block = 4 * WIDTH**2 + 2 * WIDTH * HIDDEN  # query, key, value, projection; the MLP
    assert text.params == (V + T) * WIDTH + BLOCKS * of_block
    attention = 2 * T * T * WIDTH  # scores and context, of all heads
    assert text.macs == T * V * WIDTH + BLOCKS * (T * of_block + attention)
    small = BLOCKS * (3 * WIDTH + WIDTH + HIDDEN + WIDTH) + (2 * BLOCKS + 1) * 2 * WIDTH  # biases and norms
    assert sum(p.numel() for p in text.module.parameters()) == text.params + small
    assert text.full_precision == ()
    assert text.find("token.weight") is text.find("head.weight")


def test_it_is_traced_by_fx_and_the_trace_gives_the_same(text: Workload) -> None:
    assert text.traced_by == "torch.fx"
    assert text.data is not None
    some = torch.from_numpy(text.data.search.inputs[:8])
    with torch.no_grad():
        torch.testing.assert_close(text.graph(some), text.module(some), rtol=1e-5, atol=1e-5)
    again = Workload.from_module(text.module, some[:2])
    assert (again.nodes, again.layers) == (text.nodes, text.layers)


def test_no_place_knows_what_comes_after_it(text: Workload, text_problem: QuantizationProblem) -> None:
    assert text.data is not None
    some = torch.from_numpy(text.data.search.inputs[:4])
    other = some.clone()
    other[:, 40:] = (other[:, 40:] + 7) % V
    network = text_problem.network()
    network.set_bits([4] * text_problem.num_nodes)
    for run in (text.module, network):
        with torch.no_grad():
            found, changed = run(some), run(other)
        assert torch.allclose(found[:, :40], changed[:, :40], atol=1e-5)
        assert not torch.allclose(found[:, 40:], changed[:, 40:], atol=1e-2)


def test_weights_and_text_are_small_and_the_text_is_the_book() -> None:
    assert sum((DATA_FOLDER / f"text{suffix}").stat().st_size for suffix in (".pt", ".npz")) < 1_000_000
    assert TOKENS.dtype == np.uint8
    assert len(BOOK) == 681_252
    assert BOOK.startswith("pride and prejudice\nby jane austen\nchapter\nit is a truth universally")
    assert BOOK.endswith("had been the means of uniting them.")
    assert set(BOOK) == set(ENTRY.alphabet)


def test_splits_are_windows_of_it_that_share_nothing(text: Workload) -> None:
    assert text.data is not None
    assert text.data.classes == tuple(ENTRY.alphabet)
    cut = BOOK.index("".join(text.data.classes[i] for i in text.data.search.inputs[0]))
    places = {}
    for name, size in ENTRY.sizes.items():
        split = getattr(text.data, name)
        assert split.inputs.shape == split.labels.shape == (size, T)
        assert split.inputs.dtype == split.labels.dtype == np.int64
        assert np.array_equal(split.inputs[:, 1:], split.labels[:, :-1])
        windows = ["".join(text.data.classes[i] for i in row) for row in split.inputs]
        places[name] = [BOOK.index(window) for window in windows]
        ends = [BOOK[place + T] for place in places[name]]
        assert [text.data.classes[i] for i in split.labels[:, -1]] == ends
    assert max(places["calibration"]) + T < cut, "calibrated on what it was trained on"
    tested = sorted(places["search"] + places["held_out"])
    assert tested == list(range(cut, len(BOOK) - 1, T))


def test_it_is_trained(text: Workload, text_problem: QuantizationProblem) -> None:
    assert text.data is not None
    share = np.bincount(TOKENS) / len(TOKENS)
    single = math.exp(-float(share @ np.log(share)))  # perplexity of single characters
    assert single == pytest.approx(19.4, abs=0.1)
    entropy = text_problem.full_precision_error()
    assert math.exp(entropy) == pytest.approx(3.41429, rel=1e-4)
    inputs, labels = torch.from_numpy(text.data.search.inputs), torch.from_numpy(text.data.search.labels)
    assert train_text.perplexity(text.module, inputs, labels) == pytest.approx(math.exp(entropy), rel=1e-5)
    assert math.exp(text_problem.full_precision_error(text.data.held_out)) < 4


def test_eight_bits_lose_little_and_two_lose_it_all(text_problem: QuantizationProblem) -> None:
    uniform = np.repeat([[8], [4], [2]], text_problem.num_nodes, axis=1)
    errors = text_problem.evaluate(uniform)[:, 0]
    assert np.exp(errors) == pytest.approx([3.4220, 12.24, V], rel=0.01), "at 2 bits a guess or worse"
    assert text_problem.objective_bounds[:, 0].tolist() == [0, math.log(V)]
    assert errors[0] - text_problem.full_precision_error() < 0.01


def test_a_study_of_it_measures_perplexity_unless_told_otherwise(text: Workload, tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    study = nl.create_study("text", population=8, min_size=2, storage=path)
    assert (study.problem.metric, study.problem.objective_names[0]) == ("perplexity", "log_perplexity")
    study.constrain("perplexity <= 4.5")
    study.optimize(9, progress=False).close()
    again = nl.load_study(path)
    assert again.problem.objectives[0].text(math.log(4.5)) == "4.5000"
    assert again.constraints == {"log_perplexity": pytest.approx(math.log(4.5))}
    again.close()
    few = {"calibration": text.data.calibration, "data": text.data.search}  # type: ignore[union-attr]
    assert QuantizationProblem(text, **few, metric="kl").metric == "kl"


def test_other_workloads_measure_accuracy(digits_problem: QuantizationProblem, text: Workload) -> None:
    assert digits_problem.metric == "top1"
    bare = Workload.from_module(text.module, torch.zeros(1, T, dtype=torch.int64))
    assert text.data is not None
    split = text.data.search
    few = (split.inputs[:8], split.labels[:8])
    assert QuantizationProblem(bare, split.inputs[:8], few).metric == "top1"


# the script


def test_the_network_of_the_script_is_the_shipped_one(text: Workload) -> None:
    net = ENTRY.build()
    assert isinstance(net, CharacterTransformer)
    assert net.head.weight is net.token.weight
    net.load_state_dict(torch.load(DATA_FOLDER / "text.pt", weights_only=True))
    assert net.head.weight is net.token.weight
    some = torch.from_numpy(ENTRY.windows(TOKENS[:129]).inputs)
    with torch.no_grad():
        assert torch.equal(net.eval()(some), text.module(some))


def test_a_plain_text_gives_the_tokens(tmp_path: Path) -> None:
    file = tmp_path / "book.txt"
    file.write_text(BOOK.upper().replace("\n", "\n\n\n").replace(", ", ",\n_") + "*\n", encoding="utf-8")
    assert np.array_equal(train_text.read_text(ENTRY, file), TOKENS)
    file.write_text("It was the best of times", encoding="utf-8")
    with pytest.raises(DataError, match="has 24 characters; give a text of at least 49,152"):
        train_text.read_text(ENTRY, file)
    with pytest.raises(DataError, match="point --data at a plain text file, or leave it out"):
        train_text.read_text(ENTRY, tmp_path)


def test_the_script_trains_reproducibly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = TextEntry(
        "text", {"width": 16, "heads": 2, "hidden": 32, "blocks": 1}, ENTRY.alphabet, 16, dict(ENTRY.sizes)
    )
    monkeypatch.setitem(EMBEDDED, "text", small)
    file = tmp_path / "part.txt"
    file.write_text(BOOK[:60_000].replace("\n", "\n\n"), encoding="utf-8")
    states = []
    for out in ("one", "two"):
        words = ["train", "text", "--data", str(file), "--out", str(tmp_path / out), "--epochs", "2"]
        monkeypatch.setattr("sys.argv", words)
        with torch_threads(1):  # which it sets for good
            train.main()
        states.append(torch.load(tmp_path / out / "text.pt", weights_only=True))
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    net = small.build()
    net.load_state_dict(states[0])
    with np.load(tmp_path / "one" / "text.npz") as arrays:
        held_out = small.splits(arrays).held_out
    inputs, labels = torch.from_numpy(held_out.inputs), torch.from_numpy(held_out.labels)
    assert train_text.perplexity(net, inputs, labels) < 0.6 * train_text.perplexity(
        small.build(), inputs, labels
    )
