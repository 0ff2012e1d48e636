"""Options and questions that several commands share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from carrel.errors import Refused
from carrel.operations.site import TargetKind, config_path

F = TypeVar("F", bound=Callable[..., Any])


def config_option(function: F) -> F:
    """--config FILE; the command gets a Path called `file`."""
    return click.option(
        "--config",
        "file",
        metavar="FILE",
        callback=lambda _context, _parameter, value: config_path(value),
        help="The configuration. Default: $CARREL_CONFIG, ./carrel.toml, /etc/carrel/carrel.toml.",
    )(function)


def target_option(function: F) -> F:
    """--target; the command gets a Target or None as `target`."""
    return click.option(
        "--target",
        type=click.Choice([target.value for target in TargetKind]),
        callback=lambda _context, _parameter, value: None if value is None else TargetKind(value),
        help="Default: host for a configuration in /etc/carrel, local for any other.",
    )(function)


def json_option(function: F) -> F:
    """--json; the command gets `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


def yes_option(function: F) -> F:
    """--yes; the command gets `yes`."""
    return click.option("--yes", is_flag=True, help="Do not ask.")(function)


def ask(question: str, *, yes: bool) -> None:
    """Return if the answer is yes; `Refused` otherwise, or when there is nobody to ask."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Refused(f"{question} Nobody is there to ask.", fix="add --yes if you are sure")
    if not click.confirm(question, err=True):
        raise Refused("Nothing was changed.")


def ask_name(question: str, name: str, *, yes: bool) -> None:
    """Like `ask`, for what cannot be undone: the name has to be typed."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Refused(f"{question} Nobody is there to ask.", fix="add --yes if you are sure")
    if click.prompt(f"{question} Type the name to go on", err=True) != name:
        raise Refused("That is another name. Nothing was changed.")
