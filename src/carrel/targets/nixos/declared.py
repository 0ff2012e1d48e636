"""A server that NixOS declares: what the module cannot make in Nix, and how `carrel` looks after it.

Accounts, directories, units and nginx are NixOS's here: nothing in this module makes one of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from carrel.adapters import files
from carrel.adapters.process import Identity
from carrel.config import load, secrets
from carrel.core import ai, names
from carrel.core.layout import HostLayout
from carrel.core.machine import NIXOS_NGINX, server_machine
from carrel.core.resources import Entry, File, Image, Secret
from carrel.core.site import Ai, AiMode, Provider, SecretFile, Site
from carrel.core.workspace import Ids
from carrel.errors import ConfigError, Refused
from carrel.render import gateway, host, secret
from carrel.targets import disk
from carrel.targets.fingerprint import secret_key

LAYOUT = HostLayout()
HANDED_OVER = f"/run/credentials/{names.GATEWAY_UNIT}/secrets"
"""Where the gateway finds its secrets: systemd hands them over (LoadCredential=)."""
DECLARATION = "nixos.json"
"""Beside the configuration; says that NixOS made both, and what carrel.toml has no word for."""


def is_declared(config: Path) -> bool:
    """Whether NixOS made this configuration."""
    return (config.resolve().parent / DECLARATION).is_file()


def refuse() -> NoReturn:
    """What is said to those who would change the site from here."""
    raise Refused(
        "This server is declared in Nix. Nothing was changed.",
        fix="change services.code-server-multi in its configuration, then run nixos-rebuild switch",
    )


# -- what Nix builds -----------------------------------------------------------------------


def write_pages(config: Path, out: Path) -> None:
    """The static pages of the edge into the directory `out`."""
    _write(load.declared(config), LAYOUT.pages, out)


def write_agent(config: Path, variables: Iterable[str], out: Path) -> None:
    """The managed configuration of opencode into `out`, for somebody who has these variables too."""
    site = load.declared(config)
    _write(replace(site, ai=with_own_keys(site.ai, variables)), LAYOUT.agent, out)


def write_gateway(config: Path, out: Path) -> None:
    """What the AI gateway is told, as gateway.json in the directory `out`."""
    told = json.loads(gateway.config(load.declared(config), LAYOUT))
    told["secrets"] = HANDED_OVER
    _write_texts({"gateway.json": json.dumps(told, indent=2, ensure_ascii=False) + "\n"}, out)


def with_own_keys(settings: Ai, variables: Iterable[str]) -> Ai:
    """The AI of a workspace that has the keys in `variables` besides what the site offers."""
    shared = ai.usable_providers(settings)
    known = {names.api_key_variable(provider.name) for provider in shared}
    own = tuple(
        Provider(provider, SecretFile(variable))
        for variable in variables
        if variable not in known and (provider := _provider(variable))
    )
    if not own:
        return settings
    if settings.mode is AiMode.GATEWAY:
        return replace(settings, allow_own_keys=True)
    return replace(settings, mode=AiMode.SHARED_KEYS, providers=(*shared, *own))


def _provider(variable: str) -> str:
    """The provider whose key is in `variable`; empty if it is no key."""
    name, suffix, rest = variable.partition("_API_KEY")
    return name.lower().replace("_", "-") if suffix and not rest else ""


def _write(site: Site, directory: str, out: Path) -> None:
    """What a server of `site` has in `directory`, which is the same for all its users."""
    key = SecretFile(LAYOUT.secret_key)
    around = host.HostSurroundings(
        layout=LAYOUT,
        machine=server_machine(ipv6=True, nginx=NIXOS_NGINX),
        image=Image("", "", (), ()),
        image_directory="",
        ids={names.GATEWAY: Ids(0, 0)},
        web_gid=0,
        fingerprints=dict.fromkeys((*secrets.references(site), key), ""),
        python="",
    )
    texts = {
        Path(file.path).name: file.content
        for file in host.state(replace(site, users=()), around)
        if isinstance(file, File) and file.path.startswith(f"{directory}/")
    }
    _write_texts(texts, out)


def _write_texts(texts: Mapping[str, str], out: Path) -> None:
    mine = Identity.ours()
    files.make_directory(str(out.resolve()), mine, 0o755)
    for name, text in texts.items():
        files.write(str(out.resolve() / name), text, mine, 0o644)


# -- what units do at their start ----------------------------------------------------------


def make_key(layout: HostLayout) -> None:
    """Make what tokens are made with, once and for all."""
    secret_key(layout.secret_key, Identity.ours())


def write_secrets(config: Path, layout: HostLayout, name: str) -> None:
    """The environment file of a user, or of the gateway, from the secrets as they are now."""
    disk.make(secrets_of(config, layout, name))


def secrets_of(config: Path, layout: HostLayout, name: str) -> Secret:
    """The environment file: for a user with those of the user's own variables.

    The gateway's is root's: systemd hands it over.
    """
    site, tokens = load.declared(config), secret.Tokens(SecretFile(layout.secret_key))
    if name == names.GATEWAY:
        entries = secret.gateway_entries(site, tokens)
        return Secret(layout.gateway_secrets, "root", entries, fingerprint="")
    user = site.user(name)
    if user is None:
        raise ConfigError(f"There is no user {name} in the configuration.")
    own = _declared(config).get(name, {})
    entries = (
        *(entry for entry in secret.entries(site, user, tokens) if entry.variable not in own),
        *(Entry(variable, SecretFile(path)) for variable, path in sorted(own.items())),
    )
    return Secret(layout.secrets_file(name), names.account(name), entries, fingerprint="")


def _declared(config: Path) -> Mapping[str, Mapping[str, str]]:
    text = (config.resolve().parent / DECLARATION).read_text(encoding="utf-8")
    found: Mapping[str, Mapping[str, str]] = json.loads(text)["environment"]
    return found
