"""The manual: what it says of the code is so, its links lead somewhere, and its snippets run."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from nemo_lab.search.options import SearchOptions
from nemo_lab.search.presets import PRESETS

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/**/*.md")])
CITATION = re.compile(r"docs/method\.md, sections? (\d+)(?:(?: to | and |, )(\d+))?(?:, step (\d))?")
LINK = re.compile(r"\]\(([^)\s]+)\)")


def text(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def python_files() -> list[Path]:
    return [path for folder in ("nemo_lab", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]


def anchors(page: str) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# docs/method.md


def sections() -> set[int]:
    return {int(number) for number in re.findall(r"^## (\d+)\. ", text("docs/method.md"), re.MULTILINE)}


def test_sections_of_the_method_are_numbered_from_one_without_a_gap() -> None:
    assert sections() == set(range(1, len(sections()) + 1))


def test_every_citation_of_the_method_leads_to_a_section_that_is_there() -> None:
    cited = {
        (path.relative_to(ROOT).as_posix(), int(number))
        for path in [*python_files(), *PAGES]
        for found in CITATION.findall(path.read_text(encoding="utf-8"))
        for number in found[:2]
        if number
    }
    assert len(cited) > 15
    assert {one for one in cited if one[1] not in sections()} == set()


def test_every_mention_of_the_method_cites_a_section() -> None:
    """One form everywhere, so that a search for it finds them all."""
    loose = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in python_files()
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if ("docs/method" in line and not CITATION.search(line)) or re.search(r"\bMETHOD sections?\b", line)
    ]
    assert loose == []


def test_steps_that_are_cited_are_in_section_five() -> None:
    section = text("docs/method.md").split("\n## 5. ")[1].split("\n## ")[0]
    steps = set(re.findall(r"^(\d)\. ", section, re.MULTILINE))
    cited = {
        (path.name, number, step)
        for path in python_files()
        for number, _, step in CITATION.findall(path.read_text(encoding="utf-8"))
        if step
    }
    assert cited
    assert {one for one in cited if one[1] != "5" or one[2] not in steps} == set()


def option_rows() -> dict[str, tuple[str, str]]:
    section = text("docs/method.md").split("\n## 8. ")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| `([^`]+)` \| (?:`([^`]+)`)? ?\|", section, re.MULTILINE)
    return {name: (paper, default) for name, paper, default in rows}


def test_the_table_of_options_has_every_option_with_its_defaults() -> None:
    wanted: dict[str, tuple[Any, Any]] = {
        field.name: (field.default, PRESETS["default"].options.get(field.name))
        for field in fields(SearchOptions)
    }
    found = {
        name: (eval(paper), eval(default) if default else None)  # the page is ours
        for name, (paper, default) in option_rows().items()
    }
    assert found == wanted
    assert PRESETS["paper"].options == {}


def test_the_species_of_the_presets_are_described() -> None:
    page = text("docs/method.md")
    for preset in PRESETS.values():
        for species in preset.species:
            assert f"**`{species}`**" in page


def test_node_counts_are_those_of_the_golden_files() -> None:
    totals = json.loads(text("tests/golden/workloads/totals.json"))
    rows = re.findall(r"^\| [\w-]+ \| (\d+) \| (\d+) \| (\d+) \|$", text("docs/method.md"), re.MULTILINE)
    found = [(int(activations), int(nodes)) for _, activations, nodes in rows]
    assert found == [(sum(one["activations"].values()), one["nodes"]) for one in totals.values()]
    assert all(int(weights) + int(activations) == int(nodes) for weights, activations, nodes in rows)


# all pages


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_inside_of_the_repository_lead_somewhere(page: Path) -> None:
    broken = []
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if link.startswith(("http", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = page if not path else (page.parent / path).resolve()
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_files_and_folders_of_the_package_that_a_page_names_are_there(page: Path) -> None:
    """Written as ``study/run/worker.py`` or ``nemo_lab/search/``; from the root or from the package."""
    named = re.findall(r"`((?:[\w.]+/)+[\w.]*)`", page.read_text(encoding="utf-8"))
    roots = (ROOT, ROOT / "nemo_lab", ROOT / "nemo_lab/widgets", page.parent)
    missing = {one for one in named if not any((root / one).exists() for root in roots)}
    assert missing == set()


# docs/guarantees.md


def test_every_test_that_holds_a_guarantee_is_there() -> None:
    page = text("docs/guarantees.md")
    files = (ROOT / "tests").rglob("test_*.py")
    made = {
        name
        for path in files
        for name in re.findall(r"^def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert set(re.findall(r"`(test_\w+)`", page)) - made == set()
    rows = re.findall(r"^\| (?!what |-)(.+?) \|.*\| (.*) \|$", page, re.MULTILINE)
    assert len(rows) > 15
    assert [fault for fault, held in rows if "`test_" not in held] == []


# docs/architecture.md


def blocks(kind: str) -> list[str]:
    found: list[str] = re.findall(
        rf"^```{kind}\n(.*?)^```", text("docs/architecture.md"), re.MULTILINE | re.DOTALL
    )
    return found


def arrows() -> dict[str, set[str]]:
    """Folder -> folders that an arrow of the picture leads to."""
    found: dict[str, set[str]] = {}
    for start, ends in re.findall(r"^ +(\w+) --> ([\w &]+)", blocks("mermaid")[0], re.MULTILINE):
        found.setdefault(start, set()).update(end.strip() for end in ends.split("&"))
    return found


def below(folder: str) -> set[str]:
    """What a folder may import, by the picture."""
    found: set[str] = set()
    for end in arrows().get(folder, ()):
        found |= {end} | below(end)
    return found


def imported(path: Path) -> set[str]:
    """Folders of the package that a file imports from, lazily or not; types alone do not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    names = [
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom | ast.Import)
        for name in (
            [f"{node.module}.{one.name}" for one in node.names]
            if isinstance(node, ast.ImportFrom)
            else [one.name for one in node.names]
        )
        if name.startswith("nemo_lab.")
    ]
    return {part for name in names if (ROOT / "nemo_lab" / (part := name.split(".")[1])).is_dir()}


FOLDERS = sorted(path.parent.name for path in (ROOT / "nemo_lab").glob("*/__init__.py"))


def test_the_picture_of_the_house_has_every_folder_and_no_circle() -> None:
    drawn = set(arrows()) | {end for ends in arrows().values() for end in ends}
    assert drawn - {"foot"} == set(FOLDERS)
    assert [folder for folder in FOLDERS if folder in below(folder)] == []
    assert [folder for folder in FOLDERS if f"| `{folder}/` |" not in text("docs/architecture.md")] == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_imports_follow_the_arrows_of_the_picture(folder: str) -> None:
    files = (ROOT / "nemo_lab" / folder).rglob("*.py")
    found = {name for path in files for name in imported(path)} - {folder}
    assert found - below(folder) == set()


def test_folders_inside_of_study_and_widgets_are_named() -> None:
    page = text("docs/architecture.md")
    for parent in ("study", "widgets"):
        for path in (ROOT / "nemo_lab" / parent).glob("*/__init__.py"):
            assert f"{path.parent.name}/" in page


@pytest.mark.parametrize("number", range(4), ids=["species", "metric", "cost", "problem"])
def test_snippets_run_as_they_stand(number: int) -> None:
    snippets = blocks("python")
    assert len(snippets) == 4
    exec(
        compile(snippets[number], f"docs/architecture.md, snippet {number + 1}", "exec"),
        {"__name__": "snippet"},
    )
