"""Adds, removes and changes users: edits carrel.toml, and brings it about if the site is up."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from carrel.adapters import files
from carrel.adapters.process import Identity
from carrel.config import edit, load, secrets
from carrel.core import guard, names
from carrel.core.plan import diff
from carrel.core.resources import (
    Account,
    Directory,
    Holds,
    Resource,
    Secret,
    Service,
    State,
    Unit,
    key,
)
from carrel.core.site import Password, PasswordHash, SecretFile
from carrel.errors import ConfigError, Conflict
from carrel.operations import converge
from carrel.operations.site import Opened
from carrel.targets.place import Place
from carrel.targets.protocol import Told

SECRETS = "secrets"
"""New password files go into this directory beside the configuration."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a change of users led to."""

    secret_file: str = ""
    """Where the new password, or key, is."""
    running: bool = False
    """Whether the site is up, so that the change is in effect."""
    kept: str = ""
    """Where the data of a removed user still is."""


def add(place: Place, name: str, password: str | None, told: Told) -> Done:
    """A new user with a new password file; `password` None makes one up.

    Somebody who was here before has the old password again, unless another is given.
    """
    load.check_user_name(name)
    path = _password_path(place, name)
    back = path.exists()
    if back and password is not None:
        raise Conflict(
            f"{name} has a password already, in {path}. Nothing was changed.",
            fix=f"add {name} without a password, then change it with `carrel user passwd {name}`",
        )
    text = edit.add_user(load.read(place.config), name, f"{SECRETS}/{name}")
    if not back:
        _write_password(path, password)
    try:
        save(place, text)
    except BaseException:
        if not back:
            files.remove_file(str(path))
        raise
    return Done(str(path), running=bring_about(place, told))


def set_password(place: Place, name: str, password: str | None, told: Told) -> Done:
    """A new password; everybody signed in as this user has to sign in again."""
    load.check_user_name(name)
    text = load.read(place.config)
    user = load.parse(text, place.config).user(name)
    if user is not None and isinstance(user.password, SecretFile):
        path = Path(user.password.path)
    else:
        path = _password_path(place, name)
        text = edit.set_password_file(text, name, f"{SECRETS}/{name}")
    _write_password(path, password)
    save(place, text)
    return Done(str(path), running=bring_about(place, told))


def end_sessions(place: Place, name: str, told: Told) -> Done:
    """Sign a user out everywhere, at once; the password stays.

    A session is the password's hash, so the hash gets a new salt. The workspace starts again.
    """
    opened = Opened.of(place)
    converge.must_exist(opened, name)
    user = opened.site.user(name)
    if user is None or _is_hash(user.password):
        raise Conflict(
            f"The password of {name} is configured as a hash, and sessions live as long as it does. "
            "Nothing was changed.",
            fix=f"give a new one with `carrel user passwd {name}`: that ends them too",
        )
    store = place.store
    with store.locked():
        now = store.observe()
        steps = diff(now, State.of(r for r in now if not _knows_session(r, name)))
        guard.check(steps, may_stop=frozenset({name}))
        store.apply(steps, told)
    return Done(running=bring_about(place, told))


def _is_hash(password: Password) -> bool:
    match password:
        case PasswordHash():
            return True
        case SecretFile():
            return secrets.is_hash(secrets.value(password))


def _knows_session(resource: Resource, user: str) -> bool:
    match resource:
        case Service(name=name) | Unit(name=name):
            return names.workspace_user(name) == user
        case Secret(path=path):
            return path.endswith(f"/{names.secrets_name(user)}")
        case _:
            return False


def suspend(place: Place, name: str, told: Told, *, suspended: bool) -> Done:
    """Stop a user's workspace until further notice, or give it back; nothing is lost."""
    before = load.load(place.config)
    if before.user(name) is None:
        raise ConfigError(f"There is no user {name}. Nothing was changed.")
    save(place, edit.set_suspended(load.read(place.config), name, suspended=suspended))
    return Done(running=bring_about(place, told))


def remove(place: Place, name: str, told: Told, *, delete_data: bool) -> Done:
    """Take a user out; their directories stay unless `delete_data`."""
    before = load.load(place.config)
    data = names.user_paths(before.storage, name).base
    save(place, edit.remove_user(load.read(place.config), name))
    running = bring_about(place, told)
    if delete_data:
        _delete(place, name, data, told)
        files.remove_file(str(_password_path(place, name)))
    return Done(running=running, kept="" if delete_data else data)


def _delete(place: Place, name: str, data: str, told: Told) -> None:
    """Remove a user's data; on a server also the account, which owned nothing else."""
    store = place.store
    with store.locked():
        now = store.observe()
        doomed = frozenset(
            r.path
            for r in now
            if isinstance(r, Directory)
            and r.holds is Holds.DATA
            and (r.path == data or r.path.startswith(f"{data}/"))
        )
        account = Account(names.account(name), "")
        rest = State.of(
            r
            for r in now
            if not (isinstance(r, Directory) and r.path in doomed) and key(r) != key(account)
        )
        steps = diff(now, rest)
        guard.check(steps, may_stop=frozenset(), may_delete=doomed)
        store.apply(steps, told)


def secret_path(place: Place, name: str) -> str:
    """Where a secret that the operator gives to Carrel is kept."""
    return str(place.config.resolve().parent / SECRETS / name)


def _password_path(place: Place, name: str) -> Path:
    return Path(secret_path(place, name))


def _write_password(path: Path, password: str | None) -> None:
    write_secret(str(path), password or secrets.new_password())


def write_secret(path: str, value: str) -> None:
    """Keep a secret for its owner's eyes only."""
    owner, folder = Identity.ours(), Path(path).parent
    if not folder.exists():
        files.make_directory(str(folder), owner, 0o700)
    files.write(os.path.realpath(path), f"{value}\n", owner, 0o600)


def save(place: Place, text: str) -> None:
    """Write the configuration if it is valid; the old one stays otherwise."""
    load.parse(text, place.config)
    path = place.config.resolve()
    status = path.stat()
    owner = Identity("", status.st_uid, status.st_gid, "")
    files.write(str(path), text, owner, status.st_mode & 0o7777)


def bring_about(place: Place, told: Told) -> bool:
    """Have the configuration take effect if the site is up; whether it is."""
    if not place.active():
        return False
    converge.up(Opened.of(place), told)
    return True
