"""What `carrel` does on a server that NixOS declares, and what the module is made from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrel.adapters import systemd
from carrel.cli.main import carrel
from carrel.config import load
from carrel.core import names
from carrel.core.plan import Plan
from carrel.core.resources import File, Form, State
from carrel.core.site import Ai, AiMode, Provider, SecretFile, Tls, TlsMode
from carrel.errors import CarrelError, NotReady, Refused
from carrel.operations import converge, images, site, users
from carrel.operations.site import Opened
from carrel.render import host
from carrel.render import nixos as facts
from carrel.targets import facts as facts_of
from carrel.targets.host.backend import Host
from carrel.targets.host.images import HostImages
from carrel.targets.image_store import digest_of
from carrel.targets.nixos import declared as nixos
from carrel.targets.nixos.target import NixosTarget, provide_image
from fake_server import FakeServer
from samples import HASH
from taken_apart import statements, unit

OLD, NEW = "0" * 12, "1" * 12
WORDS = ["a", "b-c", '"x ; { } #"', "~", "$v", "'q'"]


# -- facts ---------------------------------------------------------------------------------


def test_every_number_that_stands_for_something_became_a_placeholder() -> None:
    text = json.dumps(facts.facts(), ensure_ascii=False)
    assert [number for number in facts.NUMBERS if number in text] == []
    for placeholder in (*facts.NUMBERS.values(), *facts.PLACES.values()):
        assert placeholder in text or placeholder == "@port@"


def test_a_text_is_taken_apart_into_its_directives() -> None:
    text = 'a b;  # no c;\nd "x;{y}#" {\n  e;\n  f { g h; }\n}\ni;'
    found = list(statements(text))
    assert [s.text for s in found] == ["a b;", 'd "x;{y}#" { e; f { g h; } }', "i;"]
    assert [s.word for s in found] == ["a", "d", "i"]


@given(st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=4), max_size=4))
def test_no_directive_is_lost_or_added(lines: list[list[str]]) -> None:
    text = "".join(f"{' '.join(words)};\n# and nothing {{ else\n" for words in lines)
    inside = f"block {{\n{text}}}"
    assert [s.text for s in statements(text)] == [f"{' '.join(words)};" for words in lines]
    (block,) = statements(inside)
    assert [s.head for s in statements(block.body or "")] == [" ".join(w) for w in lines]


@pytest.mark.parametrize("text", ["a b", "a {", "a { b; }} c"])
def test_half_a_text_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="whole"):
        list(statements(text))


@pytest.mark.parametrize("mode", [TlsMode.ACME, TlsMode.FILES])
def test_nixos_is_handed_what_the_text_of_each_unit_says(mode: TlsMode) -> None:
    tls = Tls(mode, "a@b.de", "vultr", certificate="/c", key=SecretFile("/k"))
    site = replace(facts.SITE, ai=Ai(AiMode.GATEWAY), tls=tls)
    found = host.unit_files(site, facts.SURROUNDINGS)
    assert {path.rpartition(".")[2] for path in found} >= {"service", "mount", "slice", "conf"}
    for path, file in found.items():
        assert unit(file.text) == file.settings, path


# -- secrets and agents --------------------------------------------------------------------


def declare(server: FakeServer, **environment: dict[str, str]) -> NixosTarget:
    """The server, from now on as if NixOS had made it."""
    (server.config.parent / "nixos.json").write_text(json.dumps({"environment": environment}))
    return NixosTarget(server.config, server.layout, server.said.append)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    """A server with dan and eve at work."""
    server = FakeServer(tmp_path).install(monkeypatch)
    server.shelve(OLD)
    server.config.write_text(
        f'domain = "code.example.org"\n[storage]\nbase = "{tmp_path}/srv"\n'
        f'[users.dan]\npassword_hash = "{HASH}"\n[users.eve]\npassword_file = "eve"\n'
    )
    (server.config.parent / "eve").write_text("open sesame\n")
    server.apply()
    server.systemd.tmpfiles = [p for p in (tmp_path / "srv").rglob("*") if p.is_dir()]
    return server


def test_the_value_of_a_variables_file_is_in_the_users_own_file_only(server: FakeServer) -> None:
    key = server.folder / "key"
    key.write_text("sk-123\n")
    target = declare(server, eve={"ANTHROPIC_API_KEY": str(key)})
    for name in ("dan", "eve"):
        nixos.write_secrets(target.config, target.layout, name)
    mine = Path(target.layout.secrets_file("eve"))
    lines = dict(line.split("=", 1) for line in mine.read_text().splitlines())
    assert lines["ANTHROPIC_API_KEY"] == "sk-123"
    assert lines["HASHED_PASSWORD"].startswith("$argon2id$")
    assert mine.stat().st_mode & 0o777 == 0o600
    assert "sk-123" not in Path(target.layout.secrets_file("dan")).read_text()


def test_a_password_that_did_not_change_signs_nobody_out(server: FakeServer) -> None:
    target = declare(server)
    mine = Path(target.layout.secrets_file("eve"))
    before = mine.read_text()
    nixos.write_secrets(target.config, target.layout, "eve")
    assert mine.read_text() == before
    (server.config.parent / "eve").write_text("open barley\n")
    nixos.write_secrets(target.config, target.layout, "eve")
    assert mine.read_text() != before


def test_one_users_missing_secret_is_nobody_elses_trouble(server: FakeServer) -> None:
    target = declare(server)
    (server.config.parent / "eve").unlink()
    nixos.write_secrets(target.config, target.layout, "dan")
    with pytest.raises(CarrelError, match="cannot be read"):
        nixos.write_secrets(target.config, target.layout, "eve")


def test_secrets_are_written_for_users_of_the_site_only(server: FakeServer) -> None:
    with pytest.raises(CarrelError, match="no user mallory"):
        nixos.write_secrets(declare(server).config, server.layout, "mallory")


def test_a_password_becomes_a_hash_and_a_variable_stays_what_it_is(server: FakeServer) -> None:
    target = declare(server, eve={"TOKEN": "/t"})
    secret = nixos.secrets_of(target.config, target.layout, "eve")
    forms = {entry.variable: entry.form for entry in secret.entries}
    assert forms == {"HASHED_PASSWORD": Form.PASSWORD_HASH, "TOKEN": Form.AS_IS}


ANTHROPIC = Provider("anthropic", SecretFile("/k"), "", ("small",))


def test_a_key_of_ones_own_adds_its_provider_to_those_of_the_site() -> None:
    off = Ai(AiMode.OFF, (ANTHROPIC,))
    assert nixos.with_own_keys(off, ["EDITOR", "MY_API_KEY_FILE"]) == off
    own = nixos.with_own_keys(off, ["OPENROUTER_API_KEY"])
    assert [p.name for p in own.providers] == ["openrouter"]
    shared = replace(off, mode=AiMode.SHARED_KEYS)
    gateway = replace(off, mode=AiMode.GATEWAY)
    assert nixos.with_own_keys(gateway, ["OPENROUTER_API_KEY"]) == replace(
        gateway, allow_own_keys=True
    )
    both = nixos.with_own_keys(shared, ["OPENROUTER_API_KEY", "ANTHROPIC_API_KEY"])
    assert [p.name for p in both.providers] == ["anthropic", "openrouter"]
    assert both.providers[0] == ANTHROPIC


def test_the_key_of_tokens_is_made_once(server: FakeServer) -> None:
    target = declare(server)
    key = Path(target.layout.secret_key)
    before = key.read_text()
    nixos.make_key(target.layout)
    assert key.read_text() == before
    key.unlink()
    nixos.make_key(target.layout)
    assert len(bytes.fromhex(key.read_text())) == 32
    assert key.stat().st_mode & 0o777 == 0o600


def test_agents_and_pages_are_made_without_a_look_at_any_secret(server: FakeServer) -> None:
    (server.config.parent / "eve").unlink()
    out = server.folder / "out"
    nixos.write_agent(server.config, ["MISTRAL_API_KEY"], out)
    nixos.write_pages(server.config, out)
    config = json.loads((out / "opencode.json").read_text())
    assert config["enabled_providers"] == ["mistral"]
    assert "code.example.org" in (out / "welcome.html").read_text()


# -- the command line ----------------------------------------------------------------------


def test_a_server_is_declared_in_nix_if_nixos_says_so(server: FakeServer) -> None:
    assert not nixos.is_declared(server.config)
    declare(server)
    assert nixos.is_declared(server.config)


@pytest.mark.parametrize(
    "command",
    [
        ("user", "add", "ada"),
        ("user", "passwd", "dan"),
        ("user", "suspend", "dan"),
        ("user", "resume", "dan"),
        ("user", "remove", "dan", "--yes"),
        ("down", "--target=host"),
        ("ai", "key", "rotate", "dan"),
        ("certificate", "renew"),
    ],
    ids=" ".join,
)
def test_nothing_changes_what_nix_declares(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    declare(server)
    monkeypatch.setattr(site, "SERVER_CONFIG", server.config)
    before = server.world()
    arguments = [*command, f"--config={server.config}"]
    with pytest.raises(Refused, match="declared in Nix"):
        carrel.main(arguments, standalone_mode=False)
    assert server.world() == before


def test_neither_a_plan_nor_apply_is_for_a_server_in_nix(server: FakeServer) -> None:
    target = declare(server)
    opened = Opened.of(target)
    with pytest.raises(Refused) as planned:
        converge.plan(opened)
    with pytest.raises(Refused) as applied:
        converge.up(target, lambda _: None)
    assert "nixos-rebuild" in planned.value.fix == applied.value.fix


def test_the_certificate_is_the_one_that_nixos_has(server: FakeServer) -> None:
    text = server.config.read_text()
    tls = '[tls]\nmode = "files"\ncertificate_file = "/c.pem"\nkey_file = "/k.pem"\n'
    server.config.write_text(text.replace("[storage]", f"{tls}[storage]"))
    target = declare(server)
    served = target.facts.certificate(Opened.of(target).site)
    assert (served.chain, served.key) == ("/c.pem", "/k.pem")


def test_a_reset_renews_one_workspace_and_keeps_the_project(server: FakeServer) -> None:
    target = declare(server)
    paths = names.user_paths(f"{server.folder}/srv", "dan")
    Path(f"{paths.workspace}/work").write_text("mine")
    Path(f"{paths.home}/junk").write_text("junk")
    server.systemd.started.clear()
    converge.reset(Opened.of(target), "dan", converge.Reset(settings=True), lambda _: None)
    assert server.systemd.started == [names.workspace_unit("dan")]
    assert Path(f"{paths.workspace}/work").read_text() == "mine"
    assert not Path(f"{paths.home}/junk").exists()
    assert Path(f"{paths.home}/project").is_dir()


def test_signing_somebody_out_ends_every_session_of_theirs_alone(server: FakeServer) -> None:
    target = declare(server)
    before = {user: Path(server.layout.secrets_file(user)).read_text() for user in ("dan", "eve")}
    server.systemd.started.clear()
    done = users.end_sessions(target, "eve", lambda _: None)
    assert done.running
    after = {user: Path(server.layout.secrets_file(user)).read_text() for user in ("dan", "eve")}
    # A session of code-server is the password's hash.
    assert [line.partition("=")[0] for line in after["eve"].splitlines()] == ["HASHED_PASSWORD"]
    assert after["eve"] != before["eve"]
    assert after["dan"] == before["dan"]
    assert server.systemd.started == [names.workspace_unit("eve")]
    nixos.write_secrets(target.config, target.layout, "eve")
    assert Path(server.layout.secrets_file("eve")).read_text() == after["eve"]


def test_signing_somebody_out_does_not_wake_who_is_suspended(server: FakeServer) -> None:
    text = server.config.read_text()
    server.config.write_text(f"{text}suspended = true\n")
    server.apply()
    target = declare(server)
    nixos.write_secrets(target.config, target.layout, "eve")
    before = Path(server.layout.secrets_file("eve")).read_text()
    users.end_sessions(target, "eve", lambda _: None)
    assert Path(server.layout.secrets_file("eve")).read_text() != before
    assert names.workspace_unit("eve") not in server.systemd.running


def test_the_units_follow_a_link_to_the_image_in_use(server: FakeServer) -> None:
    target = declare(server)
    provide_image(target)
    link = Path(server.layout.current_image)
    assert link.resolve().name == OLD
    server.shelve(NEW)
    images.use(target, target.images.store.find(NEW), lambda _: None)
    assert link.resolve().name == NEW
    assert names.workspace_unit("dan") in server.systemd.running


@pytest.mark.parametrize("selected", ["", "f" * 12])
def test_an_image_that_was_there_before_is_the_one_in_use(
    server: FakeServer, selected: str
) -> None:
    """Also when none was selected, or one that is gone."""
    target = declare(server)
    chosen = Path(server.layout.images, "selected")
    chosen.unlink()
    wanted = digest_of(target.images.wanted(load.declared(server.config)).reference)
    server.shelve(wanted)
    chosen.write_text(selected)
    provide_image(target)
    assert Path(server.layout.current_image).resolve().name == wanted
    assert target.images.store.selected == wanted


def test_building_an_image_writes_nothing_where_nix_alone_writes(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def apply(_: Host, plan: Plan, __: object) -> None:
        made.extend(r.path for r in plan.applied_to(State()) if isinstance(r, File))

    monkeypatch.setattr(Host, "apply", apply)
    monkeypatch.setattr(HostImages, "_podman", lambda *_: None)
    declare(server).images._builder_podman(lambda _: None)
    assert f"{facts_of.build_layout(server.layout).engine}/containers.conf" in made
    assert server.layout.tmpfiles not in made


def test_an_image_that_does_not_work_is_taken_back(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = declare(server)
    provide_image(target)
    server.shelve(NEW)
    link = Path(server.layout.current_image)

    def start(unit: str) -> None:
        if link.resolve().name == NEW and "eve" in unit:
            raise NotReady("eve's workspace does not start")
        server.systemd.start(unit)

    monkeypatch.setattr(systemd, "start", start)
    with pytest.raises(NotReady, match=f"back on {OLD}"):
        images.use(target, target.images.store.find(NEW), lambda _: None)
    assert link.resolve().name == OLD
    assert target.images.store.selected == OLD
    assert {names.workspace_unit(u) for u in ("dan", "eve")} <= {*server.systemd.running}
