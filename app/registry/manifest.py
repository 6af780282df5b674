"""package.json: reading it, and what can be wrong with a package."""

import json
from typing import TypeVar

from pydantic import ValidationError
from pydantic_core import from_json

from app.registry.schemas import PackageManifest

MANIFEST = "package.json"

Manifest = TypeVar("Manifest", bound=PackageManifest)


LONGEST_DETAIL = 300  # characters: names within a package may have any length


class PackageFault(Exception):
    """A package is refused: a code for programs, the file, its field if it is JSON, a sentence."""

    def __init__(self, code: str, detail: str, file: str = "", field: str = "") -> None:
        self.code = code
        self.detail = detail[:LONGEST_DETAIL]
        self.file = file[:LONGEST_DETAIL]
        self.field = field[:LONGEST_DETAIL]
        super().__init__(": ".join(part for part in (self.file, self.field, self.detail) if part))


def read_manifest(data: bytes, schema: type[Manifest]) -> Manifest:
    """The parts of a package.json that the schema has.

    Raises:
        PackageFault: it is not JSON in UTF-8, or a field is missing or wrong; the first one is named.
    """
    try:
        fields = from_json(data, allow_inf_nan=False)
        json.dumps(fields, allow_nan=False)  # 1e999 is read as infinity, which JSON cannot say
    except ValueError as error:
        raise PackageFault("not_json", f"is not JSON ({error})", MANIFEST) from None
    try:
        return schema.model_validate(fields)
    except ValidationError as error:
        fault = error.errors()[0]
        field = ".".join(str(part) for part in fault["loc"])
        raise PackageFault("wrong_field", fault["msg"], MANIFEST, field or "the document") from None
