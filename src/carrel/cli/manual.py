"""The man page, made from the commands; `make install` writes it: python -m carrel.cli.manual."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from carrel import __version__
from carrel.cli import main

FILES = (
    ("/etc/carrel/carrel.toml", "The configuration of a server."),
    ("/var/lib/carrel/", "What Carrel made: images, pages, the journal of its steps."),
    ("/var/lib/vscode/NAME/", "The work, settings and home of a user."),
)


def page() -> str:
    """The page, for man(7)."""
    return "\n".join(
        [
            f'.TH CARREL 1 "" "carrel {__version__}"',
            ".SH NAME",
            "carrel \\- VS Code with an AI coding agent for every person on a small team",
            ".SH SYNOPSIS",
            ".B carrel",
            "COMMAND [OPTIONS]",
            ".SH COMMANDS",
            *_commands(main.carrel, ("carrel",)),
            ".SH FILES",
            *(line for path, text in FILES for line in (".TP", f".I {path}", _escaped(text))),
            ".SH EXIT STATUS",
            *(
                line
                for row in main.exit_codes().splitlines()
                for code, _, text in [row.strip().partition("  ")]
                for line in (".TP", f".B {code}", _escaped(text))
            ),
            "",
        ]
    )


def _commands(command: click.Command, path: tuple[str, ...]) -> Iterator[str]:
    if isinstance(command, click.Group):
        for name, inner in main.members(command):
            yield from _commands(inner, (*path, name))
        return
    context = click.Context(command, info_name=" ".join(path))
    yield ".TP"
    yield f".B {' '.join(path)} {_escaped(' '.join(command.collect_usage_pieces(context)))}"
    yield _escaped(" ".join((command.help or "").split()))


def _escaped(text: str) -> str:
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text


if __name__ == "__main__":
    sys.stdout.write(page())
