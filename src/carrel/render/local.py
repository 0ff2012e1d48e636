"""Turns a validated Site into the State of local mode: everything that must exist for it.

Used by operations.converge and `carrel render`. The machine's facts, the image and the secrets'
fingerprints come in as values, so that the same arguments always give the same State.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from carrel import __version__
from carrel.core import ai, edge, names, workspace
from carrel.core.layout import LocalLayout
from carrel.core.machine import Machine
from carrel.core.resources import (
    Certificate,
    Directory,
    File,
    Holds,
    Image,
    Resource,
    Secret,
    Service,
    State,
    revision,
)
from carrel.core.site import SecretFile, Site, User
from carrel.render import (
    engine,
    gateway,
    nginx,
    pages,
    podman,
    secret,
    sign_in,
    supervisor,
)


@dataclass(frozen=True, slots=True)
class LocalSurroundings:
    """Everything besides the configuration that the State depends on."""

    layout: LocalLayout
    machine: Machine
    image: Image
    authority_copy: str
    """Where people find the local authority's certificate."""
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


def state(site: Site, around: LocalSurroundings) -> State:
    """Everything that `site` asks for in local mode."""
    return State.of(
        [
            *_foundation(site, around),
            *_edge(site, around),
            *_gateway(site, around),
            *(r for user in site.users for r in _user(site, user, around)),
        ]
    )


def _foundation(site: Site, around: LocalSurroundings) -> Iterator[Resource]:
    layout = around.layout
    account, owner = layout.account, layout.owner
    yield from engine.foundation(layout, around.machine)
    yield Directory(layout.sites, owner, 0o755)
    yield Directory(layout.state, owner, 0o755)
    yield Directory(layout.run, owner, 0o755)
    yield Directory(layout.sockets, account, 0o700)
    yield Directory(layout.logs, owner, 0o700)
    # The account reads what is in it, and may not put anything else there.
    yield Directory(layout.secrets, owner, 0o711 if layout.divided else 0o700)
    yield Directory(f"{layout.state}/supervisor", owner, 0o700)
    yield Directory(layout.supervisor_programs, owner, 0o700)
    yield File(layout.supervisor_config, owner, 0o600, supervisor.main(layout))
    yield Directory(layout.agent, owner, 0o755)
    yield File(
        f"{layout.agent}/opencode.json",
        owner,
        0o644,
        json.dumps(ai.agent_config(site.ai), indent=2) + "\n",
    )
    yield File(f"{layout.agent}/{names.SIGN_IN_WORDS}", owner, 0o644, sign_in.strings(site.about))
    if around.authorities:
        yield Directory(layout.trust, owner, 0o755)
        yield File(layout.ca_bundle, owner, 0o644, around.authorities)
    yield around.image


def _edge(site: Site, around: LocalSurroundings) -> Iterator[Resource]:
    layout = around.layout
    account, owner = layout.account, layout.owner
    settings = edge.local_edge(site, layout, around.machine)
    text = nginx.config(settings)
    yield Directory(layout.tls, owner, 0o711 if layout.divided else 0o700)
    yield Certificate(
        directory=layout.tls,
        owner=account,
        names=(site.domain, f"*.{site.domain}"),
        public_copy=around.authority_copy,
    )
    yield Directory(layout.nginx, account, 0o700)
    yield File(layout.nginx_config, owner, 0o644, text)
    yield File(f"{layout.nginx}/kept.conf", owner, 0o644, nginx.kept(settings))
    yield Directory(layout.pages, owner, 0o755)
    for name, page in pages.Pages(site.domain, site.local_port, site.about).all().items():
        yield File(f"{layout.pages}/{name}", owner, 0o644, page)
    yield Service(
        name=names.EDGE_SERVICE,
        account=account,
        command=("nginx", "-e", "stderr", "-c", layout.nginx_config),
        environment=(),
        log=layout.log(names.EDGE_SERVICE),
        revision=revision(text, site.domain),
        check=("nginx", "-t", "-q", "-e", "stderr", "-c", layout.nginx_config),
        stop_seconds=5,
    )


def _gateway(site: Site, around: LocalSurroundings) -> Iterator[Resource]:
    if not site.has_gateway:
        return
    layout, account = around.layout, around.layout.account
    entries = secret.gateway_entries(site, around.tokens)
    yield Directory(layout.gateway, account, 0o700, Holds.DATA)
    yield Directory(layout.ai_sockets, account, 0o700)
    yield Directory(layout.gateway_admin.rpartition("/")[0], account, 0o700)
    yield File(layout.gateway_config, layout.owner, 0o644, gateway.config(site, layout))
    fingerprint = secret.fingerprint(entries, around.fingerprints)
    yield Secret(layout.gateway_secrets, account, entries, fingerprint)
    # It starts as the owner, because the account may not be able to enter our environment's directory.
    drop = () if account == layout.owner else ("--account", account)
    yield Service(
        name=names.GATEWAY,
        account=layout.owner,
        command=(around.python, "-m", gateway.PROGRAM, layout.gateway_config, *drop),
        environment=(("LANG", "C.UTF-8"), ("PATH", engine.PATH)),
        log=layout.log(names.GATEWAY),
        # Its files are not part of it: it looks by itself whether they changed, and drops nobody.
        revision=__version__,
        stop_seconds=15,
    )


def _user(site: Site, user: User, around: LocalSurroundings) -> Iterator[Resource]:
    layout = around.layout
    account = layout.account
    if site.has_gateway and not user.suspended:
        yield Directory(layout.ai_directory(user.name), account, 0o700)
    yield from workspace.data_directories(site, user, account)
    entries = secret.entries(site, user, around.tokens)
    fingerprint = secret.fingerprint(entries, around.fingerprints)
    yield Secret(layout.secrets_file(user.name), account, entries, fingerprint)
    if user.suspended:
        return
    # For nginx, who has a directory there is somebody.
    yield Directory(layout.socket_directory(user.name), account, 0o700)
    words = sign_in.strings(site.about)
    placement = workspace.Placement(
        account=account,
        ids=None,
        name=layout.container(user.name),
        labels=((names.LABEL_SITE, layout.site), (names.LABEL_USER, user.name)),
        root=workspace.StoredImage(around.image.reference),
        network=workspace.NetworkMode.OPEN,
        # Not the agent's configuration: the next agent that somebody starts reads it.
        reads=(
            workspace.Reads(layout.secrets_file(user.name), fingerprint),
            workspace.Reads(f"{layout.engine}/containers.conf", engine.containers(around.machine)),
            workspace.Reads(f"{layout.agent}/{names.SIGN_IN_WORDS}", words),
        ),
        # Whoever comes meanwhile is told that it starts.
        after=(names.EDGE_SERVICE, names.GATEWAY),
        sockets=layout.socket_directory(user.name),
        agent=layout.agent,
        secrets_file=layout.secrets_file(user.name),
        ai=layout.ai_directory(user.name),
        ca_bundle=workspace.Reads(layout.ca_bundle, around.authorities)
        if around.authorities
        else None,
    )
    desk = workspace.workspace(site, user, placement, around.machine)
    yield Service(
        name=names.workspace_service(user.name),
        account=desk.account,
        command=podman.run(desk),
        environment=engine.environment(layout),
        log=layout.log(names.workspace_service(user.name)),
        revision=desk.revision(),
        after=desk.after,
    )
