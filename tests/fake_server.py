"""A server below a directory: real files, and stand-ins for what only root and systemd can do."""

from __future__ import annotations

import copy
import grp
import json
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeGuard

import pytest

from carrel.adapters import accounts, certificates, files, nginx, probe, systemd, versions, workers
from carrel.adapters.process import Identity
from carrel.adapters.workers import Worker
from carrel.core import names
from carrel.core.ids import Spans
from carrel.core.layout import HostLayout
from carrel.core.plan import sentence
from carrel.core.resources import Certificate, Resource
from carrel.errors import ToolFailed
from carrel.operations import converge
from carrel.operations.site import Opened
from carrel.targets import disk, facts, preflight
from carrel.targets.host.target import HostTarget
from carrel.targets.images import Built
from carrel.targets.protocol import Told
from carrel.targets.record import Kept
from fake_effects import Disk, FakeAccounts, Power, Trees
from fake_systemd import FakeSystemd

AUTHORITIES = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
"""Whom the server trusts: short, because it is written hundreds of times, and nobody reads it."""
NGINX = (1, 26, 3)
"""The version of Debian 13."""


def _certificate(resource: Resource) -> TypeGuard[Certificate]:
    return isinstance(resource, Certificate)


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
            tmpfiles=f"{folder}/etc/tmpfiles.d/carrel.conf",
            private=f"{folder}/var/lib/private",
            web_group=grp.getgrgid(os.getegid()).gr_name,
        )
        self.power = Power()
        self.accounts = FakeAccounts(self.power)
        self.systemd = FakeSystemd(self.layout, folder, self.power, self.accounts)
        self.config = folder / "etc/carrel/carrel.toml"
        self.authorities = folder / "etc/authorities.pem"
        self.authorities.write_text(AUTHORITIES)
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
        patch.setattr(versions, "nginx", lambda: NGINX)
        patch.setattr(nginx, "_test", self._nginx_test)
        patch.setattr(workers, "current", self._workers)
        patch.setattr(workers, "end", self._end_workers)
        patch.setattr(nginx, "test", self._nginx_takes)
        patch.setattr(probe, "certificate", self._served)
        patch.setattr(probe, "healthy", self._answers)
        patch.setattr(probe, "port_open", lambda _: names.NGINX_UNIT in self.systemd.running)
        patch.setattr(preflight, "server", lambda _: None)
        patch.setattr(facts, "CA_BUNDLES", (self.authorities,))
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
        return next((one.fingerprint for one in found if one), None)

    def _answers(self, socket: str) -> bool:
        if socket == self.layout.gateway_admin:
            return names.GATEWAY_UNIT in self.systemd.running
        return names.workspace_unit(Path(socket).parent.name) in self.systemd.running

    @property
    def target(self) -> HostTarget:
        return HostTarget(self.config, self.layout, self.said.append)

    def shelve(self, digest: str) -> None:
        """An image, as `carrel image load` leaves it; the first one is selected."""
        place = Path(self.layout.images) / digest
        (place / "closed/rootfs/etc").mkdir(parents=True)
        (place / "closed").chmod(0o700)
        (place / "rootfs").symlink_to("closed/rootfs")
        (place / "environment").write_text("LANG=C.UTF-8\n")
        built = Built(names.image_reference(digest), 1, {})
        (place / "image.json").write_text(json.dumps(asdict(built)))
        if not self.target.images.store.selected:
            self.target.images.store.select(digest)

    def apply(self, told: Told = lambda _: None) -> list[str]:
        """`carrel apply`, and what it did."""
        return [sentence(step) for step in converge.up(self.target, told).steps]

    def down(self) -> None:
        """`carrel down`."""
        converge.down(self.target, lambda _: None)

    def retire(self) -> None:
        """`carrel down --remove`."""
        converge.retire(self.target, lambda _: None)

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
        return [sentence(step) for step in converge.plan(Opened.of(self.target)).steps]

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
                content = Kept.of(content).text()
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
            "certificates": [disk.seen(r) for r in self.target.store.recorded() if _certificate(r)],
        }


@dataclass(frozen=True)
class Saved:
    """A FakeServer at one moment."""

    place: Path
    ranges: dict[str, Spans]
    memory: dict[str, Any]


RANDOM = re.compile(r"/tls/|/ca\.crt$|/lock$|/log\.jsonl$|fingerprint\.key$|/\.[^/]*\.[0-9a-f]{8}$")
"""Files made anew each time, one that tells of the way, and what a power cut leaves of a write."""
