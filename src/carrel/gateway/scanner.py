"""Looks into bodies so that nobody waits for it: small ones here, large ones in processes of their own.

Used by the daemon and `admission`. Another process forks them, the keeper; it is forked before there is
a thread or a connection, and does nothing else. A body that brings its process down takes nothing with
it.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import socket
from dataclasses import dataclass
from mmap import PROT_READ, mmap
from pathlib import Path

import msgspec

from carrel.adapters.unnamed import Unnamed
from carrel.core.site import MIB
from carrel.gateway import request as requests
from carrel.gateway.body import Body
from carrel.gateway.denied import Denied
from carrel.gateway.request import Asked, Unreadable
from carrel.gateway.usage import Kind

TURNS = 2
"""Bodies that are looked into at once, of those up to `MEDIUM` and of the others; each is another's."""
MEDIUM = 4 * MIB
"""Bytes of the longest conversations, without images: they do not wait for what is larger."""
BRIEF = 1 << 16
"""Bytes that take no time worth a turn of the event loop."""
MEMORY_BYTES = 64 * MIB
"""What a process may use for a body beside the body."""
CPU_SECONDS = 60
"""What it may take: thirty times of what the strangest body of the usual limit takes."""

_PIECE = 1 << 16

log = logging.getLogger("carrel.gateway")


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a process found."""

    asked: Asked | None = None
    unreadable: str = ""


_ANSWER = msgspec.json.Decoder(_Answer)


@dataclass(frozen=True, slots=True)
class Keeper:
    """The process that forks. `asking` is where it is told of bodies; it ends when that is closed."""

    pid: int
    asking: socket.socket

    @staticmethod
    def start() -> Keeper:
        """Fork it. To be called while there is one thread and no event loop."""
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid == 0:
            ours.close()
            try:
                _keep(its)
            finally:
                os._exit(0)
        its.close()
        ours.setblocking(False)
        return Keeper(pid, ours)

    @property
    def alive(self) -> bool:
        """Whether it is there. Once it is not, it does not come back."""
        try:
            return os.waitpid(self.pid, os.WNOHANG) == (0, 0)
        except ChildProcessError:
            return False


class Scanner:
    """One for all people. Make it inside of the event loop."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._medium, self._large = asyncio.Semaphore(TURNS), asyncio.Semaphore(TURNS)
        self._here = asyncio.Lock()
        self._under_way: set[asyncio.Task[_Answer | None]] = set()

    async def asked(self, kind: Kind, body: Body, own: asyncio.Lock) -> Asked:
        """What `body` asks for. `own` is its person's, who has one turn at a time.

        Raises `Unreadable`, `Denied`.
        """
        if body.file is not None:
            turns = self._medium if body.size <= MEDIUM else self._large
            return await self._elsewhere(kind, body.file, own, turns)
        data = await body.whole()
        if len(data) <= BRIEF:
            return requests.asked(kind, data)
        async with self._here:
            # Many that have come at once: everybody else has a turn between two of them.
            await asyncio.sleep(0)
            return requests.asked(kind, data)

    async def _elsewhere(
        self, kind: Kind, file: Unnamed, own: asyncio.Lock, turns: asyncio.Semaphore
    ) -> Asked:
        async with contextlib.AsyncExitStack() as turn:
            await turn.enter_async_context(own)
            await turn.enter_async_context(turns)
            # Who leaves does not end the process, so their turn is not over either.
            task = asyncio.create_task(self._answer(self._ask(kind, file), turn.pop_all()))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        answer = await asyncio.shield(task)
        if answer is None:
            log.error("a process that looked into a body ended without an answer")
            sentence = (
                "The AI gateway could not look into this request. Try again, or make it smaller."
            )
            raise Denied(503, "scanner", sentence, 2)
        if answer.asked is None:
            raise Unreadable(answer.unreadable)
        return answer.asked

    def _ask(self, kind: Kind, file: Unnamed) -> socket.socket | None:
        """Hand the file over; where the answer will come, if there is anybody to ask."""
        try:
            ours, its = socket.socketpair()
        except OSError:
            return None
        ours.setblocking(False)
        with its:
            try:
                handles = [file.descriptor(), its.fileno()]
                socket.send_fds(self._keeper.asking, [kind.encode()], handles)
            except OSError:
                ours.close()
                return None
        return ours

    async def _answer(
        self, where: socket.socket | None, turn: contextlib.AsyncExitStack
    ) -> _Answer | None:
        """What comes until the process ends, and with it its turn; None if that is no answer."""
        loop, text = asyncio.get_running_loop(), b""
        async with turn:
            if where is None:
                return None
            with where, contextlib.suppress(OSError, msgspec.DecodeError):
                while piece := await loop.sock_recv(where, _PIECE):
                    text += piece
                return _ANSWER.decode(text)
            return None


# -- the other processes ---------------------------------------------------------------------------


def _keep(asking: socket.socket) -> None:
    """Fork a process for each body that comes, until nothing can come any more."""
    # Whoever ends the gateway ends all its processes; it still may have a body to be looked into.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    # Nobody waits for them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.disable()
    while True:
        text, handles, _, _ = socket.recv_fds(asking, 64, 2)
        if not text:
            return
        # Without a process there is no answer, which is one too.
        with contextlib.suppress(OSError):
            if len(handles) == 2 and os.fork() == 0:  # noqa: PLR2004
                try:
                    asking.close()
                    _scan(Kind(text.decode()), *handles)
                finally:
                    os._exit(0)
        for handle in handles:
            os.close(handle)


def _scan(kind: Kind, file: int, where: int) -> None:
    """Look into the body in `file`, and say what it asks for."""
    with mmap(file, 0, prot=PROT_READ) as body:
        _limit()
        try:
            answer = _Answer(asked=requests.asked(kind, body))
        except Unreadable as error:
            answer = _Answer(unreadable=str(error))
        except MemoryError:
            # Nothing but a key is ever taken out of a body whole.
            answer = _Answer(unreadable="The body of the request has a key that is too long.")
        with socket.socket(fileno=where) as to:
            to.sendall(msgspec.json.encode(answer))


def _limit() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    most = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
