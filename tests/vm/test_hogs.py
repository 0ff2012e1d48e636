"""Somebody's programs want all there is: their own limit holds, and nobody else notices."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest

from carrel.targets.waiting import until
from servers import CONFIG, Server

MEMORY = 640 << 20
FORCED = 1 << 16
"""The kernel lets who is being ended have a few pages more (mm/memcontrol.c, `try_charge_memcg`)."""
PROCESSES = 300
LIMITS = f'\n[users.dan.limits]\nmemory = "{MEMORY >> 20}M"\nprocesses = {PROCESSES}\n'
CGROUP = "/sys/fs/cgroup/carrel.slice/carrel-workspace@dan.service"
AGAIN_SECONDS = 30
"""Within these the editor of somebody whose programs ran wild has to answer."""
RESPONSE_SECONDS = 20
"""For a command on the server itself, on an emulated processor that others keep busy."""
MEASURED_SECONDS = 10

MEMORY_HOG = "held = []\nwhile True: held.append(bytearray(8 << 20))"
FORK_BOMB = "import os\nwhile True:\n try: os.fork()\n except OSError: pass"
BUSY = "while True: pass"


@pytest.fixture(scope="module")
def machine(emulated: Server) -> Iterator[Server]:
    """The server, where dan may use less for a while: that is used up sooner."""
    before = emulated.run(f"cat {CONFIG}")
    emulated.guest.put(CONFIG, before + LIMITS)
    emulated.carrel("apply")
    yield emulated
    emulated.guest.put(CONFIG, before)
    emulated.carrel("apply")


@contextlib.contextmanager
def undisturbed(server: Server) -> Iterator[None]:
    """Bob's connection stays open, his desk answers, and so does the server, also in the meantime."""
    before = server.started("bob")
    with server.editor("bob") as bob:
        yield
        assert server.alive("bob")
        assert bob.is_open()
    assert server.started("bob") == before
    begun = time.monotonic()
    server.run("true")
    assert time.monotonic() - begun < RESPONSE_SECONDS


def answers_again(server: Server) -> None:
    server.answers("dan", seconds=AGAIN_SECONDS)


def let_loose(server: Server, program: str, times: int = 1) -> None:
    """Start a program as dan that goes on when the command that started it has ended."""
    start = f"setsid python3 -c '{program}' >/dev/null 2>&1 &\n"
    server.inside("dan", "sh", "-c", start * times)


def end_all(server: Server) -> None:
    server.carrel("reset", "dan", "--yes")
    server.shows_workbench("dan")


def number(server: Server, file: str) -> int:
    return int(server.run(f"cat {CGROUP}/{file}"))


def test_who_wants_all_memory_is_ended_and_the_editor_is_not(machine: Server) -> None:
    machine.shows_workbench("dan")
    before = machine.started("dan")
    with undisturbed(machine):
        # An interactive shell: it is what tells people what happened.
        said = machine.carrel(
            "shell", "dan", "--", "bash", "-i", given=f"python3 -c '{MEMORY_HOG}'\n", status=None
        )
        answers_again(machine)
    assert "This workspace had used up its memory" in said.output + said.errors
    assert number(machine, "memory.max") == MEMORY
    assert number(machine, "memory.peak") <= MEMORY + FORCED
    assert machine.started("dan") == before
    assert "python3 was ended" in machine.carrel("status").output


def test_a_fork_bomb_ends_at_the_limit_of_processes(machine: Server) -> None:
    before = machine.started("dan")
    with undisturbed(machine):
        let_loose(machine, FORK_BOMB)
        until(
            lambda: number(machine, "pids.current") >= PROCESSES - 1,
            seconds=120,
            what="the limit of processes",
        )
        answers_again(machine)
    assert number(machine, "pids.peak") <= PROCESSES
    assert machine.started("dan") == before
    end_all(machine)


def test_busy_loops_on_all_processors_get_their_share(machine: Server) -> None:
    with undisturbed(machine):
        let_loose(machine, BUSY, times=4)
        share = machine.run(
            f"""
            used() {{ awk '$1 == "usage_usec" {{ print $2 }}' {CGROUP}/cpu.stat; }}
            now() {{ date +%s%6N; }}
            used=$(used) then=$(now)
            sleep {MEASURED_SECONDS}
            echo $(( ($(used) - used) * 100 / ($(now) - then) ))
            """
        )
        answers_again(machine)
    # In percent of one processor; the limit is 150. Less than 75, and nothing was measured.
    assert 75 <= int(share) <= 155
    end_all(machine)
