"""The pages of docs/reference. ``python -m app.reference`` writes them, from what they describe."""

import json
from collections.abc import Iterator

import click
from pydantic.fields import FieldInfo

from app.command import main
from app.openapi import COMMITTED
from app.settings import SOURCE_TREE, Settings

FOLDER = SOURCE_TREE / "docs" / "reference"
WIDTH = 100

HEAD = """\
# {title}

*This page is made by `make reference`.* {lead}
"""
COMMANDS = """What each is for, by example: [orders](../order.md), [uploads](../uploads.md),
[training](../training.md), [evaluations](../../README.md#is-it-good-enough), [models](../models.md),
[keys](../operation.md#who-may-order)."""
SETTINGS = """Each is an environment variable, and all have a default.
[Running the service](../operation.md) says when to set them."""
ENDPOINTS = """A running service has the same with every field, at `/docs` to try out and at
`/openapi.json`; a copy is [openapi.json](../../openapi.json). Errors are `application/problem+json`
(RFC 9457), with a pointer to each bad field and a `type` that explains itself."""


def commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    """Each command below the group, with the words that call it."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def pages() -> dict[str, str]:
    """The text of each page, by file name."""
    return {
        "commands.md": _page("Commands", COMMANDS, _commands()),
        "settings.md": _page("Settings", SETTINGS, _settings()),
        "endpoints.md": _page("Endpoints", ENDPOINTS, _endpoints()),
    }


def _page(title: str, lead: str, parts: Iterator[str]) -> str:
    return "\n".join([HEAD.format(title=title, lead=lead), *parts]).rstrip() + "\n"


def _commands() -> Iterator[str]:
    for path, command in commands(main, "fundusmith"):
        context = click.Context(
            command, info_name=path, terminal_width=WIDTH, max_content_width=WIDTH
        )
        yield f"## {path}\n\n```text\n{command.get_help(context)}\n```\n"


def _settings() -> Iterator[str]:
    yield "| setting | default | what it says |\n|---|---|---|"
    for name, field in Settings.model_fields.items():
        yield f"| `FUNDUSMITH_{name.upper()}` | {_default(field)} | {field.description} |"


def _default(field: FieldInfo) -> str:
    if field.default is None:
        return ""
    folder = SOURCE_TREE.as_posix() + "/"  # which is another one on each machine
    return f"`{str(field.default).removeprefix(folder)}`"


def _endpoints() -> Iterator[str]:
    document = json.loads(COMMITTED.read_text(encoding="utf-8"))
    for tag in document["tags"]:
        yield f"## {tag['name'].capitalize()}\n\n{tag['description']}\n\n| call | does |\n|---|---|"
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                if tag["name"] in operation["tags"]:
                    yield f"| `{method.upper()} {path}` | {operation['summary']} |"
        yield ""


def _write() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    _write()
