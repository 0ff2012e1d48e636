"""systemd for a fake server: knows units by their files, and refuses what the real one would refuse."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from carrel.adapters import certificates
from carrel.adapters.systemd import UnitState
from carrel.core import names
from carrel.core.layout import HostLayout
from carrel.errors import ToolFailed
from fake_effects import FakeAccounts, Power

UNIT_FILES = {".service", ".mount", ".timer", ".path", ".conf"}


class FakeSystemd:
    """systemd for the units in one directory, and the operator's nginx.

    Refuses what systemd would refuse, and what would make a unit fail: a file that was changed after
    the last daemon-reload, a missing account, directory or mount. Knows for each running unit what
    it read when it was started.
    """

    NAMES = (
        "states", "reload_units", "realize", "enable", "disable", "start", "stop", "reload",
        "kernel_messages", "run_once", "make_again",
    )  # fmt: skip

    def __init__(self, layout: HostLayout, folder: Path, power: Power, known: FakeAccounts) -> None:
        self._layout = layout
        self._folder = folder
        self._power = power
        self._accounts = known
        self._loaded: dict[str, str] = {}
        self.enabled: set[str] = set()
        self.running: dict[str, tuple[str, ...]] = {}
        self.started: list[str] = []
        """Every start, in order."""
        self.broken: set[str] = set()
        """Units that end as soon as they are started."""
        self.tmpfiles: list[Path] = []
        """Directories that tmpfiles.d asks for, on a server that NixOS declares."""
        self.refuses = ""
        """What the authority says instead of giving a certificate."""
        self.running[names.NGINX_UNIT] = self._inputs(names.NGINX_UNIT)
        self.reads = 0
        """How often nginx has read its configuration."""

    # -- what systemctl does ---------------------------------------------------------------

    def states(self, units: Iterable[str]) -> Mapping[str, UnitState]:
        return {name: self._state(name) for name in units}

    def _state(self, name: str) -> UnitState:
        active = "active" if name in self.running else "inactive"
        enabled = name in self.enabled
        return UnitState(
            name, active, "", "", enabled, 0, "", None, None, None, None, None, ""
        )  # fmt: skip

    def reload_units(self) -> None:
        self._power.spend()
        self._loaded = self._files()

    def realize(self, slice_: str) -> None:
        assert Path(self._layout.unit_file(slice_)).exists()
        self._power.spend()

    def enable(self, unit: str) -> None:
        assert self._on_disk(_file(unit)) is not None, f"there is no unit file of {unit}"
        self._power.spend()
        self.enabled.add(unit)

    def disable(self, unit: str) -> None:
        self._power.spend()
        self.enabled.discard(unit)

    def start(self, unit: str) -> None:
        if unit in self.running:
            return
        self._power.spend()
        if unit not in self.broken:
            self._start(unit)

    def _start(self, unit: str) -> None:
        text = self._text(unit, self._loaded.get)
        assert text == self._text(unit, self._on_disk), f"no daemon-reload before {unit} started"
        for other in self._needs(text):
            if other not in self.running:
                self._start(other)
        for name in re.findall(r"(?m)^User=(.*)$", text):
            assert name in self._accounts.ranges, f"{unit}: no account {name}"
        for path in self._paths(text):
            place = Path(path)
            runtime = place.is_relative_to(self._layout.runtime)
            assert runtime or place.exists(), f"{unit}: there is no {path}"
        self.running[unit] = self._inputs(unit)
        self.started.append(unit)
        self.reads += unit == names.NGINX_UNIT

    def run_once(self, unit: str, identifier: str) -> None:
        text = self._text(unit, self._loaded.get)
        assert text == self._text(unit, self._on_disk), f"no daemon-reload before {unit} ran"
        assert f"SyslogIdentifier={identifier}" in text
        self._power.spend()
        if self.refuses:
            raise ToolFailed(f"{unit} failed.", why=self.refuses)
        [bundle] = set(re.findall(r'"--bundle=(.*?)"', text))
        wanted = tuple(dict.fromkeys(re.findall(r'"--name=(.*?)"', text)))
        pair = certificates.site(wanted, certificates.authority(wanted[0]))
        for folder in re.findall(r'"--folder=(.*?)"', text):
            Path(folder).mkdir(parents=True, exist_ok=True)
        Path(bundle).write_text(pair.key + pair.certificate)
        self.started.append(unit)
        if names.NGINX_UNIT in self.running:
            self.reload(names.NGINX_UNIT)

    def stop(self, units: Sequence[str]) -> None:
        for unit in units:
            self._power.spend()
            self._stop(unit)

    def _stop(self, unit: str) -> None:
        self.running.pop(unit, None)
        for other in [
            u for u in self.running if unit in self._needs(self._text(u, self._loaded.get))
        ]:
            self._stop(other)

    def reload(self, unit: str) -> None:
        assert unit in self.running, f"{unit} is not running"
        self._power.spend()
        self.running[unit] = self._inputs(unit)
        self.reads += unit == names.NGINX_UNIT

    def make_again(self, path: str) -> None:
        self._power.spend()
        for directory in self.tmpfiles:
            if directory.is_relative_to(path):
                directory.mkdir(parents=True, exist_ok=True)

    def kernel_messages(self, pattern: str, lines: int) -> list[str]:
        del pattern, lines
        return []

    # -- what happens to a machine ---------------------------------------------------------

    def memory(self) -> dict[str, Any]:
        """All that it knows at this moment."""
        return {"_loaded": self._loaded, "enabled": self.enabled, "running": self.running}

    def remember(self, memory: dict[str, Any]) -> None:
        """Know what it knew then."""
        self.__dict__ |= memory

    def boot(self) -> None:
        """After a power cut: what is enabled starts, if it can."""
        self._loaded = self._files()
        self.running = {names.NGINX_UNIT: self._inputs(names.NGINX_UNIT)}
        for unit in sorted(self.enabled):
            with contextlib.suppress(AssertionError):
                if unit not in self.running:
                    self._start(unit)

    def stale(self) -> set[str]:
        """What runs with something else than what is on the disk now."""
        return {unit for unit, read in self.running.items() if read != self._inputs(unit)}

    # -- units as text ---------------------------------------------------------------------

    def _files(self) -> dict[str, str]:
        root = Path(self._layout.units)
        found = [p for p in root.rglob("*") if p.suffix in UNIT_FILES]
        return {
            str(p.relative_to(root)): p.read_text() for p in found if not p.name.startswith(".")
        }

    def _on_disk(self, file: str) -> str | None:
        # A string, no Path: the tests of crashes ask this some ten thousand times.
        path = f"{self._layout.units}/{file}"
        with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8") as text:
            return text.read()
        return None

    def _text(self, unit: str, text_of: Callable[[str], str | None]) -> str:
        if unit == names.NGINX_UNIT:
            return ""
        text = text_of(_file(unit))
        assert text is not None, f"systemd does not know {unit}"
        text += text_of(f"{unit}.d/carrel.conf") or ""
        return text.replace("%i", unit.partition("@")[2].removesuffix(".service"))

    def _needs(self, text: str) -> set[str]:
        found = re.findall(r"(?m)^(?:Requires|BindsTo)=(.*)$", text)
        return {unit for line in found for unit in line.split()}

    def _paths(self, text: str) -> list[str]:
        return re.findall(rf'{re.escape(str(self._folder))}[^\s":,]*', text)

    def _inputs(self, unit: str) -> tuple[str, ...]:
        """Everything that a unit reads when it starts."""
        if unit == names.NGINX_UNIT:
            include = Path(self._layout.nginx)
            if not include.exists():
                return ()
            text = include.read_text(errors="replace")
            used = re.findall(r'ssl_certificate(?:_key)? "(.*)";', text)
            return (text, *(Path(p).read_text() for p in dict.fromkeys(used) if Path(p).exists()))
        text = self._text(unit, self._on_disk)
        needed = [u for u in sorted(self._needs(text)) if u.endswith(".mount")]
        read = [text, *(self._text(u, self._on_disk) for u in needed)]
        read += [p.read_text() for p in map(Path, self._paths(text)) if p.is_file()]
        return tuple(read)


def _file(unit: str) -> str:
    """The unit's file: an instance has that of its template."""
    name, at, _ = unit.partition("@")
    return f"{name}@.service" if at else unit
