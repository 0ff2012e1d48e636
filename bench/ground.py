"""What the benches of one run share: the subjects, brought up when first asked for, ended with it."""

from __future__ import annotations

import contextlib
import signal
from functools import cached_property

from bench import table, workspace
from bench.bare import Bare
from bench.workspace import Workspace


class Ground:
    """Use it as a context: whatever was brought up is gone at its end."""

    def __init__(self) -> None:
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Ground:
        return self

    def __exit__(self, *_: object) -> None:
        # A second Ctrl-C would leave containers behind.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        self._open.close()

    @cached_property
    def workspace(self) -> Workspace:
        """A running workspace behind nginx."""
        table.progress("bringing up a site with one workspace")
        return self._open.enter_context(workspace.running())

    @cached_property
    def bare(self) -> Bare:
        """Starts code-servers without Carrel, of the workspace's image."""
        return Bare(self.workspace)
