"""supervisord: starts it, and speaks its XML-RPC over the control socket."""

from __future__ import annotations

import http.client
import sys
import xmlrpc.client
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from supervisor.xmlrpc import Faults, SupervisorTransport

from carrel.adapters import process
from carrel.adapters.process import World
from carrel.errors import ToolFailed

MINIMAL = World({"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"})


@dataclass(frozen=True, slots=True)
class ProgramState:
    """One program as supervisord sees it; `state` is its own word, like RUNNING or FATAL."""

    name: str
    state: str
    pid: int
    since: int
    """When it entered this state, in seconds since 1970."""
    description: str


class Supervisor:
    """The supervisord behind one control socket."""

    def __init__(self, config: str, socket: str) -> None:
        self._config = config
        self._socket = socket

    def running(self) -> bool:
        """Whether it answers; ToolFailed when there may be one that cannot be asked."""
        try:
            self._call("supervisor.getState")
        except (FileNotFoundError, ConnectionError):
            # Nobody listens, or it has just ended.
            return False
        except (OSError, http.client.HTTPException) as error:
            raise ToolFailed(
                "supervisord cannot be asked what runs. Nothing was changed.",
                why=f"{self._socket}: {error}",
                fix="run the command as the account that started the site",
            ) from error
        return True

    def start(self) -> None:
        """Start supervisord in the background; it starts every program it knows."""
        process.run(
            [sys.executable, "-W", "ignore", "-m", "supervisor.supervisord", "-c", self._config],
            MINIMAL,
        )

    def programs(self) -> Mapping[str, ProgramState]:
        """All programs by name; empty when supervisord does not run."""
        if not self.running():
            return {}
        return {
            entry["name"]: ProgramState(
                name=entry["name"],
                state=entry["statename"],
                pid=entry["pid"],
                since=entry["start"] if entry["statename"] == "RUNNING" else entry["stop"],
                description=entry["spawnerr"] or entry["description"],
            )
            for entry in self._call("supervisor.getAllProcessInfo")
        }

    def add(self, name: str) -> None:
        """Read the configuration again and start the program `name`, which is new in it."""
        self._call("supervisor.reloadConfig")
        self._call("supervisor.addProcessGroup", name, but=(Faults.ALREADY_ADDED,))

    def start_program(self, name: str) -> None:
        """Start a program that was stopped; returns before it has come up."""
        self._call("supervisor.startProcess", name, False, but=(Faults.ALREADY_STARTED,))

    def stop_program(self, name: str) -> None:
        """Stop a program and wait until it has ended."""
        self._call("supervisor.stopProcess", name, True, but=(Faults.NOT_RUNNING, Faults.BAD_NAME))

    def remove(self, name: str) -> None:
        """Stop and forget a program; one that is not known is no fault."""
        self.stop_program(name)
        self._call("supervisor.removeProcessGroup", name, but=(Faults.BAD_NAME,))

    def shut_down(self) -> int:
        """Ask supervisord to stop all programs and end. Returns its process id."""
        pid = int(self._call("supervisor.getPID"))
        self._call("supervisor.shutdown", but=(Faults.SHUTDOWN_STATE,))
        return pid

    def _call(self, method: str, *arguments: object, but: tuple[int, ...] = ()) -> Any:
        transport = SupervisorTransport("", "", serverurl=f"unix://{self._socket}")
        try:
            with xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport) as proxy:
                return getattr(proxy, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode in but:
                return None
            raise ToolFailed(f"supervisord refused {method}.", why=fault.faultString) from fault
        finally:
            transport.close()
