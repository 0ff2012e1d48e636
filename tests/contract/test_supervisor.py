"""What Carrel expects of supervisord, of the real one and of the fake."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from carrel.adapters.process import Identity
from carrel.adapters.supervisor import Supervisor
from carrel.core.layout import LocalLayout
from carrel.core.resources import Service
from carrel.render import supervisor as programs
from carrel.targets.waiting import until
from fakes import FakeSupervisor
from samples import LAYOUT

Add = Callable[[str], None]


def layout(folder: Path) -> LocalLayout:
    me = Identity.ours().name
    return LocalLayout(LAYOUT.site, f"{folder}/root", f"{folder}/run", me, me)


@pytest.fixture(params=["fake", "real"])
def supervisor(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Supervisor]:
    place = layout(tmp_path)
    for folder in (place.supervisor_programs, place.logs, place.run):
        Path(folder).mkdir(parents=True)
    if request.param == "fake":
        yield FakeSupervisor(place.supervisor_programs)
        return
    Path(place.supervisor_config).write_text(programs.main(place))
    real = Supervisor(place.supervisor_config, place.supervisor_socket)
    yield real
    if real.running():
        pid = real.shut_down()
        until(lambda: not Path(f"/proc/{pid}").exists(), seconds=20, what="the end")


@pytest.fixture
def write(tmp_path: Path) -> Add:
    """Writes the configuration of a program that does nothing for a long time."""
    place = layout(tmp_path)

    def write(name: str) -> None:
        account = Identity.ours().name
        service = Service(name, account, ("sleep", "600"), (), place.log(name), "one")
        Path(f"{place.supervisor_programs}/{name}.conf").write_text(programs.program(service))

    return write


def start(supervisor: Supervisor) -> None:
    supervisor.start()
    until(supervisor.running, seconds=10, what="supervisord")


def state(supervisor: Supervisor, name: str) -> str:
    return supervisor.programs()[name].state


def test_before_the_start_nothing_runs(supervisor: Supervisor) -> None:
    assert not supervisor.running()
    assert supervisor.programs() == {}


def test_programs_that_are_written_start_with_it(supervisor: Supervisor, write: Add) -> None:
    write("one")
    start(supervisor)
    until(lambda: state(supervisor, "one") == "RUNNING", seconds=10, what="one")


def test_a_program_is_added_while_another_runs_on(supervisor: Supervisor, write: Add) -> None:
    write("one")
    start(supervisor)
    until(lambda: state(supervisor, "one") == "RUNNING", seconds=10, what="one")
    before = supervisor.programs()["one"].pid
    write("two")
    supervisor.add("two")
    until(lambda: state(supervisor, "two") == "RUNNING", seconds=10, what="two")
    assert supervisor.programs()["one"].pid == before


def test_a_program_is_stopped_and_started(supervisor: Supervisor, write: Add) -> None:
    write("one")
    start(supervisor)
    supervisor.stop_program("one")
    assert state(supervisor, "one") == "STOPPED"
    supervisor.start_program("one")
    until(lambda: state(supervisor, "one") == "RUNNING", seconds=10, what="one")


def test_a_removed_program_is_forgotten(supervisor: Supervisor, write: Add) -> None:
    write("one")
    start(supervisor)
    supervisor.remove("one")
    assert "one" not in supervisor.programs()


def test_removing_what_is_not_there_is_no_fault(supervisor: Supervisor) -> None:
    start(supervisor)
    supervisor.remove("nobody")
    assert supervisor.programs() == {}


def test_shutting_down_ends_everything(supervisor: Supervisor, write: Add) -> None:
    write("one")
    start(supervisor)
    pid = supervisor.shut_down()
    until(lambda: not Path(f"/proc/{pid}").exists(), seconds=20, what="the end")
    assert not supervisor.running()
    assert supervisor.programs() == {}
