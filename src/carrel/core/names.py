"""Every name, path, id and label that Carrel derives. No other module builds one by hand."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

USER_NAME = re.compile(r"[a-z][a-z0-9]{0,30}")
"""No hyphen, so that NAME-APP.domain can never be another user (design §4)."""

RESERVED_NAMES = frozenset(
    "root daemon bin sys sync games man lp mail news uucp proxy backup list irc nobody systemd "
    "messagebus sshd nginx http https ftp www api admin administrator app apps auth login logout "
    "mx ns ns1 ns2 smtp imap pop static assets cdn docs help status support carrel gateway "
    "activator build local localhost default welcome public private test internal".split()
)
"""System accounts, and host names that people would mistake for part of the service."""

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
AI_RUN = "/run/carrel-ai"
"""Where a workspace finds the socket of the AI gateway, read-only."""
AI_SOCKET = "ai.sock"
AI_ADDRESS = "http://127.0.0.1:4141"
"""The same, for programs inside: the image's entrypoint forwards it."""
AI_TOKEN = "CARREL_AI_TOKEN"  # noqa: S105 - the name of a variable
"""The environment variable with what the gateway knows a user by."""
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
    return f"https://{name}/" if port == 443 else f"https://{name}:{port}/"  # noqa: PLR2004


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


@dataclass(frozen=True, slots=True)
class LocalLayout:
    """Where local mode keeps what it makes for one site.

    `root` outlives a reboot and is shared by the sites of one account; `runtime` does not outlive it.
    `account` runs the containers and nginx; `owner` runs Carrel (root, or the same account).
    """

    site: str
    root: str
    runtime: str
    account: str
    owner: str

    @property
    def state(self) -> str:
        """The site's own directory."""
        return f"{self.root}/sites/{self.site}"

    @property
    def journal(self) -> str:
        """The record of what Carrel made."""
        return f"{self.state}/state.json"

    @property
    def books(self) -> str:
        """What the AI gateway counted: one row for each request."""
        return f"{self.gateway}/books.sqlite"

    @property
    def run(self) -> str:
        """Sockets of the site."""
        return f"{self.runtime}/{self.site}"

    @property
    def sockets(self) -> str:
        """One directory per user below this one: the path that nginx derives from a host name."""
        return f"{self.run}/users"

    def socket_directory(self, user: str) -> str:
        """Mounted into the user's container as /run/carrel."""
        return f"{self.sockets}/{user}"

    def editor_socket(self, user: str) -> str:
        """The Unix socket on which the user's code-server listens."""
        return f"{self.socket_directory(user)}/{EDITOR_SOCKET}"

    @property
    def ai_sockets(self) -> str:
        """One directory per user, with the socket on which the gateway listens for them."""
        return f"{self.run}/ai"

    def ai_directory(self, user: str) -> str:
        """Mounted into the user's container as /run/carrel-ai."""
        return f"{self.ai_sockets}/{user}"

    @property
    def supervisor_config(self) -> str:
        """Main file of supervisord."""
        return f"{self.state}/supervisor/supervisord.conf"

    @property
    def supervisor_programs(self) -> str:
        """One file per program, included by the main file."""
        return f"{self.state}/supervisor/programs"

    @property
    def supervisor_socket(self) -> str:
        """Control socket of supervisord, for `owner` only."""
        return f"{self.run}/supervisor.sock"

    @property
    def nginx(self) -> str:
        """Configuration and temporary files of nginx."""
        return f"{self.state}/nginx"

    @property
    def nginx_config(self) -> str:
        """The whole configuration of the local nginx."""
        return f"{self.nginx}/nginx.conf"

    @property
    def sign_ins(self) -> str:
        """Refused attempts to sign in, one line each; nginx's own account writes them."""
        return f"{self.nginx}/sign-ins.log"

    @property
    def pages(self) -> str:
        """The static pages that nginx serves."""
        return f"{self.state}/pages"

    @property
    def tls(self) -> str:
        """Local authority and certificate."""
        return f"{self.state}/tls"

    @property
    def agent(self) -> str:
        """The managed configuration of opencode, mounted read-only at /etc/opencode."""
        return f"{self.state}/agent"

    @property
    def secrets(self) -> str:
        """One environment file per user, and the gateway's."""
        return f"{self.state}/secrets"

    def secrets_file(self, user: str) -> str:
        """Environment file with the password hash and the shared keys of one user."""
        return f"{self.secrets}/{secrets_name(user)}"

    @property
    def secret_key(self) -> str:
        """What fingerprints and tokens are made with."""
        return f"{self.state}/{SECRET_KEY}"

    @property
    def gateway(self) -> str:
        """The gateway's own directory."""
        return f"{self.state}/{GATEWAY}"

    @property
    def gateway_config(self) -> str:
        """What the gateway is told, without secrets."""
        return f"{self.state}/gateway.json"

    @property
    def gateway_secrets(self) -> str:
        """The providers' keys and the hashes of the users' tokens."""
        return f"{self.secrets}/{GATEWAY}.env"

    @property
    def gateway_admin(self) -> str:
        """The gateway's socket for metrics and health."""
        return f"{self.run}/{GATEWAY}/admin.sock"

    @property
    def logs(self) -> str:
        """One log per service."""
        return f"{self.state}/log"

    def log(self, service: str) -> str:
        """Log file of a service."""
        return f"{self.logs}/{service}.log"

    def container(self, user: str) -> str:
        """Name of a user's container."""
        return f"carrel-{self.site}-{user}"

    @property
    def engine(self) -> str:
        """Configuration of podman, shared by the account's sites."""
        return f"{self.root}/engine"

    @property
    def engine_runtime(self) -> str:
        """XDG_RUNTIME_DIR of podman: not the login session's, so that nothing leaks either way."""
        return f"{self.runtime}/engine"


@dataclass(frozen=True, slots=True)
class HostLayout:
    """Where a server keeps what Carrel makes (design §5); tests choose other directories."""

    config: str = "/etc/carrel"
    state: str = "/var/lib/carrel"
    runtime: str = "/run"
    units: str = "/etc/systemd/system"
    nginx: str = "/etc/nginx/conf.d/carrel.conf"
    web_group: str = "www-data"
    private: str = "/var/lib/private"
    """Where systemd keeps the state of units that have no account of their own."""

    @property
    def journal(self) -> str:
        """The record of what Carrel made."""
        return f"{self.state}/state.json"

    @property
    def books(self) -> str:
        """What the AI gateway counted: one row for each request."""
        return f"{self.gateway}/books.sqlite"

    @property
    def steps(self) -> str:
        """What was done since the journal was written."""
        return f"{self.state}/steps.jsonl"

    @property
    def images(self) -> str:
        """One unpacked root file system per image version."""
        return f"{self.state}/images"

    @property
    def current_image(self) -> str:
        """A link to the image in use, for units that were made before its digest was known (NixOS)."""
        return f"{self.state}/image"

    @property
    def builder(self) -> str:
        """Where the account that builds images has its store."""
        return f"{self.state}/build"

    @property
    def engine(self) -> str:
        """Configuration of podman."""
        return f"{self.state}/engine"

    @property
    def pages(self) -> str:
        """The static pages that nginx serves."""
        return f"{self.state}/pages"

    @property
    def tls(self) -> str:
        """Local authority and certificate."""
        return f"{self.state}/tls"

    def bundle(self, source: str) -> str:
        """The certificate from one source, with its key; another source has another file."""
        return f"{self.tls}/{source}.pem"

    @property
    def obtained(self) -> str:
        """What carrel-certificate.service keeps: the account at the authority, what it got last."""
        return f"{self.private}/{CERTIFICATE_STATE}"

    @property
    def agent(self) -> str:
        """The managed configuration of opencode, mounted read-only at /etc/opencode."""
        return f"{self.state}/agent"

    @property
    def secrets(self) -> str:
        """One environment file per user."""
        return f"{self.state}/secrets"

    def secrets_file(self, user: str) -> str:
        """Environment file with the password hash and the shared keys of one user."""
        return f"{self.secrets}/{secrets_name(user)}"

    @property
    def secret_key(self) -> str:
        """What fingerprints and tokens are made with."""
        return f"{self.state}/{SECRET_KEY}"

    @property
    def gateway(self) -> str:
        """The gateway's own directory."""
        return f"{self.state}/{GATEWAY}"

    @property
    def gateway_config(self) -> str:
        """What the gateway is told, without secrets."""
        return f"{self.state}/gateway.json"

    @property
    def gateway_secrets(self) -> str:
        """The providers' keys and the hashes of the users' tokens."""
        return f"{self.secrets}/{GATEWAY}.env"

    @property
    def gateway_admin(self) -> str:
        """The gateway's socket for metrics and health; its directory is systemd's RuntimeDirectory."""
        return f"{self.runtime}/{GATEWAY_ACCOUNT}/admin.sock"

    @property
    def ai_sockets(self) -> str:
        """One directory per user, with the socket on which the gateway listens for them."""
        return f"{self.runtime}/carrel-ai"

    def ai_directory(self, user: str) -> str:
        """A small file system of its own, mounted into the user's container as /run/carrel-ai."""
        return f"{self.ai_sockets}/{user}"

    @property
    def network(self) -> str:
        """Rules of nftables: what workspaces cannot reach."""
        return f"{self.state}/network.nft"

    @property
    def nginx_config(self) -> str:
        """The file that nginx reads for us, among the operator's own."""
        return self.nginx

    @property
    def nginx_kept(self) -> str:
        """The people whose connections nginx keeps open."""
        return f"{self.state}/nginx/kept.conf"

    @property
    def sockets(self) -> str:
        """One directory per user below this one: the path that nginx derives from a host name."""
        return f"{self.runtime}/carrel"

    def socket_directory(self, user: str) -> str:
        """A small file system of its own, mounted into the user's container as /run/carrel."""
        return f"{self.sockets}/{user}"

    def editor_socket(self, user: str) -> str:
        """The Unix socket on which the user's code-server listens."""
        return f"{self.socket_directory(user)}/{EDITOR_SOCKET}"

    def root(self, user: str) -> str:
        """The image's root file system as the user's container sees it: mounted with an ID map."""
        return f"{self.runtime}/carrel-root/{user}"

    def podman(self, uid: int) -> str:
        """Where podman keeps its own state: gone with the container, because nobody needs it after.

        Debian's AppArmor profile of pasta allows network namespaces below /run/user/UID, and nowhere
        else that fits (abstractions/pasta of passt).
        """
        return f"{self.runtime}/{RUNTIME_DIRECTORY.format(uid=uid)}"

    @property
    def template(self) -> str:
        """The unit file that all workspaces share."""
        return f"{self.units}/carrel-workspace@.service"

    def drop_in(self, user: str) -> str:
        """What is particular to one user's unit."""
        return self.addition(workspace_unit(user))

    def addition(self, unit: str) -> str:
        """Ours of the files that add to a unit."""
        return f"{self.units}/{unit}.d/carrel.conf"

    def unit_file(self, unit: str) -> str:
        """The file of a unit that is no workspace."""
        return f"{self.units}/{unit}"
