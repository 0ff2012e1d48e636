"""What a user's environment file with secrets is made from; both targets write it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from carrel.core import ai
from carrel.core.resources import Entry, Form
from carrel.core.site import PasswordHash, SecretFile, Site, User


def entries(site: Site, user: User) -> tuple[Entry, ...]:
    """The variables: the password's hash, and the shared keys if the site shares them."""
    return (_password(user), *ai.key_entries(site.ai))


def _password(user: User) -> Entry:
    source = user.password
    match source:
        case PasswordHash():
            return Entry("HASHED_PASSWORD", None, given=source)
        case SecretFile():
            return Entry("HASHED_PASSWORD", source, Form.PASSWORD_HASH)


def fingerprint(wanted: Iterable[Entry], fingerprints: Mapping[SecretFile, str]) -> str:
    """What changes when a value does; `fingerprints` are keyed, so nobody can guess from it."""
    text = "\0".join(_print(entry, fingerprints) for entry in wanted)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _print(entry: Entry, fingerprints: Mapping[SecretFile, str]) -> str:
    value = fingerprints[entry.source] if entry.source else entry.given and entry.given.value
    return f"{entry.variable}={value}"
