"""Sensitivities from gradients against the divergence that is measured, and networks of every kind."""

from __future__ import annotations

import contextlib
import functools
import warnings

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.nn import functional
from transformers.modeling_outputs import SequenceClassifierOutput

import nemo_lab as nl
from nemo_lab.interruption import Interrupted, interruptible
from nemo_lab.quantize.data import as_examples
from nemo_lab.quantize.evaluation import make_task
from nemo_lab.quantize.sensitivity import Progress, completed, damages

WIDTHS = (2, 3, 4, 5, 6, 7, 8)


def measured(problem: nl.QuantizationProblem, width: int) -> np.ndarray:
    """The first error with one node alone at a width, less that in full precision."""
    rows = np.full((problem.num_nodes, problem.num_nodes), 32)
    np.fill_diagonal(rows, width)
    return problem.error_with(rows) - problem.full_precision_error()


def problem_of(
    module: nn.Module, example: Tensor, metric: object = "kl", **arguments: object
) -> nl.QuantizationProblem:
    workload = nl.Workload.from_module(module.eval(), example[:4])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nl.NemoWarning)  # untrained: 8 bits may be far
        return nl.QuantizationProblem(workload, example, example, metric, **arguments)


@pytest.mark.parametrize("name", ["digits", "fashion", "text"])
def test_it_ranks_the_nodes_as_the_divergence_does(name: str) -> None:
    """Spearman, of single nodes and of whole configurations; signal to noise ranks them far worse."""
    metric = "perplexity" if name == "text" else "kl"
    problem = nl.QuantizationProblem(nl.load_workload(name), metric=metric)
    found = problem.sensitivity()
    assert list(found.index) == list(problem.node_names)
    assert list(found.columns) == list(WIDTHS)
    assert not problem.evaluated  # no configuration was paid for
    by_noise = -problem.sqnr()
    harm = measured(problem, 4)
    foreseen, guessed = (spearmanr(table[4], harm).statistic for table in (found, by_noise))
    assert foreseen > 0.65
    assert foreseen > guessed + 0.15

    rng = np.random.default_rng(0)
    rows = np.clip(np.rint(rng.uniform(3, 8, (24, 1)) + rng.normal(0, 1, (24, problem.num_nodes))), 2, 8)
    damage = found.to_numpy()[np.arange(problem.num_nodes), rows.astype(int) - 2].sum(axis=1)
    assert spearmanr(damage, problem.evaluate(rows.astype(int))[:, 0]).statistic > 0.95


class Net(nn.Module):
    """Two layers over 12 features and 6 classes, less certain than a trained network."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(12, 24), nn.Linear(24, 6)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.second(torch.relu(self.first(x)))
        return scores


def test_in_nats_it_is_the_divergence_of_a_small_error() -> None:
    torch.manual_seed(1)
    problem = problem_of(Net(), torch.randn(470, 12))
    found = problem.sensitivity()
    for width in (6, 7):
        nats = measured(problem, width) * np.log(6)  # "kl" is in units of ln(classes)
        assert found[width].sum() == pytest.approx(nats.sum(), rel=0.35)


def test_the_search_goes_on_as_if_nobody_had_asked() -> None:
    torch.manual_seed(1)
    x = torch.randn(200, 12)
    one, other = problem_of(Net(), x), problem_of(Net(), x)
    rows = np.random.default_rng(0).choice(WIDTHS, (6, one.num_nodes))
    first = one.evaluate(rows[:3])
    table = one.sensitivity()
    assert (one.evaluate(rows) == other.evaluate(rows)).all()
    assert (one.evaluate(rows[:3]) == first).all()
    assert (other.sensitivity() == table).all(axis=None)


class Functional(Net):
    """Weights that are arranged on their way, and one that two products read."""

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu_(functional.linear(x, self.first.weight, self.first.bias))
        twice = hidden @ self.first.weight.reshape(12, 24).t()
        return torch.matmul(hidden, self.second.weight.t()) + twice[:, :6]


class SequenceFirst(Net):
    """The batch is the second axis of all but inputs and outputs."""

    def forward(self, x: Tensor) -> Tensor:
        steps = x.view(-1, 4, 3).transpose(0, 1)
        steps = functional.pad(steps, (0, 9))
        return self.second(torch.relu(self.first(steps)).mean(0))


class InPlace(Net):
    """What layers read is changed afterwards."""

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x)
        scores = self.second(hidden)
        hidden += 1.0
        scores += self.second(hidden.relu_())
        return scores


class AddedInPlace(Net):
    """What reads a stored tensor writes into what it is added to."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(3, 24))

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x.unsqueeze(1).expand(-1, 3, -1))
        hidden.add_(self.table)
        return self.second(torch.relu(hidden)).mean(1)


class Tokens(nn.Module):
    """Whole numbers in; the embedding and the last layer share their weight."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.token, self.body, self.head = nn.Embedding(9, 8), nn.Linear(8, 8), nn.Linear(8, 9, bias=False)
        self.head.weight = self.token.weight

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(torch.tanh(self.body(self.token(x))))
        return scores


class Noisy(Net):
    """Draws numbers."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + 0.1 * torch.randn_like(x))


class Dictionary(Net):
    """Returns several things."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"hidden": self.first(x), "logits": super().forward(x)}


@pytest.mark.parametrize(
    "kind", [Functional, SequenceFirst, InPlace, AddedInPlace, Tokens, Noisy, Dictionary]
)
def test_networks_of_every_kind(kind: type[nn.Module]) -> None:
    """Predicted and measured agree within a factor, for each node, and better in sum."""
    torch.manual_seed(2)
    x = torch.randint(9, (400, 5)) if kind is Tokens else torch.randn(400, 12)
    problem = problem_of(kind(), x)
    found, harm = problem.sensitivity()[4].to_numpy(), measured(problem, 4)
    scale = np.log(9) * 5 if kind is Tokens else np.log(6)  # "kl" is a mean over the places of an example
    assert found.sum() == pytest.approx(scale * harm.sum(), rel=0.6)
    assert np.abs(np.log(found / (scale * harm))).max() < np.log(4)


class Packed(Net):
    """Its scores, packed as a kind of output."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> object:
        found = super().forward(x)
        for _ in range(x.shape[1] - 12):  # which torch.fx does not follow, torch.export does
            found = found + 1
        if self.kind == "ModelOutput":
            return SequenceClassifierOutput(logits=found)
        return {"dictionary": {"logits": found}, "nested": {"logits": found, "more": [found * 2, (x,)]}}[
            self.kind
        ]


@pytest.mark.parametrize("kind", ["dictionary", "nested", "ModelOutput"])
def test_scores_in_any_packing_have_the_same(kind: str) -> None:
    found = []
    for network in (Net, functools.partial(Packed, kind)):
        torch.manual_seed(3)
        module = network().eval()
        x = torch.randn(64, 12)
        workload = nl.Workload.from_module(module, x[:4])
        assert workload.traced_by == ("torch.fx" if network is Net else "torch.export")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found.append(nl.QuantizationProblem(workload, x, x, "kl").sensitivity())
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4)


def test_what_no_gradient_reaches_is_guessed_and_said() -> None:
    class Blind(Net):
        def forward(self, x: Tensor) -> Tensor:
            scores: Tensor = super().forward(x)
            return scores.detach()

    torch.manual_seed(2)
    problem = problem_of(Blind(), torch.randn(100, 12))
    with pytest.warns(nl.NemoWarning, match=r"no gradient reaches .* guessed from the signal to noise ratio"):
        found = problem.sensitivity()
    assert (found > 0).all(axis=None)
    assert (found[2] > found[8]).all()


@torch.library.custom_op("nemo_lab_tests::twice", mutates_args=())
def twice(x: Tensor) -> Tensor:
    """As custom kernels are that are made to run, not to be trained."""
    return x * 2


@twice.register_fake
def _(x: Tensor) -> Tensor:
    return torch.empty_like(x)


def test_what_has_no_derivative_is_searched_all_the_same() -> None:
    class Custom(Net):
        def forward(self, x: Tensor) -> Tensor:
            scores: Tensor = torch.ops.nemo_lab_tests.twice(super().forward(x))
            return scores

    x = torch.randn(100, 12, generator=torch.Generator().manual_seed(2))
    problem, undisturbed = problem_of(Custom(), x), problem_of(Custom(), x)
    with pytest.warns(nl.NemoWarning, match=r"no gradient reaches .* \(RuntimeError: .*\): .* guessed"):
        found = problem.sensitivity()
    assert (found > 0).all(axis=None)
    rows = np.full((1, problem.num_nodes), 5)
    assert (problem.evaluate(rows) == undisturbed.evaluate(rows)).all()


def test_guesses_lie_among_what_is_known() -> None:
    known = np.array([[1.0, 0.25], [np.nan, np.nan], [4.0, 1.0]])
    sqnr = np.array([[0.0, 6.02], [3.01, 9.03], [0.0, 6.02]])
    found, guessed = completed(known, sqnr)
    assert guessed == [1]
    assert found[1] == pytest.approx([1.0, 0.25], rel=0.01)  # half the noise of nodes that lose 2 on the way


def test_a_metric_of_ones_own_is_enough() -> None:
    def distance(outputs: Tensor, labels: Tensor, reference: Tensor) -> Tensor:
        return 1 - functional.cosine_similarity(outputs, reference)

    torch.manual_seed(3)
    problem = problem_of(Net(), torch.randn(300, 12), distance)
    assert spearmanr(problem.sensitivity()[5], measured(problem, 5)).statistic > 0.7


@pytest.mark.parametrize("count", [1, 2, 5, 16, 17, 300])
def test_any_number_of_examples_will_do(count: int) -> None:
    torch.manual_seed(4)
    found = problem_of(Net(), torch.randn(count, 12)).sensitivity()
    assert np.isfinite(found.to_numpy()).all()


def test_it_can_be_stopped_and_asked_again() -> None:
    x = torch.randn(470, 12, generator=torch.Generator().manual_seed(1))
    problem, undisturbed = problem_of(Net(), x), problem_of(Net(), x)
    looks = iter([False] * 6)
    with pytest.raises(Interrupted), interruptible(lambda: next(looks, True)):
        problem.sensitivity()
    rows = np.full((1, problem.num_nodes), 4)
    assert (problem.evaluate(rows) == undisturbed.evaluate(rows)).all()
    assert (problem.sensitivity() == undisturbed.sensitivity()).all(axis=None)


@pytest.mark.parametrize("make", [Net, Noisy])
def test_who_is_stopped_again_and_again_comes_to_an_end(
    make: type[nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time it goes on with the batch in which it was stopped, and finds the same."""
    monkeypatch.setattr("nemo_lab.quantize.sensitivity.backward_batch", lambda workload: 7)  # little memory
    torch.manual_seed(0)
    problem = problem_of(make(), x := torch.randn(470, 12))
    network, looks = problem.network(), 0
    task = make_task(network, as_examples(x, problem.workload, "data", "taken"), problem.metrics, 64)

    def looked(most: int) -> bool:
        nonlocal looks
        looks += 1
        return looks > most

    for _ in range(2):  # weights are at hand the second time, and are looked for no more
        looks = 0
        with interruptible(lambda: looked(10**9)):
            wanted = damages(network, task, WIDTHS)
    most, progress = looks // 2, Progress()
    for stops in range(10):  # noqa: B007
        looks = 0
        with contextlib.suppress(Interrupted), interruptible(lambda: looked(most)):
            found = damages(network, task, WIDTHS, progress)
            break
    assert 0 < stops < 9
    assert np.array_equal(found, wanted)
