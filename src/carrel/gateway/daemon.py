"""The gateway's life: start, a look around once a second, and an end that leaves the books settled."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
import ssl
from pathlib import Path

from aiohttp import web

from carrel.gateway import sockets, upstream
from carrel.gateway.admission import Admission
from carrel.gateway.body import Room
from carrel.gateway.books import Before, Books
from carrel.gateway.budget import Ledger
from carrel.gateway.context import Context
from carrel.gateway.metrics import Metrics
from carrel.gateway.scanner import Keeper, Scanner
from carrel.gateway.settings import Invalid, Watched
from carrel.gateway.sockets import Listener

LOOK_SECONDS = 1.0
OPEN_SECONDS = 10.0
"""How long the books may take to open before the gateway starts without what they say."""
GRACE_SECONDS = 5.0
"""How long streams may go on after the gateway was told to end."""
CUT_SECONDS = 0.1

log = logging.getLogger("carrel.gateway")


class Daemon:
    """One gateway. Make it inside of its event loop."""

    def __init__(self, watched: Watched, trust: ssl.SSLContext, keeper: Keeper) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        self._opened = asyncio.Event()
        self._trust = trust
        self._believe(watched.known.settings.network.ca_file)
        books = Books(watched.known.settings.books, self._books_opened)
        client = upstream.client(trust)
        room = Room(str(Path(watched.known.settings.books).parent))
        scanner = Scanner(keeper)
        self._keeper = keeper
        self._context = Context(watched, books, client, Ledger(), Metrics(), room, scanner)
        self._listeners: dict[str, Listener] = {}
        self._failed: set[str] = set()
        self._closing: list[Listener] = []

    async def run(self) -> bool:
        """Serve until SIGTERM or SIGINT; False if it could not go on until then."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._end.set)
        context = self._context
        context.books.start()
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._opened.wait(), OPEN_SECONDS)
            await self._look()
            _notify("READY=1")
            log.info("ready: %d people, %d providers", *self._counts())
            while not self._end.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._end.wait(), LOOK_SECONDS)
                    break
                if not self._keeper.alive:
                    # It cannot be made anew from here, with threads and connections.
                    log.critical("a process of the gateway is gone; it has to be started again")
                    break
                context.books.tend()
                self._refresh()
                await self._look()
            await self._finish()
        finally:
            context.books.close()
            await context.client.close()
            context.room.end()
        return self._end.is_set()

    def _counts(self) -> tuple[int, int]:
        settings = self._context.known.settings
        return len(settings.people), len(settings.providers)

    def _books_opened(self, before: Before | None) -> None:
        """Called from the books' thread."""

        def restore() -> None:
            if before is not None:
                self._context.restore(before)
            self._opened.set()

        self._loop.call_soon_threadsafe(restore)

    def _refresh(self) -> None:
        try:
            changed = self._context.watched.refresh()
        except Invalid as error:
            self._context.metrics.add("reloads_total", outcome="refused")
            log.error("%s. The settings stay as they were.", error)  # noqa: TRY400
            return
        if changed:
            self._believe(self._context.known.settings.network.ca_file)
            self._context.metrics.add("reloads_total", outcome="taken")
            log.info("new settings: %d people, %d providers", *self._counts())

    def _believe(self, authorities: str) -> None:
        """Trust these too; who is no longer in the file is trusted until the next start."""
        if not authorities:
            return
        try:
            self._trust.load_verify_locations(authorities)
        except OSError as error:
            log.error("%s cannot be used: %s", authorities, error.strerror or error)  # noqa: TRY400

    async def _look(self) -> None:
        """Listen wherever that is due, and nowhere else."""
        settings = self._context.known.settings
        wanted = {settings.socket(person.name): person.name for person in settings.people}
        wanted[settings.admin] = ""
        for path, listener in list(self._listeners.items()):
            if path not in wanted or not listener.ours:
                listener.stop()
                self._closing.append(self._listeners.pop(path))
        self._closing = [one for one in self._closing if one.handler.connections]
        for path, user in wanted.items():
            if path not in self._listeners and Path(path).parent.is_dir():
                await self._listen(path, user)

    async def _listen(self, path: str, user: str) -> None:
        """Listen for a person, or for the host if `user` is empty."""
        mode, serve = (0o666, Admission(self._context, user)) if user else (0o600, self._admin)
        try:
            self._listeners[path] = await Listener.at(path, mode, sockets.handler(serve))
        except OSError as error:
            if path not in self._failed:
                log.error("cannot listen at %s: %s", path, error)  # noqa: TRY400
            self._failed.add(path)
            return
        self._failed.discard(path)

    async def _admin(self, request: web.BaseRequest) -> web.StreamResponse:
        """The host's own socket: how the gateway is, and what it did."""
        match request.method, request.raw_path:
            case "GET", "/metrics":
                return web.Response(text=self._context.figures())
            case "GET", "/healthz":
                trouble = self._context.books.trouble
                state = {"status": "trouble" if trouble else "ok", "books": trouble or "ok"}
                return web.json_response(state, status=503 if trouble else 200)
        return web.Response(status=404, text="There are /metrics and /healthz.\n")

    async def _finish(self) -> None:
        """Take nothing new, let open streams end, then cut them; all of it gets into the books."""
        _notify("STOPPING=1")
        self._context.closing = True
        listeners = [*self._listeners.values(), *self._closing]
        for listener in self._listeners.values():
            listener.stop()
        end = self._loop.time() + GRACE_SECONDS
        while self._context.ledger.all.open and self._loop.time() < end:
            await asyncio.sleep(0.02)
        # For aiohttp, no seconds at all would mean for ever.
        await asyncio.gather(*(listener.handler.shutdown(CUT_SECONDS) for listener in listeners))


def _notify(state: str) -> None:
    """Tell systemd, if it asked (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
            to.sendto(state.encode(), address.replace("@", "\0", 1))


def allow_many_files() -> None:
    """As many open files as the system lets us have: each stream needs two."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
