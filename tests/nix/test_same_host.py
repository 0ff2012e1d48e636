"""Accounts, directories, secrets and files of the module and of Carrel's own State are the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from carrel.core import names
from carrel.core.resources import (
    Account,
    Bundle,
    Directory,
    File,
    Image,
    Include,
    Resource,
    Secret,
    Unit,
)
from carrel.targets.nixos import declared as nixos
from nix.pairs import ELSEWHERE, LAYOUT, OTHERWISE, Pair


def test_every_resource_is_compared_or_said_to_differ(pair: Pair) -> None:
    """A new kind of thing on servers shows up here until somebody has thought of NixOS, too."""
    assert [r for r in pair.state if not (_is_compared(r) or _is_elsewhere(r))] == []


def _is_compared(resource: Resource) -> bool:
    match resource:
        case Account() | Secret() | Include():
            return True
        case Image():
            return "image" in OTHERWISE
        case Unit(name=name):
            return "revision" in OTHERWISE and (name in _UNITS or _of_a_user(name))
        case Directory(path=path):
            return not path.startswith(f"{LAYOUT.units}/")
        case File(path=path):
            name = _unit_name(path)
            shared = (
                LAYOUT.network,
                LAYOUT.nginx_kept,
                LAYOUT.gateway_config,
                f"{LAYOUT.engine}/containers.conf",
                f"{LAYOUT.engine}/storage.conf",
            )
            made = (LAYOUT.pages, LAYOUT.agent)
            return (
                path in shared
                or path.startswith(made)
                or (name in OTHERWISE or name in _UNITS or _of_a_user(name))
            )
        case _:
            return False


_UNITS = (
    names.NETWORK_UNIT,
    names.GATEWAY_UNIT,
    names.SLICE,
    "carrel-workspace@.service",
    "nftables.service.d",
)


def _of_a_user(name: str) -> bool:
    beginnings = ("carrel-workspace@", "run-carrel-", "run-carrel\\x2droot-", "run-carrel\\x2dai-")
    return name.startswith(beginnings)


def _unit_name(path: str) -> str:
    return path.removeprefix(f"{LAYOUT.units}/").removesuffix("/carrel.conf")


def _is_elsewhere(resource: Resource) -> bool:
    match resource:
        case Directory(path=path):
            return path.startswith(tuple(ELSEWHERE))
        case File(path=path):
            in_store = path == LAYOUT.ca_bundle and LAYOUT.trust in ELSEWHERE
            return in_store or _unit_name(path).partition(".")[0] in OTHERWISE
        case Bundle():
            return "carrel-certificate" in OTHERWISE
        case Unit(name=name):
            return name.partition(".")[0] in OTHERWISE
        case _:
            return False


def test_accounts_have_the_same_ids(pair: Pair) -> None:
    made = pair.desks.found["users"]
    for account in pair.resources(Account):
        user = made["users"][account.name]
        assert user["uid"] == made["groups"][account.name]["gid"] == account.uid
        for kind, start in (("subUidRanges", "startUid"), ("subGidRanges", "startGid")):
            only = {start: account.first_subordinate_id, "count": account.subordinate_ids}
            assert user[kind] == ([only] if account.subordinate_ids else [])
        assert user["isSystemUser"]
    others = {*made["users"]} - {account.name for account in pair.resources(Account)}
    # nginx's is there with NixOS's own options of nginx.
    assert others == {names.BUILDER, "nginx"}


def test_directories_have_the_same_owners_and_modes(pair: Pair) -> None:
    expected = [
        f"d {path} {directory.mode:04o} {directory.owner} {directory.owner} -"
        for directory in pair.resources(Directory)
        if not _is_elsewhere(directory)
        for path in (directory.path, *_inside(directory))
    ]
    made = [line for line in pair.desks.found["tmpfiles"] if line.startswith("d ")]
    assert sorted(made) == sorted(expected)


def _inside(directory: Directory) -> Iterator[str]:
    for part in directory.skeleton:
        path = directory.path
        for name in part.split("/"):
            path = f"{path}/{name}"
            yield path


def test_secrets_are_the_same_and_in_the_same_place(pair: Pair) -> None:
    for expected in pair.resources(Secret):
        name = Path(expected.path).stem
        made = nixos.secrets_of(pair.config, LAYOUT, name)
        # Variables of the user's own, which carrel.toml cannot say.
        own = pair.desks.etc("nixos.json")["environment"].get(name, {})
        entries = tuple(entry for entry in made.entries if entry.variable not in own)
        assert (made.path, entries) == (expected.path, expected.entries)
        handed_over = Path(expected.path).name in OTHERWISE
        assert made.owner == ("root" if handed_over else expected.owner)
        unit = pair.desks.service(f"carrel-secrets@{name}")["serviceConfig"]
        assert unit["ExecStart"] == f"/nix/store/carrel/bin/carrel nixos secrets {name}"
        assert expected.path.startswith(unit["ReadWritePaths"])


# -- files -----------------------------------------------------------------------------------


def test_pages_and_agent_configuration_are_the_same(pair: Pair) -> None:
    out = pair.folder / "out"
    nixos.write_pages(pair.config, out)
    nixos.write_agent(pair.config, (), out)
    for file in pair.resources(File):
        if file.path.startswith((LAYOUT.pages, LAYOUT.agent)):
            assert (out / Path(file.path).name).read_text() == file.content


def test_the_gateway_is_told_the_same(pair: Pair) -> None:
    if not pair.site.has_gateway:
        assert "carrel/gateway.json" not in pair.desks.found["etc"]
        return
    out = pair.folder / "out"
    nixos.write_gateway(pair.config, out)
    told = json.loads((out / "gateway.json").read_text())
    assert told.pop("secrets") == f"/run/credentials/{names.GATEWAY_UNIT}/secrets"
    ours = json.loads(pair.file(LAYOUT.gateway_config))
    assert ours.pop("secrets") == LAYOUT.gateway_secrets
    assert told == ours


def test_network_rules_are_the_same(pair: Pair) -> None:
    assert pair.desks.found["rules"] == pair.file(LAYOUT.network)


def test_podmans_settings_are_the_same(pair: Pair) -> None:
    plain = pair.file(f"{LAYOUT.engine}/storage.conf")
    assert pair.desks.found["engine"] == {
        "containers.conf": pair.file(f"{LAYOUT.engine}/containers.conf"),
        "storage.conf": plain,
    }
    for text in pair.desks.found["storage"].values():
        assert text.startswith(plain)
        added = dict(line.split(" = ") for line in text.removeprefix(plain).splitlines())
        assert added["graphroot"] == added["rootless_storage_path"]
    link = f"L+ {LAYOUT.engine} - - - - /nix/store/carrel-engine"
    assert link in pair.desks.found["tmpfiles"]
