"""Reads the bodies of one person's requests: not too large, not too slow, and not too much at once.

Used by `admission`. Does not look into them.
"""

from __future__ import annotations

import asyncio

from aiohttp import web

from carrel.core.site import MIB
from carrel.gateway.denied import Denied

BODY_SECONDS = 60
"""How long a body may take; on a socket even a large one takes milliseconds."""

HELD_BYTES = 64 * MIB
"""What one person's requests may hold in memory before they are on their way; others need some too."""


class Bodies:
    """The bodies that one person's requests hold at the moment."""

    def __init__(self) -> None:
        self._held = 0

    def release(self, size: int) -> None:
        """So many bytes are on their way, or refused."""
        self._held -= size

    async def read(self, request: web.BaseRequest, most: int) -> bytes:
        """The whole body, of at most `most` bytes; `release` has to follow. Raises `Denied`."""
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise Denied(400, "body", "A compressed request is not understood here.")
        if (request.content_length or 0) > most:
            raise _too_large(most)
        if request.headers.get("Expect", "").lower() == "100-continue" and request.transport:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        pieces: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for piece in request.content.iter_any():
                    size += len(piece)
                    self._held += len(piece)
                    self._check(size, most)
                    pieces.append(piece)
        except BaseException as error:
            self.release(size)
            if isinstance(error, TimeoutError):
                sentence = f"The request did not arrive within {BODY_SECONDS} s."
                raise Denied(408, "slow", sentence) from None
            raise
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _check(self, size: int, most: int) -> None:
        if size > most:
            raise _too_large(most)
        if self._held > HELD_BYTES and self._held > size:
            raise Denied(429, "held", "You have other large requests under way. Wait for them.", 2)


def _too_large(most: int) -> Denied:
    return Denied(413, "size", f"The request is larger than the {most:,} bytes that are allowed.")
