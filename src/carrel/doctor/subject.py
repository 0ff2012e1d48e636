"""The site that is looked at, and the instruments to look with; tests have others."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from carrel.adapters import browser, files, process, systemd, versions
from carrel.adapters.browser import Presented, Reply, Stop
from carrel.core import names
from carrel.core.edge import HOST_COOKIE
from carrel.core.site import Site, User
from carrel.operations.site import Opened

CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Space:
    """What is free in a file system: bytes, and the share of files that it can still hold."""

    bytes: int
    files: float


@dataclass(frozen=True, slots=True)
class Inode:
    """A directory or socket: its kind and permission bits, owner and group."""

    socket: bool
    mode: int
    uid: int
    gid: int


class Instruments:
    """Looks at this machine, and goes to the site as a browser does."""

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def synchronised(self) -> bool | None:
        """Whether the clock follows others; None when nobody here can tell."""
        if not systemd.here():
            return None
        said = process.run(
            ["timedatectl", "show", "--property=NTPSynchronized", "--value"],
            systemd.WORLD,
            statuses=None,
        )
        return {"yes": True, "no": False}.get(said.output.strip())

    def versions(self) -> Mapping[str, str]:
        """The kernel, and the tools that matter."""
        podman = versions.of("podman", "--version")
        return {
            name: ".".join(map(str, version))
            for name, version in (("Linux", versions.kernel()), ("podman", podman))
        }

    def space(self, path: str) -> Space | None:
        """What is free where `path` is; None if it is not there."""
        with contextlib.suppress(FileNotFoundError):
            found = os.statvfs(path)
            share = found.f_favail / found.f_files if found.f_files else 1.0
            return Space(found.f_bavail * found.f_frsize, share)
        return None

    def entry(self, path: str) -> Inode | None:
        """What is at `path`, without following a link; None if there is nothing."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            found = Path(path).lstat()
            return Inode(Path(path).is_socket(), found.st_mode & 0o7777, found.st_uid, found.st_gid)
        return None

    def text(self, path: str) -> str | None:
        """The text of a file, or None."""
        return files.text(path)

    def limit(self, cgroup: str, name: str) -> str | None:
        """What the kernel enforces for a cgroup; None if there is no such limit."""
        with contextlib.suppress(OSError):
            return (CGROUPS / cgroup.lstrip("/") / name).read_text(encoding="ascii").strip()
        return None

    def resolve(self, name: str) -> tuple[str, ...]:
        """The addresses of a name."""
        return browser.resolve(name)

    def handshake(self, stop: Stop, roots: tuple[str, ...]) -> Presented:
        """What the server says in a TLS handshake; OSError when nobody answers."""
        return browser.handshake(stop, roots)

    def get(self, stop: Stop, path: str, headers: Mapping[str, str]) -> Reply:
        """A page."""
        return browser.get(stop, path, headers)

    def upgrade(self, stop: Stop, path: str, headers: Mapping[str, str]) -> int:
        """The status of the answer to a wish for a WebSocket."""
        return browser.upgrade(stop, path, headers)


@dataclass(frozen=True, slots=True)
class Subject:
    """A site with the instruments to look at it."""

    opened: Opened
    look: Instruments

    @property
    def site(self) -> Site:
        """Its configuration."""
        return self.opened.site

    @property
    def bring(self) -> str:
        """The command that brings everything about."""
        return self.opened.target.facts.bring

    @property
    def people(self) -> tuple[User, ...]:
        """Those whose workspace should run."""
        return tuple(user for user in self.site.users if not user.suspended)

    def stop(self, user: str = "", at: str = "127.0.0.1") -> Stop:
        """Where a user works; without one, the bare domain."""
        host = names.host(user, self.site.domain) if user else self.site.domain
        return Stop(host, self.opened.target.facts.port(self.site), at)

    def session(self, user: User) -> Mapping[str, str]:
        """The headers of somebody who is signed in; empty when their secret cannot be read.

        code-server's session is the password's hash itself, so nobody has to sign in.
        """
        text = self.look.text(self.opened.target.facts.layout.secrets_file(user.name)) or ""
        entries = dict(line.partition("=")[::2] for line in text.splitlines())
        hashed = entries.get("HASHED_PASSWORD")
        return {"Cookie": f"{HOST_COOKIE}={quote(hashed, safe='')}"} if hashed else {}
