"""Every name, id and label that Carrel derives; no other module makes one up. Paths: core.layout."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

USER_NAME = re.compile(r"[a-z][a-z0-9]{0,23}")
"""No hyphen, so that NAME-APP.domain can never be another user (design §4). With "carrel-" before it, an
account's name: 31 characters at most on NixOS (nixos/modules/config/users-groups.nix), 32 on Debian."""

RESERVED_NAMES = frozenset(
    "root daemon bin sys sync games man lp mail news uucp proxy backup list irc nobody systemd "
    "messagebus sshd nginx http https ftp www api admin administrator app apps auth login logout "
    "mx ns ns1 ns2 smtp imap pop static assets cdn docs help status support carrel gateway "
    "activator build local localhost default welcome public private test internal".split()
)
"""System accounts, and host names that people would mistake for part of the service."""

HTTP, HTTPS = 80, 443
"""The ports that browsers take without being told (RFC 9110, 4.2.1 and 4.2.2)."""

CODER_UID = 1000
"""The id of `coder` inside every workspace; the images of code-server use the same."""

HOME = "/home/coder"
PROJECT = f"{HOME}/project"
SETTINGS = f"{HOME}/.local/share/code-server"
RUN = "/run/carrel"
EDITOR_SOCKET = "editor.sock"
AGENT_CONFIG = "/etc/opencode"
SIGN_IN_WORDS = "sign-in.json"
"""What the sign-in form says; beside the agent's configuration, because people cannot write there."""
CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
"""Where Debian's programs look for the authorities to trust; so do those of a workspace."""
AI_RUN = "/run/carrel-ai"
"""Where a workspace finds the socket of the AI gateway, read-only."""
AI_SOCKET = "ai.sock"
AI_ADDRESS = "http://127.0.0.1:4141"
"""The same, for programs inside: the image's entrypoint forwards it."""
AI_TOKEN = "CARREL_AI_TOKEN"  # noqa: S105 - the name of a variable
"""The environment variable with what the gateway knows a user by."""
FULL_NAME, EMAIL = "CARREL_FULL_NAME", "CARREL_EMAIL"
"""The environment variables with how git signs a user's work; the image's entrypoint reads them."""
MANIFEST = "/opt/carrel/manifest.json"

SECRET_KEY = "fingerprint.key"  # noqa: S105 - the name of a file

LABEL_SITE = "carrel.site"
LABEL_USER = "carrel.user"
LABEL_IMAGE = "carrel.image"
IMAGE_NAME = "localhost/carrel/workspace"


def site_id(config_path: str) -> str:
    """A short id that tells the sites of one machine apart, from the configuration's full path."""
    return hashlib.sha256(config_path.encode()).hexdigest()[:8]


def certificate_source(mode: str, *origin: str) -> str:
    """A name for where a certificate comes from: other names or another authority, another source."""
    return f"{mode}-{hashlib.sha256(chr(0).join(origin).encode()).hexdigest()[:12]}"


def image_reference(digest: str) -> str:
    """The tag of the workspace image whose recipe has the given hexadecimal digest."""
    return f"{IMAGE_NAME}:{digest[:12]}"


def host(user: str, domain: str) -> str:
    """The host name at which `user` works."""
    return f"{user}.{domain}"


def address(name: str, port: int) -> str:
    """The HTTPS address of a host; the usual port is left out."""
    return f"https://{name}/" if port == HTTPS else f"https://{name}:{port}/"


def api_key_variable(provider: str) -> str:
    """The environment variable in which opencode finds the key of `provider`."""
    return f"{re.sub('[^A-Z0-9]', '_', provider.upper())}_API_KEY"


def secrets_name(user: str) -> str:
    """The name of a user's environment file."""
    return f"{user}.env"


def token_variable(user: str) -> str:
    """Under which name the gateway's secrets have the hash of a user's token."""
    return f"TOKEN_{user.upper()}"


def workspace_service(user: str) -> str:
    """Supervisord's name for a user's workspace."""
    return f"workspace-{user}"


def workspace_unit(user: str) -> str:
    """Systemd's name for a user's workspace."""
    return f"carrel-workspace@{user}.service"


_WORKSPACE = re.compile(r"workspace-([a-z0-9]+)|carrel-workspace@([a-z0-9]+)\.service")


def workspace_user(running: str) -> str | None:
    """The user whose workspace the service or unit called `running` is, or None if it is none."""
    match = _WORKSPACE.fullmatch(running)
    return (match[1] or match[2]) if match else None


EDGE_SERVICE = "edge"
GATEWAY = "gateway"
"""The AI gateway, as commands and supervisord call it."""
GATEWAY_UNIT = "carrel-gateway.service"
GATEWAY_ACCOUNT = "carrel-gateway"
NETWORK_UNIT = "carrel-network.service"
SLICE = "carrel.slice"
NGINX_UNIT = "nginx.service"
CERTIFICATE_UNIT = "carrel-certificate.service"
CERTIFICATE_TIMER = "carrel-certificate.timer"
CERTIFICATE_PATH = "carrel-certificate.path"
CERTIFICATE_STATE = "carrel-certificate"
"""What systemd calls the unit's own state; lego's files are in there."""
FIREWALL_UNIT = "nftables.service"
"""The operator's, as Debian calls them."""
BUILDER = "carrel-build"
"""The account that builds a server's images."""
RUNTIME_DIRECTORY = "user/{uid}"
"""Below /run, as systemd's RuntimeDirectory= wants it."""


def account(user: str) -> str:
    """The Unix account of a user's workspace on a server."""
    return f"carrel-{user}"


def mount_unit(path: str) -> str:
    """Systemd's name for the mount at `path`: systemd-escape(1) for the paths that we use."""
    return path.strip("/").replace("-", "\\x2d").replace("/", "-") + ".mount"


def mount_point(unit: str) -> str:
    """The path that `mount_unit` gave this name."""
    return "/" + unit.removesuffix(".mount").replace("-", "/").replace("\\x2d", "-")


@dataclass(frozen=True, slots=True)
class UserPaths:
    """The directories of one user on the host (design §5)."""

    base: str

    @property
    def workspace(self) -> str:
        """The project: what the user works on."""
        return f"{self.base}/workspace"

    @property
    def config(self) -> str:
        """Settings of VS Code."""
        return f"{self.base}/config"

    @property
    def home(self) -> str:
        """Agent sessions, own keys, shell history."""
        return f"{self.base}/home"


def user_paths(storage: str, user: str) -> UserPaths:
    """Where the data of `user` lives below the site's storage."""
    return UserPaths(f"{storage}/{user}")
