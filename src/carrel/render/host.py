"""Turns a validated Site into the State of a server: everything that must exist for it.

Used by operations.converge and `carrel render`. The machine's facts, the accounts' ids, the image
and the secrets' fingerprints come in as values, so that the same arguments always give the same
State.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from carrel import __version__
from carrel.core import ai, certificate, edge, names, workspace
from carrel.core.certificate import wanted_names
from carrel.core.layout import HostLayout, LocalLayout
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
    revision,
)
from carrel.core.site import SecretFile, Site, TlsMode, User
from carrel.core.workspace import (
    Ids,
    NetworkMode,
    Placement,
    Reads,
    RootDirectory,
    Run,
    Workspace,
)
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
from carrel.render.unit_file import UnitFile

ROOT = "root"


@dataclass(frozen=True, slots=True)
class HostSurroundings:
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
    authorities: str = ""
    """The certificates of the authorities to trust, PEM; empty: workspaces keep those of their image."""
    removals: Mapping[str, int] = field(default_factory=dict)
    """How often somebody of a name was removed, as the journal has it."""

    @property
    def tokens(self) -> secret.Tokens:
        """What tokens for the AI gateway are made from."""
        return secret.Tokens(SecretFile(self.layout.secret_key), self.removals)


def state(site: Site, around: HostSurroundings) -> State:
    """Everything that `site` asks for on a server."""
    units = unit_files(site, around)
    return State.of(
        [
            *_foundation(site, around, units),
            *_edge(site, around, units),
            *_gateway(site, around, units),
            *(r for user in site.users for r in _user(site, user, around, units)),
        ]
    )


Units = Mapping[str, UnitFile]
"""By path."""


def unit_files(site: Site, around: HostSurroundings) -> dict[str, UnitFile]:
    """Every file of a unit that `site` asks for, and of what is added to units of the operator's."""
    layout = around.layout
    return {
        layout.template: systemd.template(layout),
        layout.unit_file(names.SLICE): systemd.slice_(),
        layout.unit_file(names.NETWORK_UNIT): systemd.network(layout),
        layout.addition(names.FIREWALL_UNIT): systemd.firewall(),
        layout.addition(names.NGINX_UNIT): systemd.nginx(),
        **_certificate_units(site, around),
        **_gateway_units(site, around),
        **{path: unit for user in site.users for path, unit in _user_units(site, user, around)},
    }


def _certificate_units(site: Site, around: HostSurroundings) -> dict[str, UnitFile]:
    layout = around.layout
    bundle = certificate.bundle(site, layout)
    if bundle is None:
        return {}
    found = {
        layout.unit_file(bundle.unit): renewal.service(site, layout, bundle, around.python),
        layout.unit_file(names.CERTIFICATE_TIMER): renewal.timer(site),
    }
    if site.tls.mode is TlsMode.FILES:
        found[layout.unit_file(names.CERTIFICATE_PATH)] = renewal.path(site)
    return found


def _gateway_units(site: Site, around: HostSurroundings) -> dict[str, UnitFile]:
    if not site.has_gateway:
        return {}
    layout = around.layout
    command = (around.python, "-m", gateway.PROGRAM, layout.gateway_config)
    return {layout.unit_file(names.GATEWAY_UNIT): systemd.gateway(layout, command)}


def _user_units(site: Site, user: User, around: HostSurroundings) -> Iterator[tuple[str, UnitFile]]:
    layout, ids = around.layout, around.ids[user.name]
    root, sockets, *ai_sockets = (_mount_file(layout, p) for p in _places(site, user, layout))
    files = f"{around.image_directory}/rootfs"
    yield root, systemd.root_mount(layout, user.name, files, ids)
    yield sockets, systemd.socket_mount(layout, user.name, ids, around.web_gid)
    for path in ai_sockets:
        gateway_uid = around.ids[names.GATEWAY].uid
        yield path, systemd.ai_mount(layout, user.name, gateway_uid, ids.uid)
    desk = workspace_of(site, user, around)
    yield layout.drop_in(user.name), systemd.drop_in(desk, layout, ids.uid)


def _places(site: Site, user: User, layout: HostLayout) -> Iterator[str]:
    """Where something is mounted for the user's workspace: the image's files first."""
    yield layout.root(user.name)
    yield layout.socket_directory(user.name)
    if site.has_gateway:
        yield layout.ai_directory(user.name)


def _mount_file(layout: HostLayout, place: str) -> str:
    return layout.unit_file(names.mount_unit(place))


def builder(layout: HostLayout, build: LocalLayout, machine: Machine) -> Iterator[Resource]:
    """What the account needs that builds images; `machine`: what holds for its containers."""
    needed = tuple(engine.foundation(build, machine))
    yield from needed
    yield File(
        layout.tmpfiles,
        ROOT,
        0o644,
        systemd.at_boot(
            place
            for place in needed
            if isinstance(place, Directory) and place.path.startswith(f"{layout.runtime}/")
        ),
    )


def _foundation(site: Site, around: HostSurroundings, units: Units) -> Iterator[Resource]:
    layout = around.layout
    # The directory around them is made with the lock, and holds the journal.
    for path in (layout.images, layout.editor_files, layout.engine, layout.agent):
        yield Directory(path, ROOT, 0o755)
    # Who knows a name may enter: the files belong to the accounts, and each reads only its own.
    yield Directory(layout.secrets, ROOT, 0o711)
    yield File(f"{layout.engine}/containers.conf", ROOT, 0o644, engine.containers(around.machine))
    yield File(f"{layout.engine}/storage.conf", ROOT, 0o644, engine.NO_STORAGE)
    yield File(f"{layout.agent}/opencode.json", ROOT, 0o644, _agent(site))
    words = sign_in.strings(site.about)
    yield File(f"{layout.agent}/{names.SIGN_IN_WORDS}", ROOT, 0o644, words)
    yield _file(units, layout.template)
    yield _file(units, layout.unit_file(names.SLICE))
    if around.authorities:
        yield Directory(layout.trust, ROOT, 0o755)
        yield File(layout.ca_bundle, ROOT, 0o644, around.authorities)
    yield around.image
    rules = nftables.rules(around.ids[user.name].uid for user in site.users)
    yield from _addition(units, layout.addition(names.FIREWALL_UNIT))
    file = _file(units, layout.unit_file(names.NETWORK_UNIT))
    read = File(layout.network, ROOT, 0o644, rules)
    yield from (file, read)
    # A restart would take the workspaces with it, which must not run without the rules.
    yield _unit(names.NETWORK_UNIT, [file, read], on_change=OnChange.RELOAD)


def _edge(site: Site, around: HostSurroundings, units: Units) -> Iterator[Resource]:
    layout = around.layout
    settings = edge.host_edge(site, layout, around.machine)
    yield from _certificate(site, around, units)
    yield Directory(f"{layout.state}/nginx", ROOT, 0o755)
    yield File(layout.nginx_kept, ROOT, 0o644, nginx.kept(settings))
    yield Directory(layout.pages, ROOT, 0o755)
    for name, page in pages.Pages(site.domain, names.HTTPS, site.about).all().items():
        yield File(f"{layout.pages}/{name}", ROOT, 0o644, page)
    yield from _addition(units, layout.addition(names.NGINX_UNIT))
    local = site.tls.mode is TlsMode.LOCAL
    # The unit that renews a bundle has nginx read it.
    certificate_ = revision(*wanted_names(site.domain)) if local else ""
    yield Include(layout.nginx, nginx.config(settings), certificate_)


def _certificate(site: Site, around: HostSurroundings, units: Units) -> Iterator[Resource]:
    layout = around.layout
    yield Directory(layout.tls, ROOT, 0o700)
    bundle = certificate.bundle(site, layout)
    if bundle is None:
        domains = wanted_names(site.domain)
        yield Certificate(layout.tls, ROOT, domains, public_copy=f"{layout.config}/ca.crt")
        return
    service = _file(units, layout.unit_file(bundle.unit))
    yield service
    yield bundle
    for name in (names.CERTIFICATE_TIMER, names.CERTIFICATE_PATH):
        path = layout.unit_file(name)
        if path in units:
            starter = _file(units, path)
            yield starter
            yield _unit(name, [starter, service])


def _addition(units: Units, path: str) -> Iterator[Resource]:
    """A drop-in for a unit that is the operator's."""
    yield _with_drop_ins(path)
    yield _file(units, path)


def _with_drop_ins(file: str) -> Directory:
    """The directory of a drop-in: `systemctl edit` puts the operator's own beside it."""
    return Directory(file.rpartition("/")[0], ROOT, 0o755, Holds.SHARED)


def _gateway(site: Site, around: HostSurroundings, units: Units) -> Iterator[Resource]:
    if not site.has_gateway:
        return
    layout, account = around.layout, names.GATEWAY_ACCOUNT
    entries = secret.gateway_entries(site, around.tokens)
    yield Account(account, "/nonexistent", subordinate_ids=0, uid=around.ids[names.GATEWAY].uid)
    yield Directory(layout.gateway, account, 0o700, Holds.DATA)
    yield File(layout.gateway_config, ROOT, 0o644, gateway.config(site, layout))
    fingerprint = secret.fingerprint(entries, around.fingerprints)
    yield Secret(layout.gateway_secrets, account, entries, fingerprint)
    file = _file(units, layout.unit_file(names.GATEWAY_UNIT))
    yield file
    # What it reads is not part of it: it looks by itself whether that changed, and drops nobody.
    sockets = tuple(
        names.mount_unit(layout.ai_directory(user.name))
        for user in site.users
        if not user.suspended
    )
    yield _unit(names.GATEWAY_UNIT, [file], also=[__version__], after=sockets)


def _user(site: Site, user: User, around: HostSurroundings, units: Units) -> Iterator[Resource]:
    layout, ids = around.layout, around.ids[user.name]
    account = names.account(user.name)
    yield Account(account, "/nonexistent", uid=ids.uid, first_subordinate_id=ids.first)
    yield from workspace.data_directories(site, user, account)
    yield _secret(site, user, around)
    desk = workspace_of(site, user, around)
    mounts = {
        names.mount_unit(place): _file(units, _mount_file(layout, place))
        for place in _places(site, user, layout)
    }
    drop_in = _file(units, layout.drop_in(user.name))
    yield from mounts.values()
    yield _with_drop_ins(drop_in.path)
    yield drop_in
    if desk.run is Run.STOPPED:
        return
    root, *others = mounts
    yield from (_unit(name, [mounts[name]]) for name in others)
    yield _unit(
        names.workspace_unit(user.name),
        [_file(units, layout.template), drop_in, *mounts.values()],
        also=[file.print for file in desk.reads],
        parts=(root,),
        after=desk.after,
    )


def _file(units: Units, path: str) -> File:
    return File(path, ROOT, 0o644, units[path].text)


def _unit(
    name: str,
    files: Sequence[File],
    *,
    also: Sequence[str] = (),
    parts: tuple[str, ...] = (),
    on_change: OnChange = OnChange.RESTART,
    after: tuple[str, ...] = (),
) -> Unit:
    """A unit that `files` make up. `also`: what it reads at its start besides."""
    return Unit(
        name,
        revision(*(file.content for file in files), *also),
        files=tuple(file.path for file in files),
        parts=parts,
        on_change=on_change,
        after=after,
    )


def _secret(site: Site, user: User, around: HostSurroundings) -> Secret:
    layout, account = around.layout, names.account(user.name)
    entries = secret.entries(site, user, around.tokens)
    fingerprint = secret.fingerprint(entries, around.fingerprints)
    return Secret(layout.secrets_file(user.name), account, entries, fingerprint)


def workspace_of(site: Site, user: User, around: HostSurroundings) -> Workspace:
    """The workspace of `user` on a server."""
    layout = around.layout
    placement = Placement(
        account=names.account(user.name),
        ids=around.ids[user.name],
        name=names.account(user.name),
        labels=((names.LABEL_USER, user.name),),
        root=RootDirectory(layout.root(user.name), f"{around.image_directory}/environment"),
        network=NetworkMode.RULED,
        # Not the agent's configuration: the next agent that somebody starts reads it.
        reads=(
            Reads(layout.secrets_file(user.name), _secret(site, user, around).fingerprint),
            Reads(f"{layout.engine}/containers.conf", engine.containers(around.machine)),
            Reads(f"{layout.agent}/{names.SIGN_IN_WORDS}", sign_in.strings(site.about)),
        ),
        after=(
            *(names.mount_unit(place) for place in _places(site, user, layout)),
            names.NETWORK_UNIT,
            names.GATEWAY_UNIT,
        ),
        sockets=layout.socket_directory(user.name),
        agent=layout.agent,
        secrets_file=layout.secrets_file(user.name),
        ai=layout.ai_directory(user.name),
        ca_bundle=Reads(layout.ca_bundle, around.authorities) if around.authorities else None,
    )
    return workspace.workspace(site, user, placement, around.machine)


def _agent(site: Site) -> str:
    return json.dumps(ai.agent_config(site.ai), indent=2) + "\n"
