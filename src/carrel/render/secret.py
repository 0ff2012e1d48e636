"""What a user's environment file with secrets is made from; both targets write it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from carrel.core import ai, names
from carrel.core.resources import Entry, Form, Token
from carrel.core.site import PasswordHash, SecretFile, Site, User


@dataclass(frozen=True, slots=True)
class Tokens:
    """What tokens are made from: a key, and how often somebody of a name was removed."""

    key: SecretFile
    removals: Mapping[str, int] = field(default_factory=dict)

    def of(self, user: User) -> Token:
        """The token of a user."""
        return Token(user.name, user.ai_token, self.key, self.removals.get(user.name, 0))


def entries(site: Site, user: User, tokens: Tokens) -> tuple[Entry, ...]:
    """The variables: the password's hash, and what the user's agent reaches its models with."""
    return (_password(user), *_token(site, user, tokens), *ai.key_entries(site.ai))


def gateway_entries(site: Site, tokens: Tokens) -> tuple[Entry, ...]:
    """What the gateway has to know and nobody else: the providers' keys, and hashes of the tokens."""
    keys = tuple(
        Entry(names.api_key_variable(provider.name), provider.api_key, Form.IF_ANY)
        for provider in site.ai.providers
        if provider.api_key is not None
    )
    hashes = (
        Entry(names.token_variable(user.name), tokens.of(user), Form.SHA256)
        for user in site.users
        if not user.suspended
    )
    return (*keys, *hashes)


def _token(site: Site, user: User, tokens: Tokens) -> tuple[Entry, ...]:
    if not site.has_gateway:
        return ()
    return (Entry(names.AI_TOKEN, tokens.of(user)),)


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
    match entry.source:
        case SecretFile():
            value = fingerprints[entry.source]
        case Token(user=user, turn=turn, key=key, removals=removals):
            value = " ".join(
                map(str, (user, turn, fingerprints[key], *([removals] * (removals > 0))))
            )
        case None:
            value = entry.given.value if entry.given else ""
    return f"{entry.variable}={value}"
