"""Makes sure that nginx took up what it was told to read, and that old workers do not pile up.

Used by the backend of a server, around everything that has nginx reload.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from carrel.adapters import workers
from carrel.adapters.workers import Worker
from carrel.targets.waiting import until

SECONDS = 30

Look = Callable[[], frozenset[Worker]]


@contextlib.contextmanager
def taken_up(look: Look | None = None) -> Iterator[None]:
    """Around a reload; `NotReady` if nginx goes on with its old configuration. `look`: at another nginx.

    Workers of a reload before this one end now, so that there are never more than two generations: an
    open VS Code may hold its worker for weeks.
    """
    look = look or workers.current
    before = look()
    workers.end(worker for worker in before if worker.leaving)
    yield
    old = {worker.pid for worker in before}

    def new_ones_serve() -> bool:
        serving = {worker.pid for worker in look() if not worker.leaving}
        return bool(serving) and not serving & old

    until(
        new_ones_serve,
        seconds=SECONDS,
        what="nginx goes on with its old configuration: the new one",
        fix="`journalctl -u nginx` says what it does not like; then run `carrel apply` again",
    )
