"""Measures how long a sign-in takes while somebody at another address guesses 200 passwords a second.

Each sample comes from an address of its own: the edge counts what an address tries.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from http.client import FOUND, TOO_MANY_REQUESTS
from urllib.parse import quote

from bench import table
from bench.ground import Ground
from bench.results import AtMostTimes, Row, Samples, Section
from bench.workspace import USER, Workspace

PER_SECOND, THREADS = 200, 10
SAMPLES = 12
WARM_SECONDS = 2.0
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def run(ground: Ground) -> Section:
    """The comparison."""
    workspace = ground.workspace
    workspace.start()
    workspace.entrance.first_page()
    quiet = [_sign_in(workspace, f"127.0.1.{number}") for number in range(1, SAMPLES + 1)]
    storm = Storm(workspace)
    with storm.raging():
        time.sleep(WARM_SECONDS)
        stormy = [_sign_in(workspace, f"127.0.2.{number}") for number in range(1, SAMPLES + 1)]
    table.progress(
        f"storm: {storm.rate:.0f}/s, of which the edge let {storm.passed} through in all"
    )
    row = Row("the owner signs in", "ms", Samples.of(stormy), Samples.of(quiet), AtMostTimes(2))
    note = f"guesses: {storm.rate:.0f}/s from one address, {storm.passed} reached code-server"
    return Section("Sign-in during a storm of guesses", "without a storm", (row,), (note,))


def _sign_in(workspace: Workspace, address: str) -> float:
    """Milliseconds of one sign-in with the right password, from `address`."""
    form = f"password={quote(workspace.site.password(USER))}"
    start = time.perf_counter()
    with contextlib.closing(_connect(workspace, address)) as connection:
        connection.request("POST", "/login", form, FORM)
        status = connection.getresponse().status
    assert status == FOUND, f"sign-in: status {status}"
    return (time.perf_counter() - start) * 1000


def _connect(workspace: Workspace, address: str) -> http.client.HTTPConnection:
    entrance = workspace.entrance
    connection = http.client.HTTPConnection(entrance.host, entrance.port, timeout=30)
    plain = socket.create_connection(("127.0.0.1", entrance.port), 30, source_address=(address, 0))
    assert entrance.trust is not None
    connection.sock = entrance.trust.wrap_socket(plain, server_hostname=entrance.host)
    return connection


class Storm:
    """Guesses from one address, evenly over a few threads."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._begun = 0.0
        self._made = 0
        self.passed = 0
        self.rate = 0.0

    @contextlib.contextmanager
    def raging(self) -> Iterator[None]:
        """While the context lasts."""
        threads = [threading.Thread(target=self._guess, daemon=True) for _ in range(THREADS)]
        self._begun = time.perf_counter()
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join(30)
            self.rate = self._made / (time.perf_counter() - self._begun)

    def _guess(self) -> None:
        pause = THREADS / PER_SECOND
        due = time.perf_counter()
        with contextlib.closing(_connect(self._workspace, "127.0.0.1")) as connection:
            while not self._over.is_set():
                connection.request("POST", "/login", "password=guess", FORM)
                answer = connection.getresponse()
                answer.read()
                with self._lock:
                    self._made += 1
                    self.passed += answer.status != TOO_MANY_REQUESTS
                due += pause
                time.sleep(max(0.0, due - time.perf_counter()))
