"""What jobs have found: the report of an upload, file by file, and figures of an evaluation."""

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from app.client import Evaluation, Upload
from app.client.answers import Report, Summary
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
    unlabelled = [(photograph.number, photograph.image) for photograph in report.unlabelled]
    warned = [
        (warning["file"], warning["code"], warning["detail"])
        for warnings in (
            *(picture.warnings for picture in report.used),
            *(photograph.warnings for photograph in report.unlabelled),
        )
        for warning in warnings
    ]
    refused = [
        (file.file, file.code, "; ".join([file.detail, *map(_unused, file.partners)]))
        for file in report.refused
    ]
    ignored = [(file.file, file.reason) for file in report.ignored]
    for columns, rows in (
        (("number", "used", "changed"), used),
        (("number", "used without a label"), unlabelled),
        (("to look at", "why", "what may be wrong"), warned),
        (("refused", "fault", "what is wrong"), refused),
        (("ignored", "why"), ignored),
    ):
        if rows:
            parts += ["", table(columns, rows)]
    return Group(*parts)


def _unused(file: str) -> str:
    return f"{file} is not used either"


def figures_of(summary: Summary) -> Table:
    """The few figures of an evaluation, with what they mean."""
    rows = [
        (f"F1, {way}", f"{value:.3f}", "on the pairs held out, mean of the networks")
        for way, value in summary.f1.items()
    ]
    for name, value, form, meaning in (
        ("synthetic to real", summary.synthetic_to_real, ".3f", "1 is as good as real pairs"),
        ("KID", summary.kid, ".4f", "distance to real photographs, none at 0 or below"),
        ("copies", summary.copies, "d", "generated maps that copy a real one"),
        ("nearer to training", summary.nearer_to_training, ".0%", "of the generated maps"),
    ):
        if value is not None:
            rows.append((name, format(value, form), meaning))
    return table(("figure", "value", "what it says"), rows)


def outcome(job: Any) -> list[RenderableType]:
    """What the job has found, if it is of a kind that finds something and has."""
    if isinstance(job, Upload) and job.report:
        return [report_of(job.report)]
    if isinstance(job, Evaluation) and job.summary:
        return ["", figures_of(job.summary)]
    return []
