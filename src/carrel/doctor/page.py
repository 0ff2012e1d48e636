"""Whether the pages come that a visitor sees: welcome, sign-in, and none for a stranger's name."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

from carrel.doctor.dns import STRANGER
from carrel.doctor.finding import Finding, ill, well
from carrel.doctor.subject import Subject

SIGN_IN = 'type="password"'


def check(subject: Subject) -> Iterator[Finding]:
    """Asked for at this machine's own address."""
    welcome = subject.look.get(subject.stop(), "/", {})
    if welcome.status == http.client.OK:
        yield well("the welcome page comes")
    else:
        yield ill(
            f"the bare domain answers {welcome.status} instead of the welcome page",
            why="another site in nginx answers for this name, or ours is not loaded",
            fix="`nginx -T | grep server_name` shows who claims it; then `carrel apply`",
        )
    nobody = subject.look.get(subject.stop(STRANGER), "/", {})
    if nobody.status != http.client.NOT_FOUND:
        yield ill(
            f"a name that belongs to nobody answers {nobody.status} instead of 404",
            why="another site in nginx answers for names below the domain",
            fix="`nginx -T | grep server_name` shows who claims them",
        )
    for user in subject.people:
        yield _sign_in(subject, user.name)


def _sign_in(subject: Subject, user: str) -> Finding:
    reply = subject.look.get(subject.stop(user), "/login", {})
    if reply.status == http.client.OK and SIGN_IN in reply.body:
        return well(f"the desk of {user} asks for the password")
    resting = reply.status == http.client.SERVICE_UNAVAILABLE
    return ill(
        f"the desk of {user} answers {reply.status} instead of asking for the password",
        why="the workspace does not run, or does not answer yet"
        if resting
        else "the request does not reach the workspace as it should",
        fix=f"see `carrel logs {user}`; `carrel {subject.bring}` starts what should run",
    )
