"""README and docs: complete, without dead links, and naming nothing that does not exist."""

import json
import re
from pathlib import Path

import pytest

from app.command import main
from app.openapi import COMMITTED
from app.reference import FOLDER, commands, pages
from app.settings import SOURCE_TREE, Settings

WRITTEN = sorted([SOURCE_TREE / "README.md", *(SOURCE_TREE / "docs").glob("*.md")])
ALL = [*WRITTEN, *sorted(FOLDER.glob("*.md"))]
DOCUMENT = json.loads(COMMITTED.read_text(encoding="utf-8"))
# What the commands and the client read from the environment.
OF_CALLERS = {"FUNDUSMITH_SERVICE", "FUNDUSMITH_API_KEY"}


def words(*, code_only: bool = False) -> str:
    text = "\n".join(page.read_text(encoding="utf-8") for page in WRITTEN)
    return "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)) if code_only else text


def test_the_reference_is_what_make_reference_writes() -> None:
    """With that each command, setting and endpoint is documented."""
    written = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir()}
    assert written == pages(), "make reference"


def test_each_has_words_to_say_what_it_is() -> None:
    bare = [path for path, command in commands(main, "fundusmith") if not command.help]
    bare += [name for name, field in Settings.model_fields.items() if not field.description]
    assert not bare


@pytest.mark.parametrize(
    "order", ["DatasetOrder", "TrainingOrder", "EvaluationOrder", "PartsOrder"]
)
def test_each_field_that_is_sent_is_explained(order: str) -> None:
    text = words()
    fields = DOCUMENT["components"]["schemas"][order]["properties"]
    assert not [name for name in fields if not re.search(rf'[`"]{name}[`"]', text)]


@pytest.mark.parametrize("page", ALL, ids=lambda page: page.name)
def test_no_link_is_dead(page: Path) -> None:
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"https?://", link):
            continue
        name, _, anchor = link.partition("#")
        there = page.parent / name if name else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            dead.append(link)
    assert not dead


def anchors(page: Path) -> set[str]:
    """Of the headings, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_no_command_is_made_up() -> None:
    known = {path for path, _ in commands(main, "fundusmith")}
    named = re.findall(r"\bfundusmith (?:(?:models|keys) )?[a-z]+", words(code_only=True))
    assert named
    assert not set(named) - known


def test_no_setting_is_made_up() -> None:
    known = {f"FUNDUSMITH_{name.upper()}" for name in Settings.model_fields} | OF_CALLERS
    assert not set(re.findall(r"\bFUNDUSMITH_[A-Z0-9_]+\b(?!<)", words())) - known


def test_no_address_is_made_up() -> None:
    known = [re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)) for path in DOCUMENT["paths"]]
    named = re.findall(r"localhost:8000(/[^\s?'\"]*)", words(code_only=True))
    assert named
    assert not [path for path in named if not any(re.fullmatch(each, path) for each in known)]


def test_no_make_target_is_made_up() -> None:
    makefile = (SOURCE_TREE / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    assert not set(re.findall(r"(?:`|^)make ([a-z]+)", words(), re.MULTILINE)) - targets
