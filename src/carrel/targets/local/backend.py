"""Local mode: everything of a site under one unprivileged account, kept running by supervisord.

Used by operations. Remembers in a journal what it made, and compares that with what is there.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import assert_never

from carrel.adapters import accounts, files, locking, probe, process
from carrel.adapters.podman import Podman
from carrel.adapters.process import Identity, World
from carrel.adapters.supervisor import Supervisor
from carrel.core import names
from carrel.core.intent import begun, may_come_back
from carrel.core.layout import LocalLayout
from carrel.core.plan import Change, Create, Plan, Remove
from carrel.core.resources import (
    Account,
    Bundle,
    Certificate,
    Directory,
    File,
    Holds,
    Image,
    Include,
    Resource,
    Secret,
    Service,
    State,
    Unit,
    key,
)
from carrel.errors import Conflict, ToolFailed
from carrel.render import engine
from carrel.render import supervisor as programs
from carrel.targets import disk
from carrel.targets.journal import Journal
from carrel.targets.protocol import Told
from carrel.targets.waiting import until

NOT_LOCAL = "local mode has no systemd units, and no certificates from elsewhere"
ALIVE = frozenset({"STARTING", "RUNNING"})

Builder = Callable[[Image], None]


class Local:
    """The backend of `carrel up`."""

    def __init__(
        self,
        layout: LocalLayout,
        build: Builder,
        *,
        supervisor: Supervisor | None = None,
        podman: Podman | None = None,
    ) -> None:
        self.layout = layout
        self.supervisor = supervisor or Supervisor(
            layout.supervisor_config, layout.supervisor_socket
        )
        self.journal = Journal(layout.journal, layout.steps, layout.owner)
        self._build = build
        self._podman = podman

    @property
    def world(self) -> World:
        """The World in which podman and nginx run: the account's, with our environment."""
        return World(
            dict(engine.environment(self.layout)),
            identity=Identity.of(self.layout.account),
            directory="/",
        )

    @property
    def podman(self) -> Podman:
        """Podman of the account."""
        return self._podman or Podman(self.world)

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Hold the site: one command at a time changes it. The journal has a place from here on."""
        owner = self._identity(self.layout.owner)
        # An earlier Carrel left it to the account. From here on nobody else puts anything into it, and
        # what is in it already is looked at before it counts.
        files.make_directory(self.layout.root, owner, 0o755)
        for path in self.layout.obeyed:
            files.check_own(path)
        files.make_directory(self.layout.state, owner, 0o755)
        return locking.alone(self.layout.lock)

    def recorded(self) -> State:
        """What the journal says was made."""
        return self.journal.state

    # -- looking ---------------------------------------------------------------------------

    def observe(self) -> State:
        """What of the recorded things is still there, as it is now."""
        alive = {n for n, p in self.supervisor.programs().items() if p.state in ALIVE}
        seen = (self._seen(resource, alive) for resource in self.recorded())
        return State.of(resource for resource in seen if resource is not None)

    def _seen(self, resource: Resource, alive: set[str]) -> Resource | None:
        match resource:
            case Account() | Directory() | File() | Secret() | Certificate():
                return disk.seen(resource)
            case Image():
                there = accounts.exists(self.layout.account) and files.look(self.layout.engine)
                return resource if there and self.podman.image_exists(resource.reference) else None
            case Service():
                return resource if resource.name in alive else None
            case Unit() | Include() | Bundle():
                raise AssertionError(NOT_LOCAL)
            case _:
                assert_never(resource)

    # -- doing -----------------------------------------------------------------------------

    def apply(self, plan: Plan, told: Told) -> None:
        """Take the steps one by one; the journal says of each that it begins, and that it is done."""
        self._settle()
        for step in plan.steps:
            told(step)
            self.journal.note(Create(begun(step)))
            match step:
                case Create(resource):
                    self._make(resource)
                case Change(before, after):
                    self._make(disk.unmade(before, after))
                case Remove(resource):
                    self._remove(resource)
                case _:
                    assert_never(step)
            self.journal.note(step)
        if plan:
            self.journal.write(self.recorded())

    def _settle(self) -> None:
        """After an interruption: forget what is gone, or never came to be."""
        if self.journal.interrupted:
            there = self.observe().by_key()
            kept = (r for r in self.recorded() if key(r) in there or may_come_back(r))
            self.journal.write(State.of(kept))

    def _make(self, resource: Resource) -> None:
        match resource:
            case Account() | Directory() | File() | Secret() | Certificate():
                disk.make(resource)
            case Image():
                self._build(resource)
            case Service():
                self._start(resource)
            case Unit() | Include() | Bundle():
                raise AssertionError(NOT_LOCAL)
            case _:
                assert_never(resource)

    def _remove(self, resource: Resource) -> None:
        match resource:
            case Directory(holds=Holds.DATA):
                self.delete_data(resource.path)
            case Directory():
                files.remove_tree(resource.path)
            case File() | Secret():
                files.remove_file(resource.path)
            case Certificate():
                disk.remove_certificate(resource)
            case Service():
                self._stop(resource)
            case Image():
                self.podman.untag(resource.reference)
            case Account():
                raise ToolFailed(f"Local mode does not remove the account {resource.name}.")
            case Unit() | Include() | Bundle():
                raise AssertionError(NOT_LOCAL)
            case _:
                assert_never(resource)

    def delete_data(self, path: str) -> None:
        """Delete a directory of a user's, whoever in the container owns what is in it."""
        if files.look(path) is not None:
            self.podman.empty(path)
            files.remove_tree(path)

    def _identity(self, owner: str) -> Identity:
        return Identity.of(owner)

    # -- services --------------------------------------------------------------------------

    def _start(self, service: Service) -> None:
        if not self.supervisor.running():
            self._start_supervisor()
        if service.check:
            process.run(service.check, self.world)
        self.supervisor.remove(service.name)
        self._clear_socket(service)
        path = self._program(service.name)
        owner = self._identity(self.layout.owner)
        files.write(path, programs.program(service), owner, 0o600)
        self.supervisor.add(service.name)

    def _stop(self, service: Service) -> None:
        if self.supervisor.running():
            self.supervisor.remove(service.name)
        files.remove_file(self._program(service.name))
        self._clear_socket(service)

    def _clear_socket(self, service: Service) -> None:
        user = names.workspace_user(service.name)
        if user is not None:
            # A socket that nobody listens on would say "starting" to visitors for ever.
            files.remove_file(self.layout.editor_socket(user))

    def _program(self, name: str) -> str:
        return f"{self.layout.supervisor_programs}/{name}.conf"

    def _start_supervisor(self) -> None:
        self.clear_leftovers()
        for path in Path(self.layout.supervisor_programs).glob("*.conf"):
            files.remove_file(str(path))
        files.remove_file(self.layout.supervisor_socket)
        self.supervisor.start()
        until(self.supervisor.running, seconds=10, what="supervisord")

    def clear_leftovers(self) -> None:
        """End what a supervisord that was killed has left behind: containers and nginx."""
        self.podman.remove_labelled(f"{names.LABEL_SITE}={self.layout.site}")
        for pid in self._stray_nginx():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            until(partial(_gone, pid), seconds=10, what="The old nginx")

    def _stray_nginx(self) -> Iterator[int]:
        text = (files.text(f"{self.layout.nginx}/nginx.pid") or "").strip()
        if text.isdigit():
            # Whoever wrote the number may only mean a process of their own.
            process = Path(f"/proc/{text}")
            with contextlib.suppress(OSError):
                its = self.layout.nginx_config.encode() in (process / "cmdline").read_bytes()
                if its and process.stat().st_uid == self._identity(self.layout.account).uid:
                    yield int(text)

    def check_port(self, port: int) -> None:
        """`Conflict` if the port is taken by something that is not our own edge."""
        edge = self.supervisor.programs().get(names.EDGE_SERVICE)
        ours = edge is not None and edge.state in ALIVE
        if not ours and not any(self._stray_nginx()) and not probe.port_free(port):
            raise Conflict(
                f"Port {port} on 127.0.0.1 is in use by another program. Nothing was changed.",
                fix=f"stop it (see `ss -ltnp 'sport = :{port}'`), or choose another local.port",
            )

    def shut_down(self) -> None:
        """Stop supervisord and whatever podman still keeps; leaves nothing running or mounted."""
        if self.supervisor.running():
            pid = self.supervisor.shut_down()
            until(partial(_gone, pid), seconds=60, what="The end of supervisord")
        if files.look(self.layout.engine) is not None:
            self.clear_leftovers()
            if self.podman.containers() == 0:
                self.podman.rest()
        files.remove_tree(self.layout.run)


def _gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()
