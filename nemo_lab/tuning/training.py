"""Steps of an optimizer, with a split of its own to tell the best of them, which can be stopped and go on."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from nemo_lab.errors import ArgumentError, DataError, EvaluationError
from nemo_lab.interruption import check_interrupted
from nemo_lab.quantize.data import Examples
from nemo_lab.tuning.files import read, written
from nemo_lab.tuning.losses import Loss
from nemo_lab.tuning.student import Student

CHECKS = 20  # of the split, in a whole training
PATIENCE = 1 / 3  # of all steps without a gain, then it ends
APART, FEW = 8, 32  # one of so many examples is in the split, but so many where a quarter allows

OPTIMIZER = "give None, or such as lambda parameters: torch.optim.SGD(parameters, lr=0.01)"

Optimizers = Callable[[Iterable[Tensor]], Optimizer]


@dataclass(frozen=True, eq=False)
class Lesson:
    """What there is to learn from.

    Attributes:
        examples: all of them.
        wanted: of their outputs in full precision those that count, each [N, ...].
        loss: of a batch.
        split: numbers of the examples that only tell how good a state is.
    """

    examples: Examples
    wanted: tuple[Tensor, ...]
    loss: Loss
    split: Tensor

    def of(self, student: Student, places: Tensor) -> Tensor:
        """The loss of some examples."""
        network, labels = student.network, self.examples.labels
        batch = network.prepare(tuple(tensor[places] for tensor in self.examples.inputs))
        wanted = tuple(one[places].to(network.device) for one in self.wanted)
        marks = None if labels is None else labels[places].to(network.device)
        return self.loss(student.outputs(batch), wanted, marks)


class Training:
    """A student in training; the learning rate falls to 0 as a cosine.

    Args:
        student: is trained.
        lesson: from what.
        optimizer: from its parameters.
        steps: at most.
        batch_size: examples in a step.
        seed: of their order.
        checkpoint: a file where the state is kept at each check, and from which training goes on.
        of: a digest of everything that the result depends on.

    Attributes:
        step: steps that are done.
        best: the state with the least loss on the split, that before training included.

    Raises:
        DataError: if the checkpoint is of another training.
    """

    def __init__(
        self,
        student: Student,
        lesson: Lesson,
        optimizer: Optimizers,
        steps: int,
        batch_size: int,
        seed: int,
        checkpoint: str | os.PathLike[str] | None,
        of: str,
    ) -> None:
        self.student, self.lesson, self.steps, self.batch_size = student, lesson, steps, batch_size
        self.optimizer = _made(optimizer, student.parameters())
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.checkpoint, self.of = None if checkpoint is None else Path(checkpoint), of
        self.generator = torch.Generator().manual_seed(seed)
        left = torch.ones(len(lesson.examples), dtype=torch.bool)
        left[lesson.split] = False
        self.places, self.queue = left.nonzero()[:, 0], torch.empty(0, dtype=torch.int64)
        self.step = self.best_step = 0
        if self.checkpoint is not None and self.checkpoint.exists():
            self._resume(self.checkpoint)
        else:
            self.best, self.least = student.state(), self._checked()

    @property
    def ended(self) -> bool:
        """Whether all steps are done, or nothing is gained any more."""
        return self.step - self.best_step >= PATIENCE * self.steps or self.step >= self.steps

    def advance(self) -> float:
        """One step; its loss.

        Raises:
            EvaluationError: if the loss is not finite.
            Interrupted: see ``check_interrupted``.
        """
        check_interrupted()
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * (1 + math.cos(math.pi * self.step / self.steps)) / 2
        self.optimizer.zero_grad()
        with torch.enable_grad(), self.student.network.as_at_first(self.step):
            loss = self.lesson.of(self.student, self._batch())
            value = float(loss.detach())
            if math.isfinite(value):
                loss.backward()
        if not math.isfinite(value):
            raise EvaluationError(
                f"the loss is {value} after {self.step} steps of training", "give a lower learning_rate"
            )
        self.optimizer.step()
        self.step += 1
        if self.step % -(-self.steps // CHECKS) == 0 or self.step == self.steps:
            self._check()
        return value

    def _batch(self) -> Tensor:
        """Numbers of the next examples; each comes once before any comes again."""
        while len(self.queue) < min(self.batch_size, len(self.places)):
            order = torch.randperm(len(self.places), generator=self.generator)
            self.queue = torch.cat([self.queue, self.places[order]])
        batch, self.queue = self.queue[: self.batch_size], self.queue[self.batch_size :]
        return batch

    def _check(self) -> None:
        """See how good it is by now, and keep everything."""
        loss = self._checked()
        if loss < self.least:
            self.best, self.least, self.best_step = self.student.state(), loss, self.step
        if self.checkpoint is not None:
            written(self._state(), self.checkpoint)

    def _checked(self) -> float:
        """The loss on the split."""
        parts = self.lesson.split.split(self.batch_size)
        with torch.no_grad(), self.student.network.as_at_first(0):
            return sum(float(self.lesson.of(self.student, part)) * len(part) for part in parts) / max(
                1, len(self.lesson.split)
            )

    def _state(self) -> dict[str, Any]:
        return {
            "of": self.of,
            "step": self.step,
            "best_step": self.best_step,
            "least": self.least,
            "best": self.best,
            "student": self.student.state(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "queue": self.queue,
        }

    def _resume(self, path: Path) -> None:
        kept = read(path)
        if kept.get("of") != self.of:
            raise DataError(
                f"{path.name} is the checkpoint of another training",
                "give the same problem, bits and settings, or another file",
            )
        try:
            self.student.load(kept["student"])
            self.optimizer.load_state_dict(kept["optimizer"])
            self.generator.set_state(kept["generator"])
            self.step, self.least = kept["step"], kept["least"]
            self.best, self.best_step, self.queue = kept["best"], kept["best_step"], kept["queue"]
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise DataError(f"{path.name} is damaged", "delete it, and training begins anew") from error


def _made(optimizer: Optimizers, parameters: Iterable[Tensor]) -> Optimizer:
    try:
        made = optimizer(parameters)
    except Exception as error:  # whatever it does not take
        raise ArgumentError(f"the optimizer cannot be made: {error}", OPTIMIZER) from error
    if not isinstance(made, Optimizer):
        raise ArgumentError(f"optimizer= gives a {type(made).__name__}", OPTIMIZER)
    return made


def split_of(count: int, seed: int) -> Tensor:
    """Numbers of the examples that only tell how good a state is; at least one is left to train on."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return order[: max(count // APART, min(FEW, count // 4), 1)]


def joined_outputs(parts: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """Those of all batches, each [N, ...], on the CPU."""
    return tuple(torch.cat([one.cpu() for one in several]) for several in zip(*parts, strict=True))
