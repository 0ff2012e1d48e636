"""`carrel nixos`: what the NixOS module calls, when the system is built and when its units start."""

from __future__ import annotations

from pathlib import Path

import click

from carrel.cli import console
from carrel.cli.options import config_option
from carrel.targets import facts
from carrel.targets.nixos import declared
from carrel.targets.nixos.target import NixosTarget, provide_image


@click.group(hidden=True)
def nixos() -> None:
    """For the module in nix/, not for people."""


@nixos.command()
@config_option
@click.argument("out", type=click.Path(path_type=Path))
def pages(file: Path, out: Path) -> None:
    """Write the static pages into the directory OUT."""
    declared.write_pages(file, out)


@nixos.command()
@config_option
@click.argument("variables", nargs=-1)
@click.argument("out", type=click.Path(path_type=Path))
def agent(file: Path, variables: tuple[str, ...], out: Path) -> None:
    """Write opencode.json into the directory OUT, for somebody who has these VARIABLES."""
    declared.write_agent(file, variables, out)


@nixos.command()
@config_option
@click.argument("out", type=click.Path(path_type=Path))
def gateway(file: Path, out: Path) -> None:
    """Write gateway.json into the directory OUT."""
    declared.write_gateway(file, out)


@nixos.command()
@config_option
def key(file: Path) -> None:
    """Make the key that tokens are made with, if there is none yet."""
    declared.make_key(facts.host_layout(file))


@nixos.command()
@config_option
@click.argument("name")
def secrets(file: Path, name: str) -> None:
    """Write the environment file of the user NAME, or of "gateway"."""
    declared.write_secrets(file, facts.host_layout(file), name)


@nixos.command()
@config_option
def image(file: Path) -> None:
    """Build the image if there is none yet."""
    provide_image(NixosTarget.of(file, console.note))
