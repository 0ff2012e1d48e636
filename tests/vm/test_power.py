"""A reboot, and the power going away at the worst moments: everybody works again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from servers import CONFIG, STORAGE, Server
from vm.disk import Disk
from vm.guest import Guest

EVERYBODY = ("dan", "bob")
SETTINGS = ".local/share/code-server/User/settings.json"
KEPT = {
    "kept": "work\n",
    f"../{SETTINGS}": '{"editor.fontSize": 17}\n',
    "../.bash_history": "ls\n",
}
"""What was written where, seen from the project."""


@pytest.fixture(scope="module")
def machine(applied_disk: Disk) -> Iterator[Server]:
    """A server of our own: nobody else wants to be there when the power goes."""
    with Guest(applied_disk) as running:
        yield Server(running)


def write(server: Server, user: str) -> None:
    written = (
        f"mkdir -p $(dirname {path}); printf %s '{content}' >{path}"
        for path, content in KEPT.items()
    )
    server.inside(user, "sh", "-c", "; ".join(written))


def kept(server: Server, user: str) -> bool:
    return server.inside(user, "cat", *KEPT) == "".join(KEPT.values())


def test_after_a_reboot_everybody_is_back_without_a_hand(machine: Server) -> None:
    for user in EVERYBODY:
        machine.answers(user)
        write(machine, user)
    machine.guest.reboot()
    for user in EVERYBODY:
        machine.shows_workbench(user)
        assert kept(machine, user)
        usage = 'curl -s -H "Authorization: Bearer $CARREL_AI_TOKEN" 127.0.0.1:4141/carrel/usage'
        assert f'"user": "{user}"' in machine.inside(user, "sh", "-c", usage)
    assert machine.steps() == []


def test_a_power_cut_in_the_middle_of_apply_is_mended_by_the_next_one(machine: Server) -> None:
    secret = "/etc/carrel/secrets"
    users = "".join(
        f'\n[users.{name}]\npassword_file = "{secret}/{name}"\n' for name in ("eve", "fay")
    )
    machine.run(
        f"""
        for name in eve fay; do cp {secret}/dan {secret}/$name; done
        echo '{users}' >>{CONFIG}
        sync
        systemd-run --quiet --no-block --unit=half carrel apply
        until grep --quiet 'made.*run-carrel-fay.mount' /var/lib/carrel/steps.jsonl; do :; done
        """
    )
    machine.guest.reset()
    machine.run("test -s /var/lib/carrel/steps.jsonl")
    assert machine.steps() != []
    machine.carrel("apply")
    for user in (*EVERYBODY, "eve", "fay"):
        machine.shows_workbench(user)
    assert machine.steps() == []
    assert all(kept(machine, user) for user in EVERYBODY)


def test_a_power_cut_in_the_middle_of_making_a_container_is_none_for_the_next_boot(
    machine: Server,
) -> None:
    machine.run(
        """
        systemctl stop carrel-workspace@dan
        systemctl start --no-block carrel-workspace@dan
        until [ -d /run/user/$(id -u carrel-dan)/store/vfs-containers ]; do :; done
        """
    )
    machine.guest.reset()
    for user in EVERYBODY:
        machine.shows_workbench(user)
        assert kept(machine, user)
    assert machine.steps() == []
    assert machine.run(f"stat --format=%U {STORAGE}/dan/workspace/kept") == "carrel-dan\n"
