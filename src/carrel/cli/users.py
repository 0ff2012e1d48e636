"""`carrel user`: who has a workspace."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from carrel.cli import console
from carrel.cli.options import ask, ask_name, config_option, json_option, yes_option
from carrel.config import load
from carrel.core import names
from carrel.core.site import SecretFile
from carrel.errors import ConfigError
from carrel.operations import users
from carrel.operations.site import editable, target_at
from carrel.operations.users import Done


@click.group()
def user() -> None:
    """Add, list and remove users. Edits the configuration and keeps its comments."""


password_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input."
)


def _password(*, stdin: bool) -> str | None:
    if not stdin:
        return None
    text = sys.stdin.read().strip()
    if not text or "\n" in text:
        raise ConfigError("The password has to be one line of text. Nothing was changed.")
    return text


def _next(done: Done) -> None:
    if done.secret_file:
        console.note(f"The password is in {done.secret_file}.")
    tell_rest(done)


def tell_rest(done: Done) -> None:
    """What is left for the operator to do, if anything."""
    if not done.running:
        console.note(
            "The site is not running; `carrel up`, on a server `carrel apply`, brings this into effect."
        )


@user.command()
@config_option
@password_option
@click.option("--full-name", default="", metavar="TEXT", help="Whose name is in their commits.")
@click.option("--email", default="", metavar="TEXT", help="The address in their commits.")
@click.argument("name")
def add(file: Path, name: str, full_name: str, email: str, *, password_stdin: bool) -> None:
    """Add a user with a new password."""
    story = console.Story()
    person = users.Newcomer(name, full_name, email)
    password = _password(stdin=password_stdin)
    done = users.add(editable(file, story.say), person, password, story.step)
    console.note(f"Added {name}.")
    _next(done)


@user.command("list")
@config_option
@json_option
def list_(file: Path, *, as_json: bool) -> None:
    """List the users."""
    site = load.load(file)
    where = target_at(file, console.note)
    rows = [
        {
            "user": entry.name,
            "address": names.address(names.host(entry.name, site.domain), where.facts.port(site)),
            "password": entry.password.path
            if isinstance(entry.password, SecretFile)
            else "in the configuration (hash)",
        }
        for entry in site.users
    ]
    if as_json:
        console.result_json(rows)
    else:
        console.table(["USER", "ADDRESS", "PASSWORD IN"], [tuple(row.values()) for row in rows])


@user.command()
@config_option
@password_option
@click.argument("name")
def passwd(file: Path, name: str, *, password_stdin: bool) -> None:
    """Give a user a new password; every session of theirs ends."""
    story = console.Story()
    password = _password(stdin=password_stdin)
    done = users.set_password(editable(file, story.say), name, password, story.step)
    console.note(f"{name} has a new password.")
    _next(done)


@user.command()
@config_option
@click.argument("name")
def logout(file: Path, name: str) -> None:
    """Sign NAME out in every browser, at once. The password stays; the workspace restarts."""
    story = console.Story()
    done = users.end_sessions(target_at(file, story.say), name, story.step)
    console.note(f"Every session of {name} has ended.")
    _next(done)


@user.command()
@config_option
@click.argument("name")
def suspend(file: Path, name: str) -> None:
    """Stop NAME's workspace until `resume`. Nothing of theirs is lost."""
    story = console.Story()
    done = users.suspend(editable(file, story.say), name, story.step, suspended=True)
    console.note(f"{name} is suspended.")
    _next(done)


@user.command()
@config_option
@click.argument("name")
def resume(file: Path, name: str) -> None:
    """Give NAME the workspace back that `suspend` stopped."""
    story = console.Story()
    done = users.suspend(editable(file, story.say), name, story.step, suspended=False)
    console.note(f"{name} may work again.")
    _next(done)


@user.command()
@config_option
@yes_option
@click.option("--delete-data", is_flag=True, help="Also delete the user's directories, for ever.")
@click.argument("name")
def remove(file: Path, name: str, *, delete_data: bool, yes: bool) -> None:
    """Remove a user. Their work stays on disk unless you say --delete-data."""
    if delete_data:
        ask_name(f"This deletes everything that {name} has made, for ever.", name, yes=yes)
    else:
        ask(f"Remove {name}? Their files stay.", yes=yes)
    story = console.Story()
    done = users.remove(editable(file, story.say), name, story.step, delete_data=delete_data)
    console.note(
        f"Removed {name}." + (f" Their files are still in {done.kept}." if done.kept else "")
    )
    _next(done)
