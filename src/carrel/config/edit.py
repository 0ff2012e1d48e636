"""Changes to carrel.toml that keep its comments and its order.

Returns text; the caller validates it and writes it.
"""

from __future__ import annotations

import tomlkit
from tomlkit import TOMLDocument
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AbstractTable

from carrel.errors import ConfigError


def add_user(text: str, name: str, password_file: str) -> str:
    """`text` with a table for a new user at the end."""
    document = _parsed(text)
    users = document.get("users")
    if users is not None and name in users:
        raise ConfigError(
            f"There is already a user {name}. Nothing was changed.",
            fix=f"for a new password: carrel user passwd {name}",
        )
    if users is None:
        users = document["users"] = tomlkit.table(is_super_table=True)
    entry = tomlkit.table()
    entry["password_file"] = password_file
    users[name] = entry
    return tomlkit.dumps(document)


def remove_user(text: str, name: str) -> str:
    """`text` without the user's table."""
    document = _parsed(text)
    del _user(document, name).parent[name]
    return tomlkit.dumps(document)


def set_password_file(text: str, name: str, password_file: str) -> str:
    """`text` with the user's password coming from a file."""
    document = _parsed(text)
    entry = _user(document, name).entry
    entry.pop("password_hash", None)
    entry["password_file"] = password_file
    return tomlkit.dumps(document)


class _Found:
    def __init__(self, parent: AbstractTable, entry: AbstractTable) -> None:
        self.parent = parent
        self.entry = entry


def _user(document: TOMLDocument, name: str) -> _Found:
    users = document.get("users", {})
    if name not in users:
        known = ", ".join(users) or "none yet"
        raise ConfigError(
            f"There is no user {name}. Nothing was changed.", fix=f"users here: {known}"
        )
    return _Found(users, users[name])


def _parsed(text: str) -> TOMLDocument:
    try:
        return tomlkit.parse(text)
    except TOMLKitError as error:
        raise ConfigError("The configuration is not TOML.", why=str(error)) from error
