"""The last step of the paper: a configuration is trained with its widths fixed."""

from __future__ import annotations

import os
import warnings
from functools import partial
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nemo_lab._torch import torch_threads
from nemo_lab.arguments import COUNT, FROM_ZERO, Choice, File, Flag, Number, OrNone
from nemo_lab.errors import BitWidthError, DataError, NemoWarning
from nemo_lab.exclusion import computing
from nemo_lab.interruption import check_interrupted
from nemo_lab.quantize import QuantizationProblem
from nemo_lab.quantize.data import Examples, as_examples
from nemo_lab.quantize.fingerprint import digest
from nemo_lab.quantize.metrics import Metric
from nemo_lab.quantize.network import QuantizedNetwork
from nemo_lab.quantize.scores import check_scores
from nemo_lab.study.parsing.nodes import Selection
from nemo_lab.tuning.lesson import Lesson, split_of
from nemo_lab.tuning.losses import Loss, Teacher, taught
from nemo_lab.tuning.student import Method, Student
from nemo_lab.tuning.training import Optimizers, Training
from nemo_lab.tuning.tuned import PROBLEM, TunedNetwork

RATE = Number(0, 1, open="low")
METHODS, TEACHERS = Choice(get_args(Method)), Choice(get_args(Teacher))


def finetune(
    problem: QuantizationProblem,
    bits: Any,
    data: Any = None,
    *,
    steps: int = 600,
    method: Method = "lsq",
    teacher: Teacher = "full_precision",
    batch_size: int = 64,
    learning_rate: float = 2e-3,
    optimizer: Optimizers | None = None,
    seed: int = 0,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> TunedNetwork:
    """Train a configuration with its widths fixed: weights, biases, and how long the steps of rounding are.

    Batch norms are folded before, and biases are rounded as the problem rounds them: what is trained is what
    is deployed. By default the network in full precision teaches it, and labels are not needed. An eighth of
    the examples, or more of few, is kept apart: the state that is best on these is returned, and training
    ends when nothing is gained on them any more. Ctrl-C ends it, too, with the best state until then.

    Args:
        problem: a ``QuantizationProblem``; it is not touched.
        bits: integers[Q], one width for all nodes, or name -> width as from ``study.config``.
        data: examples to train on, as the problem takes them; with labels only if these teach. By default
            what the problem was calibrated with, never what it is measured on.
        steps: of the optimizer, at most.
        method: ``"lsq"``: learned step sizes (Esser et al., 2020); ``"straight_through"``: weights are
            rounded over the range of their numbers, activations over the calibrated one.
        teacher: ``"full_precision"``, ``"labels"``, or ``"both"``.
        batch_size: examples in a step.
        learning_rate: of Adam at first; it falls to 0 as a cosine.
        optimizer: parameters -> an optimizer of torch's, in place of Adam.
        seed: of the order of examples; the same gives the same network.
        checkpoint: a file where the state of training is kept every twentieth of the steps; where it exists,
            training goes on from there, to the same network as without a break.
        progress: whether to show a bar.

    Raises:
        ArgumentError: on an argument that cannot be used.
        BitWidthError, UnknownNameError: if the bits do not fit.
        DataError: on data that do not fit or lack labels, or a checkpoint of another training.
        EvaluationError: if training diverges.

    Warns:
        NemoWarning: if it was stopped by Ctrl-C.
    """
    problem = PROBLEM.check("problem", problem)
    row = one_row(problem, bits)
    method, teacher = METHODS.check("method", method), TEACHERS.check("teacher", teacher)  # type: ignore[assignment]
    steps, size = COUNT.check("steps", steps), COUNT.check("batch_size", batch_size)
    rate, seed = RATE.check("learning_rate", learning_rate), FROM_ZERO.check("seed", seed)
    kept, shows = OrNone(File()).check("checkpoint", checkpoint), Flag().check("progress", progress)
    examples = training_examples(problem, data, labelled=teacher != "full_precision")
    if len(examples) < 2:
        raise DataError("there is one example to train on", "give at least 2, and best some hundred")
    with computing(), torch_threads(problem.threads), torch.inference_mode(False):
        network, metric = problem.network(), problem.metrics[0]
        wanted = full_outputs(network, examples, size, metric)
        loss = Loss(teacher, wanted, classes=metric.classes)
        if teacher != "full_precision":
            check_scores(metric.name, wanted[0], examples.labels, len(examples), labelled=True)
        lesson = Lesson(examples, wanted, loss, split_of(len(examples), seed))
        made = partial(torch.optim.Adam, lr=rate) if optimizer is None else optimizer
        known = digest([*sorted(problem.fingerprint().items()), row, steps, method, teacher, size, rate, seed,
                        examples.labels, *examples.inputs])  # fmt: skip
        student = Student(network, row, method)
        training = Training(student, lesson, made, steps, size, seed, kept, known)
        _train(training, shows)
        student.load(training.best)
    how = f"fine-tuned, best after {training.best_step} of {training.step} steps"
    if not training.best_step:
        how = f"fine-tuning gained nothing in {training.step} steps"
    tensors = {path: one.detach().cpu() for path, one in student.tensors.items()}
    return TunedNetwork(problem, row, how, training.best_step, tensors, student.quantizers())


def _train(training: Training, shows: bool) -> None:
    from tqdm.auto import tqdm

    with tqdm(total=training.steps, initial=training.step, desc="fine-tuning", disable=not shows) as bar:
        try:
            while not training.ended:
                loss = training.advance()
                bar.set_postfix(loss=f"{loss:.3g}", refresh=False)
                bar.update()
        except KeyboardInterrupt:
            warnings.warn(
                f"stopped after {training.step} of {training.steps} steps: this is the best network so far",
                NemoWarning,
                stacklevel=3,
            )


def one_row(problem: QuantizationProblem, bits: Any) -> NDArray[np.uint8]:
    """A configuration as people give it, uint8[Q].

    Raises:
        BitWidthError, UnknownNameError: if it does not fit, or is not one.
    """
    rows = Selection(problem).bits(bits)
    if len(rows) != 1:
        raise BitWidthError(f"got {len(rows)} configurations", "give them one by one")
    return np.array(rows[0], dtype=np.uint8)


def training_examples(problem: QuantizationProblem, data: Any, *, labelled: bool) -> Examples:
    """What to learn from: what is given, or what the problem was calibrated with.

    Raises:
        DataError: if it does not fit, or lacks labels that are needed.
    """
    if data is not None:
        return as_examples(data, problem.workload, "data", "needed" if labelled else "taken")
    if labelled:
        raise DataError("what the problem was calibrated with has no labels", "give data=(inputs, labels)")
    batches = problem.calibration
    inputs = tuple(torch.cat(several) for several in zip(*(one.inputs for one in batches), strict=True))
    return Examples(inputs, None)


def full_outputs(
    network: QuantizedNetwork, examples: Examples, size: int, metric: Metric
) -> tuple[Tensor, ...]:
    """Of the outputs in full precision those that count, each [N, ...], on the CPU.

    Raises:
        DataError: if there are none.
    """
    network.set_bits(None)
    parts = []
    for number, part in enumerate(examples.batches(size)):
        check_interrupted()
        outputs = network(network.prepare(part.inputs), number)
        parts.append(taught(outputs, len(part), classes=metric.classes))
    return tuple(torch.cat([one.cpu() for one in several]) for several in zip(*parts, strict=True))
