"""Stand-ins for tools, with the same methods; strict: an impossible call fails the test.

The contract suite runs on these and on the real tools.
"""

from __future__ import annotations

import contextlib
import copy
import grp
import itertools
import json
import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeGuard

import pytest

from carrel.adapters import accounts, certificates, files, nginx, probe, systemd, workers
from carrel.adapters.podman import Podman
from carrel.adapters.process import Identity, World
from carrel.adapters.supervisor import ProgramState, Supervisor
from carrel.adapters.systemd import UnitState
from carrel.adapters.workers import Worker
from carrel.backends import disk, record
from carrel.backends.images import Built
from carrel.backends.protocol import Told
from carrel.core import names
from carrel.core.layout import HostLayout
from carrel.core.plan import Plan, sentence
from carrel.core.resources import Certificate, Resource, State
from carrel.errors import ToolFailed
from carrel.operations import converge, preflight
from carrel.operations.server import ServerPlace
from carrel.operations.site import Opened


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


class Crash(BaseException):
    """The power goes off."""


class Power:
    """Counts what has an effect, and goes off before one of them; nothing has an effect after that."""

    def __init__(self) -> None:
        self.spent = 0
        self.lasts: int | None = None

    def spend(self) -> None:
        """Something is about to have an effect."""
        self.spent += 1
        if self.lasts is not None and self.spent > self.lasts:
            raise Crash

    def goes(self) -> bool:
        """Whether the very next effect is cut short."""
        return self.spent == self.lasts


class Disk:
    """The os module as adapters.files sees it: real, but what changes something needs power."""

    def __init__(self, power: Power) -> None:
        self._power = power

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def mkdir(self, path: str, mode: int = 0o777, *, dir_fd: int) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.stat(path, dir_fd=dir_fd, follow_symlinks=False)
            raise FileExistsError(path)
        self._power.spend()
        os.mkdir(path, mode, dir_fd=dir_fd)

    def rename(self, source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        self._power.spend()
        os.rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    def unlink(self, path: str, *, dir_fd: int) -> None:
        self._power.spend()
        os.unlink(path, dir_fd=dir_fd)

    def symlink(self, target: str, path: str, *, dir_fd: int) -> None:
        self._power.spend()
        os.symlink(target, path, dir_fd=dir_fd)

    def fchmod(self, handle: int, mode: int) -> None:
        # A file is still a temporary one when it gets its mode.
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            self._power.spend()
        os.fchmod(handle, mode)

    def write(self, handle: int, data: bytes) -> int:
        if self._power.goes():
            os.write(handle, data[: len(data) // 2])
        self._power.spend()
        return os.write(handle, data)

    def fsync(self, handle: int) -> None:
        """What reaches the platters is not what these tests are about."""


class Trees:
    """The shutil module as adapters.files sees it: a tree goes entry by entry."""

    def __init__(self, power: Power) -> None:
        self._power = power

    def __getattr__(self, name: str) -> Any:
        return getattr(shutil, name)

    def rmtree(self, name: str, *, dir_fd: int) -> None:
        root = Path(f"/proc/self/fd/{dir_fd}").resolve() / name
        if not root.exists():
            raise FileNotFoundError(root)
        for path in sorted(root.rglob("*"), reverse=True):
            self._power.spend()
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        self._power.spend()
        root.rmdir()


class FakeAccounts:
    """Accounts that are only known here; files belong to whoever runs the test, for all of them."""

    NAMES = (
        "exists", "create", "subordinate_ids", "remove", "first_subordinate_id",
        "next_subordinate_id", "free_ids", "add_subordinate_ids",
    )  # fmt: skip

    def __init__(self, power: Power) -> None:
        self._power = power
        self.ranges: dict[str, tuple[int, int] | None] = {}

    def exists(self, name: str) -> bool:
        return name in self.ranges

    def create(self, name: str, home: str, uid: int | None = None) -> None:
        assert name not in self.ranges, f"useradd: user {name} already exists"
        assert home == "/nonexistent"
        assert uid == os.geteuid()
        self._power.spend()
        self.ranges[name] = None

    def remove(self, name: str) -> None:
        self._power.spend()
        self.ranges.pop(name, None)

    def subordinate_ids(self, name: str) -> int:
        found = self.ranges.get(name)
        return found[1] if found else 0

    def first_subordinate_id(self, name: str) -> int | None:
        found = self.ranges.get(name)
        return found[0] if found else None

    def next_subordinate_id(self) -> int:
        return max((sum(r) for r in self.ranges.values() if r), default=accounts.FIRST_ID)

    def free_ids(self) -> Iterator[int]:
        return itertools.repeat(os.geteuid())

    def add_subordinate_ids(self, name: str, count: int, first: int | None = None) -> None:
        assert self.ranges[name] is None
        assert first is not None
        taken = [r for r in self.ranges.values() if r]
        assert all(first >= start + n or first + count <= start for start, n in taken), "overlap"
        self._power.spend()
        self.ranges[name] = (first, count)

    def identity(self, name: str) -> Identity:
        if name not in {"root", *self.ranges}:
            raise KeyError(name)
        return Identity(name, os.geteuid(), os.getegid(), "/nonexistent")


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
        assert _file(unit) in self._files(), f"there is no unit file of {unit}"
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
        text = self._text(unit, self._loaded)
        assert text == self._text(unit, self._files()), f"no daemon-reload before {unit} started"
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
        text = self._text(unit, self._loaded)
        assert text == self._text(unit, self._files()), f"no daemon-reload before {unit} ran"
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
        for other in [u for u in self.running if unit in self._needs(self._text(u, self._loaded))]:
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

    def _text(self, unit: str, files: Mapping[str, str]) -> str:
        if unit == names.NGINX_UNIT:
            return ""
        assert _file(unit) in files, f"systemd does not know {unit}"
        text = files[_file(unit)] + files.get(f"{unit}.d/carrel.conf", "")
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
            text = include.read_text()
            used = re.findall(r'ssl_certificate(?:_key)? "(.*)";', text)
            return (text, *(Path(p).read_text() for p in dict.fromkeys(used) if Path(p).exists()))
        files = self._files()
        text = self._text(unit, files)
        needed = [u for u in sorted(self._needs(text)) if u.endswith(".mount")]
        read = [text, *(self._text(u, files) for u in needed)]
        read += [p.read_text() for p in map(Path, self._paths(text)) if p.is_file()]
        return tuple(read)


def _certificate(resource: Resource) -> TypeGuard[Certificate]:
    return isinstance(resource, Certificate)


def _file(unit: str) -> str:
    """The unit's file: an instance has that of its template."""
    name, at, _ = unit.partition("@")
    return f"{name}@.service" if at else unit


class FakeServer:
    """A server below a directory: real files, and stand-ins for what only root and systemd can do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("etc/carrel", "etc/systemd/system", "etc/nginx/conf.d", "var/lib", "run"):
            (folder / name).mkdir(parents=True)
        self.layout = HostLayout(
            config=f"{folder}/etc/carrel",
            state=f"{folder}/var/lib/carrel",
            runtime=f"{folder}/run",
            units=f"{folder}/etc/systemd/system",
            nginx=f"{folder}/etc/nginx/conf.d/carrel.conf",
            private=f"{folder}/var/lib/private",
            web_group=grp.getgrgid(os.getegid()).gr_name,
        )
        self.power = Power()
        self.accounts = FakeAccounts(self.power)
        self.systemd = FakeSystemd(self.layout, folder, self.power, self.accounts)
        self.config = folder / "etc/carrel/carrel.toml"
        self.said: list[str] = []
        self.ended_workers: set[int] = set()
        self.nginx_refuses = ""
        """What nginx has against its configuration."""

    def install(self, patch: pytest.MonkeyPatch) -> FakeServer:
        """From now on, the adapters are this server's."""
        for module, fake in ((accounts, self.accounts), (systemd, self.systemd)):
            for name in fake.NAMES:
                patch.setattr(module, name, getattr(fake, name))
        patch.setattr(Identity, "of", staticmethod(self.accounts.identity))
        patch.setattr(files, "os", Disk(self.power))
        patch.setattr(files, "shutil", Trees(self.power))
        patch.setattr(nginx, "_test", self._nginx_test)
        patch.setattr(workers, "current", self._workers)
        patch.setattr(workers, "end", self._end_workers)
        patch.setattr(nginx, "test", self._nginx_takes)
        patch.setattr(probe, "certificate", self._served)
        patch.setattr(probe, "healthy", self._answers)
        patch.setattr(probe, "port_open", lambda _: names.NGINX_UNIT in self.systemd.running)
        patch.setattr(preflight, "server", lambda _: None)
        return self

    def _workers(self) -> frozenset[Worker]:
        """Each reload of nginx leaves a worker with old connections behind."""
        reads = self.systemd.reads
        if names.NGINX_UNIT not in self.systemd.running:
            return frozenset()
        old = set(range(reads)) - self.ended_workers
        return frozenset({Worker(reads, leaving=False), *(Worker(n, leaving=True) for n in old)})

    def _end_workers(self, found: Iterable[Worker]) -> None:
        for worker in found:
            assert worker.leaving
            self.ended_workers.add(worker.pid)

    def _nginx_test(self, path: str, content: str) -> None:
        assert Path(path).parent.is_dir()
        for file in re.findall(r'(?:include|ssl_certificate|ssl_certificate_key) "(.*)";', content):
            assert Path(file).is_file(), f"nginx: there is no {file}"

    def _nginx_takes(self) -> None:
        if self.nginx_refuses:
            raise ToolFailed("nginx rejects its configuration.", why=self.nginx_refuses)

    def _served(self, name: str) -> str | None:
        """The fingerprint of what nginx read when it was last told to."""
        read = self.systemd.running.get(names.NGINX_UNIT, ())
        found = [certificates.facts(text, text) for text in read[1:] if "BEGIN CERT" in text]
        return next((facts.fingerprint for facts in found if facts), None)

    def _answers(self, socket: str) -> bool:
        if socket == self.layout.gateway_admin:
            return names.GATEWAY_UNIT in self.systemd.running
        return names.workspace_unit(Path(socket).parent.name) in self.systemd.running

    @property
    def place(self) -> ServerPlace:
        return ServerPlace(self.config, self.layout, self.said.append)

    def shelve(self, digest: str) -> None:
        """An image, as `carrel image load` leaves it; the first one is selected."""
        place = Path(self.layout.images) / digest
        (place / "rootfs/etc").mkdir(parents=True)
        (place / "environment").write_text("LANG=C.UTF-8\n")
        built = Built(names.image_reference(digest), 1, {})
        (place / "image.json").write_text(json.dumps(asdict(built)))
        if not self.place.store.shelf.selected:
            self.place.store.shelf.select(digest)

    def apply(self, told: Told = lambda _: None) -> list[str]:
        """`carrel apply`, and what it did."""
        return [sentence(step) for step in converge.up(Opened.of(self.place), told).steps]

    def down(self) -> None:
        """`carrel down`."""
        converge.down(self.place, lambda _: None)

    def retire(self) -> None:
        """`carrel down --remove`."""
        converge.retire(self.place, lambda _: None)

    def boots_another(self) -> bool:
        """Whether something else would run if the machine booted now."""
        now = self.systemd.memory()
        before = copy.deepcopy(now)
        self.systemd.boot()
        after = self.systemd.memory()
        self.systemd.remember(before)
        return after != before

    def plan(self) -> list[str]:
        """`carrel plan`."""
        return [sentence(step) for step in converge.plan(Opened.of(self.place)).steps]

    def save(self, place: Path) -> Saved:
        """The server as it is now, to come back to."""
        shutil.copytree(self.folder, place, symlinks=True)
        running = copy.deepcopy((self.accounts.ranges, self.systemd.memory()))
        return Saved(place, *running)

    def restore(self, saved: Saved) -> None:
        """Make the server again what it was."""
        shutil.rmtree(self.folder)
        shutil.copytree(saved.place, self.folder, symlinks=True)
        self.accounts.ranges, memory = copy.deepcopy((saved.ranges, saved.memory))
        self.systemd.remember(memory)

    def kept(self) -> dict[str, str]:
        """Every file and directory with its mode, but what is random, or was half-written."""
        found = {}
        for path in sorted(self.folder.rglob("*")):
            name = str(path.relative_to(self.folder))
            if RANDOM.search(name):
                continue
            content = "" if path.is_dir() else path.read_text()
            if name.endswith("state.json"):
                content = record.dump(record.load(content))
            found[name] = f"{path.stat().st_mode:o} {content}"
        return found

    def world(self) -> dict[str, object]:
        """All that has to be the same after an interruption and another `apply`."""
        return {
            "files": self.kept(),
            "accounts": self.accounts.ranges,
            "enabled": self.systemd.enabled,
            "running": set(self.systemd.running),
            "stale": self.systemd.stale(),
            "certificates": [disk.seen(r) for r in self.place.store.recorded() if _certificate(r)],
        }


@dataclass(frozen=True)
class Saved:
    """A FakeServer at one moment."""

    place: Path
    ranges: dict[str, tuple[int, int] | None]
    memory: dict[str, Any]


UNIT_FILES = {".service", ".mount", ".timer", ".path", ".conf"}

RANDOM = re.compile(r"/tls/|/ca\.crt$|/lock$|fingerprint\.key$|/\.[^/]*\.[0-9a-f]{8}$")
"""Files whose content is made anew each time, and what a power cut leaves of a write."""
