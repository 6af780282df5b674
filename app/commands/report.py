"""The report of an upload, file by file."""

from rich.console import Group, RenderableType

from app.client.answers import Report
from app.commands.words import table


def report_of(report: Report) -> Group:
    """What is used and how it was changed, what is refused and why, what was not looked at."""
    parts: list[RenderableType] = []
    used = [
        (
            picture.number,
            picture.image or picture.label,
            "; ".join(dict.fromkeys(done["done"] for done in picture.conversions)) or "as it is",
        )
        for picture in report.used
    ]
    refused = [(file.file, file.code, file.detail) for file in report.refused]
    ignored = [(file.file, file.reason) for file in report.ignored]
    for columns, rows in (
        (("number", "used", "changed"), used),
        (("refused", "fault", "what is wrong"), refused),
        (("ignored", "why"), ignored),
    ):
        if rows:
            parts += ["", table(columns, rows)]
    return Group(*parts)
