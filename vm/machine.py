"""What a Guest needs of the machine that it is: two kinds keep to it, in qemu and in nspawn."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Protocol


class Kind(enum.StrEnum):
    """How a disk is made to run."""

    CONTAINED = "contained"
    """systemd in namespaces of this machine's kernel: as quick as this machine, without limits of memory
    or processors where this machine has cgroup v1, and without a power switch."""
    EMULATED = "emulated"
    """A whole machine with a kernel of its own: twenty times slower, and true in everything."""


class Machine(Protocol):
    """A machine that is switched on."""

    @property
    def ports(self) -> Mapping[int, int]:
        """The port of 127.0.0.1 for each of the guest's."""

    def console(self) -> str:
        """The last lines of its console."""

    def check_running(self) -> None:
        """Raise when what runs it has ended."""

    def reset(self) -> None:
        """The reset button: a power cut and a new start."""

    def restarts(self) -> int:
        """How often the guest has started again, for whatever reason."""

    def wait_for_restart(self, before: int, seconds: float) -> None:
        """Return when the guest has started again more often than it had `before`."""

    def wait_for_end(self, seconds: float) -> None:
        """Return when the guest has switched itself off; `NotReady` when it does not."""

    def kill(self) -> None:
        """Pull the plug."""
