"""``fundusmith usage``."""

import click

from app.commands.service import Service, service_command
from app.commands.words import duration, table


@click.command()
@click.option("--days", default=30, show_default=True, help="How many, today included.")
@service_command
def usage(service: Service, days: int) -> None:
    """Show the pairs that you have had made, and how long devices worked for you, by day."""
    used = service.client.usage(days)
    rows = [(day.day, day.pairs, duration(day.device_seconds)) for day in used.days]
    rows.append(("in all", used.pairs, duration(used.device_seconds)))
    service.tell(used.document, table(("day", "pairs", "device time"), rows))
