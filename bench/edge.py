"""Measures what the edge's rules cost, against a minimal block for nginx that somebody wrote by hand.

Both are servers of one nginx with the same certificate in front of the same upstreams: another nginx
that answers at once, and an echo. So nothing hides what a rule costs, as code-server would.
"""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from bench import sockets, table, wrk
from bench.entrance import Entrance
from bench.ground import Ground
from bench.results import AtLeastTimes, AtMostTimes, Row, Samples, Section
from carrel.core.edge import HOST_COOKIE
from carrel.render.engine import PATH
from carrel.targets.waiting import until
from edges import DOMAIN, RealEdge
from sites import free_port

T = TypeVar("T")
ROUNDS = 11
SECONDS = 3
ECHOES = 1500
PAGE = "x" * 3000

_UPSTREAM = """\
daemon off; master_process off; pid {folder}/pid; error_log stderr error;
events {{ worker_connections 1024; }}
http {{
    access_log off; keepalive_requests 1000000; client_body_temp_path {folder}/body;
    server {{ listen unix:{socket}; location / {{ return 200 "{page}"; }} }}
}}
"""
_MAP = 'map $http_upgrade $connection_upgrade { default upgrade; "" close; }'
_BY_HAND = """
    server {{
        listen 127.0.0.1:{port} ssl http2;
        access_log off;
        ssl_certificate {edge.certificate};
        ssl_certificate_key {edge.key};
        location / {{
            proxy_pass http://unix:{desk};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_read_timeout 1h;
        }}
    }}
"""


def run(_: Ground) -> Section:
    """The comparison."""
    ports = {"ada": free_port(), "ben": free_port()}
    with _edge(ports) as real:
        return Section(
            "The edge's rules, HTTPS, with a page that costs nothing",
            "a block by hand",
            (_rates(real, ports["ada"]), _echoes(real, ports["ben"])),
        )


@contextlib.contextmanager
def _edge(by_hand: Mapping[str, int]) -> Iterator[RealEdge]:
    """An edge with a desk that answers at once, ada's, and one that echoes, ben's.

    The same nginx has the blocks by hand, so that whoever else uses the machine hits both alike.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        real = stack.enter_context(RealEdge(folder / "edge", ["ada", "ben"]))
        socket = Path(real.layout.editor_socket("ada"))
        socket.parent.mkdir(parents=True)
        text = _UPSTREAM.format(folder=folder / "upstream", socket=socket, page=PAGE)
        stack.enter_context(_nginx(folder / "upstream", text))
        until(socket.exists, seconds=10, what="the upstream")
        real.beside = _MAP + "".join(
            _BY_HAND.format(port=port, edge=real.edge, desk=real.layout.editor_socket(user))
            for user, port in by_hand.items()
        )
        yield real.start(desks=["ben"])


@contextlib.contextmanager
def _nginx(folder: Path, text: str) -> Iterator[None]:
    folder.mkdir()
    config = folder / "nginx.conf"
    config.write_text(text)
    process = subprocess.Popen(["nginx", "-e", "stderr", "-c", str(config)], env={"PATH": PATH})
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


def _rates(real: RealEdge, by_hand: int) -> Row:
    cookie = f"{HOST_COOKIE}=%24argon2id%24v%3D19%24m%3D65536; theme=dark; other=1"
    ours = Entrance(real.port, f"ada.{DOMAIN}", cookie, real.tls)
    theirs = Entrance(by_hand, f"ada.{DOMAIN}", cookie, real.tls)
    rates: dict[str, list[float]] = {"ours": [], "theirs": []}
    for number in range(ROUNDS):
        for side, entrance in _turns(number, ours, theirs):
            rates[side].append(wrk.load(entrance, "/", SECONDS, len(PAGE)).rate)
        table.progress(f"pages: {rates['ours'][-1]:.0f}/s, by hand {rates['theirs'][-1]:.0f}/s")
    both = (Samples.of(rates["ours"]), Samples.of(rates["theirs"]))
    return Row("pages of 3 KB", "/s", *both, AtLeastTimes(0.95))


def _echoes(real: RealEdge, by_hand: int) -> Row:
    worst: dict[str, list[float]] = {"ours": [], "theirs": []}
    ports = {"ours": real.port, "theirs": by_hand}
    for number in range(ROUNDS):
        with contextlib.ExitStack() as stack:
            opened = {
                side: stack.enter_context(
                    contextlib.closing(sockets.open_socket(port, f"ben.{DOMAIN}:{port}", real.tls))
                )
                for side, port in ports.items()
            }
            times: dict[str, list[float]] = {side: [] for side in ports}
            # One by one, so that what else the machine does hits both alike.
            for turn in range(ECHOES):
                for side, each in _turns(turn, opened["ours"], opened["theirs"]):
                    times[side].append(sockets.echo(each) * 1000)
        for side, taken in times.items():
            worst[side].append(statistics.quantiles(taken, n=100)[98])
        said = f"{worst['ours'][-1]:.2f} ms, by hand {worst['theirs'][-1]:.2f} ms"
        table.progress(f"echo p99, round {number + 1}: {said}")
    both = (Samples.of(worst["ours"]), Samples.of(worst["theirs"]))
    return Row("WebSocket echo, p99", "ms", *both, AtMostTimes(1.1))


def _turns(number: int, ours: T, theirs: T) -> list[tuple[str, T]]:
    """Both sides, in another order each time: whoever comes second finds the machine warmer."""
    both = [("ours", ours), ("theirs", theirs)]
    return both if number % 2 else both[::-1]
