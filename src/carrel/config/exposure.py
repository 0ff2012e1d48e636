"""Says which secrets everybody on this machine can read, with the file's name and the remedy.

Used by everything that reports how a site is. Looks at owners and modes, never into a file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from carrel.core.machine import Shortfall
from carrel.core.site import PasswordHash, SecretFile, Site

STORE = "/nix/store/"
"""What Nix builds, everybody can read, and nobody can change."""


def exposed(site: Site, file: Path) -> tuple[Shortfall, ...]:
    """Secrets that are none: hashes in the configuration `file`, and files that it names."""
    return (*_hashes(site, file), *_files(site))


def _hashes(site: Site, file: Path) -> Iterator[Shortfall]:
    people = [user.name for user in site.users if isinstance(user.password, PasswordHash)]
    if people and open_to_all(file):
        closed = (
            f"`chmod 600 {file}` closes it, `carrel user passwd NAME` moves the password into a file of "
            "its own; then the old hash is worth nothing"
        )
        if os.path.realpath(file).startswith(STORE):
            closed = (
                "put another hash into a file that Nix does not build, and name it in password_file"
            )
        yield Shortfall(
            f"everybody on this machine can read {file}, and the password_hash in it is as good as the "
            f"password: whoever has it is signed in as {', '.join(people)}",
            closed,
        )


def _files(site: Site) -> Iterator[Shortfall]:
    passwords = (user.password for user in site.users)
    keys = (provider.api_key for provider in site.ai.providers)
    found = {ref.path for ref in (*passwords, *keys, site.tls.credentials, site.tls.key)
             if isinstance(ref, SecretFile)}  # fmt: skip
    for path in sorted(found):
        if open_to_all(Path(path)):
            yield Shortfall(
                f"everybody on this machine can read the secret {path}",
                f"`chmod 600 {path}` closes it",
            )


def open_to_all(file: Path) -> bool:
    """Whether an account that has no part in a file can read it: its mode, and the way to it."""
    place = Path(os.path.realpath(file))
    try:
        entered = all(parent.stat().st_mode & stat.S_IXOTH for parent in place.parents)
        return entered and bool(place.stat().st_mode & stat.S_IROTH)
    except OSError:
        # What is not there, or not for us to see, is told by those who read it.
        return False
