"""A server gets its certificate from an authority, or from files, and renews it; nobody notices.

The authority is Pebble, in the guest; it exists as long as this module's machine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from carrel.targets.waiting import until
from servers import CONFIG, DOMAIN, Server
from vm.disk import Disk
from vm.guest import Guest

TESTS = Path(__file__).parents[1]
PLACE = "/run/authority"
CREDENTIALS = "/etc/carrel/secrets/dns"
UNIT = "carrel-certificate.service"
FILES = "/etc/ssl/desks"
SECONDS = 300

MAKE_PAIR = """\
from pathlib import Path
from carrel.adapters import certificates
authority = certificates.authority("{domain}")
pair = certificates.site(("{domain}", "*.{domain}"), authority)
folder = Path("{folder}")
folder.mkdir(exist_ok=True)
(folder / "authority.pem").write_text(authority.certificate)
(folder / "key.pem").write_text(pair.key)
(folder / "chain.pem").write_text(pair.certificate)
"""


@pytest.fixture(scope="module")
def machine(applied_disk: Disk) -> Iterator[Guest]:
    """A server with a certificate of its own authority, and Pebble beside it."""
    with Guest(applied_disk) as guest:
        for name in ("authority.py", "sites.py"):
            guest.put(f"/root/tests/{name}", TESTS / name)
        guest.run(
            f"""
            systemd-run --quiet --unit=test-authority --working-directory=/root/tests \
                /opt/carrel/bin/python -m authority {PLACE}
            """
        )
        there = f"test -e {PLACE}/authority.json"
        until(
            lambda: guest.run(there, check=False).status == 0, seconds=SECONDS, what="the authority"
        )
        yield guest


@pytest.fixture
def server(machine: Guest) -> Server:
    """The server as people see it who trust Pebble."""
    return Server(machine, f"{PLACE}/issuer.pem")


def configure(server: Server, tls: str) -> None:
    """Write another [tls] into the configuration."""
    text = server.run(f"cat {CONFIG}")
    changed, count = re.subn(r"(?ms)^\[tls\]$.*?(?=^\[)", f"[tls]\n{tls}\n", text)
    assert count == 1
    server.guest.put(CONFIG, changed)


def acme(server: Server, **credentials: str) -> None:
    """Have the configuration say where Pebble is."""
    told = json.loads(server.run(f"cat {PLACE}/authority.json"))
    lines = (f"{name}={value}\n" for name, value in {**told["credentials"], **credentials}.items())
    server.guest.put(CREDENTIALS, "".join(lines), 0o600)
    configure(
        server,
        f"""\
mode = "acme"
email = "ops@example.org"
dns_provider = "httpreq"
credentials_file = "{CREDENTIALS}"
server = "{told["directory"]}"
ca_file = "{PLACE}/root.pem"
dns_resolvers = ["{told["resolver"]}"]
""",
    )


def certified(server: Server) -> None:
    """The server with Pebble's certificate."""
    acme(server)
    server.carrel("apply")


def test_when_the_authority_says_no_apply_says_why_and_the_old_certificate_stays(
    machine: Guest,
) -> None:
    server = Server(machine)
    configure(server, 'mode = "local"')
    server.carrel("apply")
    before = server.certificate()
    acme(server, HTTPREQ_PASSWORD="a-wrong-one")
    said = server.carrel("apply", status=6).errors
    assert f"There is no certificate for {DOMAIN} yet. nginx keeps what it had." in said
    assert "the DNS provider did not make the record" in said
    assert "a-wrong-one" not in said + server.run(f"journalctl --unit={UNIT}")
    assert server.certificate() == before
    server.shows_workbench("dan")
    assert server.run("systemctl is-active carrel-certificate.timer || true") == "inactive\n"


def test_both_sign_in_with_one_wildcard_certificate_of_the_authority(server: Server) -> None:
    certified(server)
    assert server.steps() == []
    for user in ("dan", "bob"):
        server.shows_workbench(user)
    found = json.loads(server.carrel("certificate", "show", "--json").output)
    assert set(found["names"]) == {DOMAIN, f"*.{DOMAIN}"}
    assert found["concern"] == ""
    assert server.run("systemctl is-active carrel-certificate.timer") == "active\n"
    kept = server.run(
        """
        stat --format='%U %a' /var/lib/carrel/tls /var/lib/carrel/tls/*.pem
        find /var/lib/private/carrel-certificate -user root | wc -l
        find /var/lib/private/carrel-certificate -perm /077 | wc -l
        """
    )
    # What lego keeps is neither root's nor anybody else's.
    assert kept.split("\n") == ["root 700", "root 600", "0", "0", ""]


def test_a_forced_renewal_closes_nobodys_websocket(server: Server) -> None:
    certified(server)
    desks, before = server.started("dan", "bob"), server.certificate()
    with server.editor("dan") as dan, server.editor("bob") as bob:
        server.carrel("certificate", "renew")
        assert server.certificate() != before
        assert dan.is_open()
        assert bob.is_open()
    assert server.started("dan", "bob") == desks
    assert server.steps() == []
    server.shows_workbench("dan")


def test_a_renewal_that_is_not_due_asks_nobody(server: Server) -> None:
    certified(server)
    before = server.certificate()
    server.run(f"systemctl start {UNIT}")
    assert server.certificate() == before
    said = server.run(f"journalctl --unit={UNIT} --identifier=carrel-certificate --output=cat")
    assert "the next certificate is due in 59 days" in said.splitlines()[-1]


def test_files_that_somebody_renewed_are_served_by_themselves(machine: Guest) -> None:
    server = Server(machine, f"{FILES}/authority.pem")
    make_pair(server)
    configure(
        server,
        f"""\
mode = "files"
certificate_file = "{FILES}/chain.pem"
key_file = "{FILES}/key.pem"
""",
    )
    server.carrel("apply")
    assert server.steps() == []
    server.shows_workbench("dan")
    make_pair(server)
    renewed = Server(machine, f"{FILES}/authority.pem")
    until(lambda: answers(renewed), seconds=SECONDS, what="the renewed certificate")
    # A half of another pair reaches nobody.
    before = renewed.certificate()
    renewed.run(f"echo broken >{FILES}/key.pem; systemctl start {UNIT} || true")
    assert renewed.certificate() == before
    renewed.shows_workbench("bob")


def make_pair(server: Server) -> None:
    script = MAKE_PAIR.format(domain=DOMAIN, folder=FILES)
    server.guest.put("/root/pair.py", script)
    server.run("/opt/carrel/bin/python /root/pair.py")


def answers(server: Server) -> bool:
    """Whether it serves a certificate of the authority that is trusted."""
    try:
        return bool(server.certificate())
    except OSError:
        return False
