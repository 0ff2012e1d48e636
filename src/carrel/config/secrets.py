"""Resolves references to secrets, at the last moment, and tells whether they changed.

Used by the targets. Values returned here go into a file of mode 0600 and nowhere else.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import assert_never

import argon2

from carrel.config.schema import ARGON2
from carrel.core.resources import Entry, Form, Token
from carrel.core.site import SecretFile, Site
from carrel.errors import CarrelError, ConfigError

VARIABLE = re.compile(r"""([A-Za-z_][A-Za-z0-9_]*)=(?:(["'])(.*)\2|(.*))""")

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


def value_if_any(reference: SecretFile) -> str:
    """The secret itself, or nothing where there is no such file."""
    return value(reference) if Path(reference.path).exists() else ""


def references(site: Site) -> frozenset[SecretFile]:
    """Every secret that workspaces of `site` are made from."""
    passwords = (user.password for user in site.users)
    keys = (provider.api_key for provider in site.ai.providers)
    return frozenset(ref for ref in (*passwords, *keys) if isinstance(ref, SecretFile))


def fingerprints(wanted: Iterable[SecretFile], key: bytes) -> Mapping[SecretFile, str]:
    """A keyed hash per secret: equal values give equal hashes, and only `key` can make them."""
    return {ref: _keyed(key, value_if_any(ref))[:32] for ref in wanted}


def _keyed(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def token(reference: Token) -> str:
    """The token itself. Nobody without the key can tell one user's from another's, or the next."""
    key = key_of(value(reference.key), reference.key.path)
    who = f"{reference.user} after {reference.removals}" if reference.removals else reference.user
    return _keyed(key, f"AI token {reference.turn} of {who}")


def key_of(text: str, path: str) -> bytes:
    """The key in the file at `path`, which Carrel made and nobody should have touched."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise CarrelError(
            f"{path} is damaged. Nothing was changed.",
            why="it holds what tokens are made with, as hexadecimal digits, and has something else",
            fix="put it back from a backup; or move it away: then everybody gets another token, and "
            "every workspace starts anew",
        ) from None


def variables(text: str) -> Mapping[str, str]:
    """The variables of an environment file: lines NAME=value, in quotes or not; ConfigError if not.

    No fault repeats a line: there are secrets in it.
    """
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip().removeprefix("export ").lstrip()
        if not stripped or stripped.startswith("#"):
            continue
        match = VARIABLE.fullmatch(stripped)
        if match is None:
            raise ConfigError(f"Line {number} of the credentials is not NAME=value.")
        found[match[1]] = match[3] if match[3] is not None else match[4]
    return found


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
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError, UnicodeError):
        return False


def environment_file(entries: Iterable[Entry], existing: str = "") -> str:
    """The text of an environment file; a password hash in `existing` that still fits is kept."""
    old = dict(line.partition("=")[::2] for line in existing.splitlines())
    return "".join(f"{e.variable}={_resolved(e, old.get(e.variable))}\n" for e in entries)


def _resolved(entry: Entry, old: str | None) -> str:
    match entry.source:
        case None:
            return entry.given.value if entry.given else ""
        case Token():
            text = token(entry.source)
        case SecretFile():
            text = value_if_any(entry.source) if entry.form is Form.IF_ANY else value(entry.source)
            if len(text.splitlines()) > 1:
                # The second line would be a variable of its own.
                raise ConfigError(
                    f"The secret {entry.source.path} is not one line of text.",
                    fix="keep only the secret in it: no comment, no second line",
                )
    match entry.form:
        case Form.AS_IS | Form.IF_ANY:
            return text
        case Form.SHA256:
            return hashlib.sha256(text.encode()).hexdigest()
        case Form.PASSWORD_HASH:
            return old if old is not None and matches(old, text) else password_hash(text)
        case _:
            assert_never(entry.form)


def new_password() -> str:
    """A password that can be read out on the telephone: 59 bits in three groups."""
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(4)) for _ in range(3))
