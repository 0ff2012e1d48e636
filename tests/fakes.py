"""Stand-ins for tools, with the same methods; strict: an impossible call fails the test.

The contract suite runs on these and on the real tools. A whole server is in fake_server.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from carrel.adapters.podman import Podman
from carrel.adapters.process import World
from carrel.adapters.supervisor import ProgramState, Supervisor
from carrel.core.plan import Plan
from carrel.core.resources import State
from carrel.targets.protocol import Told


class Memory:
    """A backend that only remembers."""

    def __init__(self) -> None:
        self._state = State()

    def observe(self) -> State:
        return self._state

    def apply(self, plan: Plan, told: Told) -> None:
        for step in plan.steps:
            told(step)
            self._state = Plan((step,)).applied_to(self._state)


class FakeSupervisor(Supervisor):
    """Knows programs by the files in its directory, as the real one does; runs nothing."""

    def __init__(self, programs: str) -> None:
        super().__init__("", "")
        self._programs = Path(programs)
        self._up = False
        self._known: dict[str, str] = {}

    def running(self) -> bool:
        return self._up

    def start(self) -> None:
        assert not self._up, "supervisord is already running"
        self._up = True
        for file in self._programs.glob("*.conf"):
            self._known[file.stem] = "RUNNING"

    def programs(self) -> Mapping[str, ProgramState]:
        return {
            name: ProgramState(name, state, 1, 0, "")
            for name, state in self._known.items()
            if self._up
        }

    def add(self, name: str) -> None:
        assert self._up, "supervisord is not running"
        assert (self._programs / f"{name}.conf").is_file(), f"no configuration of {name}"
        self._known[name] = "RUNNING"

    def start_program(self, name: str) -> None:
        assert name in self._known
        self._known[name] = "RUNNING"

    def stop_program(self, name: str) -> None:
        assert self._up, "supervisord is not running"
        if name in self._known:
            self._known[name] = "STOPPED"

    def remove(self, name: str) -> None:
        self.stop_program(name)
        self._known.pop(name, None)

    def shut_down(self) -> int:
        assert self._up, "supervisord is not running"
        self._up = False
        self._known = {}
        return 2**22 + 1  # above the largest process id of Linux: nobody has it

    def lose(self, name: str) -> None:
        """What happens when a program gives up."""
        self._known[name] = "FATAL"


class FakePodman(Podman):
    """An image store without podman."""

    def __init__(self) -> None:
        super().__init__(World({}))
        self.references: set[str] = set()
        self.removed: list[str] = []

    def image_exists(self, reference: str) -> bool:
        return reference in self.references

    def untag(self, reference: str) -> None:
        self.references.remove(reference)

    def remove_labelled(self, label: str) -> None:
        self.removed.append(label)

    def containers(self) -> int:
        return 0

    def rest(self) -> None:
        pass
