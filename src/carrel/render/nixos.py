"""What the NixOS module is made from: Carrel's own State of a site whose values are all placeholders.

`make docs` writes it as nix/facts.json, which nix/module.nix reads and fills in. Whatever another
module decides or renders is taken from there, so that nothing is said twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace

from carrel.core import edge, names, network, workspace
from carrel.core.ai import Json
from carrel.core.layout import HostLayout
from carrel.core.machine import NIXOS_NGINX, server_machine
from carrel.core.resources import Account, Directory, File, Image, State
from carrel.core.site import (
    LANGUAGES,
    SOFT_SHARE,
    About,
    Ai,
    AiMode,
    Limits,
    Network,
    PasswordHash,
    SecretFile,
    Site,
    Tls,
    TlsMode,
    User,
)
from carrel.core.workspace import Ids
from carrel.render import engine, host, nixos_container, nixos_edge, secret, systemd
from carrel.render.unit_file import UnitFile

LAYOUT = HostLayout()
MACHINE = server_machine(ipv6=True, nginx=NIXOS_NGINX)

# Numbers that stand for something cannot be written @name@ before they are text. These are in no text
# by chance: a test looks for them in the facts, and for a placeholder where each should be.
MEMORY, SOFT, CPUS, PROCESSES = 9_007_199_254_740_881, 8_888_888_888_888_881, 777.25, 555_551
UID, FIRST, WEB, PORT = 4_100_000_001, 3_900_000_001, 3_700_000_001, 65_521
GATEWAY_UID = 3_500_000_001
NUMBERS = {
    str(MEMORY): "@memory@",
    str(SOFT): "@memory_soft@",
    f"{round(CPUS * 100)}%": "@cpu_percent@%",
    f"{CPUS:g}": "@cpus@",
    str(PROCESSES): "@processes@",
    str(UID): "@uid@",
    str(FIRST): "@first@",
    str(FIRST + names.CODER_UID): "@above@",
    str(WEB): "@web@",
    str(GATEWAY_UID): "@gateway_uid@",
    str(PORT): "@port@",
}
PLACES = {
    LAYOUT.pages: "@pages@",
    LAYOUT.agent: "@agent@",
    LAYOUT.ca_bundle: "@ca_bundle@",
    LAYOUT.network: "@network@",
    LAYOUT.gateway_config: "@gateway_config@",
    "/usr/sbin/nft": "@nft@",
    "/usr/bin/systemctl": "@systemctl@",
}
"""What is somewhere else on NixOS."""

USER = "@user@"
LIMITS = Limits(MEMORY, SOFT, CPUS, PROCESSES)
SITE = Site(
    about=About(name="@name@"),
    domain="@domain@",
    storage="@storage@",
    users=(User(USER, PasswordHash(""), LIMITS, PORT, full_name="@full_name@", email="@email@"),),
    tls=Tls(TlsMode.FILES, certificate="@certificate@", key=SecretFile("@key@")),
)
PROXIES = Network("", "@http_proxy@", "@https_proxy@", ("@no_proxy@",))
IMAGE = Image(names.image_reference("@image@"), "", (), ())


SURROUNDINGS = host.HostSurroundings(
    layout=LAYOUT,
    machine=MACHINE,
    image=IMAGE,
    image_directory=LAYOUT.current_image,
    ids={USER: Ids(UID, FIRST), names.GATEWAY: Ids(GATEWAY_UID, 0)},
    web_gid=WEB,
    fingerprints={SecretFile(LAYOUT.secret_key): ""},
    python="@python@",
    # That there are any is what counts here: the text is in the Nix store.
    authorities="@authorities@",
)


def state(site: Site) -> State:
    """The State of a site with placeholders."""
    return host.state(site, SURROUNDINGS)


def facts() -> dict[str, Json]:
    """All of it; every text may have placeholders like @user@.

    What the AI gateway makes different is there twice: `plain` and `gateway`.
    """
    with_gateway = replace(SITE, ai=Ai(AiMode.GATEWAY))
    found = state(SITE)
    described: dict[str, Json] = {
        "limits": {
            **asdict(Limits()),
            "soft_share": list(SOFT_SHARE),
            "temporary": [asdict(share) for share in workspace.SHARES],
        },
        "account": _account(found),
        "engine": {
            "containers": engine.containers(MACHINE),
            "directory": LAYOUT.engine,
            "storage": engine.NO_STORAGE,
            "own_storage": _storage(),
        },
        "slice": names.SLICE,
        "hardening": _hardening(),
        "set_by_carrel": [
            entry.variable
            for entry in secret.entries(
                with_gateway, SITE.users[0], secret.Tokens(SecretFile(LAYOUT.secret_key))
            )
        ],
        "builder": {"account": names.BUILDER, "home": LAYOUT.builder},
        "gateway_account": names.GATEWAY_ACCOUNT,
        "network": _content(found, LAYOUT.network),
        "nginx": dict(nixos_edge.parts(edge.host_edge(SITE, LAYOUT, MACHINE))),
        "languages": list(LANGUAGES),
        "proxy": dict(network.through_proxy(PROXIES)),
        "paths": {"state": LAYOUT.state, "gateway_secrets": LAYOUT.gateway_secrets},
        "plain": _variant(SITE),
        "gateway": _variant(with_gateway),
    }
    return {name: _filled(value) for name, value in described.items()}


def _variant(site: Site) -> Json:
    found = state(site)
    return {
        "directories": [_directory(r) for r in found if isinstance(r, Directory) and _ours(r)],
        "podman": _container(site),
        "units": _units(host.unit_files(site, SURROUNDINGS)),
    }


def _filled(value: Json) -> Json:
    match value:
        case str():
            return _text(value)
        case dict():
            return {_text(key): _filled(inner) for key, inner in value.items()}
        case list():
            return [_filled(inner) for inner in value]
        case _:
            return value


def _text(text: str) -> str:
    for original, placeholder in (*NUMBERS.items(), *PLACES.items()):
        text = text.replace(original, placeholder)
    return text


def _storage() -> str:
    """NixOS runs podman without our options, too, and it has to find the same container."""
    place = LAYOUT.podman(UID)
    return f"""\
{engine.NO_STORAGE}graphroot = "{place}/store"
rootless_storage_path = "{place}/store"
runroot = "{systemd.run_root(place)}"
"""


def _account(found: State) -> Json:
    (account,) = (r for r in found if isinstance(r, Account))
    return {
        "name": account.name,
        "subordinate_ids": account.subordinate_ids,
        "root": LAYOUT.root(USER),
    }


def _ours(directory: Directory) -> bool:
    """Whether the module makes it: the others hold files that are in the Nix store there."""
    elsewhere = (
        *(LAYOUT.pages, LAYOUT.agent, LAYOUT.engine, LAYOUT.tls, LAYOUT.units, LAYOUT.trust),
        f"{LAYOUT.state}/nginx",
    )
    return not directory.path.startswith(elsewhere)


def _directory(directory: Directory) -> Json:
    return {
        "path": directory.path,
        "owner": directory.owner,
        "mode": f"{directory.mode:04o}",
        "skeleton": list(directory.skeleton),
    }


def _container(site: Site) -> Json:
    desk = host.workspace_of(site, site.users[0], SURROUNDINGS)
    place = LAYOUT.podman(UID)
    return nixos_container.options(desk, systemd.podman_options(place), systemd.pid_file(place))


def _content(found: State, path: str) -> str:
    return next(r.content for r in found if isinstance(r, File) and r.path == path)


# -- units ---------------------------------------------------------------------------------

_WORKSPACE = ("carrel-workspace@.service", f"carrel-workspace@{USER}.service.d")
_COMMANDS = frozenset({"ExecStart", "ExecStop"})
_SAID_BY_CONTAINER = frozenset({"User", "Restart", "Environment"})
"""What `virtualisation.oci-containers` writes into the unit, with the same meaning."""
_NAMES = frozenset({"Requires", "Wants", "After", "Before", "BindsTo"})
_ALWAYS_LISTS = frozenset(
    {"ExecStartPost", "ExecReload", "ExecStopPost", "RuntimeDirectory", "RequiresMountsFor"}
)
"""What NixOS itself gives values, too; lists are joined, texts have to be equal."""


_PARTICULAR = frozenset(
    {"Type", "RemainAfterExit", "CapabilityBoundingSet", "RestrictAddressFamilies", "IPAddressDeny"}
)


def _hardening() -> Json:
    """What a service of ours is not allowed, but for capabilities and network: those are its own."""
    keys = systemd.network(LAYOUT).settings["Service"]
    kept = {k: v for k, v in keys.items() if k not in _PARTICULAR and not k.startswith("Exec")}
    return _sections({"Service": kept})["Service"]


def _units(files: Mapping[str, UnitFile]) -> Json:
    """All units by name, additions to the operator's by their unit's name with .d; workspaces as one."""
    found = {
        path.removeprefix(f"{LAYOUT.units}/").removesuffix("/carrel.conf"): file.settings
        for path, file in files.items()
        # NixOS looks after certificates by itself.
        if not path.startswith(f"{LAYOUT.units}/carrel-certificate.")
    }
    template, own = (found.pop(name) for name in _WORKSPACE)
    described: dict[str, Json] = {name: _sections(parts) for name, parts in found.items()}
    variables = [*template["Service"]["Environment"], *own["Service"]["Environment"]]
    for name in (*_SAID_BY_CONTAINER, *_COMMANDS):
        template["Service"].pop(name, None)
        own["Service"].pop(name, None)
    workspace_: dict[str, Json] = _sections(_joined(template, own))
    words = [word.partition("=") for line in variables for word in line.split()]
    workspace_["environment"] = {name: value for name, _, value in words}
    described["workspace"] = workspace_
    return described


Sections = dict[str, dict[str, list[str]]]
"""What UnitFile.settings is."""


def _joined(one: Sections, other: Sections) -> Sections:
    return {
        section: {
            key: [*one.get(section, {}).get(key, ()), *other.get(section, {}).get(key, ())]
            for key in {**one.get(section, {}), **other.get(section, {})}
        }
        for section in {**one, **other}
    }


def _sections(parts: Sections) -> dict[str, Json]:
    return {
        section: {key: _value(key, values) for key, values in keys.items()}
        for section, keys in parts.items()
    }


def _value(key: str, values: list[str]) -> Json:
    if key in _NAMES:
        return [word for value in values for word in value.split()]
    return list(values) if len(values) > 1 or key in _ALWAYS_LISTS else values[0]
