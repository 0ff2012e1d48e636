"""Random words that open something: a session, an invitation, a one-time code. Only a digest is kept.

Used by everything of the portal that hands one out. A digest needs no salt and no slow hash: the word
has 256 random bits, and nobody tries them out (OWASP's Session Management Cheat Sheet asks for 64).
"""

from __future__ import annotations

import hashlib
import re
import secrets

FORM = re.compile(r"[A-Za-z0-9_-]{43}")


def fresh() -> str:
    """A new one, for a cookie or a link."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> str | None:
    """What is kept and looked up instead; None for what can be no token, so that nobody looks it up."""
    if not FORM.fullmatch(token):
        return None
    return hashlib.sha256(token.encode()).hexdigest()
