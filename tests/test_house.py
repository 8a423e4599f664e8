"""The house itself: files that can be read in one go, and each beside what it belongs to."""

from __future__ import annotations

import re
from pathlib import Path

import nemo_lab

PACKAGE = Path(nemo_lab.__file__).parent
LONGEST = 250
LONGER = {  # file -> why it may be longer
    "quantize/problem.py": "one class that people read in its docstrings: 16 arguments and a dozen methods",
}


def test_every_file_can_be_read_in_one_go() -> None:
    lines = {
        str(file.relative_to(PACKAGE)): len(file.read_text(encoding="utf-8").splitlines())
        for pattern in ("*.py", "*.js")
        for file in PACKAGE.rglob(pattern)
    }
    assert len(lines) > 150
    assert {name: count for name, count in lines.items() if count > LONGEST and name not in LONGER} == {}
    assert all(lines[name] > LONGEST for name in LONGER), "take out what is short enough by now"


def test_what_the_browser_runs_stands_beside_the_module_that_loads_it() -> None:
    for script in PACKAGE.rglob("*.js"):
        loaders = [
            file.name for file in script.parent.parent.rglob("*.py") if script.name in file.read_text("utf-8")
        ]
        assert loaders, f"{script.name} is loaded by nobody in {script.parent.parent}"


def test_no_folder_is_a_heap() -> None:
    for folder in {file.parent for file in PACKAGE.rglob("*.py")}:
        assert len(list(folder.glob("*.py"))) <= 32, folder


def test_no_two_tests_call_an_operation_of_torch_the_same() -> None:
    names = [
        name
        for file in Path(__file__).parent.rglob("*.py")
        for name in re.findall(r'custom_op\("(.+?)"', file.read_text(encoding="utf-8"))
    ]
    assert len(names) == len(set(names)) > 3, "in one process the last of one name counts for all"
