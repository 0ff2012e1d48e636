"""Whether each workspace's socket can be reached by the web server, and by nobody else."""

from __future__ import annotations

from collections.abc import Iterator

from carrel.doctor.finding import Finding, ill, well
from carrel.doctor.subject import Subject

OTHERS = 0o007
CONNECT = 0o006


def check(subject: Subject) -> Iterator[Finding]:
    """The directory decides who gets in; the socket itself is open to whoever is in there."""
    for user in subject.people:
        yield _reachable(subject, user.name)


def _reachable(subject: Subject, user: str) -> Finding:
    layout, bring = subject.opened.target.facts.layout, subject.bring
    folder, path = layout.socket_directory(user), layout.editor_socket(user)
    around, socket = subject.look.entry(folder), subject.look.entry(path)
    if around is None or socket is None:
        missing = folder if around is None else path
        return ill(
            f"the workspace of {user} has no socket: there is no {missing}",
            why="it does not run, or has not started to listen yet",
            fix=f"see `carrel logs {user}`, then `carrel {bring}`",
        )
    if around.mode & OTHERS:
        return ill(
            f"everybody on this machine may reach the workspace of {user}: "
            f"{folder} has mode {around.mode:04o}",
            why="somebody changed it",
            fix=f"chmod o= {folder}",
        )
    if not socket.socket or socket.mode & CONNECT != CONNECT:
        return ill(
            f"the web server cannot use {path} (mode {socket.mode:04o})",
            why="its owner, who works in that workspace, changed it, or put something in its place",
            fix=f"`carrel reset {user}` makes another; the project stays",
        )
    return well(f"only the web server reaches the socket of {user}")
