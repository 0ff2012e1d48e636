"""What the NixOS module is made from: Carrel's own State of a site whose values are all placeholders.

`make docs` writes it as nix/facts.json, which nix/module.nix reads and fills in. Whatever another
module decides or renders is taken from there, so that nothing is said twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from carrel.core import edge, names, workspace
from carrel.core.ai import Json
from carrel.core.machine import server_machine
from carrel.core.names import HostLayout
from carrel.core.resources import Account, Directory, File, Image, State
from carrel.core.server import Ids
from carrel.core.site import SOFT_SHARE, Limits, PasswordHash, SecretFile, Site, Tls, TlsMode, User
from carrel.render import engine, host, nginx, podman, secret, systemd
from carrel.render.blocks import Statement, Unit, statements, unit

LAYOUT = HostLayout()
MACHINE = server_machine(ipv6=True)

# Numbers that stand for something cannot be written @name@ before they are text. These are in no text
# by chance: a test looks for them in the facts, and for a placeholder where each should be.
MEMORY, SOFT, CPUS, PROCESSES = 9_007_199_254_740_881, 8_888_888_888_888_881, 777.25, 555_551
UID, FIRST, WEB, PORT = 4_100_000_001, 3_900_000_001, 3_700_000_001, 65_521
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
    str(PORT): "@port@",
}
PLACES = {
    LAYOUT.pages: "@pages@",
    LAYOUT.agent: "@agent@",
    LAYOUT.network: "@network@",
    "/usr/sbin/nft": "@nft@",
    "/usr/bin/systemctl": "@systemctl@",
}
"""What is somewhere else on NixOS."""

USER = "@user@"
LIMITS = Limits(MEMORY, SOFT, CPUS, PROCESSES)
SITE = Site(
    domain="@domain@",
    storage="@storage@",
    users=(User(USER, PasswordHash(""), LIMITS, PORT),),
    tls=Tls(TlsMode.FILES, certificate="@certificate@", key=SecretFile("@key@")),
)
IMAGE = Image(names.image_reference("@image@"), "", (), ())
CURRENT = f"{LAYOUT.images}/current"
"""A link to the directory of the image in use: Nix evaluates before anybody knows its digest."""


def state() -> State:
    """The State of the site with placeholders."""
    return host.state(
        SITE,
        host.Surroundings(
            layout=LAYOUT,
            machine=MACHINE,
            image=IMAGE,
            image_directory=CURRENT,
            ids={USER: Ids(UID, FIRST)},
            web_gid=WEB,
            fingerprints={},
        ),
    )


def facts() -> dict[str, Json]:
    """All of it; every text may have placeholders like @user@."""
    found = state()
    described: dict[str, Json] = {
        "limits": {
            **asdict(Limits()),
            "soft_share": list(SOFT_SHARE),
            "temporary": [asdict(share) for share in workspace.SHARES],
        },
        "account": _account(found),
        "directories": [_directory(r) for r in found if isinstance(r, Directory) and _ours(r)],
        "engine": {
            "containers": engine.containers(MACHINE),
            "directory": LAYOUT.engine,
            "storage": _storage(),
        },
        "podman": _podman(),
        "units": _units(found),
        "slice": names.SLICE,
        "hardening": _hardening(found),
        "set_by_carrel": [entry.variable for entry in secret.entries(SITE, SITE.users[0])],
        "builder": {"account": names.BUILDER, "home": LAYOUT.builder},
        "network": _content(found, LAYOUT.network),
        "nginx": _nginx(),
        "paths": {
            "config": LAYOUT.config,
            "current": CURRENT,
            "images": LAYOUT.images,
            "secrets": LAYOUT.secrets_file(USER),
            "sockets": LAYOUT.sockets,
            "state": LAYOUT.state,
        },
    }
    return {name: _filled(value) for name, value in described.items()}


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
runroot = "{place}/run"
"""


def _account(found: State) -> Json:
    account = next(r for r in found if isinstance(r, Account))
    return {
        "name": account.name,
        "subordinate_ids": account.subordinate_ids,
        "root": LAYOUT.root(USER),
    }


def _ours(directory: Directory) -> bool:
    """Whether the module makes it: the others hold files that are in the Nix store there."""
    elsewhere = (LAYOUT.pages, LAYOUT.agent, LAYOUT.engine, LAYOUT.units, f"{LAYOUT.state}/nginx")
    return not directory.path.startswith(elsewhere)


def _directory(directory: Directory) -> Json:
    return {
        "path": directory.path,
        "owner": directory.owner,
        "mode": f"{directory.mode:04o}",
        "skeleton": list(directory.skeleton),
    }


def _content(found: State, path: str) -> str:
    return next(r.content for r in found if isinstance(r, File) and r.path == path)


# -- units ---------------------------------------------------------------------------------

_WORKSPACE = ("carrel-workspace@.service", f"carrel-workspace@{USER}.service.d")
_COMMANDS = frozenset({"ExecStart", "ExecStop"})
_SAID_BY_CONTAINER = frozenset({"Type", "NotifyAccess", "User", "Restart", "Environment"})
"""What `virtualisation.oci-containers` writes into the unit, with the same meaning."""
_NAMES = frozenset({"Requires", "Wants", "After", "Before", "BindsTo"})
_ALWAYS_LISTS = frozenset(
    {"ExecStartPost", "ExecReload", "ExecStopPost", "RuntimeDirectory", "RequiresMountsFor"}
)
"""What NixOS itself gives values, too; lists are joined, texts have to be equal."""


_PARTICULAR = frozenset(
    {"Type", "RemainAfterExit", "CapabilityBoundingSet", "RestrictAddressFamilies", "IPAddressDeny"}
)


def _hardening(found: State) -> Json:
    """What a service of ours is not allowed, but for capabilities and network: those are its own."""
    keys = unit(_content(found, LAYOUT.unit_file(names.NETWORK_UNIT)))["Service"]
    kept = {k: v for k, v in keys.items() if k not in _PARTICULAR and not k.startswith("Exec")}
    return _sections({"Service": kept})["Service"]


def _units(found: State) -> Json:
    """All units by name, additions to the operator's by their unit's name with .d; workspaces as one."""
    files = {
        r.path.removeprefix(f"{LAYOUT.units}/").removesuffix("/carrel.conf"): unit(r.content)
        for r in found
        if isinstance(r, File) and r.path.startswith(f"{LAYOUT.units}/")
    }
    template, own = (files.pop(name) for name in _WORKSPACE)
    described: dict[str, Json] = {name: _sections(parts) for name, parts in files.items()}
    variables = [*template["Service"]["Environment"], *own["Service"]["Environment"]]
    for name in (*_SAID_BY_CONTAINER, *_COMMANDS):
        template["Service"].pop(name, None)
        own["Service"].pop(name, None)
    workspace_: dict[str, Json] = _sections(_joined(template, own))
    words = [word.partition("=") for line in variables for word in line.split()]
    workspace_["environment"] = {name: value for name, _, value in words}
    described["workspace"] = workspace_
    return described


def _joined(one: Unit, other: Unit) -> Unit:
    return {
        section: {
            key: [*one.get(section, {}).get(key, ()), *other.get(section, {}).get(key, ())]
            for key in {**one.get(section, {}), **other.get(section, {})}
        }
        for section in {**one, **other}
    }


def _sections(parts: Unit) -> dict[str, Json]:
    return {
        section: {key: _value(key, values) for key, values in keys.items()}
        for section, keys in parts.items()
    }


def _value(key: str, values: list[str]) -> Json:
    if key in _NAMES:
        return [word for value in values for word in value.split()]
    return list(values) if len(values) > 1 or key in _ALWAYS_LISTS else values[0]


# -- podman --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Native:
    """What `virtualisation.oci-containers` has an option for: our argument, and its own name."""

    argument: str
    option: str


_ONE = (
    _Native("--hostname=", "hostname"),
    _Native("--user=", "user"),
    _Native("--workdir=", "workdir"),
    _Native("--pull=", "pull"),
    _Native("--log-driver=", "log-driver"),
)
_MANY = (_Native("--env-file=", "environmentFiles"), _Native("--volume=", "volumes"))
_PAIRS = (_Native("--env=", "environment"), _Native("--label=", "labels"))
_SAID_BY_NIXOS = ("--detach", "--sdnotify=conmon", "--rm", "--replace", "--name=")
"""What it writes itself, always."""


def _podman() -> Json:
    """The container as options of `virtualisation.oci-containers`; what has none is an extraOption."""
    placement = workspace.Placement(
        name=names.account(USER),
        labels=((names.LABEL_USER, USER),),
        root=workspace.RootDirectory(LAYOUT.root(USER), f"{CURRENT}/environment"),
        sockets=LAYOUT.socket_directory(USER),
        agent=LAYOUT.agent,
        secrets_file=LAYOUT.secrets_file(USER),
    )
    container = workspace.container(SITE, SITE.users[0], placement, MACHINE)
    options = systemd.podman_options(LAYOUT.podman(UID))
    program, *arguments = podman.run_in_unit(container, options)
    before = arguments[: arguments.index("run")]
    sizes = {f"--tmpfs={place.path}:": place.size for place in container.temporary}
    arguments = [_sized(argument, sizes) for argument in arguments[len(before) + 1 :]]
    cut = arguments.index("--rootfs")
    options_, (image, *command) = arguments[:cut], arguments[cut + 1 :]
    found: dict[str, Json] = {
        "preRunExtraOptions": list(before),
        "image": image,
        "cmd": list(command),
        "capabilities": {},
        "extraOptions": [],
    }
    for argument in options_:
        _sort(found, argument)
    # With it, podman takes the image's name for a directory.
    _list(found, "extraOptions").append("--rootfs")
    del program
    return found


def _sized(argument: str, sizes: Mapping[str, int]) -> str:
    for beginning, size in sizes.items():
        if argument.startswith(beginning):
            path = beginning.removeprefix("--tmpfs=").rstrip(":")
            return argument.replace(f"size={size}", f"size=@size:{path}@")
    return argument


def _sort(found: dict[str, Json], argument: str) -> None:
    if argument.startswith(_SAID_BY_NIXOS):
        return
    if argument.startswith("--cap-drop="):
        _dict(found, "capabilities")[argument.removeprefix("--cap-drop=")] = False
        return
    for native in (*_ONE, *_MANY, *_PAIRS):
        if argument.startswith(native.argument):
            value = argument.removeprefix(native.argument)
            if native in _ONE:
                found[native.option] = value
            elif native in _MANY:
                _list(found, native.option).append(value)
            else:
                name, _, text = value.partition("=")
                _dict(found, native.option)[name] = text
            return
    _list(found, "extraOptions").append(argument)


def _list(found: dict[str, Json], name: str) -> list[Json]:
    value = found.setdefault(name, [])
    assert isinstance(value, list)  # noqa: S101 - for the type checker
    return value


def _dict(found: dict[str, Json], name: str) -> dict[str, Json]:
    value = found.setdefault(name, {})
    assert isinstance(value, dict)  # noqa: S101
    return value


# -- nginx ---------------------------------------------------------------------------------

_SAID_BY_VHOST = frozenset({"listen", "server_name", "ssl_certificate", "ssl_certificate_key"})
"""What a virtual host of NixOS has options for."""


def _nginx() -> Json:
    settings = edge.host_edge(SITE, LAYOUT, MACHINE)
    top = list(statements(nginx.config(settings)))
    shared = [s.text for s in top if s.word not in {"server", "include"}]
    desks, upstream = statements(nginx.kept(settings))
    *default, known = statements(desks.body or "")
    servers = {_kind(s): _server(s) for s in top if s.word == "server"}
    address, *more = statements(upstream.body or "")
    return {
        "http": list(shared),
        "desks": {
            "head": desks.head,
            "default": [s.text for s in default],
            "known": known.text,
        },
        "upstream": {
            "name": upstream.rest,
            "address": address.rest.strip('"'),
            "lines": [s.text for s in more],
        },
        **servers,
    }


def _kind(server: Statement) -> str:
    """Which of the edge's servers this is; ValueError for one that is new here."""
    inside = list(statements(server.body or ""))
    name = next((s.rest for s in inside if s.word == "server_name"), "")
    listens = [s.rest for s in inside if s.word == "listen"]
    if any(listen.startswith("127.0.0.1:") for listen in listens):
        return "tunnel"
    if not any("ssl" in listen.split() for listen in listens):
        return "redirect"
    if "?<carrel_user>" in name:
        return "desk"
    if ".+" in name:
        return "unknown"
    if name == f'"{SITE.domain}"':
        return "welcome"
    raise ValueError(f"the NixOS module does not know the server {name} of the edge")


def _server(server: Statement) -> Json:
    inside = [s for s in statements(server.body or "") if s.word not in _SAID_BY_VHOST]
    return {
        "lines": [s.text for s in inside if s.word != "location"],
        "locations": {s.rest: _location(s) for s in inside if s.word == "location"},
    }


def _location(location: Statement) -> Json:
    inside = list(statements(location.body or ""))
    address = next((s.rest.strip('"') for s in inside if s.word == "proxy_pass"), None)
    return {
        "proxyPass": address,
        "lines": [s.text for s in inside if s.word != "proxy_pass"],
    }
