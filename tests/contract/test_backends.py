"""What every backend keeps, whether it is a dictionary, a directory or a machine."""

from pathlib import Path

import pytest

from carrel.adapters.process import Identity
from carrel.core.layout import LocalLayout
from carrel.core.plan import Step, diff
from carrel.core.resources import Directory, Holds, Service, State
from carrel.core.site import SecretFile, Site, User
from carrel.render import local as render
from carrel.targets.local.backend import Local
from carrel.targets.protocol import Backend
from carrel.targets.tree import Tree
from fakes import FakePodman, FakeSupervisor, Memory
from samples import IMAGE, V1


class World:
    """A backend, and states that it can really hold."""

    def __init__(self, kind: str, folder: Path) -> None:
        me = Identity.ours().name
        self.layout = LocalLayout("site", f"{folder}/root", f"{folder}/run", me, me)
        self.folder = folder
        (folder / "password").write_text("open sesame")
        self.backend = self._backend(kind)

    def _backend(self, kind: str) -> Backend:
        if kind == "memory":
            return Memory()
        if kind == "tree":
            return Tree(self.folder / "tree")
        podman = FakePodman()
        local = Local(
            self.layout,
            lambda image: podman.references.add(image.reference),
            supervisor=FakeSupervisor(self.layout.supervisor_programs),
            podman=podman,
        )
        with local.locked():
            return local

    def state(self, *users: str) -> State:
        password = SecretFile(f"{self.folder}/password")
        site = Site("a.localhost", f"{self.folder}/data", tuple(User(u, password) for u in users))
        around = render.LocalSurroundings(
            self.layout, V1, IMAGE, f"{self.folder}/ca.crt", {password: "print"}, "python3"
        )
        # Without data, which no plan removes, and without nginx's own check of files.
        return State.of(
            r
            for r in render.state(site, around)
            if not (isinstance(r, Directory) and r.holds is Holds.DATA)
            and not (isinstance(r, Service) and r.name == "edge")
        )


@pytest.fixture(params=["memory", "tree", "local"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    return World(request.param, tmp_path)


def nothing(_: Step) -> None:
    pass


def test_a_new_place_is_empty(world: World) -> None:
    assert world.backend.observe() == State()


def test_what_was_applied_is_observed(world: World) -> None:
    wanted = world.state("ada")
    world.backend.apply(diff(State(), wanted), nothing)
    assert world.backend.observe() == wanted


def test_changes_and_removals_are_observed(world: World) -> None:
    for users in (("ada", "ben"), ("ben",), ("ben", "cleo"), ()):
        wanted = world.state(*users)
        world.backend.apply(diff(world.backend.observe(), wanted), nothing)
        assert world.backend.observe() == wanted


def test_each_step_is_told_before_it_is_taken(world: World) -> None:
    plan = diff(State(), world.state("ada"))
    told: list[Step] = []
    world.backend.apply(plan, told.append)
    assert told == list(plan.steps)
