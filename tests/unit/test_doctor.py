"""Every check on a site that is well, and on one that is ill in just one way."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from carrel.adapters import browser, certificates
from carrel.adapters.browser import Presented, Reply, Stop
from carrel.cli import checkup, main
from carrel.core import certificate as rules
from carrel.core.certificate import DAY
from carrel.core.edge import HOST_COOKIE
from carrel.core.layout import HostLayout
from carrel.core.machine import Machine
from carrel.core.resources import State
from carrel.core.site import GIB, Ai, Site, Tls, TlsMode, User
from carrel.doctor.finding import Finding, Verdict
from carrel.doctor.subject import Inode, Instruments, Space, Subject
from carrel.doctor.walk import CHECKS, walk
from carrel.errors import Missing, Unwell
from carrel.operations.site import Opened
from carrel.targets.host.facts import HostFacts
from carrel.targets.host.runtime import HostRuntime
from carrel.targets.host.target import HostTarget
from samples import HASH, IMAGE, TWO_USERS, V1, V2

DOMAIN = TWO_USERS.domain
HERE = "203.0.113.5"
ROOM = Space(50 * GIB, 0.9)
SOCKET = Inode(socket=True, mode=0o666, uid=999, gid=999)
FOLDER = Inode(socket=False, mode=0o750, uid=999, gid=33)


class Facts(HostFacts):
    """Of a server that lacks nothing."""

    def check(self, site: Site, machine: Machine) -> None:
        pass


class BareFacts(HostFacts):
    """Of a server without nginx."""

    def check(self, site: Site, machine: Machine) -> None:
        raise Missing("The program nginx is not installed.", fix="apt-get install nginx-light")


class Runtime(HostRuntime):
    """In which every workspace runs."""

    def cgroup(self, user: str) -> str:
        return f"/carrel.slice/carrel-workspace@{user}.service"


class BareRuntime(HostRuntime):
    """Of which systemd knows nothing."""

    def cgroup(self, user: str) -> str:
        return ""


class Well(HostTarget):
    """A server that lacks nothing."""

    @property
    def facts(self) -> HostFacts:
        return Facts(self.layout)

    @property
    def runtime(self) -> HostRuntime:
        return Runtime(self.layout, State)


class Bare(HostTarget):
    """A server without nginx, of which systemd knows nothing."""

    @property
    def facts(self) -> HostFacts:
        return BareFacts(self.layout)

    @property
    def runtime(self) -> HostRuntime:
        return BareRuntime(self.layout, State)


@dataclass
class Shown(Instruments):
    """Instruments that show what a test wants them to; a site that is well, unless told otherwise."""

    fingerprint: str
    layout: HostLayout
    moment: float = field(default_factory=time.time)
    clock: bool | None = True
    free: Space | None = ROOM
    socket: Inode | None = SOCKET
    folder: Inode | None = FOLDER
    texts: dict[str, str] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)
    addresses: tuple[str, ...] = (HERE,)
    presented: dict[str, Presented | OSError] = field(default_factory=dict)
    """What is presented at an address."""
    replies: dict[tuple[str, str], Reply] = field(default_factory=dict)
    """By user and the beginning of a path."""
    accepts: tuple[str, ...] = ()
    """The headers with which a foreign page gets in."""
    refuses: int = 0
    """The status with which a user's own WebSocket is answered instead of 101."""

    def now(self) -> float:
        return self.moment

    def synchronised(self) -> bool | None:
        return self.clock

    def versions(self) -> Mapping[str, str]:
        return {"Linux": "6.12", "podman": "5.4.2"}

    def space(self, path: str) -> Space | None:
        assert path in {TWO_USERS.storage, self.layout.state}
        return self.free

    def entry(self, path: str) -> Inode | None:
        return self.socket if path.endswith(".sock") else self.folder

    def text(self, path: str) -> str | None:
        return self.texts.get(path)

    def limit(self, cgroup: str, name: str) -> str | None:
        assert cgroup.startswith("/carrel.slice/carrel-workspace@")
        return self.held.get(f"{cgroup.partition('@')[2].partition('.')[0]} {name}")

    def resolve(self, name: str) -> tuple[str, ...]:
        return self.addresses if name == DOMAIN or name.endswith(f".{DOMAIN}") else ()

    def handshake(self, stop: Stop, roots: tuple[str, ...]) -> Presented:
        shown = self.presented.get(stop.at, Presented("TLSv1.3", self.fingerprint, ""))
        if isinstance(shown, OSError):
            raise shown
        return shown

    def get(self, stop: Stop, path: str, headers: Mapping[str, str]) -> Reply:
        user = stop.host.removesuffix(DOMAIN).rstrip(".")
        known = {key: reply for key, reply in self.replies.items() if key[0] == user}
        for (_, begin), reply in known.items():
            if path.startswith(begin):
                return reply
        if user == "":
            return Reply(200, {}, "Welcome")
        if user not in {"dan", "alice"}:
            return Reply(404, {}, "")
        signed_in = HASH.replace("$", "%24").replace("=", "%3D").replace(",", "%2C")
        if path.startswith("/?folder"):
            assert headers == {"Cookie": f"{HOST_COOKIE}={signed_in}"}
            return Reply(200, {}, '"stable-0123abcd"')
        return Reply(200, {}, '<input type="password">')

    def upgrade(self, stop: Stop, path: str, headers: Mapping[str, str]) -> int:
        assert path.startswith("/stable-0123abcd?")
        if headers["Origin"] == stop.origin:
            return self.refuses or 101
        return 101 if set(self.accepts) & set(headers) else 403


class Case:
    """A server's site with its certificate, and a place to change one thing about it."""

    def __init__(self, folder: Path) -> None:
        self.layout = HostLayout(
            config=f"{folder}/etc", state=f"{folder}/lib", private=f"{folder}/private"
        )
        (folder / "etc").mkdir()
        (folder / "lib/tls").mkdir(parents=True)
        self.site = replace(TWO_USERS, ai=Ai(), tls=Tls(TlsMode.ACME, "a@b.de", "vultr"))
        self.target: HostTarget = Well(folder / "etc/carrel.toml", self.layout, lambda _: None)
        self.machine = V2
        pair = certificates.site((DOMAIN, f"*.{DOMAIN}"), certificates.authority(DOMAIN))
        bundle = rules.bundle(self.site, self.layout)
        assert bundle is not None
        self.bundle = Path(bundle.path)
        self.bundle.write_text(pair.key + pair.certificate)
        facts = certificates.facts(pair.certificate, pair.key)
        assert facts is not None
        self.show = Shown(facts.fingerprint, self.layout)
        self.show.texts[self.layout.nginx] = "proxy_read_timeout 3600s;"
        for user in self.site.users:
            file = self.layout.secrets_file(user.name)
            self.show.texts[file] = f"HASHED_PASSWORD={HASH}\nKEY=x\n"
            self.enforce(user)

    def enforce(self, user: User) -> None:
        limits = user.limits
        self.show.held |= {
            f"{user.name} memory.max": str(limits.memory),
            f"{user.name} cpu.max": f"{round(limits.cpus * 100_000)} 100000",
            f"{user.name} pids.max": str(limits.processes),
        }

    def walked(self) -> list[tuple[str, Finding]]:
        opened = Opened(self.target, self.site, self.machine, IMAGE, "")
        return list(walk(Subject(opened, self.show)))

    def found(self, verdict: Verdict) -> list[tuple[str, str]]:
        return [
            (check, f"{f.what} | {f.why} | {f.fix}")
            for check, f in self.walked()
            if f.verdict is verdict
        ]


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def test_a_site_that_is_well_is_well_in_every_check(case: Case) -> None:
    found = case.walked()
    assert [(check, f.what) for check, f in found if f.verdict is not Verdict.WELL] == []
    assert {check for check, _ in found} == {check.name for check in CHECKS}


Change = Callable[[Case], object]


def other(case: Case) -> None:
    """Somewhere, something else answers for the domain."""
    case.show.presented[HERE] = Presented("TLSv1.3", "another", "")


def stale(case: Case) -> None:
    case.show.presented["127.0.0.1"] = Presented("TLSv1.3", "older", "")


def distrusted(case: Case) -> None:
    case.show.presented["127.0.0.1"] = Presented(
        "TLSv1.3", case.show.fingerprint, "unable to get local issuer certificate"
    )


def antique(case: Case) -> None:
    case.show.presented["127.0.0.1"] = Presented("TLSv1.1", case.show.fingerprint, "")


def down(case: Case) -> None:
    case.show.presented["127.0.0.1"] = ConnectionRefusedError(111, "Connection refused")


def put(name: str, value: object) -> Change:
    return lambda case: setattr(case.show, name, value)


def reply(user: str, path: str, status: int, body: str = "") -> Change:
    return lambda case: case.show.replies.__setitem__((user, path), Reply(status, {}, body))


def later(days: float) -> Change:
    return lambda case: setattr(case.show, "moment", case.show.moment + days * DAY)


def bare(case: Case) -> None:
    case.target = Bare(case.target.config, case.layout, case.target.say)
    case.machine = V2


def unlimited(case: Case) -> None:
    case.show.held["dan memory.max"] = "max"


def hurried(case: Case) -> None:
    case.show.held["alice cpu.max"] = "max 100000"


ILLS: list[tuple[str, Change, str]] = [
    ("machine", bare, "apt-get install nginx-light"),
    ("clock", put("clock", False), "timedatectl set-ntp true"),
    ("disk", put("free", Space(GIB // 2, 0.9)), "only 0.5 GB are free"),
    ("disk", put("free", Space(50 * GIB, 0.01)), "inodes"),
    ("certificate", lambda c: c.bundle.unlink(), "there is no certificate"),
    ("certificate", later(352), "was not renewed"),
    ("certificate", later(368), "ended 3 days ago"),
    ("certificate", stale, "another certificate than the one that is installed"),
    ("tls", distrusted, "unable to get local issuer certificate"),
    ("tls", antique, "TLSv1.1"),
    ("tls", down, "Connection refused"),
    ("dns", put("addresses", ()), "make an A (and AAAA) record for *.code.example.org"),
    ("dns", other, "where another certificate is presented"),
    ("page", reply("", "/", 404), "answers 404 instead of the welcome page"),
    ("page", reply("carrel-check", "/", 200), "belongs to nobody answers 200"),
    ("page", reply("dan", "/", 503), "the workspace does not run"),
    ("page", reply("dan", "/login", 200, "a game"), "does not reach the workspace"),
    ("websocket", reply("alice", "/?folder", 302), "alice gets no workbench"),
    ("websocket", put("refuses", 403), "rewrites one of them"),
    ("websocket", put("refuses", 400), "Upgrade and Connection do not arrive"),
    ("websocket", put("refuses", 502), "the upgrade does not get through"),
    (
        "websocket",
        lambda c: c.show.texts.__setitem__(c.layout.nginx, "proxy_read_timeout 60s;"),
        "less than an hour",
    ),
    ("origin", put("accepts", ("Origin",)), "answered with 101 instead of 403"),
    ("origin", put("accepts", ("Forwarded",)), "a foreign Origin and Forwarded"),
    ("origin", put("accepts", ("X-Forwarded-Host",)), "Origin and X-Forwarded-Host"),
    ("sockets", put("socket", None), "has no socket"),
    ("sockets", put("folder", None), "has no socket"),
    ("sockets", put("folder", Inode(False, 0o755, 999, 33)), "has mode 0755"),
    ("sockets", put("socket", Inode(True, 0o600, 999, 999)), "mode 0600"),
    ("sockets", put("socket", Inode(False, 0o666, 999, 999)), "put something in its place"),
    ("limits", unlimited, "memory.max is max instead of 2147483648"),
    ("limits", hurried, "cpu.max is max 100000 instead of 1.50 CPUs"),
    ("limits", put("held", {}), "pids.max is not there"),
]  # fmt: skip


@pytest.mark.parametrize(("check", "change", "words"), ILLS)
def test_what_is_ill_is_named_with_a_remedy(
    case: Case, check: str, change: Change, words: str
) -> None:
    change(case)
    found = case.found(Verdict.ILL)
    assert any(name == check and words in text for name, text in found), found
    assert all(text.rpartition(" | ")[2] for _, text in found)


def test_every_check_has_been_seen_to_fail() -> None:
    assert {check for check, _, _ in ILLS} == {check.name for check in CHECKS}


def nobody(case: Case) -> None:
    case.site = replace(case.site, users=())


def weak(case: Case) -> None:
    case.machine = V1


def hidden(case: Case) -> None:
    case.show.presented[HERE] = TimeoutError("timed out")


@pytest.mark.parametrize(
    ("check", "change", "words"),
    [
        ("clock", put("clock", None), "systemd does not run this machine"),
        ("disk", put("free", None), "there is no"),
        ("dns", hidden, "cannot reach that address itself"),
        ("dns", lambda c: setattr(c, "site", replace(c.site, domain="a.localhost")), "RFC 6761"),
        ("page", down, "without tls"),
        ("certificate", down, "nobody answers"),
        ("websocket", nobody, "nobody whose workspace should run"),
        ("websocket", reply("dan", "/", 503), "does not answer"),
        ("websocket", lambda c: c.show.texts.pop(c.layout.nginx), "there is no"),
        ("origin", nobody, "nobody whose workspace answers"),
        ("limits", weak, "cgroup v1 without delegation"),
        ("limits", bare, "systemd knows no cgroup"),
    ],
)
def test_what_cannot_be_looked_at_is_said_with_the_reason(
    case: Case, check: str, change: Change, words: str
) -> None:
    change(case)
    found = case.found(Verdict.SKIPPED)
    assert any(name == check and words in text for name, text in found), found


def test_one_desk_that_rests_hides_nothing_of_the_other(case: Case) -> None:
    reply("dan", "/", 503)(case)
    well = case.found(Verdict.WELL)
    assert any("the WebSocket of alice opens" in text for _, text in well)
    assert any(name == "origin" for name, _ in well)


def test_somebody_who_is_suspended_is_not_looked_for(case: Case) -> None:
    dan, alice = case.site.users
    case.site = replace(case.site, users=(dan, replace(alice, suspended=True)))
    assert not any("alice" in finding.what for _, finding in case.walked())


def test_a_connection_that_breaks_off_is_a_finding_and_no_end_of_the_walk(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> int:
        raise ConnectionResetError(104, "Connection reset by peer")

    monkeypatch.setattr(Shown, "upgrade", broken)
    found = case.found(Verdict.ILL)
    assert [name for name, _ in found] == ["websocket", "origin"]
    assert all("Connection reset by peer" in text for _, text in found)


def test_the_command_tells_what_is_ill_and_ends_with_its_own_exit_code(
    case: Case, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = Opened(case.target, case.site, case.machine, IMAGE, "")
    monkeypatch.setattr(checkup, "Instruments", lambda: case.show)
    monkeypatch.setattr(Opened, "to_read", lambda *_: opened)
    with pytest.raises(SystemExit) as ended:
        main.main(["doctor"])
    assert ended.value.code == 0
    assert "Nothing needs mending." in capsys.readouterr().out
    case.show.clock = False
    for options in ([], ["--json"]):
        with pytest.raises(SystemExit) as ended:
            main.main(["doctor", *options])
        assert ended.value.code == Unwell.exit_code
        said = capsys.readouterr().out
        assert "timedatectl set-ntp true" in said
        assert HASH not in said
    told = json.loads(said)
    assert told["healthy"] is False
    assert {"check", "verdict", "what", "why", "fix"} == set(told["findings"][0])


def hang_up(server: socket.socket) -> None:
    server.accept()[0].close()


def test_a_server_that_closes_without_a_word_is_an_error_of_the_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        closing = threading.Thread(target=hang_up, args=(server,))
        closing.start()
        with pytest.raises((ConnectionError, ssl.SSLError)):
            browser.get(Stop("a.localhost", server.getsockname()[1]), "/")
        closing.join()


def test_a_name_that_nobody_knows_has_no_address() -> None:
    assert browser.resolve("nobody.invalid") == ()
