"""The gateway's Unix sockets: one for each person whose directory is there, and the host's own.

Used by the daemon, once a second. Makes no directory.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

BACKLOG = 1024
CONNECTIONS = 1024
"""Connections that one person may hold open; more are closed at once, so that others have theirs."""
LINGER_SECONDS = 2
"""How long a refused body is read on, so that the refusal arrives."""

Serve = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

log = logging.getLogger("carrel.gateway")


class _Closed(asyncio.Protocol):
    """A connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


@dataclass(slots=True)
class Listener:
    """A socket that is listened on. `inode` tells whether the file at `path` is still ours."""

    path: str
    inode: int
    server: asyncio.Server
    handler: web.Server

    @staticmethod
    async def at(path: str, mode: int, handler: web.Server) -> Listener:
        """Listen at `path`, instead of whatever socket is there. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISSOCK(os.lstat(path).st_mode):
                raise FileExistsError(f"{path} is there and is no socket")
            os.unlink(path)
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            before = os.umask(0o777 & ~mode)
            try:
                opened.bind(path)
            finally:
                os.umask(before)
            inode = os.lstat(path).st_ino

            def protocol() -> asyncio.BaseProtocol:
                return handler() if len(handler.connections) < CONNECTIONS else _Closed()

            loop = asyncio.get_running_loop()
            server = await loop.create_unix_server(protocol, sock=opened, backlog=BACKLOG)
        except BaseException:
            opened.close()
            raise
        return Listener(path, inode, server, handler)

    @property
    def ours(self) -> bool:
        """Whether people who open the path still come to us."""
        try:
            return os.lstat(self.path).st_ino == self.inode
        except OSError:
            return False

    def stop(self) -> None:
        """Accept nobody any more; who is connected stays."""
        self.server.close()
        if self.ours:
            with contextlib.suppress(OSError):
                os.unlink(self.path)


def handler(serve: Serve) -> web.Server:
    """A server of aiohttp around one of our handlers; a client that leaves cancels it."""
    return web.Server(
        serve,
        handler_cancellation=True,
        access_log=None,
        auto_decompress=False,
        lingering_time=LINGER_SECONDS,
    )
