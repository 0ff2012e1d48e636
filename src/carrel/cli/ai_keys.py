"""`carrel ai key`: the keys of providers, and the tokens that workspaces have instead of them."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from carrel.cli import console
from carrel.cli.options import config_option
from carrel.cli.users import tell_rest
from carrel.operations import ai_keys
from carrel.operations.ai_keys import NewKey
from carrel.operations.site import place


@click.group()
def key() -> None:
    """Connect an AI provider; give a workspace another token."""


@key.command()
@config_option
@click.option("--base-url", metavar="URL", default="", help="For any OpenAI-compatible server.")
@click.option("--model", "models", metavar="NAME", multiple=True, help="Offer this model; repeat.")
@click.argument("provider")
def add(file: Path, provider: str, base_url: str, models: tuple[str, ...]) -> None:
    """Connect PROVIDER (anthropic, openai, …), or give it another key.

    Asks for the key, or reads it from standard input. It goes into a file that only the gateway's
    account reads, and into no workspace.
    """
    given = NewKey(provider, _key(provider), base_url, models)
    story = console.Story()
    done = ai_keys.add(place(file, story.say), given, story.step)
    console.note(f"The key of {provider} is in {done.secret_file}.")
    tell_rest(done)


def _key(provider: str) -> str:
    if sys.stdin.isatty():
        return str(click.prompt(f"The key of {provider}", hide_input=True, err=True)).strip()
    return sys.stdin.read().strip()


@key.command()
@config_option
@click.argument("user")
def rotate(file: Path, user: str) -> None:
    """Give USER's workspace another token. It starts anew; the old token opens nothing any more."""
    story = console.Story()
    done = ai_keys.rotate(place(file, story.say), user, story.step)
    console.note(f"{user} has another token.")
    tell_rest(done)
