"""No value that the configuration accepts may add anything to a rendered file."""

import configparser
import json
import re
import shlex
from dataclasses import replace
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from carrel.config import schema
from carrel.core import ai
from carrel.core.edge import Edge, OwnServer, Tunnel, local_edge
from carrel.core.headers import Transport
from carrel.core.layout import HostLayout
from carrel.core.resources import Directory, File, Service
from carrel.core.site import (
    Ai,
    AiMode,
    Limits,
    PasswordHash,
    Provider,
    SecretFile,
    Site,
    User,
    Wire,
)
from carrel.render import host, nginx, nginx_text, supervisor
from carrel.targets import facts, record
from samples import HASH, LAYOUT, TWO_USERS, V1, V2, desired

hostile = st.text(st.sampled_from("ab/.-_;{}\"'\\$#%\n\r\t *~()[]=,:@<>|&`\x00é"), max_size=12)
accepted_paths = st.from_regex(schema.PATH, fullmatch=True).map(lambda p: "/" + p) | hostile.filter(
    lambda p: bool(schema.PATH.fullmatch(p))
).map(lambda p: "/" + p)
domains = st.from_regex(schema.DOMAIN, fullmatch=True).filter(lambda d: len(d) < 100)
users = st.from_regex(r"[a-z][a-z0-9]{0,23}", fullmatch=True)


def skeleton(text: str) -> list[str]:
    """The directives of an nginx file with what stands in quotes taken out."""
    bare = re.sub(r'"(\\.|[^"\\])*"', '""', re.sub(r"(?m)^\s*#.*$", "", text))
    return [re.sub(r"\s+", " ", part).strip() for part in re.split(r"[;{}]", bare)]


def site(domain: str, storage: str, names: list[str]) -> Site:
    return Site(
        domain,
        storage,
        tuple(User(n, PasswordHash("h"), port=9000 + i) for i, n in enumerate(names)),
    )


@given(domains, accepted_paths, st.lists(users, unique=True, max_size=3))
def test_no_accepted_value_adds_an_nginx_directive(
    domain: str, path: str, names: list[str]
) -> None:
    layout = replace(LAYOUT, root=path, runtime=path)
    plain = replace(LAYOUT, root="/r", runtime="/r")
    try:
        text = nginx.config(local_edge(site(domain, path, names), layout, V1))
        kept = nginx.kept(local_edge(site(domain, path, names), layout, V1))
    except ValueError:
        return
    assert len(skeleton(kept)) == len(
        skeleton(nginx.kept(local_edge(site("a.b", "/s", names), plain, V1)))
    )
    expected = nginx.config(
        local_edge(site("a.b", "/s", [f"u{i}" for i in range(len(names))]), plain, V1)
    )
    assert skeleton(text) == skeleton(expected)


@given(hostile)
def test_nginx_values_are_quoted_or_refused(value: str) -> None:
    try:
        text = nginx_text.quoted(value)
    except ValueError:
        return
    assert text == f'"{value}"'
    assert not set(value) & set('"\\;{}$\n\r\0')


def parsed(text: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=True, inline_comment_prefixes=(" ;", "\t;"))
    parser.read_string(text)
    return parser


@given(st.text(max_size=20), st.text(max_size=20), hostile)
def test_no_value_adds_a_supervisor_option(command: str, value: str, path: str) -> None:
    service = Service(
        "workspace-dan", "dan", ("podman", command), (("A", value),), f"/l{path}", "r"
    )
    plain = replace(service, command=("podman", "x"), environment=(("A", "x"),), log="/l")
    try:
        text = supervisor.program(service)
    except ValueError:
        return
    found, expected = parsed(text), parsed(supervisor.program(plain))
    assert found.sections() == expected.sections()
    section = "program:workspace-dan"
    assert found.options(section) == expected.options(section)
    assume("%" not in command)
    assert shlex.split(found.get(section, "command")) == ["podman", command]


def test_supervisor_gets_percent_signs_doubled() -> None:
    service = Service("edge", "root", ("a", "50%"), (("B", "%(x)s"),), "/log", "r")
    text = supervisor.program(service)
    assert "50%%" in text
    assert "%%(x)s" in text


def workspace(machine: object = V1) -> Service:
    state = desired(machine=V1 if machine is V1 else V2)
    return next(r for r in state if isinstance(r, Service) and r.name == "workspace-dan")


def test_a_workspace_has_no_more_rights_than_it_needs() -> None:
    command = workspace().command
    assert {"--cap-drop=all", "--security-opt=no-new-privileges", "--read-only"} <= set(command)
    assert not [a for a in command if "privileged" in a and "no-new" not in a]
    assert not [
        a for a in command if "seccomp" in a or a.startswith(("--device", "--pid", "--ipc"))
    ]
    assert not [a for a in command if a.startswith(("--network=host", "--cap-add"))]


def test_only_the_users_own_directories_are_mounted() -> None:
    sources = [
        a.removeprefix("--volume=").split(":")[0] for a in workspace().command if "--volume" in a
    ]
    assert sources == [
        "/var/lib/vscode/dan/home",
        "/var/lib/vscode/dan/workspace",
        "/var/lib/vscode/dan/config",
        "/run/carrel-local/0123abcd/users/dan",
        "/var/lib/carrel-local/sites/0123abcd/agent",
        "/var/lib/carrel-local/sites/0123abcd/trust/ca-certificates.crt",
    ]


def test_limits_are_given_where_the_machine_can_hold_them() -> None:
    held, not_held = workspace(V2).command, workspace(V1).command
    assert {"--memory=2147483648", "--memory-swap=2147483648", "--cpus=1.5"} <= set(held)
    assert "--pids-limit=1024" in held
    assert not [a for a in not_held if a.startswith(("--memory", "--cpus", "--pids"))]
    assert "--ulimit=nproc=1024:1024" in not_held


def test_no_secret_value_is_in_the_state() -> None:
    state = desired()
    assert HASH not in repr(state)
    assert HASH not in record.dump(state)


def test_the_agent_sees_only_configured_providers() -> None:
    config = ai.agent_config(TWO_USERS.ai)
    assert isinstance(config, dict)
    assert config["enabled_providers"] == ["anthropic", "mine"]
    assert config["share"] == "disabled"
    assert config["autoupdate"] is False
    assert config["model"] == "mine/small"
    assert "{env:ANTHROPIC_API_KEY}" in json.dumps(config)


def test_with_ai_off_the_agent_gets_no_provider_and_no_key() -> None:
    off = Ai(AiMode.OFF, TWO_USERS.ai.providers, "mine/small")
    config = ai.agent_config(off)
    assert isinstance(config, dict)
    assert config["enabled_providers"] == []
    assert "model" not in config
    assert ai.key_entries(off) == ()


def gateway_config(*providers: Provider, own_keys: bool = False) -> dict[str, Any]:
    config = ai.agent_config(Ai(AiMode.GATEWAY, providers, allow_own_keys=own_keys))
    assert isinstance(config, dict)
    return config


def test_through_the_gateway_the_agent_has_a_token_and_never_a_key() -> None:
    key = SecretFile("/run/secrets/anthropic")
    config = gateway_config(
        Provider("anthropic", key, models=("claude-haiku-4-5",), wire=Wire.ANTHROPIC)
    )
    assert config["enabled_providers"] == ["anthropic"]
    assert config["model"] == "anthropic/claude-haiku-4-5"
    found = config["provider"]["anthropic"]
    assert found["npm"] == "@ai-sdk/anthropic"
    assert found["whitelist"] == list(found["models"]) == ["claude-haiku-4-5"]
    assert found["models"]["claude-haiku-4-5"]["limit"]["output"] > 0
    assert found["options"] == {
        "baseURL": "http://127.0.0.1:4141/anthropic/v1",
        "apiKey": "{env:CARREL_AI_TOKEN}",
    }
    assert ai.key_entries(Ai(AiMode.GATEWAY, (Provider("anthropic", key),))) == ()


def test_before_there_is_a_provider_the_agent_speaks_to_the_gateway_itself() -> None:
    config = gateway_config()
    assert config["enabled_providers"] == ["carrel"]
    assert config["model"] == "carrel/assistant"


def test_with_own_keys_all_providers_but_the_free_one_are_open() -> None:
    config = gateway_config(own_keys=True)
    assert "enabled_providers" not in config
    assert config["disabled_providers"] == ["opencode"]


def test_what_the_agent_asks_about_is_the_operators_choice() -> None:
    def asked(site: Ai) -> list[str]:
        config: Any = ai.agent_config(site)
        return [c for c, answer in config["permission"]["bash"].items() if answer == "ask"]

    assert "rm *" in asked(Ai())
    assert asked(Ai(ask_before=("make deploy",))) == ["make deploy *"]


def test_a_provider_of_ones_own_is_openai_compatible() -> None:
    config = ai.agent_config(
        Ai(AiMode.SHARED_KEYS, (Provider("mine", None, "http://127.0.0.1:9/v1", ("m",)),), "mine/m")
    )
    assert isinstance(config, dict)
    assert config["provider"] == {
        "mine": {
            "options": {"baseURL": "http://127.0.0.1:9/v1"},
            "npm": "@ai-sdk/openai-compatible",
            "name": "mine",
            "models": {"m": {"name": "m"}},
        }
    }


def test_a_tunnel_listens_on_loopback_only() -> None:
    text = nginx.config(
        Edge(
            "a.b",
            ("127.0.0.1:8443",),
            OwnServer("/h"),
            "/s",
            "/c",
            "/k",
            "/p",
            "/h/kept",
            "/e",
            Transport.LOCAL,
            "/h/log",
            tunnels=(Tunnel("dan", 8082),),
        )
    )
    listens = re.findall(r"listen ([^ ;]+)", text)
    assert listens == ["127.0.0.1:8443"] * 4 + ["127.0.0.1:8082"] * 2


def test_limits_default_to_what_was_promised() -> None:
    assert Limits() == Limits(memory=3 << 30, memory_soft=5 << 29, cpus=1.5, processes=1024)


def test_what_building_needs_in_run_is_made_again_at_each_boot() -> None:
    layout = HostLayout()
    needed = tuple(host.builder(layout, facts.build_layout(layout), V2))
    (file,) = (r for r in needed if isinstance(r, File) and r.path == layout.tmpfiles)
    made = {line.split()[1] for line in file.content.splitlines() if not line.startswith("#")}
    assert made == {
        r.path for r in needed if isinstance(r, Directory) and r.path.startswith("/run/")
    }
    assert "d /run/carrel-build 0755 root root" in file.content.splitlines()
