"""`carrel apply` is stopped before every single effect; the next one brings about the same server.

On a fake server with real files. What has an effect: each file, directory, line of the journal and
removal, and each word to systemd and useradd. After a power cut the machine boots, and what is
enabled starts.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from carrel.adapters import certificates, systemd
from carrel.core import names
from carrel.errors import ToolFailed
from carrel.targets import disk
from fake_effects import Crash
from fake_server import FakeServer, Saved
from samples import HASH

MEMORY = Path("/dev/shm")
OLD, NEW = "0" * 12, "1" * 12
DAN = f'[users.dan]\npassword_hash = "{HASH}"\nport = 8082\n'
GATEWAY = '[ai]\nmode = "gateway"\n'
EVE = f'[users.eve]\npassword_hash = "{HASH}"\n'

Verb = Callable[[FakeServer], object]


def configure(server: FakeServer, users: str, domain: str = "code.example.org") -> None:
    head = f'domain = "{domain}"\n[storage]\nbase = "{server.folder}/srv"\n'
    server.config.write_text(head + users)


ACME = """\
[tls]
mode = "acme"
email = "ops@example.org"
dns_provider = "exec"
"""
FILES = """\
[tls]
mode = "files"
certificate_file = "/etc/ssl/full.pem"
key_file = "/etc/ssl/key.pem"
"""


def to(users: str, domain: str = "code.example.org") -> Verb:
    return lambda server: configure(server, users, domain)


def mislead(server: FakeServer) -> None:
    """Somebody edits a unit's file, and has it take effect."""
    unit = names.workspace_unit("dan")
    with Path(server.layout.drop_in("dan")).open("a") as file:
        file.write("MemoryMax=infinity\n")
    systemd.reload_units()
    systemd.stop([unit])
    systemd.start(unit)


def trust(server: FakeServer) -> None:
    server.authorities.write_text(server.authorities.read_text().replace("AAAA", "BBBB"))


@dataclass(frozen=True)
class Change:
    """What the server was applied with before, if at all, what then happens, and who sees to it."""

    before: str
    happens: Verb
    verb: Verb = FakeServer.apply


CHANGES = {
    "the first apply": Change("", to(DAN)),
    "a user is added": Change(DAN, to(DAN + EVE)),
    "a user is removed": Change(DAN + EVE, to(EVE)),
    "a user is suspended": Change(DAN, to(DAN + "suspended = true\n")),
    "other limits": Change(DAN, to(DAN + "limits.cpus = 0.5\n")),
    "no port any more": Change(DAN, to(DAN.replace("port = 8082\n", ""))),
    "another password": Change(DAN, to(DAN.replace("c29tZXNhbHQ", "YW5vdGhlcg"))),
    "another image": Change(DAN, lambda server: server.target.images.store.select(NEW)),
    "AI by the gateway": Change(DAN, to(DAN + EVE + GATEWAY)),
    "another token": Change(DAN + GATEWAY, to(DAN + "ai_token = 2\n" + GATEWAY)),
    "no gateway any more": Change(DAN + GATEWAY, to(DAN)),
    "another domain": Change(DAN, to(DAN, "desks.example.org")),
    "a certificate is lost": Change(
        DAN, lambda server: Path(f"{server.layout.tls}/site.crt").unlink()
    ),
    "a certificate by ACME": Change(DAN, to(DAN + ACME)),
    "ACME for another domain": Change(DAN + ACME, to(DAN + ACME, "desks.example.org")),
    "ACME no longer": Change(DAN + ACME, to(DAN)),
    "files instead of ACME": Change(DAN + ACME, to(DAN + FILES)),
    "retired with ACME": Change(DAN + ACME, lambda _: None, FakeServer.retire),
    "another authority": Change(DAN, trust),
    "a unit is edited": Change(DAN, mislead),
    "it stops": Change(DAN, lambda _: None, FakeServer.down),
    "it is retired": Change(DAN, lambda _: None, FakeServer.retire),
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, ordinary_umask: None) -> Iterator[FakeServer]:
    del ordinary_umask
    # Nothing follows a link, so each name of a long path would be opened on its own; and a server is
    # restored hundreds of times, which takes a disk four times as long as memory.
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        server = FakeServer(Path(folder).resolve() / "s").install(monkeypatch)
        for digest in (OLD, NEW):
            server.shelve(digest)
        yield server


@pytest.fixture(params=CHANGES)
def change(request: pytest.FixtureRequest, server: FakeServer) -> Change:
    chosen = CHANGES[request.param]
    if chosen.before:
        configure(server, chosen.before)
        server.apply()
    chosen.happens(server)
    return chosen


def test_stopped_before_any_effect_it_converges_when_run_again(
    server: FakeServer, change: Change
) -> None:
    saved = server.save(server.folder.parent / "saved")
    effects = uninterrupted(server, change)
    # The plan is made from the world and nothing else: where this is the same, that is empty.
    expected = server.world()
    for before in range(effects):
        interrupt(server, change, saved, before)
        boots = server.boots_another()
        change.verb(server)
        assert server.world() == expected, f"killed before effect {before}"
        if boots:
            interrupt(server, change, saved, before)
            server.systemd.boot()
            change.verb(server)
            assert server.world() == expected, f"a power cut before effect {before}"


def uninterrupted(server: FakeServer, change: Change) -> int:
    """How many effects it has."""
    server.power.spent = 0
    change.verb(server)
    effects = server.power.spent
    before = server.world()
    assert before["stale"] == set()
    if change.verb is FakeServer.apply:
        assert server.plan() == []
    change.verb(server)
    assert server.world() == before
    return effects


def interrupt(server: FakeServer, change: Change, saved: Saved, before: int) -> None:
    server.restore(saved)
    server.power.spent, server.power.lasts = 0, before
    with pytest.raises(Crash):
        change.verb(server)
    server.power.lasts = None


def test_what_was_begun_and_is_no_longer_wanted_is_taken_away(server: FakeServer) -> None:
    configure(server, EVE)
    server.apply()
    expected, total = server.world(), server.power.spent
    for lasts in range(total, total + 1000):
        configure(server, EVE + DAN)
        server.power.spent, server.power.lasts = total, lasts
        try:
            server.apply()
        except Crash:
            server.power.lasts = None
        else:
            break
        configure(server, EVE)
        server.apply()
        assert {**server.world(), "accounts": 0, "files": 0} == {
            **expected, "accounts": 0, "files": 0
        }  # fmt: skip
        assert {f for f in server.kept() if "dan" in f and "/srv/" not in f"/{f}/"} == set()
    assert lasts > total + 30


def test_a_certificate_whose_key_is_another_is_made_anew(server: FakeServer) -> None:
    configure(server, DAN)
    server.apply()
    key = Path(f"{server.layout.tls}/authority.key").read_text()
    Path(f"{server.layout.tls}/site.key").write_text(key)
    assert server.plan() == ["~ certificate for code.example.org, *.code.example.org (names)"]
    server.apply()
    assert server.plan() == []


def test_when_nobody_gives_a_certificate_nginx_keeps_what_it_had(server: FakeServer) -> None:
    configure(server, DAN)
    server.apply()
    before = Path(server.layout.nginx).read_text()
    configure(server, DAN + ACME)
    server.systemd.refuses = "the authority says that it was asked too often"
    with pytest.raises(ToolFailed, match="There is no certificate for code") as caught:
        server.apply()
    assert "asked too often" in caught.value.why
    assert Path(server.layout.nginx).read_text() == before
    assert Path(f"{server.layout.tls}/site.crt").exists()
    assert names.CERTIFICATE_TIMER not in server.systemd.enabled
    server.systemd.refuses = ""
    server.apply()
    assert server.plan() == []
    assert not Path(f"{server.layout.tls}/site.crt").exists()
    assert names.CERTIFICATE_TIMER in server.systemd.running


def test_a_renewal_that_failed_stops_no_apply(server: FakeServer) -> None:
    configure(server, DAN + ACME)
    server.apply()
    server.systemd.refuses = "the authority is down"
    configure(server, DAN + EVE + ACME)
    server.apply()
    assert server.plan() == []


@pytest.mark.parametrize("damage", ["", "not PEM", "another's key"])
def test_a_bundle_that_is_of_no_use_is_brought_anew(server: FakeServer, damage: str) -> None:
    configure(server, DAN + ACME)
    server.apply()
    [bundle] = Path(server.layout.tls).glob("*.pem")
    good = bundle.read_text()
    other = certificates.authority("code.example.org")
    bundle.write_text(other.key + good if damage == "another's key" else damage)
    assert server.plan() == ["~ certificate for code.example.org, *.code.example.org (names)"]
    server.apply()
    assert server.plan() == []


def test_a_home_gets_its_mount_points_once(server: FakeServer) -> None:
    configure(server, DAN)
    server.apply()
    home = Path(f"{server.folder}/srv/dan/home")
    assert (home / ".local/share/code-server").is_dir()
    (home / "project").rmdir()
    home.chmod(0o755)
    assert server.apply() == [f"~ directory {home} (mode)"]
    assert not (home / "project").exists()


def test_a_secret_that_others_may_read_goes_with_its_user(server: FakeServer) -> None:
    configure(server, DAN + EVE)
    server.apply()
    secret = Path(server.layout.secrets_file("dan"))
    secret.chmod(disk.SECRET_MODE | 0o044)
    configure(server, EVE)
    server.apply()
    assert not secret.exists()


def test_a_workspace_that_only_runs_until_the_next_boot_is_stopped_with_its_user(
    server: FakeServer,
) -> None:
    configure(server, DAN + EVE)
    server.apply()
    systemd.disable(names.workspace_unit("dan"))
    configure(server, EVE)
    server.apply()
    assert names.workspace_unit("dan") not in server.systemd.running
