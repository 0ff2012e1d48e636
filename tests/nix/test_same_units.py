"""Units, mounts and containers of the module and of Carrel's own State are the same."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

from carrel.core import names
from carrel.core.resources import OnChange, Unit
from nix.pairs import LAYOUT, OTHERWISE, Pair
from taken_apart import Sections, unit


def _same(section: str, ours: Mapping[str, list[str]], theirs: Mapping[str, Any]) -> None:
    """Each key of ours is there, with its values; NixOS may have added some."""
    for key, values in ours.items():
        if key in OTHERWISE:
            continue
        found = theirs[key]
        has = [str(one) for one in (found if isinstance(found, list) else [found])]
        assert [value for value in values if value not in has] == [], f"{section}.{key}: {has}"
        # NixOS's own come after, where it has any.
        assert has[: len(values)] == values, f"{section}.{key}: {has}"


WORDS = {
    "Requires": "requires",
    "Wants": "wants",
    "After": "after",
    "Before": "before",
    "BindsTo": "bindsTo",
}


def _same_names(ours: Mapping[str, list[str]], theirs: Mapping[str, Any]) -> None:
    rest = {}
    for key, values in ours.items():
        words = [word for value in values for word in value.split()]
        match key:
            case "Description":
                assert [theirs["description"]] == values
            case "Documentation":
                assert theirs["documentation"] == words
            case _ if key in WORDS:
                assert {*words} <= {*theirs[WORDS[key]]}, key
            case _:
                rest[key] = values
    _same("Unit", rest, theirs["unitConfig"])


def _joined(*units: Sections) -> Sections:
    found: Sections = {}
    for one in units:
        for section, keys in one.items():
            for key, values in keys.items():
                found.setdefault(section, {}).setdefault(key, []).extend(values)
    return found


def _workspace(pair: Pair, user: str) -> Sections:
    return _joined(pair.unit("carrel-workspace@.service"), unit(pair.file(LAYOUT.drop_in(user))))


def test_workspaces_are_confined_by_the_same_unit(pair: Pair) -> None:
    made = {name for name in pair.desks.found["services"] if name.startswith("carrel-workspace@")}
    assert made == {f"carrel-workspace@{user.name}" for user in pair.working}
    for user in pair.working:
        ours = _workspace(pair, user.name)
        theirs = pair.desks.service(f"carrel-workspace@{user.name}")
        # The account is named, and not by a specifier.
        assert ours["Service"].pop("User") == ["carrel-%i"]
        assert theirs["serviceConfig"]["User"] == names.account(user.name)
        del ours["Service"]["Environment"]
        _same_names(ours["Unit"], theirs)
        _same("Service", ours["Service"], theirs["serviceConfig"])
        assert theirs["wantedBy"] == ours["Install"]["WantedBy"]


def test_podman_finds_the_same_settings(pair: Pair) -> None:
    for user in pair.working:
        lines = _workspace(pair, user.name)["Service"]["Environment"]
        ours = dict(word.split("=", 1) for line in lines for word in line.split())
        theirs = dict(pair.desks.service(f"carrel-workspace@{user.name}")["environment"])
        assert theirs.pop("CONTAINERS_CONF_OVERRIDE") == ours.pop("CONTAINERS_CONF")
        storage = f"/nix/store/carrel-{user.name}-storage.conf"
        assert theirs.pop("CONTAINERS_STORAGE_CONF") == storage
        assert ours.pop("CONTAINERS_STORAGE_CONF") == f"{LAYOUT.engine}/storage.conf"
        assert theirs == ours


def test_nothing_is_set_in_a_workspace_unit_that_only_one_of_the_two_sets(pair: Pair) -> None:
    for user in pair.working:
        ours = _workspace(pair, user.name)
        theirs = pair.desks.service(f"carrel-workspace@{user.name}")
        added = {*theirs["serviceConfig"]} - {"ExecStartPre"}
        assert added == {*ours["Service"]} - {"ExecStart", "ExecStop"}
        assert {*theirs["unitConfig"]} == {*ours["Unit"]} - {"Description", "Documentation", *WORDS}


LONG = {
    "-e": "--env",
    "--env-file": "--env-file",
    "-u": "--user",
    "-v": "--volume",
    "-l": "--label",
    "-w": "--workdir",
    "--pull": "--pull",
}
SHORT = {"-d": "--detach"}
NIXOS_ONLY = {"--cgroups=enabled", "--sdnotify=conmon", "--cidfile"}
"""Defaults, which ours after them override; and where NixOS finds a container to stop."""


def _long(arguments: list[str]) -> list[str]:
    """NixOS's way of writing podman's options as ours."""
    rest = iter(arguments)
    return [
        f"{LONG[word]}={next(rest)}" if word in LONG else SHORT.get(word, word) for word in rest
    ]


def _arguments(pair: Pair, user: str) -> list[str]:
    """Ours, with the agent's configuration and the authorities where NixOS has them."""
    (line,) = unit(pair.file(LAYOUT.drop_in(user)))["Service"]["ExecStart"]
    words = [word.replace("%%", "%").replace("$$", "$") for word in re.findall(r'"([^"]*)"', line)]
    agent = f"/nix/store/carrel-agent-{user}"
    trusted = "/nix/store/ca-certificates.crt"
    words = [word.replace(f"={LAYOUT.ca_bundle}:", f"={trusted}:") for word in words]
    return [word.replace(f"={LAYOUT.agent}:", f"={agent}:") for word in words]


def test_containers_get_the_same_arguments(pair: Pair) -> None:
    assert {*pair.desks.found["podman"]} == {names.account(user.name) for user in pair.working}
    for user in pair.working:
        ours = _arguments(pair, user.name)
        theirs = _long(pair.desks.podman(user.name)[1:])
        # What comes before "run", and what is run, also in this order.
        assert theirs[: theirs.index("run")] == ours[: ours.index("run")]
        assert theirs[theirs.index("--rootfs") :] == ours[ours.index("--rootfs") :]
        assert {*ours} - {*theirs} == set()
        assert {word.partition("=/")[0] for word in {*theirs} - {*ours}} == NIXOS_ONLY
        assert theirs.index("--cgroups=split") > theirs.index("--cgroups=enabled")


def test_mounts_are_the_same(pair: Pair) -> None:
    made = {mount["where"]: mount for mount in pair.desks.found["mounts"]}
    assert {*made} == {
        path
        for user in pair.working
        for path in (
            LAYOUT.root(user.name),
            LAYOUT.socket_directory(user.name),
            *([LAYOUT.ai_directory(user.name)] if pair.site.has_gateway else ()),
        )
    }
    for path, theirs in made.items():
        ours = pair.unit(names.mount_unit(path))
        _same_names(ours["Unit"], theirs)
        assert theirs["wantedBy"] == ours["Install"]["WantedBy"]
        assert ours["Mount"] == {
            "What": [theirs["what"]],
            "Where": [theirs["where"]],
            "Type": [theirs["type"]],
            "Options": [theirs["options"]],
            **{key: [value] for key, value in theirs["mountConfig"].items()},
        }


def test_the_rules_of_the_network_are_loaded_by_the_same_unit(pair: Pair) -> None:
    text = (
        pair.file(LAYOUT.unit_file(names.NETWORK_UNIT))
        .replace("/usr/sbin/nft", "/nix/store/nftables/bin/nft")
        .replace(LAYOUT.network, "/nix/store/carrel-network.nft")
    )
    ours, theirs = unit(text), copy.deepcopy(pair.desks.service("carrel-network"))
    _same_names(ours["Unit"], theirs)
    assert ours["Service"].pop("ExecStart") == [theirs["serviceConfig"].pop("ExecStart")]
    assert ours["Service"].pop("ExecStop") == [theirs["serviceConfig"].pop("ExecStop")]
    _same("Service", ours["Service"], theirs["serviceConfig"])
    assert {*theirs["serviceConfig"]} == {*ours["Service"]}
    assert theirs["wantedBy"] == ours["Install"]["WantedBy"]
    loads = next(u for u in pair.resources(Unit) if u.name == names.NETWORK_UNIT)
    assert theirs["reloadIfChanged"] == (loads.on_change is OnChange.RELOAD)


def test_the_gateway_runs_as_the_same_unit(pair: Pair) -> None:
    if not pair.site.has_gateway:
        assert "carrel-gateway" not in pair.desks.found["services"]
        return
    text = pair.file(LAYOUT.unit_file(names.GATEWAY_UNIT))
    ours = unit(text.replace(LAYOUT.gateway_config, "/etc/carrel/gateway.json"))
    theirs = copy.deepcopy(pair.desks.service("carrel-gateway"))
    _same_names(ours["Unit"], theirs)
    assert ours["Service"].pop("ExecStart") == [theirs["serviceConfig"].pop("ExecStart")]
    assert theirs["serviceConfig"].pop("LoadCredential") == [f"secrets:{LAYOUT.gateway_secrets}"]
    _same("Service", ours["Service"], theirs["serviceConfig"])
    assert {*theirs["serviceConfig"]} == {*ours["Service"]}
    assert theirs["wantedBy"] == ours["Install"]["WantedBy"]


def test_all_workspaces_together_have_the_same_limits(pair: Pair) -> None:
    ours, theirs = pair.unit(names.SLICE), pair.desks.found["slices"]["carrel"]
    _same_names(ours["Unit"], theirs)
    assert {key: [value] for key, value in theirs["sliceConfig"].items()} == ours["Slice"]


def test_what_starts_at_boot_is_the_same(pair: Pair) -> None:
    services = {
        f"{name}.service"
        for name, service in pair.desks.found["services"].items()
        if "multi-user.target" in service["wantedBy"]
    }
    sockets = {
        names.mount_unit(mount["where"])
        for mount in pair.desks.found["mounts"]
        if mount["what"] == "tmpfs"
    }
    ours = {loaded.name for loaded in pair.resources(Unit)}
    assert services | sockets == {name for name in ours if name.partition(".")[0] not in OTHERWISE}
