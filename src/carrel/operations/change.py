"""The one way in which a command changes a site: lock, read, edit, plan, guard, save, apply.

Used by every verb that edits carrel.toml. Nothing that was read before the lock was held is applied, so
that of two commands at once the second builds on what the first did. What the plan may take away is
what was asked for, and not what the file happens to say by now.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from carrel.adapters import files
from carrel.adapters.process import Identity
from carrel.config import load
from carrel.core import guard
from carrel.core.audit import Did
from carrel.core.plan import Plan
from carrel.core.site import Site
from carrel.operations import audit, converge
from carrel.operations.site import Opened
from carrel.targets.protocol import Target, Told

Edit = Callable[[str, Site], str]
"""Another text of the configuration, from the text and what it says."""

NOBODY: frozenset[str] = frozenset()

SECRET_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Instruction:
    """What a command was asked to do.

    `did`, `user` and `about` are what the log says of it; None if that is in the log already. `stops`:
    the users whose workspaces may end by it. `secrets`: files to write, by path; if it comes to nothing,
    they are as they were.
    """

    edit: Edit
    did: Did | None
    user: str = ""
    about: str = ""
    stops: frozenset[str] = NOBODY
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


def unchanged(text: str, _: Site) -> str:
    """The configuration stays; what it says may have another effect by now."""
    return text


def change(target: Target, asked: Instruction, told: Told) -> bool:
    """Edit the configuration, and bring it about if the site is up; whether it is.

    Raises before anything is changed if the new configuration has a fault, or asks for more than was
    asked. What fails after that is brought about by the same command, or `apply`, run again.
    """
    with target.store.locked():
        text = load.read(target.config)
        text = asked.edit(text, load.parse(text, target.config))
        with _written(asked.secrets):
            load.parse(text, target.config)
            opened = Opened.saying(target, text) if target.runtime.active() else None
            steps = converge.prepared(opened, told) if opened else Plan()
            guard.check(steps, may_stop=asked.stops)
            if asked.did is not None:
                audit.record(target, asked.did, user=asked.user, about=asked.about)
            save(target, text)
        if opened is None:
            return False
        converge.take(opened, steps, told)
    converge.wait(opened)
    return True


def save(target: Target, text: str) -> None:
    """Replace the configuration, whose owner and mode stay."""
    path = target.config.resolve()
    status = path.stat()
    owner = Identity("", status.st_uid, status.st_gid, "")
    files.write(str(path), text, owner, status.st_mode & 0o7777)


@contextlib.contextmanager
def _written(secrets: Mapping[str, str]) -> Iterator[None]:
    """Write secrets; if what comes after it fails, they are as they were."""
    before = {path: files.text(os.path.realpath(path)) for path in secrets}
    try:
        for path, value in secrets.items():
            write_secret(path, value)
        yield
    except BaseException:
        for path, text in before.items():
            if text is None:
                files.remove_file(os.path.realpath(path))
            else:
                files.write(os.path.realpath(path), text, Identity.ours(), SECRET_MODE)
        raise


def write_secret(path: str, value: str) -> None:
    """Keep a secret for its owner's eyes only."""
    owner, folder = Identity.ours(), Path(path).parent
    if not folder.exists():
        files.make_directory(str(folder), owner, 0o700)
    files.write(os.path.realpath(path), f"{value}\n", owner, SECRET_MODE)
