"""Takes in the bodies of requests: not too large, not too slow, and not too much at once.

Used by `admission`. What is small stays in memory; of what is large, memory holds a piece at a time, and
a file without a name beside the books the rest. Does not look into bodies.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from aiohttp import web

from carrel.adapters.unnamed import Unnamed
from carrel.core.site import GIB, MIB
from carrel.gateway import request as requests
from carrel.gateway.denied import Denied
from carrel.gateway.request import Replacement, Span

BODY_SECONDS = 60
"""How long a body may take; on a socket even a large one takes milliseconds."""

HELD_BYTES = 64 * MIB
"""What one person's requests may hold before they are on their way; others need some too."""

SMALL = MIB
"""Bytes up to which a body stays in memory, and is looked at there: a hundredth of a second at most."""
PIECE = 1 << 17
"""Bytes of a larger one that are in memory at a time."""
MEMORY_BYTES = 32 * MIB
"""What all bodies together may take in memory; beyond, small ones go into files as well."""
DISK_BYTES = GIB
"""What all bodies together may take on the disk."""
LEFT_BYTES = 64 * MIB
"""What has to stay free on the disk: the books are on it."""

_THREADS = 2

log = logging.getLogger("carrel.gateway")

Result = TypeVar("Result")


class Room:
    """Where the bodies of all people are, and how much of it they take. Used in the event loop only."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._threads = ThreadPoolExecutor(_THREADS, "bodies")
        self.in_memory = 0
        self.on_disk = 0
        self._full = False

    async def file(self) -> Unnamed:
        """A new file. Raises `Denied`."""
        return await self._on_disk(Unnamed, self._directory)

    async def append(self, file: Unnamed, data: bytes) -> None:
        """Add to a file. Raises `Denied`."""
        await self._on_disk(file.append, data, LEFT_BYTES)
        self._full = False

    async def read(self, file: Unnamed, span: Span) -> bytes:
        """A part of a file, or the beginning of it. Raises OSError, ValueError."""
        return await self._run(file.read, span.start, min(PIECE, span.end - span.start))

    def close(self, file: Unnamed) -> None:
        """Forget a file, once nobody reads it."""
        try:
            self._threads.submit(file.close)
        except RuntimeError:
            # They have ended, so none of them reads.
            file.close()

    def end(self) -> None:
        """Nothing is asked any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _on_disk(self, call: Callable[..., Result], *arguments: object) -> Result:
        try:
            return await self._run(call, *arguments)
        except OSError as error:
            if not self._full:
                log.error("a large request cannot be kept: %s: %s", self._directory, error)  # noqa: TRY400
            self._full = True
            raise Denied(
                503,
                "disk",
                "The AI gateway cannot keep so large a request. Whoever runs this server has to look: "
                "the disk may be full.",
                30,
            ) from None

    async def _run(self, call: Callable[..., Result], *arguments: object) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)


class Body:
    """The body of one request, until it is released."""

    def __init__(self, room: Room, released: Callable[[int], None], expected: int | None) -> None:
        self._room = room
        # What will be large is never gathered first.
        self._most = SMALL if (expected or 0) <= SMALL else PIECE
        self._released = released
        self._pieces: list[bytes] = []
        self._waiting = 0
        """Bytes of the pieces; all others are in the file."""
        self._file: Unnamed | None = None
        self.size = 0

    @property
    def file(self) -> Unnamed | None:
        """Where it is, if it is not in memory."""
        return self._file

    def add(self, piece: bytes) -> None:
        """The next bytes of it; `keep` has to follow."""
        self._pieces.append(piece)
        self.size += len(piece)
        self._waiting += len(piece)
        self._room.in_memory += len(piece)

    async def keep(self, *, complete: bool = False) -> None:
        """Write what should not stay in memory; of a large body, all of it in the end.

        Raises `Denied`.
        """
        most = 0 if complete and self._file is not None else self._most
        if self._waiting > most or self._room.in_memory > MEMORY_BYTES:
            await self._write()

    async def _write(self) -> None:
        room, data = self._room, b"".join(self._pieces)
        if room.on_disk + len(data) > DISK_BYTES and room.on_disk > self.size - len(data):
            sentence = (
                "Too many large requests are under way on this server. Try again in a moment."
            )
            raise Denied(503, "room", sentence, 2)
        self._forget_pieces()
        room.on_disk += len(data)
        if self._file is None:
            self._most = PIECE
            self._file = await room.file()
        await room.append(self._file, data)

    async def whole(self) -> bytes:
        """All of it."""
        if self._file is None:
            self._pieces = [b"".join(self._pieces)]
            return self._pieces[0]
        return b"".join([data async for data in self._read((), self._file)])

    async def outgoing(self, changes: Sequence[Replacement]) -> bytes | AsyncIterator[bytes]:
        """What goes on after `changes`; the body is released once that is on its way."""
        if self._file is not None:
            return self._passing(changes, self._file)
        data = requests.changed(await self.whole(), changes)
        self.release()
        return data

    async def _passing(self, changes: Sequence[Replacement], file: Unnamed) -> AsyncIterator[bytes]:
        try:
            async for data in self._read(changes, file):
                yield data
        finally:
            self.release()

    async def _read(self, changes: Sequence[Replacement], file: Unnamed) -> AsyncIterator[bytes]:
        for piece in requests.pieces(self.size, changes):
            if isinstance(piece, bytes):
                yield piece
                continue
            at = piece.start
            while at < piece.end:
                data = await self._room.read(file, Span(at, piece.end))
                at += len(data)
                yield data

    def release(self) -> None:
        """It is on its way, or refused. May be called twice."""
        self._released(self.size)
        self._room.on_disk -= self.size - self._waiting
        self._forget_pieces()
        self.size = 0
        if self._file is not None:
            self._room.close(self._file)

    def _forget_pieces(self) -> None:
        self._pieces = []
        self._room.in_memory -= self._waiting
        self._waiting = 0


class Bodies:
    """The bodies that one person's requests hold at the moment."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._held = 0

    def _release(self, size: int) -> None:
        self._held -= size

    async def read(self, request: web.BaseRequest, most: int) -> Body:
        """The whole body, of at most `most` bytes; `release` has to follow. Raises `Denied`."""
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise Denied(400, "body", "A compressed request is not understood here.")
        if (request.content_length or 0) > most:
            raise _too_large(most)
        if request.headers.get("Expect", "").lower() == "100-continue" and request.transport:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = Body(self._room, self._release, request.content_length)
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for piece in request.content.iter_any():
                    self._held += len(piece)
                    body.add(piece)
                    self._check(body.size, most)
                    await body.keep()
                await body.keep(complete=True)
        except BaseException as error:
            body.release()
            if isinstance(error, TimeoutError):
                sentence = f"The request did not arrive within {BODY_SECONDS} s."
                raise Denied(408, "slow", sentence) from None
            raise
        return body

    def _check(self, size: int, most: int) -> None:
        if size > most:
            raise _too_large(most)
        if self._held > HELD_BYTES and self._held > size:
            raise Denied(429, "held", "You have other large requests under way. Wait for them.", 2)


def _too_large(most: int) -> Denied:
    return Denied(413, "size", f"The request is larger than the {most:,} bytes that are allowed.")
