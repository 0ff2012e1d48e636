"""Resolves references to secrets, at the last moment, and tells whether they changed.

Used by the backends. Values returned here go into a file of mode 0600 and nowhere else.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

import argon2

from carrel.config.schema import ARGON2
from carrel.core.resources import Entry, Form
from carrel.core.site import SecretFile, Site
from carrel.errors import ConfigError

ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""No letter that looks like another one."""


def value(reference: SecretFile) -> str:
    """The secret itself, without the line break that editors add."""
    try:
        return Path(reference.path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The secret {reference.path} cannot be read.",
            why=str(error),
            fix="run `carrel config check`",
        ) from error


def references(site: Site) -> frozenset[SecretFile]:
    """Every secret that workspaces of `site` are made from."""
    passwords = (user.password for user in site.users)
    keys = (provider.api_key for provider in site.ai.providers)
    return frozenset(ref for ref in (*passwords, *keys) if isinstance(ref, SecretFile))


def fingerprints(wanted: Iterable[SecretFile], key: bytes) -> Mapping[SecretFile, str]:
    """A keyed hash per secret: equal values give equal hashes, and only `key` can make them."""
    return {
        ref: hmac.new(key, value(ref).encode(), hashlib.sha256).hexdigest()[:32] for ref in wanted
    }


def password_hash(text: str) -> str:
    """What code-server compares with: `text` if it is a hash already, else a new argon2 hash."""
    return text if is_hash(text) else argon2.PasswordHasher().hash(text)


def is_hash(text: str) -> bool:
    """Whether a password is given as a hash already."""
    return ARGON2.fullmatch(text) is not None


def matches(hashed: str, password: str) -> bool:
    """Whether `hashed` still belongs to the password, so that people need not sign in again."""
    if is_hash(password):
        return hashed == password
    try:
        return argon2.PasswordHasher().verify(hashed, password)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False


def environment_file(entries: Iterable[Entry], existing: str = "") -> str:
    """The text of an environment file; a password hash in `existing` that still fits is kept."""
    old = dict(line.partition("=")[::2] for line in existing.splitlines())
    return "".join(f"{e.variable}={_resolved(e, old.get(e.variable))}\n" for e in entries)


def _resolved(entry: Entry, old: str | None) -> str:
    if entry.source is None:
        return entry.given.value if entry.given else ""
    text = value(entry.source)
    if entry.form is Form.AS_IS:
        return text
    return old if old is not None and matches(old, text) else password_hash(text)


def new_password() -> str:
    """A password that can be read out on the telephone: 59 bits in three groups."""
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(4)) for _ in range(3))
