"""The commands for a whole site and for one workspace: plan, up, down, status, logs, shell, reset."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from carrel.cli import certificates, console
from carrel.cli.options import ask, config_option, json_option, target_option, yes_option
from carrel.core import names
from carrel.core.plan import Step, diff, sentence
from carrel.core.site import MIB
from carrel.errors import CarrelError, ConfigError, NotReady
from carrel.operations import converge, inside
from carrel.operations.report import Report, nginx_files, report
from carrel.operations.site import Opened, TargetKind, editable, server, target_at
from carrel.targets.condition import ResourceUsage
from carrel.targets.tree import Tree


@click.command()
@config_option
@target_option
@json_option
@click.option("--show", type=click.Choice(["nginx"]), help="Print what nginx will read, instead.")
def plan(file: Path, target: TargetKind | None, *, as_json: bool, show: str | None) -> None:
    """Show what `up` (local mode) or `apply` (a server) would do. Changes nothing."""
    opened = Opened.at(file, console.note, target)
    if show is not None:
        for path, text in nginx_files(opened.desired()):
            console.result(f"# {path}\n{text}")
        return
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
    """Write every file that `up` or `apply` would make into the directory OUT. Starts nothing."""
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
    where = target_at(file, story.say, TargetKind.LOCAL)
    converge.up(where, story.step)
    opened = Opened.of(where)
    _show(report(opened))
    _warn(opened)


@click.command()
@config_option
def apply(file: Path) -> None:
    """Make this server what the configuration says. Twice in a row: nothing to do."""
    story = console.Story()
    where = target_at(file, story.say, TargetKind.HOST)
    done = Progress(story)
    try:
        steps = converge.up(where, done)
    except CarrelError as error:
        raise done.stopped(error) from error
    if not steps:
        console.result("Nothing to do.")
        return
    # An image that was just built is the selected one now.
    opened = Opened.of(where)
    _show(report(opened))
    _warn(opened)


class Progress:
    """Tells each step, and knows which one was begun last."""

    def __init__(self, story: console.Story) -> None:
        self._story = story
        self._begun: list[Step] = []

    def __call__(self, step: Step) -> None:
        """A step is about to be taken."""
        self._begun.append(step)
        self._story.step(step)

    def stopped(self, error: CarrelError) -> CarrelError:
        """The error, with what was done before it."""
        if self._begun:
            done = len(self._begun) - 1
            error.why += (
                f"{'. ' if error.why else ''}It stopped at: {sentence(self._begun[-1])}. "
                f"{done} steps before it are done; what comes after it is not. Running the same "
                "command again goes on from there"
            )
        return error


@click.command()
@config_option
@target_option
@yes_option
@click.option("--remove", is_flag=True, help="Also remove all that Carrel made, but users' data.")
def down(file: Path, target: TargetKind | None, *, remove: bool, yes: bool) -> None:
    """Stop the site. Work, settings and the image stay."""
    story = console.Story()
    where = editable(file, story.say, target)
    if remove:
        ask("Remove images, certificates, units and all else that Carrel made here?", yes=yes)
        server(where)
        converge.retire(where, story.step)
        console.note("Removed. The users' directories and the configuration are still there.")
        return
    steps = converge.down(where, story.step)
    console.note("Stopped." if steps else "It was not running.")


@click.command()
@config_option
@json_option
def status(file: Path, *, as_json: bool) -> None:
    """Show addresses, states, limits and warnings."""
    opened = Opened.to_read(file, console.note)
    found = report(opened)
    if as_json:
        console.result_json(found.plain())
    else:
        _show(found)
        _warn(opened)
    if not found.healthy:
        sys.exit(NotReady.exit_code)


def _show(found: Report) -> None:
    usage = any(w.usage for w in found.workspaces)
    console.table(
        ["USER", "ADDRESS", "STATE", "PASSWORD IN", "LIMITS", *(USAGE if usage else ())],
        [
            (
                w.user, w.address, w.state, w.password, f"{w.memory} · {w.cpus:g} CPU",
                *(_usage(w.usage) if usage else ()),
            )
            for w in found.workspaces
        ],
    )  # fmt: skip
    for w in found.workspaces:
        if w.usage and w.usage.last_kill:
            console.result(f"{w.user}: {w.usage.last_kill}")
    console.result("")
    console.result(f"Welcome page  {found.address} ({found.edge})")
    if found.gateway:
        console.result(f"AI gateway    {found.gateway}")
    console.result(f"Image         {found.image} ({found.image_state})")
    console.result(f"Certificate   {certificates.line(found.certificate)}")
    if found.certificate.concern:
        console.warning(found.certificate.concern)
    if found.authority:
        console.result(f"              {found.authority}")
        console.result(
            "              Your browser warns until it trusts this file: Settings, Certificates, "
            "Authorities, Import."
        )


USAGE = ("MEMORY", "CPU TIME", "TASKS", "UP")


def _usage(usage: ResourceUsage | None) -> tuple[str, ...]:
    if usage is None:
        return ("", "", "", "")
    return (
        "-" if usage.memory is None else f"{usage.memory / MIB:.0f} MB",
        "-" if usage.cpu_seconds is None else f"{usage.cpu_seconds:.0f} s",
        "-" if usage.tasks is None else str(usage.tasks),
        _duration(usage.uptime) + (f", restarted {usage.restarts} x" if usage.restarts else ""),
    )


def _duration(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


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
    """Print the log of NAME's workspace ("edge" for nginx, "gateway" for the AI gateway)."""
    opened = Opened.to_read(file, console.note)
    if name not in {names.EDGE_SERVICE, names.GATEWAY}:
        converge.must_exist(opened, name)
    sys.exit(opened.target.runtime.log(name, lines=lines, follow=follow))


@click.command(context_settings={"ignore_unknown_options": True})
@config_option
@click.argument("name")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def shell(file: Path, name: str, command: tuple[str, ...]) -> None:
    """Open a shell in NAME's container, or run a COMMAND there and pass its exit status on."""
    opened = Opened.to_read(file, console.note)
    converge.must_exist(opened, name)
    sys.exit(inside.shell(opened.target, name, command, terminal=sys.stdin.isatty()))


@click.command()
@config_option
@click.option(
    "--host", "server", metavar="SERVER", help="The server as ssh knows it; for the line."
)
@click.argument("name")
def tunnel(file: Path, server: str | None, name: str) -> None:
    """Print the line to run on a laptop to reach NAME's workspace through SSH, without HTTPS."""
    opened = Opened.to_read(file, console.note)
    converge.must_exist(opened, name)
    user = opened.site.user(name)
    if user is None or user.port is None:
        raise ConfigError(
            f"{name} has no port for a tunnel.",
            fix=f"add `port = 8082` below [users.{name}], then run `carrel apply`",
        )
    port, host = user.port, server or opened.site.domain
    console.result(f"ssh -N -L {port}:127.0.0.1:{port} {host}")
    console.note(f"While it runs, {name} works at http://127.0.0.1:{port}/ on that laptop.")


@click.command()
@config_option
@yes_option
@click.option("--settings", is_flag=True, help="Also delete VS Code's settings and the home.")
@click.argument("name")
def reset(file: Path, name: str, *, settings: bool, yes: bool) -> None:
    """Destroy NAME's container and make a new one. The project is never touched."""
    story = console.Story()
    opened = Opened.to_read(file, story.say)
    converge.must_exist(opened, name)
    if settings:
        ask(
            f"Delete the settings and the home of {name} (shell history, agent sessions, own keys)? "
            "The project stays.",
            yes=yes,
        )
    converge.reset(opened, name, converge.Reset(settings=settings), story.step)
    console.note(f"The workspace of {name} is new. The project is untouched.")
