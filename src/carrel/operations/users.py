"""Adds, removes and changes users: edits carrel.toml, and brings it about if the site is up."""

from __future__ import annotations

import os
from dataclasses import dataclass

from carrel.adapters import files
from carrel.config import edit, load, secrets
from carrel.core import guard, names
from carrel.core.audit import Did
from carrel.core.plan import diff
from carrel.core.resources import (
    Resource,
    Secret,
    Service,
    State,
    Unit,
)
from carrel.core.site import Password, PasswordHash, SecretFile, Site
from carrel.errors import ConfigError, Conflict
from carrel.operations import audit, converge, deleting
from carrel.operations.change import NOBODY, Instruction, change, save, unchanged
from carrel.operations.site import Opened
from carrel.targets.protocol import Target, Told

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


@dataclass(frozen=True, slots=True)
class Newcomer:
    """What a new user is called, and how they sign their work; empty: as the configuration says."""

    name: str
    full_name: str = ""
    email: str = ""


def add(target: Target, person: Newcomer, password: str | None, told: Told) -> Done:
    """A new user with a new password file; `password` None makes one up.

    Somebody who was here before has the old password again, unless another is given.
    """
    name = person.name
    load.check_user_name(name)
    path = secret_path(target, name)
    settings = {
        "password_file": f"{SECRETS}/{name}",
        "full_name": person.full_name,
        "email": person.email,
    }
    with target.store.locked():
        back = files.text(os.path.realpath(path)) is not None

        def edited(text: str, _: Site) -> str:
            longer = edit.add_user(text, name, settings)
            if back and password is not None:
                raise Conflict(
                    f"{name} has a password already, in {path}. Nothing was changed.",
                    fix=f"add {name} without a password, then change it with `carrel user passwd "
                    f"{name}`",
                )
            return longer

        new = {} if back else {path: password or secrets.new_password()}
        running = change(target, Instruction(edited, Did.USER_ADD, name, secrets=new), told)
    return Done(path, running=running)


def set_password(target: Target, name: str, password: str | None, told: Told) -> Done:
    """A new password; everybody signed in as this user has to sign in again."""
    load.check_user_name(name)
    with target.store.locked():
        user = load.load(target.config).user(name)
        own = user.password if user is not None else None
        path = own.path if isinstance(own, SecretFile) else secret_path(target, name)

        def edited(text: str, _: Site) -> str:
            if isinstance(own, SecretFile):
                return text
            return edit.set_password_file(text, name, f"{SECRETS}/{name}")

        new = {path: password or secrets.new_password()}
        running = change(target, Instruction(edited, Did.USER_PASSWORD, name, secrets=new), told)
    return Done(path, running=running)


def end_sessions(target: Target, name: str, told: Told) -> Done:
    """Sign a user out everywhere, at once; the password stays.

    A session is the password's hash, so the hash gets a new salt. The workspace starts again.
    """
    with target.store.locked():
        opened = Opened.of(target)
        converge.must_exist(opened, name)
        user = opened.site.user(name)
        if user is None or _is_hash(user.password):
            raise Conflict(
                f"The password of {name} is configured as a hash, and sessions live as long as it "
                "does. Nothing was changed.",
                fix=f"give a new one with `carrel user passwd {name}`: that ends them too",
            )
        if target.declared is not None:
            audit.record(target, Did.USER_LOGOUT, user=name)
            target.declared.end_sessions(opened.site, name)
            return Done(running=True)
        store = target.store
        now = store.observe()
        steps = diff(now, State.of(r for r in now if not _knows_session(r, name)))
        guard.check(steps, may_stop=frozenset({name}))
        audit.record(target, Did.USER_LOGOUT, user=name)
        store.apply(steps, told)
        return Done(running=change(target, Instruction(unchanged, None), told))


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


def suspend(target: Target, name: str, told: Told, *, suspended: bool) -> Done:
    """Stop a user's workspace until further notice, or give it back; nothing is lost."""

    def edited(text: str, site: Site) -> str:
        if site.user(name) is None:
            raise ConfigError(f"There is no user {name}. Nothing was changed.")
        return edit.set_suspended(text, name, suspended=suspended)

    stops = frozenset({name}) if suspended else NOBODY
    did = Did.USER_SUSPEND if suspended else Did.USER_RESUME
    return Done(running=change(target, Instruction(edited, did, name, stops=stops), told))


def remove(target: Target, name: str, told: Told, *, delete_data: bool) -> Done:
    """Take a user out; their directories stay unless `delete_data`.

    Then it is promised in the journal first. Interrupted, or in trouble with somebody else's workspace,
    it is kept by the same command run again, or by whatever changes the site next.
    """
    with target.store.locked():
        site = load.load(target.config)
        data = names.user_paths(site.storage, name).base
        there = site.user(name) is not None
        if not there and not (delete_data and deleting.kept(target, name)):
            known = ", ".join(user.name for user in site.users) or "none yet"
            raise ConfigError(
                f"There is no user {name}. Nothing was changed.", fix=f"users here: {known}"
            )
        if not delete_data:
            shorter = Instruction(
                lambda text, _: edit.remove_user(text, name),
                Did.USER_REMOVE,
                name,
                stops=frozenset({name}),
            )
            return Done(running=change(target, shorter, told), kept=data)
        text = load.read(target.config)
        if there:
            text = edit.remove_user(text, name)
        _guard(target, text, name, told)
        audit.record(target, Did.USER_DELETE, user=name)
        target.store.journal.doom(name, target.store.journal.doomed.get(name, data))
        save(target, text)
        deleting.delete(target, name, target.store.journal.doomed[name], told)
        files.remove_file(secret_path(target, name))
        running = change(target, Instruction(unchanged, None, stops=frozenset({name})), told)
    return Done(running=running)


def _guard(target: Target, text: str, name: str, told: Told) -> None:
    """Raise if the configuration `text` asks for more than to remove one user."""
    opened = Opened.saying(target, text)
    if target.runtime.active():
        guard.check(converge.prepared(opened, told), may_stop=frozenset({name}))


def secret_path(target: Target, name: str) -> str:
    """Where a secret that the operator gives to Carrel is kept."""
    return str(target.config.resolve().parent / SECRETS / name)
