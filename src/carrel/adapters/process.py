"""The one door to other programs: starts them in a World that is passed in.

Every other adapter uses it. It never uses a shell, and never puts a secret into an argument list.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from carrel.adapters import space
from carrel.errors import Missing, ToolFailed

PACKAGES = {
    "catatonit": "catatonit",
    "lego": "lego",
    "mmdebstrap": "mmdebstrap",
    "newuidmap": "uidmap",
    "nginx": "nginx-light",
    "nft": "nftables",
    "pasta": "passt",
    "podman": "podman",
    "setpriv": "util-linux",
    "unshare": "util-linux",
    "useradd": "passwd",
    "usermod": "passwd",
}
"""The Debian package of a tool, for the advice when it is missing."""

TAIL = 15
"""Lines of a failed program's output that are worth showing."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A Unix account to run as."""

    name: str
    uid: int
    gid: int
    home: str

    @staticmethod
    def of(name: str) -> Identity:
        """The account called `name`; KeyError if there is none."""
        entry = pwd.getpwnam(name)
        return Identity(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir)

    @staticmethod
    def ours() -> Identity:
        """The account that this process runs as."""
        entry = pwd.getpwuid(os.geteuid())
        return Identity(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir)


@dataclass(frozen=True, slots=True)
class World:
    """What a program sees: all of its environment, who it is, where it starts."""

    environment: Mapping[str, str]
    identity: Identity | None = None
    directory: str = "/"


@dataclass(frozen=True, slots=True)
class Result:
    """How a program ended. `errors` is what it said on standard error."""

    status: int
    output: str
    errors: str


def here() -> World:
    """The World of this very process, for tools that need the operator's settings."""
    return World(dict(os.environ), directory=str(Path.cwd()))


def run(
    command: Sequence[str],
    world: World,
    *,
    given: str = "",
    statuses: tuple[int, ...] | None = (0,),
    seconds: float = 120,
) -> Result:
    """Run to the end. `statuses`: the exit statuses that are no failure, or None for any.

    Raises `Missing` when the program is not installed, `ToolFailed` when it fails or takes longer
    than `seconds`.
    """
    with _start_watched(command, world, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            output, errors = process.communicate(given, timeout=seconds)
        except subprocess.TimeoutExpired:
            _end(process)
            raise ToolFailed(f"{command[0]} did not finish within {seconds:g} s.") from None
        except BaseException:
            _end(process)
            raise
    if process.returncode != 0:
        _check_room((errors or output).splitlines()[-TAIL:], world)
    result = Result(process.returncode, output, errors)
    return result if statuses is None else accepted(command, result, statuses)


def accepted(command: Sequence[str], result: Result, statuses: Sequence[int]) -> Result:
    """The result itself if it ended with one of `statuses`; else raises `ToolFailed`."""
    if result.status not in statuses:
        said = result.errors or result.output
        raise failure(command, result.status, said.splitlines()[-TAIL:])
    return result


def follow(command: Sequence[str], world: World, line: Callable[[str], None]) -> None:
    """Run to the end and hand each line of output, from either stream, to `line` at once."""
    last: deque[str] = deque(maxlen=TAIL)
    with _start_watched(
        command, world, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT
    ) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - for the type checker
            for text in process.stdout:
                last.append(text.rstrip())
                line(text.rstrip())
            status = process.wait()
        except BaseException:
            _end(process)
            raise
    if status != 0:
        _check_room(last, world)
        raise failure(command, status, list(last))


def pipe(
    source: Sequence[str], its: World, sink: Sequence[str], sinks: World, *, seconds: float
) -> str:
    """Run two programs, the output of the first being the input of the second; what that prints."""
    null, pipe = subprocess.DEVNULL, subprocess.PIPE
    reader, writer = os.pipe()
    owner = its.identity or sinks.identity
    if owner is not None:
        # podman opens its standard output by name: /dev/stdout has to be its own account's.
        os.fchown(reader, owner.uid, owner.gid)
    with contextlib.ExitStack() as started:
        try:
            first = started.enter_context(
                _start(source, its, stdin=null, stdout=writer, stderr=pipe, own_group=True)
            )
            last = started.enter_context(
                _start(sink, sinks, stdin=reader, stdout=pipe, stderr=pipe, own_group=True)
            )
        finally:
            # Each has its end: when one dies, the other notices.
            os.close(reader)
            os.close(writer)
        try:
            printed, complaints = last.communicate(timeout=seconds)
            _, reasons = first.communicate(timeout=seconds)
        except BaseException as error:
            _end(first)
            _end(last)
            if isinstance(error, subprocess.TimeoutExpired):
                raise ToolFailed(f"{sink[0]} did not finish within {seconds:g} s.") from None
            raise
    ended = ((sink, sinks, last, complaints), (source, its, first, reasons))
    for _, world, program, said in ended:
        if program.returncode != 0:
            _check_room(said.splitlines()[-TAIL:], world)
    for command, _, program, said in ended:
        if program.returncode != 0:
            raise failure(command, program.returncode, said.splitlines()[-TAIL:])
    return printed


def hand_over(command: Sequence[str], world: World) -> int:
    """Run with our own terminal, and return the exit status (128 + n after signal n)."""
    process = _start(command, world)
    while True:
        try:
            status = process.wait()
            return status if status >= 0 else 128 - status
        except KeyboardInterrupt:
            # The terminal sent it to the program too; what it does about it is its own business.
            continue


def failure(command: Sequence[str], status: int, lines: Sequence[str]) -> ToolFailed:
    """The error for a program that ended with `status`, after saying `lines`."""
    said = "\n  ".join(lines)
    return ToolFailed(
        f"{Path(command[0]).name} {command[1] if len(command) > 1 else ''} failed (status {status}).",
        why=f"it said:\n  {said}" if said else "it said nothing",
    )


def _check_room(lines: Iterable[str], world: World) -> None:
    """Raise `DiskFull` if that is why a program failed: then it says nothing of what it was asked."""
    variables = ("TMPDIR", "HOME", "XDG_RUNTIME_DIR")
    places = [world.environment[name] for name in variables if name in world.environment]
    found = space.said(lines, (world.directory, *places))
    if found is not None:
        raise found


@dataclass(frozen=True, slots=True)
class _Switch:
    """How a child changes its account; all None to stay as it is."""

    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] | None = None
    umask: int = -1


def _switch(world: World) -> _Switch:
    who = world.identity
    if who is None or who.uid == os.geteuid():
        return _Switch()
    return _Switch(who.uid, who.gid, (), 0o077)


def _start(
    command: Sequence[str],
    world: World,
    *,
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
    own_group: bool = False,
) -> subprocess.Popen[str]:
    """Start a program; without streams it has ours. `own_group`: Ctrl-C reaches it only through us."""
    switch = _switch(world)
    try:
        return subprocess.Popen(
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            text=True,
            errors="replace",
            start_new_session=own_group,
            env=dict(world.environment),
            cwd=world.directory,
            user=switch.uid,
            group=switch.gid,
            extra_groups=switch.groups,
            umask=switch.umask,
        )
    except OSError as error:
        raise _not_started(command, error) from error


def _start_watched(
    command: Sequence[str], world: World, *, stdin: int, stderr: int
) -> subprocess.Popen[str]:
    """Start a program whose output we read, and which we end with all its children."""
    pipe = subprocess.PIPE
    return _start(command, world, stdin=stdin, stdout=pipe, stderr=stderr, own_group=True)


def _not_started(command: Sequence[str], error: OSError) -> Missing:
    tool = Path(command[0]).name
    package = PACKAGES.get(tool)
    if isinstance(error, FileNotFoundError):
        return Missing(
            f"The program {tool} is not installed.",
            fix=f"apt-get install {package}" if package else f"install {tool}",
        )
    return Missing(f"The program {tool} cannot be started.", why=str(error))


def _end(process: subprocess.Popen[str], patience: float = 10) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=patience)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
        else:
            return
