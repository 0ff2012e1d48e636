"""The words of code-server's sign-in form as the file that it reads; used by every target."""

from __future__ import annotations

import json

from carrel.core.site import About
from carrel.render import words

APP = "{{app}}"
"""What code-server replaces by the name of the app."""


def strings(about: About) -> str:
    """The content of the file for `--i18n`. code-server puts it into its page as it is."""
    said = words.of(about.language).sign_in
    return (
        json.dumps(
            {
                "LOGIN_TITLE": f"{said.title} · {APP}",
                "WELCOME": said.heading.format(app=APP),
                "LOGIN_BELOW": said.lead,
                "LOGIN_USING_HASHED_PASSWORD": said.instruction,
                "PASSWORD_PLACEHOLDER": said.password,
                "SUBMIT": said.action,
                "MISS_PASSWORD": said.missing,
                "INCORRECT_PASSWORD": said.wrong,
                "LOGIN_RATE_LIMIT": said.wait,
            },
            ensure_ascii=False,
            indent=2,
        )
        + "\n"
    )
