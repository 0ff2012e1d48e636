"""The `carrel` command: collects the groups, opens sites, and is where every error ends."""

from __future__ import annotations

import importlib
import shlex
import sys
from typing import Any

import click

from carrel import __version__, errors
from carrel.adapters import locking, space
from carrel.adapters.locking import Patience
from carrel.cli import console
from carrel.errors import CarrelError

MODULES = {
    "init": "settings",
    "config": "settings",
    "plan": "sites",
    "render": "sites",
    "up": "sites",
    "apply": "sites",
    "down": "sites",
    "status": "sites",
    "doctor": "checkup",
    "log": "history",
    "logs": "sites",
    "shell": "sites",
    "tunnel": "sites",
    "reset": "sites",
    "user": "users",
    "image": "images",
    "nixos": "nixos",
    "certificate": "certificates",
    "ai": "ai",
}
"""Where each command is; it is called what the command is called."""

WAIT_SECONDS = 600
"""Longer than anything takes but the build of an image."""


class Commands(click.Group):
    """Loads the module of the command that is asked for: the others bring libraries of their own."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, as `--help` shows them."""
        del ctx
        return sorted(MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name; None if there is none."""
        del ctx
        if cmd_name not in MODULES:
            return None
        module = importlib.import_module(f"carrel.cli.{MODULES[cmd_name]}")
        command: click.Command = getattr(module, cmd_name)
        return command


def exit_codes() -> str:
    """The documented exit codes, one per line."""
    lines = ["  0  done"]
    lines += [f"  {e.exit_code}  {e.meaning}" for e in errors.ALL]
    lines += [f"{errors.INTERRUPTED:3d}  interrupted (Ctrl-C)"]
    return "\n".join(lines)


def members(group: click.Group) -> list[tuple[str, click.Command]]:
    """The commands of a group that people are told of, by name."""
    context = click.Context(group)
    found = ((name, group.get_command(context, name)) for name in group.list_commands(context))
    return [(name, command) for name, command in found if command and not command.hidden]


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nExit codes:\n" + exit_codes(),
)
@click.version_option(__version__, prog_name="carrel")
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=WAIT_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for another command that changes the same site.",
)
@click.option("--no-wait", is_flag=True, help="Do not wait for it.")
def carrel(wait: float, *, no_wait: bool) -> None:
    """VS Code with an AI coding agent for every person on a small team, on a server you own."""
    words = shlex.join(["carrel", *sys.argv[1:]])
    locking.wait_with(Patience(0 if no_wait else wait, console.note, words))


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; the one place from which the process exits."""
    options: dict[str, Any] = {"standalone_mode": False, "prog_name": "carrel"}
    try:
        status = carrel.main(arguments, **options)
    except CarrelError as error:
        console.fail(space.told(error) or error)
    except click.exceptions.Abort:
        console.interrupted()
    except KeyboardInterrupt:
        console.interrupted()
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except OSError as error:
        console.fail(space.told(error) or _operating_system(error))
    except Exception as error:
        full = space.told(error)
        if full is None:
            raise
        console.fail(full)
    sys.exit(status if isinstance(status, int) else 0)


def _operating_system(error: OSError) -> CarrelError:
    where = f" ({error.filename})" if error.filename else ""
    return CarrelError(
        f"The operating system refused something{where}.",
        why=error.strerror or str(error),
        fix="mend the cause, then run the same command again; nothing is lost",
    )
