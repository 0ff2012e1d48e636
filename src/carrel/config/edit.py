"""Changes to carrel.toml that keep its comments and its order.

Returns text; the caller validates it and writes it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence

import tomlkit
from tomlkit import TOMLDocument
from tomlkit.container import OutOfOrderTableProxy
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AbstractTable, Table

from carrel.errors import ConfigError


def add_user(text: str, name: str, settings: Mapping[str, str]) -> str:
    """`text` with a table for a new user at the end, with `settings` that are not empty."""
    document = _parsed(text)
    users = document.get("users")
    if users is not None and name in users:
        raise ConfigError(
            f"There is already a user {name}. Nothing was changed.",
            fix=f"for a new password: carrel user passwd {name}",
        )
    entry = tomlkit.table()
    entry.update({key: value for key, value in settings.items() if value})
    if users is None or isinstance(users, Table | OutOfOrderTableProxy):
        # At the end, after an empty line: tomlkit would squeeze it in before the next table.
        table = tomlkit.table(is_super_table=True)
        table[name] = entry
        new = tomlkit.document()
        new["users"] = table
        return f"{text.rstrip()}\n\n{tomlkit.dumps(new)}"
    users[name] = entry
    return tomlkit.dumps(document)


def remove_user(text: str, name: str) -> str:
    """`text` without the user's tables. Comments after them stay: they belong to what follows."""
    document = _parsed(text)
    wanted = tomllib.loads(text)
    found = _user(document, name)
    del wanted["users"][name]
    shorter = _without_tables(text, name)
    if tomllib.loads(shorter).get("users", {}) == wanted["users"]:
        return shorter
    del found.parent[name]
    return tomlkit.dumps(document)


def _without_tables(text: str, name: str) -> str:
    header = re.compile(rf"\s*\[\s*users\s*\.\s*[\"']?{re.escape(name)}[\"']?\s*[.\]]")
    kept: list[str] = []
    inside = False
    held: list[str] = []
    for line in text.splitlines(keepends=True):
        if line.lstrip().startswith("["):
            inside = header.match(line) is not None
            kept += held
            held = []
        elif inside:
            blank = not line.strip() or line.lstrip().startswith("#")
            held = [*held, line] if blank else []
        if not inside:
            kept.append(line)
    return "".join(kept + held)


def set_password_file(text: str, name: str, password_file: str) -> str:
    """`text` with the user's password coming from a file."""
    document = _parsed(text)
    entry = _user(document, name).entry
    entry.pop("password_hash", None)
    entry["password_file"] = password_file
    return tomlkit.dumps(document)


def set_suspended(text: str, name: str, *, suspended: bool) -> str:
    """`text` with the user suspended, or not."""
    document = _parsed(text)
    entry = _user(document, name).entry
    entry.pop("suspended", None)
    if suspended:
        entry["suspended"] = True
    return tomlkit.dumps(document)


def set_ai_token(text: str, name: str, number: int) -> str:
    """`text` with another number of the user's token for the AI gateway."""
    document = _parsed(text)
    _user(document, name).entry["ai_token"] = number
    return tomlkit.dumps(document)


def set_provider(
    text: str, name: str, key_file: str, *, base_url: str = "", models: Sequence[str] = ()
) -> str:
    """`text` with an AI provider whose key is in `key_file`; where AI was off, by the gateway."""
    document = _parsed(text)
    ai = document.setdefault("ai", tomlkit.table())
    if ai.get("mode", "off") == "off":
        ai["mode"] = "gateway"
    providers = ai.setdefault("providers", tomlkit.table(is_super_table=True))
    entry = providers.setdefault(name, tomlkit.table())
    entry["api_key_file"] = key_file
    if base_url:
        entry["base_url"] = base_url
    if models:
        entry["models"] = list(models)
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
