"""The commands for a whole site and for one workspace: plan, up, down, status, logs, shell, reset."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from carrel.backends.tree import Tree
from carrel.cli import console
from carrel.cli.options import ask, config_option, json_option, yes_option
from carrel.core import names
from carrel.core.plan import diff, sentence
from carrel.errors import NotReady
from carrel.operations import converge, inside
from carrel.operations.report import Report, report
from carrel.operations.site import Opened, Place


@click.command()
@config_option
@json_option
def plan(file: Path, *, as_json: bool) -> None:
    """Show what `up` would do. Changes nothing."""
    opened = Opened.at(file, console.note)
    steps = [sentence(step) for step in converge.plan(opened).steps]
    if as_json:
        console.result_json({"steps": steps, "shortfalls": [str(s) for s in opened.shortfalls()]})
        return
    console.result("\n".join(steps) or "Nothing to do.")
    _warn(opened)


@click.command()
@config_option
@click.option("--target", type=click.Choice(["tree"]), required=True, help="Where to put it.")
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
def render(file: Path, target: str, out: Path) -> None:
    """Write every file that `up` would make into the directory OUT. Starts nothing."""
    del target
    opened = Opened.at(file, console.note)
    tree = Tree(out)
    steps = diff(tree.observe(), opened.desired())
    tree.apply(steps, lambda _step: None)
    console.note(f"Wrote {out}: {len(steps.steps)} changes.")


@click.command()
@config_option
def up(file: Path) -> None:
    """Start the site in local mode, and wait until every workspace answers."""
    story = console.Story()
    opened = Opened.at(file, story.say)
    converge.up(opened, story.step)
    _show(report(opened))
    _warn(opened)


@click.command()
@config_option
def down(file: Path) -> None:
    """Stop the site. Work, settings and the image stay."""
    story = console.Story()
    steps = converge.down(Place.of(file, story.say), story.step)
    console.note("Stopped." if steps else "It was not running.")


@click.command()
@config_option
@json_option
def status(file: Path, *, as_json: bool) -> None:
    """Show addresses, states, limits and warnings."""
    opened = Opened.at(file, console.note)
    found = report(opened)
    if as_json:
        console.result_json(found.plain())
    else:
        _show(found)
        _warn(opened)
    if not found.healthy:
        sys.exit(NotReady.exit_code)


def _show(found: Report) -> None:
    console.table(
        ["USER", "ADDRESS", "STATE", "PASSWORD IN", "LIMITS"],
        [
            (w.user, w.address, w.state, w.password, f"{w.memory} · {w.cpus:g} CPU")
            for w in found.workspaces
        ],
    )
    console.result("")
    console.result(f"Welcome page  {found.address} ({found.edge})")
    console.result(f"Image         {found.image} ({found.image_state})")
    console.result(f"Certificate   {found.authority}")
    console.result(
        "              Your browser warns until it trusts this file: Settings, Certificates, "
        "Authorities, Import."
    )


def _warn(opened: Opened) -> None:
    for shortfall in opened.shortfalls():
        console.warning(str(shortfall))
    built = opened.built()
    if built is not None and built.missing_extensions:
        console.warning(
            f"the image lacks {', '.join(built.missing_extensions)}: Open VSX could not be reached "
            "when it was built; `carrel image build --retry` tries again"
        )


@click.command()
@config_option
@click.argument("name")
@click.option("-f", "--follow", is_flag=True, help="Go on until Ctrl-C.")
@click.option("-n", "--lines", default=100, show_default=True, help="How many lines at first.")
def logs(file: Path, name: str, lines: int, *, follow: bool) -> None:
    """Print the log of NAME's workspace ("edge" for nginx)."""
    opened = Opened.at(file, console.note)
    if name != names.EDGE_SERVICE:
        converge.must_exist(opened, name)
    sys.exit(inside.logs(opened.place, name, lines=lines, follow=follow))


@click.command(context_settings={"ignore_unknown_options": True})
@config_option
@click.argument("name")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def shell(file: Path, name: str, command: tuple[str, ...]) -> None:
    """Open a shell in NAME's container, or run a COMMAND there and pass its exit status on."""
    opened = Opened.at(file, console.note)
    converge.must_exist(opened, name)
    sys.exit(inside.shell(opened.place, name, command, terminal=sys.stdin.isatty()))


@click.command()
@config_option
@yes_option
@click.option("--settings", is_flag=True, help="Also delete VS Code's settings and the home.")
@click.argument("name")
def reset(file: Path, name: str, *, settings: bool, yes: bool) -> None:
    """Destroy NAME's container and make a new one. The project is never touched."""
    story = console.Story()
    opened = Opened.at(file, story.say)
    converge.must_exist(opened, name)
    if settings:
        ask(
            f"Delete the settings and the home of {name} (shell history, agent sessions, own keys)? "
            "The project stays.",
            yes=yes,
        )
    converge.reset(opened, name, converge.Reset(settings=settings), story.step)
    console.note(f"The workspace of {name} is new. The project is untouched.")
