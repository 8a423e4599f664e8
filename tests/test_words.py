"""One word a thing, and the field's: old words stay out of package, messages, manual and notebooks.

``python -m tests.test_words`` lists what is found, by file.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.messages import HOLE, messages

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Old:
    """A word or phrase that is not used any more.

    Attributes:
        pattern: of it, in lower case; identifiers are read as words, ``as_wished`` as "as wished".
        instead: what to say.
        told: whether it is kept out of what people read only; else of the source as well.
    """

    pattern: str
    instead: str
    told: bool = False


OLD = (
    # one word a thing
    Old(r"wish(es|ed)?", "constraint, aspiration or pin; what is asked for"),
    Old(r"(?<!thread )(?<!range )(?<!node )(?<!css )rules", "constraints"),
    Old(r"hand steers?", "intervention"),
    Old(
        r"(a|the|any|each|every|first|last|latest|next|no|one|same|that|this) steer|"
        r"(?<!who )(?<!whoever )(?<!body )(?<!that )(?<!\bit )(?<!\bhe )steers",
        'command before it takes effect, intervention after; "to steer" is what people do',
        told=True,
    ),
    Old(r"keepsakes?", "saved output"),
    Old(r"(?<!torch )(?<!torch\.)(?<!git )hub", "view state"),
    Old(r"hush", "clear, dismiss"),
    Old(r"watchers?", "follower"),
    # riddles
    Old(r"nobody (waits|wants|needs)", "no longer needed; without a caller"),
    Old(r"than (he|she) wants", "than wanted"),
    Old(r"\w+ more than it was to", "more, as in: run 100 more evaluations"),
    Old(r"(up to|at most|at least|in) so many", "name the number"),
    Old(r"so many (\w+ )?(each|more|of each)", "name the number"),
    # as people say it
    Old(r"(is|are) no problem to \w+", "cannot be searched; is easy to"),
    Old(
        r"(?<!there )(is|are) no (?!doubt|longer|matter|more|need|one|other|part|problem|way)[a-z]+",
        "is not a",
    ),
)

# files that are being rewritten: as many old words as are still in them; goes down, never up
LEFT: dict[str, int] = {
    "nemo_lab/study/journal/resume.py": 2,  # keys of files that were written before
}


def words(text: str) -> str:
    """Lower case, identifiers taken apart into their words."""
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text.replace("_", " "))
    return re.sub(r"[\s-]+", " ", text).lower()


def found_in(text: str, *, told: bool) -> list[tuple[str, str]]:
    """Every old word in a text, with what to say instead; ``told`` if people read it."""
    plain = words(text)
    return [
        (match.group(), old.instead)
        for old in OLD
        if told or not old.told
        for match in re.finditer(rf"(?<!\w)(?:{old.pattern})(?!\w)", plain)
    ]


def sources() -> list[Path]:
    """Of the package, what its browser half is made of included, and of the programs beside it."""
    kinds = (".py", ".js", ".css")
    folders = (ROOT / "nemo_lab", ROOT / "benchmarks", ROOT / "tools")
    return sorted(path for one in folders for path in one.rglob("*") if path.suffix in kinds)


def pages() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/**/*.md")])


def prose(page: Path) -> str:
    """Of a page without code, which has its own names."""
    text = page.read_text(encoding="utf-8")
    return re.sub(r"^```.*?^```|`[^`\n]+`", " ", text, flags=re.MULTILINE | re.DOTALL)


def comments(page: Path) -> str:
    """Of the Python on a page."""
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return "\n".join(line.partition("# ")[2] for block in blocks for line in block.splitlines())


def cells(notebook: Path) -> str:
    """Texts and comments of a notebook."""
    parts = []
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(re.sub(r"`[^`\n]+`", " ", source))
        else:
            parts += [line.partition("# ")[2] for line in source.splitlines()]
    return "\n".join(parts)


def everything() -> dict[str, list[tuple[str, str]]]:
    """What is found, by file."""
    found: dict[str, list[tuple[str, str]]] = {}
    for path in sources():
        found[path.relative_to(ROOT).as_posix()] = found_in(path.read_text(encoding="utf-8"), told=False)
    for message in messages():
        name = f"nemo_lab/{message.where.partition(':')[0]}"
        found[name] += [
            one for one in found_in(message.text, told=True) if one not in found_in(message.text, told=False)
        ]
    for page in pages():
        found[page.relative_to(ROOT).as_posix()] = found_in(f"{prose(page)}\n{comments(page)}", told=True)
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        found[notebook.relative_to(ROOT).as_posix()] = found_in(cells(notebook), told=True)
    return {name: some for name, some in found.items() if some}


def test_old_words_are_gone() -> None:
    found = everything()
    more = {name: some for name, some in found.items() if len(some) > LEFT.get(name, 0)}
    assert more == {}


def test_what_is_left_is_counted_down() -> None:
    found = everything()
    fewer = {
        name: (count, len(found.get(name, [])))
        for name, count in LEFT.items()
        if len(found.get(name, [])) < count
    }
    assert fewer == {}, "lower these numbers in LEFT"


@pytest.mark.parametrize(
    "text",
    [
        "a Foo is no problem to search", "class Rules:", "_rules_changed()", "as_wished", "self._hub = Hub()",
        "every hand steer", "view.now.rules.limits", "self.hub.select(1)",
        "the last steer is undone", "the steers are listed", "class Watcher(Listeners)",
        "for so many evaluations more than it was to", "so that nobody waits for an answer",
        "longer than he wants to", "the value is no number",
    ],
)  # fmt: skip
def test_old_words_are_found(text: str) -> None:
    assert found_in(text, told=True)


@pytest.mark.parametrize(
    "text",
    [
        "you steer by hand while it runs", "a study that can be steered", "the steering panel",
        "thread rules", "a range rule", "see torch.hub", "there is no file", "it is no longer there",
        "somebody steers it", "whoever steers the study", "the constraints in force", "watch and steer",
        "who may steer it", "many more evaluations", "see GitHub", f"call start({HOLE})",
        "no part of the run; it is not counted",
    ],
)  # fmt: skip
def test_sound_words_pass(text: str) -> None:
    assert found_in(text, told=True) == []


if __name__ == "__main__":
    for name, some in everything().items():
        counted = ", ".join(
            f"{word} {count}" for word, count in Counter(word for word, _ in some).most_common()
        )
        print(f'    "{name}": {len(some)},  # {counted}')  # noqa: T201
