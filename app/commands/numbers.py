"""Options that hold names, numbers by name, or both."""

from typing import Any

import click


class NamedNumbers(click.ParamType):
    """As in train=0.8,val=0.2; read to a dictionary of floats."""

    name = "NAME=NUMBER,..."

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> dict[str, float]:
        if isinstance(value, dict):
            return value
        numbers = {}
        for part in value.split(","):
            name, _, number = part.partition("=")
            numbers[name.strip()] = self._number(number, param, context)
        return numbers

    def _number(
        self, text: str, param: click.Parameter | None, context: click.Context | None
    ) -> float:
        try:
            return int(text) if text.strip().isdecimal() else float(text)
        except ValueError:
            return self.fail(f"{text!r} is no number; write {self.name}", param, context)


class Names(click.ParamType):
    """As in disc,lesions; read to a list."""

    name = "NAME,..."

    def convert(self, value: Any, param: Any, context: Any) -> Any:
        return value if isinstance(value, list) else [part.strip() for part in value.split(",")]


class Avoided(NamedNumbers):
    """An upload, perhaps with an overlap, as in up_1=0.8; read to the order's ``not_like``."""

    name = "UP_ID[=OVERLAP]"

    def convert(self, value: Any, param: Any, context: Any) -> Any:
        upload, _, overlap = value.partition("=")
        more = {"overlap": self._number(overlap, param, context)} if overlap else {}
        return {"upload": upload.strip(), **more}


class Which(click.ParamType):
    """Real pairs of an evaluation: how many, or names of their photographs."""

    name = "NUMBER|NAME,..."

    def convert(self, value: Any, param: Any, context: Any) -> Any:
        return int(value) if value.isdecimal() else [name.strip() for name in value.split(",")]


class StageSetting(NamedNumbers):
    """A hyper-parameter, as in vessel.batch=16; read to a triple of stage, name and number."""

    name = "STAGE.NAME=NUMBER"

    def convert(self, value: Any, param: Any, context: Any) -> Any:
        place, _, number = value.partition("=")
        stage, dot, name = place.strip().partition(".")
        if not dot:
            self.fail(f"{value!r}: write STAGE.NAME=NUMBER, as in vessel.batch=16", param, context)
        return stage, name, self._number(number, param, context)
