"""Whatever writes a file for others, and whatever goes wrong: a clear error, and what was there is left."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nemo_lab as nl
from nemo_lab.errors import ArgumentError, DataError, NemoError
from nemo_lab.export import (
    deploy,
    load_packed,
    save_encodings,
    save_onnx,
    save_packed,
    save_qonnx,
    save_torch,
    verify,
)
from tests.conftest import Remount

Write = Callable[[nl.QuantizationProblem, Path], Any]


def save_tuned(problem: nl.QuantizationProblem, path: Path) -> Path:
    return nl.correct_bias(problem, 4).save(path)


def save_all(problem: nl.QuantizationProblem, path: Path) -> Any:
    study = nl.create_study(problem, seed=0).optimize(1, progress=False)
    return deploy(study, 0, path.parent)


WRITERS: dict[str, tuple[str, Write]] = {
    "onnx": ("net.onnx", lambda problem, path: save_onnx(problem, 4, path)),
    "encodings": ("net.onnx", lambda problem, path: save_encodings(problem, 4, path)),
    "qonnx": ("net.onnx", lambda problem, path: save_qonnx(problem, 4, path)),
    "torch": ("net.pt2", lambda problem, path: save_torch(problem, 4, path)),
    "packed": ("net.safetensors", lambda problem, path: save_packed(problem, 4, path)),
    "tuned": ("net.tuned.pt", save_tuned),
    "deploy": ("net.onnx", save_all),
}
READERS: dict[str, Callable[[Path, nl.QuantizationProblem], Any]] = {
    "onnx": verify,
    "torch": verify,
    "packed": lambda path, problem: load_packed(path, problem.workload),
    "tuned": nl.TunedNetwork.load,
}
LIBRARIES = {
    "onnx": ("onnx", "onnx_ir", "onnxscript", "onnxruntime"),
    "encodings": ("onnx_ir", "onnxruntime"),
    "qonnx": ("onnx_ir", "onnxruntime"),
    "packed": ("safetensors.numpy",),
    "deploy": ("onnx", "onnx_ir", "onnxscript", "onnxruntime", "safetensors"),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_no_room_on_the_disk(
    writer: str, digits_int32: nl.QuantizationProblem, disk: tuple[Path, Remount]
) -> None:
    place, remount = disk
    name, write = WRITERS[writer]
    (place / name).write_bytes(b"before")
    remount("size=12k")
    with pytest.raises(ArgumentError, match=r"cannot write .*; make room, or give a place that has some"):
        write(digits_int32, place / name)
    assert {one.name: one.read_bytes() for one in place.iterdir()} == {name: b"before"}


@pytest.mark.parametrize("writer", WRITERS)
def test_no_folder(writer: str, digits_int32: nl.QuantizationProblem, tmp_path: Path) -> None:
    name, write = WRITERS[writer]
    (tmp_path / "file").write_bytes(b"before")
    with pytest.raises(
        ArgumentError, match=r"cannot write .*: Not a directory; |'[^']*file' is not a folder; "
    ):
        write(digits_int32, tmp_path / "file" / name)
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [b"before"]


@pytest.mark.parametrize(
    ("writer", "library"), [(writer, one) for writer, several in LIBRARIES.items() for one in several]
)
def test_a_library_is_missing(
    writer: str,
    library: str,
    digits_int32: nl.QuantizationProblem,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name, write = WRITERS[writer]
    (tmp_path / name).write_bytes(b"before")
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ArgumentError, match=r'pip install "nemo_lab\[deploy\]"'):
        write(digits_int32, tmp_path / name)
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == {name: b"before"}


@pytest.fixture(scope="module")
def files(digits_int32: nl.QuantizationProblem, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    for writer in READERS:
        name, write = WRITERS[writer]
        write(digits_int32, folder / name)
    return {writer: folder / WRITERS[writer][0] for writer in READERS}


@pytest.mark.parametrize("reader", READERS)
def test_what_was_cut_or_changed_anywhere_is_found_out(
    reader: str, files: dict[str, Path], digits_int32: nl.QuantizationProblem, tmp_path: Path
) -> None:
    whole, path = files[reader].read_bytes(), tmp_path / files[reader].name
    read = READERS[reader]
    path.write_bytes(whole)
    read(path, digits_int32)
    for part in range(8):
        path.write_bytes(whole[: len(whole) * part // 8])
        with pytest.raises(NemoError):
            read(path, digits_int32)
    path.write_bytes(whole[: len(whole) // 2] + bytes(64) + whole[len(whole) // 2 + 64 :])
    with pytest.raises(NemoError):
        read(path, digits_int32)


@pytest.mark.parametrize("reader", READERS)
def test_what_another_network_left_is_taken_for_no_other(
    reader: str, files: dict[str, Path], fashion: nl.Workload
) -> None:
    with pytest.raises(DataError):
        READERS[reader](files[reader], nl.QuantizationProblem(fashion, bias="int32"))
