"""A site of local mode in a temporary directory: real files, fakes of supervisord and podman."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from carrel.adapters.process import Identity
from carrel.core.layout import LocalLayout
from carrel.core.plan import Step, diff, keep, sentence
from carrel.core.resources import Service, State
from carrel.core.site import PasswordHash, SecretFile, Site, User
from carrel.render import local as render
from carrel.targets.local.backend import Local
from fakes import FakePodman, FakeSupervisor
from samples import HASH, IMAGE, V1


class Desk:
    """A site in a temporary directory, under our own account."""

    def __init__(self, folder: Path) -> None:
        me = Identity.ours().name
        self.folder = folder
        self.layout = LocalLayout("site", f"{folder}/root", f"{folder}/run", me, me)
        self.supervisor = FakeSupervisor(self.layout.supervisor_programs)
        self.podman = FakePodman()
        self.local = Local(
            self.layout,
            lambda image: self.podman.references.add(image.reference),
            supervisor=self.supervisor,
            podman=self.podman,
        )
        self.password = folder / "password"
        self.password.write_text("open sesame\n")

    def site(self, *names: str) -> Site:
        users = [User(name, SecretFile(str(self.password))) for name in names]
        users.append(User("hashed", PasswordHash(HASH)))
        return Site("code.localhost", f"{self.folder}/data", tuple(users))

    def wanted(self, site: Site) -> State:
        prints = {SecretFile(str(self.password)): self.password.read_text()}
        around = render.LocalSurroundings(
            self.layout, V1, IMAGE, f"{self.folder}/ca.crt", prints, "/opt/carrel/bin/python"
        )
        return State.of(
            # The real check runs nginx; here the files are not at the paths nginx would accept.
            replace(r, check=()) if isinstance(r, Service) else r
            for r in render.state(site, around)
        )

    def converge(self, site: Site, told: Callable[[Step], None] = lambda _: None) -> list[str]:
        with self.local.locked():
            now = self.local.observe()
            plan = diff(now, keep(self.wanted(site), now))
            self.local.apply(plan, told)
        return [sentence(step) for step in plan.steps]
