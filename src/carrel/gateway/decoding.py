"""Opens an answer that came compressed although we ask for none, in pieces of a bounded size.

Used by `upstream`: what cannot be read cannot be counted, and a key in it could not be taken out.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

PIECE = 1 << 16
"""Bytes that one step makes at most, however small it was packed."""

_EITHER = zlib.MAX_WBITS | 32
"""The format, gzip or zlib, is told by the data (zlib.h, inflateInit2)."""


class Undecodable(ValueError):
    """What came is not what its header says, or is packed in a way that nobody asked for."""


class Decoder:
    """The content of an answer, as its `Content-Encoding` has it."""

    def __init__(self, encoding: str) -> None:
        name = encoding.strip().lower()
        if name not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise Undecodable("the answer is packed in a way that was not asked for")
        self.packed = name not in ("", "identity")
        self._inflate = zlib.decompressobj(_EITHER)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What `data` holds. Raises `Undecodable`."""
        if not self.packed:
            yield data
            return
        try:
            while data:
                yield self._inflate.decompress(data, PIECE)
                data = self._inflate.unconsumed_tail
                if self._inflate.eof:
                    # gzip may have several members, one after the other (RFC 1952, 2.2).
                    data = self._inflate.unused_data
                    self._inflate = zlib.decompressobj(_EITHER)
        except zlib.error as error:
            raise Undecodable("the answer is packed, and damaged") from error
