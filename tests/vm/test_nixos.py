"""A server in the shape that NixOS gives it, on a real systemd, podman and nginx: tests/nix/system.py.

What NixOS itself does (its evaluation, its activation, its packages) is a model of ours here.
"""

from __future__ import annotations

import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from carrel.targets.waiting import until
from nix.desks import configuration
from nix.pairs import EXAMPLE_OF_THE_REQUEST, SITES
from nix.system import System
from servers import STORAGE, Server
from vm.guest import Guest
from vm.installed import installed

DOMAIN = "code.example.org"
COPY = "c0c0c0c0c0c0"
MARK = "/opt/carrel/mark"
OK, NOT_FOUND = 200, 404
AROUND = """
    # A group of that number is Debian's own.
    users.groups.nginx.gid = lib.mkForce 960;
    systemd.services.sops-install-secrets = {
      wantedBy = [ "multi-user.target" ];
      before = [ "carrel-key.service" ];
      restartIfChanged = false;
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = "/usr/bin/cp --recursive --no-target-directory /root/secrets /run/secrets";
      };
    };
    services.nginx.virtualHosts."other.example.net".locations."/".extraConfig = ''
      return 200 "somebody else's";
    '';
    services.code-server-multi = {
      sslCertificate = "/var/lib/site/cert.pem";
      sslCertificateKey = "/var/lib/site/key.pem";
      ai.mode = "gateway";
      ai.providers.desk = {
        apiKeyFile = "/run/secrets/ai-desk";
        baseUrl = "http://127.0.0.1:4010/v1";
        models = [ "reader" ];
      };
    };
"""
DAN = 'dan.passwordFile = "/run/secrets/dan";'
BOB = 'bob.passwordFile = "/run/secrets/bob";'
FIRST = f"{DAN} {BOB}"

MAKE_CERTIFICATE = f"""
from pathlib import Path
from carrel.adapters import certificates
authority = certificates.authority("{DOMAIN}")
pair = certificates.site(("{DOMAIN}", "*.{DOMAIN}"), authority)
folder = Path("/var/lib/site")
folder.mkdir()
(folder / "authority.pem").write_text(authority.certificate)
(folder / "cert.pem").write_text(pair.certificate)
(folder / "key.pem").write_text(pair.key)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nixos")


@pytest.fixture(scope="module")
def machine(folder: Path) -> Iterator[Server]:
    """Debian with Carrel's files, made a NixOS-shaped server for dan and bob."""
    with Guest(installed()) as guest:
        guest.put("/root/certificate.py", MAKE_CERTIFICATE)
        guest.run(
            """
            systemctl disable --quiet --now nginx
            rm -r /etc/carrel
            /opt/carrel/bin/python /root/certificate.py
            chgrp --recursive 960 /var/lib/site
            chmod 0640 /var/lib/site/key.pem
            mkdir -m 0700 /root/secrets
            for name in dan bob carol; do echo "password-of-$name" >/root/secrets/$name; done
            echo sk-canary >/root/secrets/ai-desk
            """
        )
        server = Server(guest, "/var/lib/site/authority.pem", "/run/secrets")
        switch(server, folder, FIRST)
        yield server


def switch(server: Server, folder: Path, users: str, more: str = "") -> str:
    return System.of(configuration(folder, AROUND + more, users=users)).switch(server.guest)


def is_well(server: Server, *users: str) -> None:
    """All that was declared works, and so does the site that is somebody else's."""
    for user in users:
        server.shows_workbench(user)
    found = server.run("curl --silent --show-error -H 'Host: other.example.net' http://127.0.0.1/")
    assert found == "somebody else's"
    assert server.run("systemctl --failed --no-legend --plain") == ""


def is_nobody(server: Server, user: str) -> None:
    """Return when nginx, which reads its configuration in its own time, knows nobody of that name."""
    until(
        lambda: server.get(user).status == NOT_FOUND, seconds=60, what=f"the end of {user}'s desk"
    )


def test_it_boots_twice_and_everybody_signs_in(machine: Server) -> None:
    is_well(machine, "dan", "bob")
    for _ in range(2):
        machine.guest.reboot()
        is_well(machine, "dan", "bob")
        assert "ordering cycle" not in machine.run("journalctl --boot --output=cat")


@pytest.mark.parametrize("name", [name for name in SITES if name != EXAMPLE_OF_THE_REQUEST])
def test_systemd_finds_no_fault_in_a_unit(machine: Server, folder: Path, name: str) -> None:
    more, users = SITES[name]
    said = System.of(configuration(folder, more, users=users)).verify(machine.guest)
    assert [line for line in said.splitlines() if "carrel" in line or "cycle" in line] == []


def test_no_order_goes_in_a_circle(machine: Server) -> None:
    # systemd says it of a circle only when a transaction happens to meet it.
    shown = machine.run("systemctl show --property=Id --property=After '*'")
    after: dict[str, set[str]] = {}
    for unit in shown.split("\n\n"):
        found = dict(line.split("=", 1) for line in unit.strip().splitlines())
        after[found["Id"]] = set(found.get("After", "").split())
    assert "carrel-image.service" in after["run-carrel\\x2droot-dan.mount"]
    assert list(graphlib.TopologicalSorter(after).static_order())


def test_a_switch_that_changes_nothing_does_nothing(machine: Server, folder: Path) -> None:
    before = machine.started("dan", "bob")
    assert switch(machine, folder, FIRST) == "start multi-user.target\n"
    assert machine.started("dan", "bob") == before


def test_somebody_comes_changes_rests_and_goes_while_bob_works_on(
    machine: Server, folder: Path
) -> None:
    carol = 'carol.passwordFile = "/run/secrets/carol";'
    before = machine.started("dan", "bob")
    with machine.editor("bob") as bob:
        switch(machine, folder, f"{FIRST} {carol}")
        is_well(machine, "carol", "dan")
        machine.inside("carol", "sh", "-c", "echo mine >kept")

        first = machine.started("carol")
        switch(machine, folder, f'{FIRST} {carol} carol.memoryLimit = "1G";')
        assert machine.started("carol") != first
        assert machine.property("carol", "MemoryMax") == str(1 << 30)

        switch(machine, folder, f"{FIRST} {carol} carol.suspended = true;")
        assert machine.property("carol", "ActiveState") == "inactive"
        is_nobody(machine, "carol")

        switch(machine, folder, FIRST)
        assert machine.run("getent passwd carrel-carol || true") == ""
        assert machine.run("findmnt --noheadings --output=TARGET | grep carol || true") == ""
        assert machine.run(f"cat {STORAGE}/carol/workspace/kept") == "mine\n"
        is_well(machine, "dan")
        assert bob.is_open()
    assert machine.started("dan", "bob") == before

    # Who comes back has the same number, and the work.
    switch(machine, folder, f"{FIRST} {carol}")
    is_well(machine, "carol")
    assert machine.inside("carol", "cat", "kept") == "mine\n"
    switch(machine, folder, FIRST)


def test_nobody_may_be_left_and_the_other_site_goes_on(machine: Server, folder: Path) -> None:
    before = machine.started("bob")
    switch(machine, folder, f"{FIRST} dan.suspended = true; bob.suspended = true;")
    is_well(machine)
    assert machine.get("").status == OK
    is_nobody(machine, "bob")
    switch(machine, folder, FIRST)
    is_well(machine, "dan", "bob")
    assert machine.started("bob") != before


def test_a_new_password_is_dans_alone(machine: Server) -> None:
    """What sops-nix does when a secret of `restartUnits` has changed."""
    before = machine.started("dan", "bob")
    machine.run(
        """
        echo another-one | tee /root/secrets/dan >/run/secrets/dan
        systemctl restart carrel-secrets@dan.service
        """
    )
    machine.shows_workbench("dan")
    assert machine.sign_in("dan")
    after = machine.started("dan", "bob")
    assert after["dan"] != before["dan"]
    assert after["bob"] == before["bob"]


def test_another_image_is_everybodys_and_the_work_is_there_after_a_boot(machine: Server) -> None:
    machine.inside("dan", "sh", "-c", "echo mine >kept")
    machine.second_image(COPY, MARK)
    machine.carrel("image", "use", COPY)
    is_well(machine, "dan", "bob")
    assert machine.inside("dan", "cat", MARK) == "second\n"
    machine.guest.reboot()
    is_well(machine, "dan", "bob")
    assert machine.inside("dan", "cat", MARK, "kept") == "second\nmine\n"
    machine.carrel("image", "rollback")
    assert machine.inside("dan", "ls", MARK, status=2) == ""
    is_well(machine, "dan", "bob")
