"""`carrel init` and `carrel config`: making, checking and showing the configuration."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import click

from carrel.adapters import files
from carrel.adapters.process import Identity
from carrel.cli import console
from carrel.cli.options import config_option, json_option
from carrel.config import load
from carrel.config.exposure import exposed
from carrel.config.template import example, network, server_example
from carrel.errors import Conflict
from carrel.operations.site import TargetKind


@click.command()
@config_option
@click.option(
    "--storage", help="Where users' directories go. Default: data; on a server /var/lib/vscode."
)
@click.option("--print", "only_print", is_flag=True, help="Print it instead of writing a file.")
def init(file: Path, storage: str | None, *, only_print: bool) -> None:
    """Write a commented configuration to start from."""
    make, begin = (
        (server_example, "apply") if TargetKind.of(file) is TargetKind.HOST else (example, "up")
    )
    out = network(os.environ)
    text = make(storage=storage, network=out) if storage else make(network=out)
    if only_print:
        console.result(text)
        return
    if file.exists():
        raise Conflict(
            f"There is already a file {file}. Nothing was changed.",
            fix="edit it, or name another with --config FILE",
        )
    files.write(str(file.resolve()), text, Identity.ours(), 0o644)
    console.note(
        f"Wrote {file}. Next: add a user with `carrel user add NAME`, then `carrel {begin}`."
    )


@click.group()
def config() -> None:
    """Check and show the configuration."""


@config.command()
@config_option
@json_option
def check(file: Path, *, as_json: bool) -> None:
    """Report every fault at once. Changes nothing."""
    try:
        site = load.load(file)
    except load.Faulty as faulty:
        if as_json:
            console.result_json([asdict(fault) for fault in faulty.faults])
        raise
    if as_json:
        console.result_json([])
    else:
        console.result(f"{file} is in order: {site.domain}, {len(site.users)} users.")
    for shortfall in exposed(site, file):
        console.warning(str(shortfall))


@config.command()
@config_option
def show(file: Path) -> None:
    """Print the configuration with all defaults filled in, as JSON. Secrets stay references."""
    site = asdict(load.load(file))
    for user in site["users"]:
        if "value" in user["password"]:
            user["password"] = {"value": "(hidden)"}
    console.result_json(site)


@config.command()
def schema() -> None:
    """Print the JSON Schema, for editors."""
    console.result_json(load.json_schema())
