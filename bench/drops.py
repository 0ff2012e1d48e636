"""Counts the WebSockets that close while people come, change and go: there must be none.

People are what nginx knows of them: a directory with a socket, and a line in a file that it reads at its
next start. Who they are behind that does not matter here, so they are fakes.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from http.client import NOT_FOUND, OK
from pathlib import Path

from bench import sockets, table
from bench.ground import Ground
from bench.results import AtMost, Fact, Facts
from carrel.render import nginx
from carrel.targets.waiting import until
from edges import RealEdge

OPEN, PEOPLE = 200, 20
SEEN_SECONDS = 5


def run(_: Ground) -> Facts:
    """The count."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        with RealEdge(folder, ["ada"]) as real:
            real.start()
            return Facts(
                f"{PEOPLE} people are added, changed and removed",
                (
                    Fact(
                        f"WebSockets that closed, of {OPEN} open ones",
                        _closed(real),
                        "",
                        AtMost(0, ""),
                    ),
                ),
            )
    finally:
        shutil.rmtree(folder)


def _closed(real: RealEdge) -> int:
    people = [f"guest{number}" for number in range(PEOPLE)]
    assert real.nginx is not None
    with sockets.many(OPEN, real.port, real.host("ada"), real.tls) as opened:
        for count, user in enumerate(people, 1):
            real.add_desk(user)
            _write_kept(real, people[:count])
            _until_status(real, user, OK)
        for user in people:
            # A new image or password: the same name, another process.
            real.remove_desk(user)
            real.add_desk(user)
            _until_status(real, user, OK)
        for count, user in enumerate(people, 1):
            real.remove_desk(user)
            shutil.rmtree(real.layout.socket_directory(user))
            _write_kept(real, people[count:])
            _until_status(real, user, NOT_FOUND)
        table.progress("people have come and gone")
        assert real.nginx.poll() is None
        return sum(not sockets.is_open(each) for each in opened)


def _write_kept(real: RealEdge, people: list[str]) -> None:
    edge = replace(real.edge, users=("ada", *people))
    Path(edge.kept).write_text(nginx.kept(edge))


def _until_status(real: RealEdge, user: str, status: int) -> None:
    until(
        lambda: real.ask(user).status == status, seconds=SEEN_SECONDS, what=f"{status} for {user}"
    )
