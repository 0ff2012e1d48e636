"""A person's workspace on a real Carrel site, behind its nginx: the subject of the benches."""

from __future__ import annotations

import contextlib
import json
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bench import processes
from bench.entrance import Entrance
from carrel.adapters import files
from carrel.core import edge, names
from carrel.core.layout import LocalLayout
from sites import RealSite, free_port

USER = "ada"


class Workspace:
    """The workspace of `USER`, signed in once: the cookie is good for every start (facts §4).

    `entrance` is what people use, HTTPS; `tunnel` the plain listener for SSH tunnels, by the same nginx.
    """

    def __init__(self, site: RealSite, tunnel: int) -> None:
        self.site = site
        self.service = names.workspace_service(USER)
        self.container = self.layout.container(USER)
        self.session = self._sign_in()
        self.entrance = Entrance(
            port=site.port,
            host=f"{USER}.code.localhost",
            cookie=f"{edge.HOST_COOKIE}={self.session}",
            trust=ssl.create_default_context(cafile=str(site.authority)),
        )
        tunnel_cookie = edge.Tunnel(USER, tunnel).cookie
        self.tunnel = Entrance(tunnel, "127.0.0.1", f"{tunnel_cookie}={self.session}")

    @property
    def layout(self) -> LocalLayout:
        return self.site.layout

    @property
    def storage(self) -> str:
        """A directory that ends with the site."""
        return self.site.storage

    def _sign_in(self) -> str:
        status, headers, _ = self.site.get(
            USER,
            "/login",
            {"Content-Type": "application/x-www-form-urlencoded"},
            f"password={quote(self.site.password(USER))}".encode(),
        )
        name, _, session = headers.get("Set-Cookie", "").partition(";")[0].partition("=")
        assert status == 302, f"sign-in: status {status}"
        assert name == edge.HOST_COOKIE, "sign-in: no session cookie"
        return session

    def start(self) -> None:
        """Have it started; returns before it answers."""
        self.site.target.store.supervisor.start_program(self.service)

    def stop(self) -> None:
        """Stop it, and wait until it has ended."""
        self.site.target.store.supervisor.stop_program(self.service)

    def check_alive(self) -> None:
        """Raise when supervisord has given it up."""
        state = self.site.target.store.supervisor.programs()[self.service].state
        assert state in {"STARTING", "RUNNING", "BACKOFF"}, f"{self.service} is {state}"

    def password_hash(self) -> str:
        """What code-server compares with."""
        text = files.text(self.layout.secrets_file(USER)) or ""
        entries = dict(line.split("=", 1) for line in text.splitlines())
        return entries["HASHED_PASSWORD"]

    def image(self) -> dict[str, Any]:
        """podman's description of the image that the container runs."""
        podman = self.site.target.store.podman
        id_ = podman.cli("container", "inspect", "--format={{.Image}}", self.container).output
        found: list[dict[str, Any]] = json.loads(podman.cli("image", "inspect", id_.strip()).output)
        return found[0]

    def processes(self) -> set[int]:
        """All that runs because of it: podman, conmon, the network, and what is inside."""
        local = self.site.target.store
        inside = local.podman.cli("container", "inspect", "--format={{.State.Pid}}", self.container)
        table = processes.table()
        helpers = {
            pid
            for pid, command in processes.commands().items()
            if (command[0].endswith("conmon") and self.container in command)
            or (command[0].endswith(("slirp4netns", "pasta")) and inside.output.strip() in command)
        }
        roots = {local.supervisor.programs()[self.service].pid, *helpers}
        return processes.with_descendants(roots, table)


@contextlib.contextmanager
def running() -> Iterator[Workspace]:
    """A site of its own with one workspace; nothing of it is left at the end."""
    site = RealSite(Path(tempfile.mkdtemp(prefix="carrel-bench-")), [USER])
    tunnel = free_port()
    # The last table of the file is the user's.
    site.config.write_text(f"{site.config.read_text()}port = {tunnel}\n")
    try:
        site.carrel("up", seconds=1800)
        yield Workspace(site, tunnel)
    finally:
        site.clean()
