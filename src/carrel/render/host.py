"""Turns a validated Site into the State of a server: everything that must exist for it.

Used by operations.converge and `carrel render`. The machine's facts, the accounts' ids, the image
and the secrets' fingerprints come in as values, so that the same arguments always give the same
State.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from carrel import __version__
from carrel.core import ai, certificate, edge, names, workspace
from carrel.core.certificate import wanted_names
from carrel.core.layout import HostLayout
from carrel.core.machine import Machine
from carrel.core.resources import (
    Account,
    Certificate,
    Directory,
    File,
    Holds,
    Image,
    Include,
    OnChange,
    Resource,
    Secret,
    State,
    Unit,
)
from carrel.core.server import Ids, Seat
from carrel.core.site import SecretFile, Site, TlsMode, User
from carrel.render import (
    engine,
    gateway,
    nftables,
    nginx,
    pages,
    renewal,
    secret,
    sign_in,
    systemd,
)

ROOT = "root"
HTTPS = 443


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Everything besides the configuration that the State depends on."""

    layout: HostLayout
    machine: Machine
    image: Image
    image_directory: str
    """Where the image's root file system and environment are."""
    ids: Mapping[str, Ids]
    """By user."""
    web_gid: int
    fingerprints: Mapping[SecretFile, str]
    python: str
    """The interpreter of our own environment, for the gateway."""


def state(site: Site, around: Surroundings) -> State:
    """Everything that `site` asks for on a server."""
    return State.of(
        [
            *_foundation(site, around),
            *_edge(site, around),
            *_gateway(site, around),
            *(r for user in site.users for r in _user(site, user, around)),
        ]
    )


def _foundation(site: Site, around: Surroundings) -> Iterator[Resource]:
    layout = around.layout
    # The directory around them is made with the lock, and holds the journal.
    for path in (layout.images, layout.engine, layout.agent):
        yield Directory(path, ROOT, 0o755)
    # Who knows a name may enter: the files belong to the accounts, and each reads only its own.
    yield Directory(layout.secrets, ROOT, 0o711)
    yield File(f"{layout.engine}/containers.conf", ROOT, 0o644, engine.containers(around.machine))
    yield File(f"{layout.engine}/storage.conf", ROOT, 0o644, engine.NO_STORAGE)
    yield File(f"{layout.agent}/opencode.json", ROOT, 0o644, _agent(site))
    words = sign_in.strings(site.about)
    yield File(f"{layout.agent}/{names.SIGN_IN_WORDS}", ROOT, 0o644, words)
    yield File(layout.template, ROOT, 0o644, systemd.template(layout))
    yield File(layout.unit_file(names.SLICE), ROOT, 0o644, systemd.slice_())
    yield around.image
    rules = nftables.rules(around.ids[user.name].uid for user in site.users)
    unit = systemd.network(layout)
    file = layout.unit_file(names.NETWORK_UNIT)
    yield from _addition(layout, names.FIREWALL_UNIT, systemd.firewall())
    yield File(layout.network, ROOT, 0o644, rules)
    yield File(file, ROOT, 0o644, unit)
    yield Unit(
        names.NETWORK_UNIT,
        _digest(rules, unit),
        files=(file, layout.network),
        # A restart would take the workspaces with it, which must not run without the rules.
        on_change=OnChange.RELOAD,
    )


def _edge(site: Site, around: Surroundings) -> Iterator[Resource]:
    layout = around.layout
    settings = edge.host_edge(site, layout, around.machine)
    yield from _certificate(site, around)
    yield Directory(f"{layout.state}/nginx", ROOT, 0o755)
    yield File(layout.nginx_kept, ROOT, 0o644, nginx.kept(settings))
    yield Directory(layout.pages, ROOT, 0o755)
    for name, page in pages.Pages(site.domain, HTTPS, site.about).all().items():
        yield File(f"{layout.pages}/{name}", ROOT, 0o644, page)
    yield from _addition(layout, names.NGINX_UNIT, systemd.nginx())
    local = site.tls.mode is TlsMode.LOCAL
    # The unit that renews a bundle has nginx read it.
    revision = _digest(*wanted_names(site.domain)) if local else ""
    yield Include(layout.nginx, nginx.config(settings), revision)


def _certificate(site: Site, around: Surroundings) -> Iterator[Resource]:
    layout = around.layout
    yield Directory(layout.tls, ROOT, 0o700)
    bundle = certificate.bundle(site, layout)
    if bundle is None:
        domains = wanted_names(site.domain)
        yield Certificate(layout.tls, ROOT, domains, public_copy=f"{layout.config}/ca.crt")
        return
    service = renewal.service(site, layout, bundle, around.python)
    file = layout.unit_file(bundle.unit)
    yield File(file, ROOT, 0o644, service)
    yield bundle
    starters = {names.CERTIFICATE_TIMER: renewal.timer(site)}
    if site.tls.mode is TlsMode.FILES:
        starters[names.CERTIFICATE_PATH] = renewal.path(site)
    for name, text in starters.items():
        yield File(layout.unit_file(name), ROOT, 0o644, text)
        yield Unit(name, _digest(text, service), files=(layout.unit_file(name), file))


def _addition(layout: HostLayout, unit: str, content: str) -> Iterator[Resource]:
    """A drop-in for a unit that is the operator's."""
    file = layout.addition(unit)
    yield _with_drop_ins(file)
    yield File(file, ROOT, 0o644, content)


def _with_drop_ins(file: str) -> Directory:
    """The directory of a drop-in: `systemctl edit` puts the operator's own beside it."""
    return Directory(file.rpartition("/")[0], ROOT, 0o755, Holds.SHARED)


def _gateway(site: Site, around: Surroundings) -> Iterator[Resource]:
    if not site.has_gateway:
        return
    layout, account = around.layout, names.GATEWAY_ACCOUNT
    entries = secret.gateway_entries(site, SecretFile(layout.secret_key))
    yield Account(account, "/nonexistent", subordinate_ids=0, uid=around.ids[names.GATEWAY].uid)
    yield Directory(layout.gateway, account, 0o700, Holds.DATA)
    yield File(layout.gateway_config, ROOT, 0o644, gateway.config(site, layout))
    fingerprint = secret.fingerprint(entries, around.fingerprints)
    yield Secret(layout.gateway_secrets, account, entries, fingerprint)
    unit = systemd.gateway(layout, (around.python, "-m", gateway.PROGRAM, layout.gateway_config))
    file = layout.unit_file(names.GATEWAY_UNIT)
    yield File(file, ROOT, 0o644, unit)
    # What it reads is not part of it: it looks by itself whether that changed, and drops nobody.
    yield Unit(names.GATEWAY_UNIT, _digest(unit, __version__), files=(file,))


def _ai_sockets(site: Site, user: User, around: Surroundings) -> tuple[str, str] | None:
    """The unit, and its text, of the mount on which the gateway listens for the user."""
    if not site.has_gateway:
        return None
    layout, ids = around.layout, around.ids
    text = systemd.ai_mount(layout, user.name, ids[names.GATEWAY].uid, ids[user.name].uid)
    return names.mount_unit(layout.ai_directory(user.name)), text


def _user(site: Site, user: User, around: Surroundings) -> Iterator[Resource]:
    layout, ids = around.layout, around.ids[user.name]
    account = names.account(user.name)
    yield Account(account, "/nonexistent", uid=ids.uid, first_subordinate_id=ids.first)
    yield from workspace.data_directories(site, user, account)
    entries = secret.entries(site, user, SecretFile(layout.secret_key))
    fingerprint = secret.fingerprint(entries, around.fingerprints)
    yield Secret(layout.secrets_file(user.name), account, entries, fingerprint)
    ai_sockets = _ai_sockets(site, user, around)
    mounts = [layout.root(user.name), layout.socket_directory(user.name)]
    if ai_sockets is not None:
        mounts.append(layout.ai_directory(user.name))
    drop_in = systemd.drop_in(_seat(site, user, around), layout, mounts)
    root = systemd.root_mount(layout, user.name, f"{around.image_directory}/rootfs", ids)
    sockets = systemd.socket_mount(layout, user.name, ids, around.web_gid)
    root_unit = names.mount_unit(layout.root(user.name))
    socket_unit = names.mount_unit(layout.socket_directory(user.name))
    root_file, socket_file = map(layout.unit_file, (root_unit, socket_unit))
    yield File(root_file, ROOT, 0o644, root)
    yield File(socket_file, ROOT, 0o644, sockets)
    yield _with_drop_ins(layout.drop_in(user.name))
    yield File(layout.drop_in(user.name), ROOT, 0o644, drop_in)
    if user.suspended:
        return
    yield Unit(socket_unit, _digest(sockets), files=(socket_file,))
    if ai_sockets is not None:
        ai_unit, text = ai_sockets
        ai_file = layout.unit_file(ai_unit)
        yield File(ai_file, ROOT, 0o644, text)
        yield Unit(ai_unit, _digest(text), files=(ai_file,))
    yield Unit(
        names.workspace_unit(user.name),
        _digest(
            # Not the agent's configuration: the next agent that somebody starts reads it.
            systemd.template(layout), drop_in, root, sockets, fingerprint,
            engine.containers(around.machine), sign_in.strings(site.about),
        ),
        files=(layout.template, layout.drop_in(user.name), root_file, socket_file),
        parts=(root_unit,),
    )  # fmt: skip


def _seat(site: Site, user: User, around: Surroundings) -> Seat:
    layout = around.layout
    placement = workspace.Placement(
        name=names.account(user.name),
        labels=((names.LABEL_USER, user.name),),
        root=workspace.RootDirectory(
            layout.root(user.name), f"{around.image_directory}/environment"
        ),
        sockets=layout.socket_directory(user.name),
        agent=layout.agent,
        secrets_file=layout.secrets_file(user.name),
        ai=layout.ai_directory(user.name),
    )
    container = workspace.container(site, user, placement, around.machine)
    return Seat(
        user.name, around.ids[user.name], container, names.user_paths(site.storage, user.name).base
    )


def _agent(site: Site) -> str:
    return json.dumps(ai.agent_config(site.ai), indent=2) + "\n"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
