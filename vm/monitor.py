"""QEMU's control socket (QMP): commands and their answers, and events.

Used by qemu. Knows no command but the one that opens it.
"""

from __future__ import annotations

import json
import socket
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from carrel.errors import NotReady, ToolFailed
from carrel.targets.waiting import until

SECONDS = 30


class Monitor:
    """An open control socket. `check_running` raises when QEMU has ended."""

    def __init__(self, path: Path, check_running: Callable[[], None]) -> None:
        def there() -> bool:
            check_running()
            return path.exists()

        until(there, seconds=SECONDS, what="QEMU's monitor")
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(SECONDS)
        self._socket.connect(str(path))
        self._lines = self._socket.makefile("r", encoding="utf-8")
        self._events: Counter[str] = Counter()
        self._next()
        self.execute("qmp_capabilities")

    def close(self) -> None:
        """Let go of it; QEMU goes on."""
        self._lines.close()
        self._socket.close()

    def execute(self, command: str, **arguments: str) -> Any:
        """The answer to a command."""
        self._socket.settimeout(SECONDS)
        request = {"execute": command, "arguments": arguments}
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        while True:
            answer = self._next()
            if "error" in answer:
                raise ToolFailed(f"QEMU refused {command}.", why=str(answer["error"]))
            if "return" in answer:
                return answer["return"]

    def count(self, event: str) -> int:
        """How often the event has happened so far."""
        # Events come before the answer to a command that was sent after them.
        self.execute("query-status")
        return self._events[event]

    def wait_for(self, event: str, before: int, seconds: float) -> None:
        """Return when the event has happened more often than it had `before`."""
        end = time.monotonic() + seconds
        while self._events[event] <= before:
            self._socket.settimeout(max(0.1, end - time.monotonic()))
            try:
                self._next()
            except TimeoutError:
                raise NotReady(f"QEMU saw no {event} within {seconds:g} s.") from None

    def _next(self) -> dict[str, Any]:
        line = self._lines.readline()
        if not line:
            raise ToolFailed("QEMU closed its monitor.")
        message: dict[str, Any] = json.loads(line)
        if "event" in message:
            self._events[message["event"]] += 1
        return message
