"""Whether other websites are kept out of a desk in whose browser they run."""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Mapping

from carrel.doctor import websocket
from carrel.doctor.finding import Finding, ill, skipped, well
from carrel.doctor.subject import Subject

FOREIGN = "https://elsewhere.example"
TRICKS: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("a foreign Origin", {}),
    ("a foreign Origin and X-Forwarded-Host", {"X-Forwarded-Host": "elsewhere.example"}),
    ("a foreign Origin and Forwarded", {"Forwarded": 'host="elsewhere.example"'}),
)
"""What a page elsewhere, or a client that lies, may send; code-server believes the last two."""


def check(subject: Subject) -> Iterator[Finding]:
    """With the session of the first user who has one: it is what a foreign page travels with."""
    pages = ((user, websocket.path(websocket.workbench(subject, user))) for user in subject.people)
    user, where = next(((user, path) for user, path in pages if path), (None, ""))
    if user is None:
        yield skipped("Origin and Host", why="there is nobody whose workspace answers")
        return
    stop = subject.stop(user.name)
    for what, lie in TRICKS:
        headers = {**subject.session(user), "Origin": FOREIGN, **lie}
        status = subject.look.upgrade(stop, where, headers)
        if status == http.client.FORBIDDEN:
            yield well(f"a WebSocket with {what} is refused")
        else:
            yield ill(
                f"a WebSocket with {what} is answered with {status} instead of 403",
                why="any page on the web could work at a desk of somebody who is signed in",
                fix=f"`carrel {subject.bring}` puts nginx's configuration back; no other "
                "file may set Origin, Forwarded or X-Forwarded-Host",
            )
