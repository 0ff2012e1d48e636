"""Where each target keeps what Carrel makes: every directory, file and socket of a site.

Used by everything that makes or looks at one. How people, units and images are called is in core.names.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from carrel.core.names import (
    CERTIFICATE_STATE,
    EDITOR_SOCKET,
    GATEWAY,
    GATEWAY_ACCOUNT,
    RUNTIME_DIRECTORY,
    SECRET_KEY,
    secrets_name,
    workspace_unit,
)


class Layout(ABC):
    """What every target keeps by the same names below the directories of its own."""

    __slots__ = ()

    @property
    @abstractmethod
    def state(self) -> str:
        """The site's own directory; it outlives a reboot."""

    @property
    @abstractmethod
    def sockets(self) -> str:
        """One directory per user below this one: the path that nginx derives from a host name."""

    @property
    @abstractmethod
    def ai_sockets(self) -> str:
        """One directory per user, with the socket on which the gateway listens for them."""

    @property
    @abstractmethod
    def gateway_admin(self) -> str:
        """The gateway's socket for metrics and health."""

    @property
    @abstractmethod
    def nginx_config(self) -> str:
        """What nginx reads of ours."""

    @property
    @abstractmethod
    def editor_files(self) -> str:
        """The editor's own files for nginx, one directory per version of it."""

    @property
    def applied(self) -> str:
        """The configuration that was brought about last."""
        return f"{self.state}/applied.toml"

    @property
    def steps(self) -> str:
        """What was done since the journal was written."""
        return f"{self.state}/steps.jsonl"

    @property
    def journal(self) -> str:
        """The record of what Carrel made."""
        return f"{self.state}/state.json"

    @property
    def log_of_changes(self) -> str:
        """Who changed what: a list that only grows, whatever else is taken away."""
        return f"{self.state}/log.jsonl"

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
    def trust(self) -> str:
        """What workspaces and the AI gateway trust."""
        return f"{self.state}/trust"

    @property
    def ca_bundle(self) -> str:
        """The authorities of this machine and the site's own; mounted read-only into every workspace."""
        return f"{self.trust}/ca-certificates.crt"

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

    def socket_directory(self, user: str) -> str:
        """Mounted into the user's container as /run/carrel."""
        return f"{self.sockets}/{user}"

    def editor_socket(self, user: str) -> str:
        """The Unix socket on which the user's code-server listens."""
        return f"{self.socket_directory(user)}/{EDITOR_SOCKET}"

    def ai_directory(self, user: str) -> str:
        """Mounted into the user's container as /run/carrel-ai."""
        return f"{self.ai_sockets}/{user}"

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
    def books(self) -> str:
        """What the AI gateway counted: one row for each request."""
        return f"{self.gateway}/books.sqlite"


@dataclass(frozen=True, slots=True)
class LocalLayout(Layout):
    """Where local mode keeps what it makes for one site.

    `root` outlives a reboot and is shared by the sites of one account; `runtime` does not outlive it.
    `account` runs the containers and nginx; `owner` runs Carrel (root, or the same account). Two of them
    share `root`: it is the owner's, and so is all that Carrel goes by; the account has parts of its own.
    """

    site: str
    root: str
    runtime: str
    account: str
    owner: str

    @property
    def divided(self) -> bool:
        """Whether Carrel has rights that its containers' account has not."""
        return self.account != self.owner

    @property
    def sites(self) -> str:
        """One directory per site below this one, and the lock of each."""
        return f"{self.root}/sites"

    @property
    def state(self) -> str:
        """The site's own directory."""
        return f"{self.sites}/{self.site}"

    @property
    def lock(self) -> str:
        """Who holds it changes the site."""
        return f"{self.sites}/{self.site}.lock"

    @property
    def home(self) -> str:
        """The account's own: what programs keep in a home."""
        return f"{self.root}/home" if self.divided else self.root

    @property
    def store(self) -> str:
        """The account's own: images and containers of podman, of all its sites."""
        return f"{self.root}/containers"

    @property
    def images(self) -> str:
        """The records of images, and what the next one is built from."""
        return f"{self.root}/images"

    @property
    def scratch(self) -> str:
        """Where the account's programs may write a large file for a while."""
        return self.home if self.divided else self.images

    @property
    def obeyed(self) -> tuple[str, ...]:
        """What Carrel goes by: nobody else than `owner` may be able to write there.

        `images` is not among them as a whole: an earlier Carrel left the directory to the account, and
        only records that are the owner's count.
        """
        return (
            self.sites, self.lock, self.state, self.journal, self.steps, self.applied,
            self.log_of_changes, self.secret_key, self.supervisor_config, self.supervisor_programs,
            self.logs, self.run, self.supervisor_socket,
        )  # fmt: skip

    @property
    def run(self) -> str:
        """Sockets of the site."""
        return f"{self.runtime}/{self.site}"

    @property
    def sockets(self) -> str:
        """One directory per user below this one: the path that nginx derives from a host name."""
        return f"{self.run}/users"

    @property
    def ai_sockets(self) -> str:
        """One directory per user, with the socket on which the gateway listens for them."""
        return f"{self.run}/ai"

    @property
    def editor_files(self) -> str:
        """The editor's own files for nginx, shared by the account's sites, as its images are."""
        return f"{self.root}/editor"

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
class HostLayout(Layout):
    """Where a server keeps what Carrel makes (design §5); tests choose other directories."""

    config: str = "/etc/carrel"
    state: str = "/var/lib/carrel"
    runtime: str = "/run"
    units: str = "/etc/systemd/system"
    nginx: str = "/etc/nginx/conf.d/carrel.conf"
    tmpfiles: str = "/etc/tmpfiles.d/carrel.conf"
    """What systemd makes in /run at each boot (tmpfiles.d(5))."""
    web_group: str = "www-data"
    private: str = "/var/lib/private"
    """Where systemd keeps the state of units that have no account of their own."""

    @property
    def images(self) -> str:
        """One unpacked root file system per image version."""
        return f"{self.state}/images"

    @property
    def editor_files(self) -> str:
        """The editor's own files for nginx, of the image in use and the one before it."""
        return f"{self.state}/editor"

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

    def bundle(self, source: str) -> str:
        """The certificate from one source, with its key; another source has another file."""
        return f"{self.tls}/{source}.pem"

    @property
    def obtained(self) -> str:
        """What carrel-certificate.service keeps: the account at the authority, what it got last."""
        return f"{self.private}/{CERTIFICATE_STATE}"

    @property
    def gateway_admin(self) -> str:
        """The gateway's socket for metrics and health; its directory is systemd's RuntimeDirectory."""
        return f"{self.runtime}/{GATEWAY_ACCOUNT}/admin.sock"

    @property
    def ai_sockets(self) -> str:
        """One directory per user, with the socket on which the gateway listens for them."""
        return f"{self.runtime}/carrel-ai"

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
