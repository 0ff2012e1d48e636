"""A line between a browser and a server: so many bits a second, so much delay; counts what comes down.

Used by bench.visits. Forwards TCP on loopback in a thread of its own; all connections share the line.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass

CHUNK = 16 * 1024


@dataclass(slots=True)
class Line:
    """A line to a port of 127.0.0.1. `seconds` is the delay of each way; a rate of 0 has no limit."""

    target: int
    bytes_per_second: float = 0
    seconds: float = 0
    port: int = 0
    received: int = 0
    """Bytes that came down, of every connection."""
    _free: float = 0

    async def serve(self, ready: threading.Event, end: asyncio.Event) -> None:
        """Forward until `end`."""
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await end.wait()
        server.close()

    async def _connect(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        far, out = await asyncio.open_connection("127.0.0.1", self.target)
        await asyncio.gather(self._carry(near, out, down=False), self._carry(far, back, down=True))

    async def _carry(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, down: bool
    ) -> None:
        loop = asyncio.get_running_loop()
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=64)
        delivery = asyncio.create_task(_deliver(under_way, sink))
        with contextlib.suppress(OSError):
            while data := await source.read(CHUNK):
                sent = loop.time()
                if down:
                    self.received += len(data)
                    if self.bytes_per_second:
                        self._free = max(sent, self._free) + len(data) / self.bytes_per_second
                        sent = self._free
                        await asyncio.sleep(sent - loop.time())
                await under_way.put((sent + self.seconds, data))
        await under_way.put((0, b""))
        await delivery


async def _deliver(
    under_way: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter
) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        while True:
            due, data = await under_way.get()
            if not data:
                break
            await asyncio.sleep(max(0, due - loop.time()))
            sink.write(data)
            await sink.drain()
    sink.close()


@contextlib.contextmanager
def line(target: int, megabits: float = 0, milliseconds: float = 0) -> Iterator[Line]:
    """A line that has ended when the context has; `milliseconds` there and back."""
    made = Line(target, megabits * 1e6 / 8, milliseconds / 2000)
    ready, loop = threading.Event(), asyncio.new_event_loop()
    end = asyncio.Event()
    thread = threading.Thread(
        target=loop.run_until_complete, args=(made.serve(ready, end),), daemon=True
    )
    thread.start()
    ready.wait(10)
    try:
        yield made
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(10)
