"""The command line. Each command is loaded when it is called, so that none waits for the others."""

from importlib import import_module

import click

COMMANDS = {
    "up": "app.commands.up",
    "migrate": "app.commands.migrate",
    "demo": "app.commands.demo",
    "order": "app.commands.order",
    "status": "app.commands.status",
    "watch": "app.commands.watch",
    "download": "app.commands.download",
    "cancel": "app.commands.change",
    "resume": "app.commands.change",
    "delete": "app.commands.change",
    "upload": "app.commands.upload",
    "train": "app.commands.train",
    "evaluate": "app.commands.evaluate",
    "models": "app.commands.models",
    "usage": "app.commands.usage",
    "keys": "app.commands.keys",
}


class LazyGroup(click.Group):
    """A group whose commands are functions of their names in the modules above."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        return getattr(import_module(COMMANDS[name]), name) if name in COMMANDS else None


@click.group(
    cls=LazyGroup,
    epilog="Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 no service answers, "
    "130 stopped by Ctrl-C.",
)
def main() -> None:
    """Fundusmith makes labelled retinal data sets to order."""


if __name__ == "__main__":
    main()
