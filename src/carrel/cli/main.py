"""The `carrel` command: collects the groups, opens sites, and is where every error ends."""

from __future__ import annotations

import sys
from typing import Any

import click

from carrel import __version__, errors
from carrel.cli import ai, certificates, checkup, console, images, settings, sites, users
from carrel.errors import CarrelError


def exit_codes() -> str:
    """The documented exit codes, one per line."""
    lines = ["  0  done"]
    lines += [f"  {e.exit_code}  {e.meaning}" for e in errors.ALL]
    lines += [f"{errors.INTERRUPTED:3d}  interrupted (Ctrl-C)"]
    return "\n".join(lines)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nExit codes:\n" + exit_codes(),
)
@click.version_option(__version__, prog_name="carrel")
def carrel() -> None:
    """VS Code with an AI coding agent for every person on a small team, on a server you own."""


for command in (
    settings.init,
    settings.config,
    sites.plan,
    sites.render,
    sites.up,
    sites.apply,
    sites.down,
    sites.status,
    checkup.doctor,
    sites.logs,
    sites.shell,
    sites.tunnel,
    sites.reset,
    users.user,
    images.image,
    certificates.certificate,
    ai.ai,
):
    carrel.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; the one place from which the process exits."""
    options: dict[str, Any] = {"standalone_mode": False, "prog_name": "carrel"}
    try:
        status = carrel.main(arguments, **options)
    except CarrelError as error:
        console.fail(error)
    except click.exceptions.Abort:
        console.interrupted()
    except KeyboardInterrupt:
        console.interrupted()
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except OSError as error:
        console.fail(_operating_system(error))
    sys.exit(status if isinstance(status, int) else 0)


def _operating_system(error: OSError) -> CarrelError:
    where = f" ({error.filename})" if error.filename else ""
    return CarrelError(
        f"The operating system refused something{where}.",
        why=error.strerror or str(error),
        fix="mend the cause, then run the same command again; nothing is lost",
    )
