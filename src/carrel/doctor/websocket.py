"""Whether VS Code's connection opens, and survives an hour of silence: error 1006 otherwise."""

from __future__ import annotations

import http.client
import re
import secrets
from collections.abc import Iterator

from carrel.adapters.browser import Reply
from carrel.core.edge import SILENCE_SECONDS
from carrel.core.site import User
from carrel.doctor.finding import Finding, ill, skipped, well
from carrel.doctor.subject import Subject

WORKBENCH = "/?folder=/home/coder/project"
CAUSES: dict[int, str] = {
    http.client.FORBIDDEN: "the Host that arrives is not the one of the Origin: something between "
    "browser and workspace rewrites one of them",
    http.client.BAD_REQUEST: "the headers Upgrade and Connection do not arrive",
    http.client.UNAUTHORIZED: "the session is not accepted",
}


def check(subject: Subject) -> Iterator[Finding]:
    """As somebody who is signed in, for everybody."""
    for user in subject.people:
        yield _opens(subject, user)
    if not subject.people:
        yield skipped("WebSockets", why="there is nobody whose workspace should run")
    yield _silence(subject)


def workbench(subject: Subject, user: User) -> Reply:
    """The page of VS Code, as the user gets it who is signed in."""
    return subject.look.get(subject.stop(user.name), WORKBENCH, subject.session(user))


def path(page: Reply) -> str:
    """Where the VS Code of this page listens for its own connection; empty if it does not say."""
    version = re.search(r"(?:stable|insider)-[0-9a-f]+", page.body)
    token = secrets.token_hex(16)
    more = "reconnection=false&skipWebSocketFrames=false"
    return f"/{version[0]}?reconnectionToken={token}&{more}" if version else ""


def _opens(subject: Subject, user: User) -> Finding:
    page, stop = workbench(subject, user), subject.stop(user.name)
    if page.status == http.client.SERVICE_UNAVAILABLE:
        return skipped(f"the WebSocket of {user.name}", why="the workspace does not answer")
    where = path(page)
    if not where:
        return ill(
            f"{user.name} gets no workbench, although the session is right",
            why="the workspace does not know the password's hash, or its page is another",
            fix=f"`carrel reset {user.name}` starts it anew; the project stays",
        )
    headers = {**subject.session(user), "Origin": stop.origin}
    status = subject.look.upgrade(stop, where, headers)
    if status == http.client.SWITCHING_PROTOCOLS:
        return well(f"the WebSocket of {user.name} opens")
    return ill(
        f"the WebSocket of {user.name} is refused with {status}: VS Code says 1006",
        why=CAUSES.get(status, "the upgrade does not get through"),
        fix="another file in nginx's configuration, or a proxy before it, changes headers; never "
        "overwrite Origin",
    )


def _silence(subject: Subject) -> Finding:
    file = subject.opened.target.facts.layout.nginx_config
    text = subject.look.text(file)
    if text is None:
        return skipped("how long a WebSocket may be silent", why=f"there is no {file}")
    found = [int(number) for number in re.findall(r"proxy_read_timeout (\d+)s;", text)]
    if found and min(found) >= SILENCE_SECONDS:
        return well(f"nginx lets a WebSocket be silent for {min(found) // 60} minutes")
    return ill(
        "nginx closes a WebSocket that is silent for less than an hour",
        why=f"somebody changed {file}",
        fix=f"`carrel {subject.bring}` puts it back",
    )
