"""The few ways in which Carrel gives up, each with an exit code; raised anywhere, caught in cli.main.

`what` says what happened, `why` the reason as far as it is known, `fix` what the reader does next.
"""

from __future__ import annotations

from typing import ClassVar


class CarrelError(Exception):
    """Something a person can act on. Base of all errors that end a command."""

    exit_code: ClassVar[int] = 1
    meaning: ClassVar[str] = "an error that fits no other code"

    def __init__(self, what: str, *, why: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.fix = fix

    def __str__(self) -> str:
        return "\n".join(
            part
            for part in (
                self.what,
                self.why and f"Why: {self.why}",
                self.fix and f"Fix: {self.fix}",
            )
            if part
        )


class ConfigError(CarrelError):
    """The configuration or a command's arguments are wrong; nothing was changed."""

    exit_code = 2
    meaning = "the configuration or the command line is wrong; nothing was changed"


class Missing(CarrelError):
    """The machine lacks a tool, a permission or a device that Carrel needs."""

    exit_code = 3
    meaning = "the machine lacks a tool, a permission or a device"


class Conflict(CarrelError):
    """Something else holds what this command needs: a port, a lock, a name."""

    exit_code = 4
    meaning = "something else holds what was needed: a port, a lock, a name"


class Refused(CarrelError):
    """The command would have removed more than it was asked to, or gone by what it must not trust."""

    exit_code = 5
    meaning = (
        "refused: more would go than was asked, or others could have written what root goes by"
    )


class ToolFailed(CarrelError):
    """A program that Carrel started failed."""

    exit_code = 6
    meaning = "a program that Carrel started failed"


class NotReady(CarrelError):
    """What was started does not answer in time."""

    exit_code = 7
    meaning = "what was started does not answer in time, or what was asked for is not running"


class Unwell(CarrelError):
    """`carrel doctor` found something that a person has to mend."""

    exit_code = 8
    meaning = "`carrel doctor` found something that needs mending"


class DiskFull(CarrelError):
    """A disk is full, or a quota used up; which, and what could not be written there."""

    exit_code = 9
    meaning = "a disk is full; nothing is lost, and the same command goes on when there is room"


INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 plus SIGINT, as shells have it."""

ALL: tuple[type[CarrelError], ...] = (
    CarrelError,
    ConfigError,
    Missing,
    Conflict,
    Refused,
    ToolFailed,
    NotReady,
    Unwell,
    DiskFull,
)
