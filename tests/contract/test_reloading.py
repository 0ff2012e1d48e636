"""Reloads of a real nginx with another site in it: who notices, and what a silent failure leads to."""

from __future__ import annotations

import contextlib
import os
import signal
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from bench import sockets
from carrel.adapters import certificates, workers
from carrel.adapters.workers import Worker
from carrel.core.edge import GuestServer
from carrel.errors import NotReady
from carrel.render import nginx
from carrel.render.engine import PATH
from carrel.targets import reloading
from carrel.targets.waiting import until
from edges import DOMAIN, RealEdge
from sites import free_port

OPERATORS = """\
{user}daemon off; pid {folder}/pid; error_log stderr warn; worker_processes 2;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    include {folder}/conf.d/*.conf;
    server {{
        listen {listen} ssl;
        server_name www.example.org;
        ssl_certificate {folder}/www.crt;
        ssl_certificate_key {folder}/www.key;
        return 200 "the other site\\n";
    }}
}}
"""


USER = "user root root;\n" if os.geteuid() == 0 else ""
"""As root, workers would become somebody who cannot enter the directories of tests."""


@dataclass
class Operators:
    """The operator's nginx, with a site of its own and our include."""

    real: RealEdge
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def include(self) -> Path:
        return self.folder / "conf.d/carrel.conf"

    def workers(self) -> frozenset[Worker]:
        return workers.of(self.process.pid)

    def reload(self) -> None:
        with reloading.taken_up(self.workers):
            os.kill(self.process.pid, signal.SIGHUP)

    def other_site(self) -> str:
        trust = ssl.create_default_context(cafile=str(self.folder / "ca.crt"))
        with contextlib.closing(
            self.real.connect(sni="www.example.org", trust=trust)
        ) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\nHost: www.example.org\r\n\r\n")
            return b"".join(iter(partial(connection.recv, 4096), b"")).decode()


@pytest.fixture
def operators(tmp_path: Path) -> Iterator[Operators]:
    folder = tmp_path / "nginx"
    (folder / "conf.d").mkdir(parents=True)
    authority = certificates.authority("example.org")
    pair = certificates.site(("www.example.org",), authority)
    (folder / "ca.crt").write_text(authority.certificate)
    (folder / "www.crt").write_text(pair.certificate)
    (folder / "www.key").write_text(pair.key)
    with RealEdge(tmp_path / "edge", ["ada"]) as real:
        real.edge = replace(
            real.edge,
            server=GuestServer((f"127.0.0.1:{free_port()}",)),
            # This operator did not load the module.
            brotli=False,
        )
        real.write(real.edge)
        real.add_desk("ada")
        (folder / "conf.d/carrel.conf").write_text(nginx.config(real.edge))
        config = folder / "nginx.conf"
        config.write_text(OPERATORS.format(user=USER, folder=folder, listen=real.edge.listen[0]))
        with (folder / "errors.log").open("wb") as errors:
            process = subprocess.Popen(
                ["nginx", "-e", "stderr", "-c", str(config)], env={"PATH": PATH}, stderr=errors
            )
        try:
            found = Operators(real, folder, process)
            until(lambda: len(found.workers()) == 2, seconds=10, what="nginx")
            yield found
        finally:
            process.terminate()
            process.wait(10)


def test_another_site_on_the_same_port_goes_on_and_ours_are_there(operators: Operators) -> None:
    assert operators.other_site().endswith("the other site\n")
    assert operators.real.ask("ada").status == 200
    assert operators.real.ask("nobody").status == 404
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        operators.real.connect(sni="nobody.example.org")
    assert "[warn]" not in (operators.folder / "errors.log").read_text()


def test_a_reload_leaves_open_websockets_alone_and_the_next_one_ends_the_oldest(
    operators: Operators,
) -> None:
    real, opened = operators.real, []
    with contextlib.ExitStack() as stack:
        for generation in range(3):
            socket = sockets.open_socket(real.port, real.host("ada"), real.tls)
            opened.append(stack.enter_context(contextlib.closing(socket)))
            if generation < 2:
                operators.reload()
                assert sockets.is_open(socket), "the reload after it opened drops nobody"
        until(lambda: not sockets.is_open(opened[0]), seconds=10, what="the end of the oldest")
        assert sockets.is_open(opened[1])
        assert sockets.is_open(opened[2])
    assert operators.other_site().endswith("the other site\n")
    assert DOMAIN in real.ask().body


def test_a_reload_that_fails_in_silence_is_told(
    operators: Operators, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reloading, "SECONDS", 1)
    operators.include.write_text("nonsense;")
    with pytest.raises(NotReady, match="goes on with its old configuration"):
        operators.reload()
    assert operators.real.ask("ada").status == 200
