"""Steps of an optimizer, with a split of its own to tell the best of them, which can be stopped and go on."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from nemo_lab.errors import ArgumentError, DataError, EvaluationError
from nemo_lab.interruption import check_interrupted
from nemo_lab.quantize.fingerprint import digest
from nemo_lab.quantize.memory import is_out_of_memory
from nemo_lab.tuning.files import read, written
from nemo_lab.tuning.lesson import Lesson, parts_of
from nemo_lab.tuning.student import Student

CHECKS = 20  # of the split, in a whole training
PATIENCE = 1 / 2  # of all steps, and three checks at least, without a gain: then it ends

OPTIMIZER = "give None, or such as lambda parameters: torch.optim.SGD(parameters, lr=0.01)"

Optimizers = Callable[[Iterable[Tensor]], Optimizer]


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
        of: a digest of everything that the result depends on, but for the optimizer.

    Attributes:
        step: steps that are done.
        ended: whether all of them are, or nothing is gained any more.
        best: the state with the least loss on the split, that before training included.

    Raises:
        ArgumentError: if the optimizer or the checkpoint cannot be used.
        DataError: if the checkpoint is of another training.
        EvaluationError: if there is no finite loss before any training.
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
        self.rates = [group.get("lr") for group in self.optimizer.param_groups]
        groups = [{**group, "params": len(group["params"])} for group in self.optimizer.param_groups]
        self.of = digest([of, type(self.optimizer).__qualname__, *(sorted(one.items()) for one in groups)])
        self.checkpoint = None if checkpoint is None else Path(checkpoint)
        self.generator = torch.Generator().manual_seed(seed)
        left = torch.ones(len(lesson.examples), dtype=torch.bool)
        left[lesson.split] = False
        self.places, self.queue = left.nonzero()[:, 0], torch.empty(0, dtype=torch.int64)
        self.step, self.best_step, self.ended = 0, 0, False
        if self.checkpoint is not None and self.checkpoint.exists():
            self._resume(self.checkpoint)
        else:
            self.best, self.least = student.state(), self._checked()
            if not math.isfinite(self.least):
                raise EvaluationError(
                    f"the loss before training is {self.least}",
                    "look for NaN in the outputs, or use more bits",
                )
            self._keep()

    def advance(self) -> float:
        """One step; its loss.

        Raises:
            EvaluationError: if the loss is not finite, the network cannot be trained, or memory runs out.
            ArgumentError: if the optimizer wants more than gradients.
            Interrupted: see ``check_interrupted``.
        """
        check_interrupted()
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            if rate is not None:
                group["lr"] = rate * (1 + math.cos(math.pi * self.step / self.steps)) / 2
        self.optimizer.zero_grad()
        value = self._gradients(self._batch())
        if not math.isfinite(value):
            raise EvaluationError(
                f"the loss is {value} after {self.step} steps of training",
                "give a lower learning_rate, or an optimizer with a lower one",
            )
        try:
            self.optimizer.step()
        except Exception as error:  # such as of one that wants a closure, or sparse gradients
            raise ArgumentError(
                f"{type(self.optimizer).__name__} cannot train: {error}", OPTIMIZER
            ) from error
        self.step += 1
        if self.step % self._interval == 0 or self.step == self.steps:
            self._check()
        return value

    @property
    def _interval(self) -> int:
        """Steps between two checks."""
        return -(-self.steps // CHECKS)

    def _gradients(self, places: Tensor) -> float:
        """The mean loss of some examples; leaves its gradients, if it is finite."""
        try:
            with self.student.network.as_at_first(self.step), torch.enable_grad():
                total, count = self.lesson.of(self.student, places)
                loss = total / max(1, count)
                value = float(loss.detach())
                if math.isfinite(value):
                    loss.backward()
                return value
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise EvaluationError(
                    f"out of memory in a batch of {len(places)} examples", "give a smaller batch_size"
                ) from error
            reason = str(error).partition("\n")[0]
            raise EvaluationError(
                f"{self.student.network.workload.name} cannot be trained: {reason}",
                "use correct_bias, which needs no gradients",
            ) from error

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
        patience = max(PATIENCE * self.steps, 3 * self._interval)
        self.ended = self.step >= self.steps or self.step - self.best_step >= patience
        self._keep()

    def _keep(self) -> None:
        if self.checkpoint is not None:
            written(self._state(), self.checkpoint)

    def _checked(self) -> float:
        """The loss on the split."""
        total, count = 0.0, 0
        with torch.no_grad():
            for part in parts_of(self.lesson.split, self.batch_size):
                check_interrupted()
                with self.student.network.as_at_first(0):
                    some, many = self.lesson.of(self.student, part)
                total, count = total + float(some), count + many
        return total / max(1, count)

    def _state(self) -> dict[str, Any]:
        return {
            "of": self.of,
            "step": self.step,
            "best_step": self.best_step,
            "ended": self.ended,
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
            self.step, self.least, self.ended = kept["step"], kept["least"], kept["ended"]
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
