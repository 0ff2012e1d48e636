"""Keeps from a client the event of a chat's stream that only we asked for.

Used by `upstream`. We ask every chat that streams for its usage, because nobody could count it
otherwise; its last event then has an empty list of choices, at which clients that did not ask for it
break (they read `choices[0]`).
"""

from __future__ import annotations

import json
import re

LONGEST = 1 << 16
"""Bytes of a line that is held back until it is whole; the event in question has a few hundred."""

_END = re.compile(rb"\r\n|\r|\n")


class Unasked:
    """Passes a stream of server-sent events on, line by line, without that event."""

    __slots__ = ("_line", "_long", "_skipping")

    def __init__(self) -> None:
        self._line = bytearray()
        self._long = False
        """In the middle of a line that is too long to be the event."""
        self._skipping = False
        """After the event, until its blank line is over too."""

    def feed(self, data: bytes) -> bytes:
        """What may pass of `data` and of what was held back before."""
        passed = bytearray()
        at = 0
        for end in _END.finditer(data):
            passed += self._whole(data[at : end.end()])
            at = end.end()
        passed += self._part(data[at:])
        return bytes(passed)

    def end(self) -> bytes:
        """The rest, when nothing more comes."""
        rest = b"" if _tells_usage_only(self._line) else bytes(self._line)
        self._line.clear()
        return rest

    def _whole(self, piece: bytes) -> bytes:
        line = bytes(self._line) + piece
        self._line.clear()
        if self._long:
            self._long = False
            return line
        if self._skipping and not line.strip():
            return b""
        self._skipping = _tells_usage_only(line)
        return b"" if self._skipping else line

    def _part(self, piece: bytes) -> bytes:
        if self._long:
            return piece
        self._line += piece
        if len(self._line) <= LONGEST:
            return b""
        self._long = True
        line = bytes(self._line)
        self._line.clear()
        return line


def _tells_usage_only(line: bytes | bytearray) -> bool:
    """Whether the line is an event without a choice, but with a usage."""
    if not line.startswith(b"data:") or b'"usage"' not in line or b'"choices"' not in line:
        return False
    try:
        value = json.loads(bytes(line[5:]).decode())
    except (ValueError, RecursionError):
        return False
    return (
        isinstance(value, dict) and value.get("choices") == [] and isinstance(value["usage"], dict)
    )
