"""A member of a front in one call: a folder with its files, and a card that says what they are."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nemo_lab.arguments import File, Instance
from nemo_lab.errors import ArgumentError
from nemo_lab.export.bit_map import save_bits
from nemo_lab.export.card import card
from nemo_lab.export.extra import needed
from nemo_lab.export.onnx_file import save_onnx
from nemo_lab.export.packed_file import save_packed
from nemo_lab.export.record import STUDY
from nemo_lab.export.verification import Verification
from nemo_lab.files import unwritable, write_text
from nemo_lab.study import Study
from nemo_lab.study.parsing.configs import known_config
from nemo_lab.tuning import TunedNetwork

ONNX, PACKED, BITS, SCRIPT, CARD = "net.onnx", "net.safetensors", "bits.json", "replay.py", "MODEL_CARD.md"
TUNED = "net.tuned.pt"
NAMES = (ONNX, PACKED, BITS, SCRIPT, CARD, TUNED)
TUNED_NETWORK = Instance(TunedNetwork)


@dataclass(frozen=True)
class Deployment:
    """What ``deploy`` wrote.

    Attributes:
        folder: where.
        bytes: name of each file -> its size.
        verification: what came of running the ONNX file.
    """

    folder: Path
    bytes: dict[str, int]
    verification: Verification

    def __str__(self) -> str:
        sizes = ", ".join(f"{name} {size:,} bytes" for name, size in self.bytes.items())
        return f"{self.folder}: {sizes}\n{self.verification}"


def deploy(study: Study, config_id: int, folder: str | os.PathLike[str], *, tuned: Any = None) -> Deployment:
    """Write an evaluated configuration for those who will run it.

    The folder gets ``net.onnx``, run before it is there; ``net.safetensors``, packed; ``bits.json``, the
    width of every node; ``replay.py``, the script that makes the search again; ``net.tuned.pt`` if it was
    tuned; and ``MODEL_CARD.md``: accuracy as searched and on held-out examples, sizes, how well file and
    search agree, how to run it, all bit-widths. All are made before one is there; files of these names are
    replaced, and a ``net.tuned.pt`` of before is removed.

    Args:
        study: of a ``QuantizationProblem``.
        config_id: its number, as in ``study.front().index``.
        folder: made if it is not there.
        tuned: what ``nemo_lab.finetune`` or ``correct_bias`` made of this configuration; it is written then.

    Raises:
        ArgumentError: if the study has no network, ``tuned`` is of another configuration, or the folder
            cannot be written.
        UnknownNameError: if there is no evaluation of that number.
        VerificationError, ExportError: as ``save_onnx``.

    The libraries for it come by ``pip install "nemo_lab[deploy]"``.
    """
    study, target = STUDY.check("study", study), Path(File().check("folder", folder))
    log = study.snapshot.evaluations
    config = known_config(config_id, len(log))
    needed("onnx_ir", "onnx", "onnxscript", "onnxruntime", "safetensors", purpose="to deploy")
    row, subject = log.bits[config], study.problem if tuned is None else TUNED_NETWORK.check("tuned", tuned)
    if tuned is not None and not (tuned.belongs_to(study.problem) and np.array_equal(tuned.bits, row)):
        raise ArgumentError(f"tuned is not of configuration {config}", "give what finetune made of its bits")
    _check_room(target)
    try:
        there = next(one for one in (target.absolute(), *target.absolute().parents) if one.is_dir())
        with tempfile.TemporaryDirectory(dir=there, prefix=".nemo_lab-") as made:
            inside = Path(made)
            verification = save_onnx(subject, row, inside / ONNX, timed=True)
            save_packed(subject, row, inside / PACKED)
            save_bits(study, config, inside / BITS)
            study.to_script(inside / SCRIPT)
            if tuned is not None:
                tuned.save(inside / TUNED)
            sizes = {one.name: one.stat().st_size for one in sorted(inside.iterdir())}
            write_text(card(study, config, tuned, verification, sizes), inside / CARD)
            sizes[CARD] = (inside / CARD).stat().st_size
            target.mkdir(parents=True, exist_ok=True)
            for name in (CARD, TUNED):
                (target / name).unlink(missing_ok=True)  # no card is better than one of another network
            for name in sorted(sizes, key=CARD.__eq__):  # the card comes last
                os.replace(inside / name, target / name)
    except OSError as error:
        raise unwritable(target, error) from error
    study.note_files(config, sizes)
    return Deployment(target, sizes, dataclasses.replace(verification, path=target / ONNX))


def _check_room(target: Path) -> None:
    """Whether a folder can take the files.

    Raises:
        ArgumentError: if it, or one of its files, is something else.
    """
    for path, folder in ((target, True), *((target / name, False) for name in NAMES)):
        if path.exists() and path.is_dir() != folder:
            what = "a folder" if folder else "a file"
            raise ArgumentError(f"{str(path)!r} is not {what}", "give another folder, or move it away")
