"""The command line `chat`: names its subcommands, and imports only the one that is run.

Our own are in infra/commands/; the services add theirs by the entry-point group `chat.commands` (pyproject.toml),
because infra must not know them.
"""

import ast
import importlib
import importlib.util
from importlib.metadata import entry_points
from pathlib import Path

import click

from infra.environment import SettingError
from infra.part import StartError

OURS = ("up", "demo", "token", "topics", "tail", "lag", "doctor")


class Commands(click.Group):
    """A group whose commands are `module:name`, imported when they are run."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        return list(_places())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        place = _places().get(cmd_name)
        if place is None:
            return None
        module, _, name = place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        with formatter.section("Commands"):
            formatter.write_dl([(name, _summary(place)) for name, place in _places().items()])

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; what stands in its way is one line and status 1."""
        try:
            return super().invoke(ctx)
        except (SettingError, StartError) as error:
            raise click.ClickException(str(error)) from error


def _places() -> dict[str, str]:
    theirs = {entry.name: entry.value for entry in sorted(entry_points(group="chat.commands"))}
    return {**{name: f"infra.commands.{name}:{name}" for name in OURS}, **theirs}


def _summary(place: str) -> str:
    """Return the first line of a command's docstring, read from its source: importing all of them takes seconds."""
    module, _, name = place.partition(":")
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None:
        return f"(missing: {module})"
    for node in ast.parse(Path(found.origin).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            return (ast.get_docstring(node) or "").partition("\n")[0]
    return ""


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="chat", message="%(version)s")
def main() -> None:
    """A chat service: the Kafka log is the database, everything else is a reading of it.

    Settings come from the environment and from a file .env; exit status 0, 1 (it failed), 2 (wrong usage).
    """


if __name__ == "__main__":
    main()
