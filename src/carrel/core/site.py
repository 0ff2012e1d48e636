"""A validated configuration as frozen values; made by config.load, read by everything else."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

KIB, MIB, GIB = 1024, 1024**2, 1024**3

SOFT_SHARE = (5, 6)
"""How much of a workspace's memory is kept for it, as a fraction, unless the configuration says."""


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A secret by reference. The value stays in `path` until the last adapter reads it."""

    path: str


@dataclass(frozen=True, slots=True)
class PasswordHash:
    """An argon2 hash written into the configuration itself.

    It is a bearer secret (code-server's cookie is the hash), so its repr hides it.
    """

    value: str = field(repr=False)


Password = SecretFile | PasswordHash


@dataclass(frozen=True, slots=True)
class Limits:
    """What one workspace may use: bytes of memory (hard and soft), CPUs, and processes."""

    memory: int = 3 * GIB
    memory_soft: int = 5 * GIB // 2
    cpus: float = 1.5
    processes: int = 1024


LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"


class Language(StrEnum):
    """What the pages of the edge speak."""

    ENGLISH = "en"
    GERMAN = "de"


@dataclass(frozen=True, slots=True)
class About:
    """What a site tells people of itself. `contact`: whom to ask, in words, an e-mail or web address."""

    name: str = "Carrel"
    language: Language = Language.ENGLISH
    contact: str = ""


class TlsMode(StrEnum):
    """Where the wildcard certificate comes from."""

    ACME = "acme"
    FILES = "files"
    LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Tls:
    """The certificate's origin; which other fields count depends on `mode`."""

    mode: TlsMode = TlsMode.LOCAL
    email: str = ""
    dns_provider: str = ""
    credentials: SecretFile | None = None
    server: str = LETS_ENCRYPT
    authority: str = ""
    """A file with the root of the ACME server's own HTTPS; empty: one that the world trusts."""
    resolvers: tuple[str, ...] = ()
    """Who alone is asked whether a record is there; empty: the name servers of the zone."""
    certificate: str = ""
    key: SecretFile | None = None


LANGUAGES = {
    "go": ("golang-go",),
    "rust": ("cargo", "rustc", "rustfmt"),
    "java": ("default-jdk-headless", "maven"),
    "ruby": ("bundler", "ruby", "ruby-dev"),
    "php": ("composer", "php-cli", "php-curl", "php-mbstring", "php-sqlite3", "php-xml"),
}
"""Debian's packages for a language: to run, to build, and to fetch what others wrote."""


@dataclass(frozen=True, slots=True)
class ImageRecipe:
    """What the operator asked the workspace image to be made from."""

    base: str = "auto"
    packages: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ("sst-dev.opencode",)
    languages: tuple[str, ...] = ()
    """Keys of `LANGUAGES`."""

    @property
    def all_packages(self) -> tuple[str, ...]:
        """Every Debian package besides those that each image has."""
        spoken = (package for language in self.languages for package in LANGUAGES[language])
        return tuple(dict.fromkeys((*spoken, *self.packages)))


@dataclass(frozen=True, slots=True)
class Network:
    """How everything of a site gets out. A proxy is an http:// address, without a name and password."""

    ca_file: str = ""
    """A PEM file with authorities to trust besides those that this machine trusts."""
    http_proxy: str = ""
    https_proxy: str = ""
    no_proxy: tuple[str, ...] = ()
    """Hosts that are asked without the proxy: names, with a dot in front all below one, addresses."""


class AiMode(StrEnum):
    """How a workspace reaches its AI providers."""

    GATEWAY = "gateway"
    SHARED_KEYS = "shared-keys"
    OFF = "off"


class Wire(StrEnum):
    """The language that a provider speaks."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs, in nano-dollars per million tokens, and how much it takes at once.

    `max_output` and `context` are tokens; 0: nobody said.
    """

    input: int
    output: int
    cached_input: int
    cache_write: int
    max_output: int = 0
    context: int = 0


@dataclass(frozen=True, slots=True)
class AiLimits:
    """What a person, or all together, may spend at the gateway, in nano-dollars. None: no limit."""

    money_per_day: int | None = None
    money_per_month: int | None = None
    tokens_per_day: int | None = None
    requests_per_minute: int | None = None
    concurrent: int | None = None
    request_size: int | None = None
    """Bytes of one request's body."""


EVERYONE = AiLimits(requests_per_minute=120, concurrent=16, request_size=32 * MIB)
"""Each person's limits when the configuration says nothing; an agent at work stays far below."""


@dataclass(frozen=True, slots=True)
class Provider:
    """One AI provider. With `base_url` it is any server that speaks `wire`."""

    name: str
    api_key: SecretFile | None = None
    base_url: str = ""
    models: tuple[str, ...] = ()
    wire: Wire = Wire.OPENAI
    prices: tuple[tuple[str, Price], ...] = ()
    """The configuration's own, by model; they beat the shipped ones."""


class Unpriced(StrEnum):
    """What happens to a request for a model without a price."""

    REFUSE = "refuse"
    FREE = "free"


class WhenFull(StrEnum):
    """What the gateway does while its books cannot be written."""

    STOP = "stop"
    SERVE = "serve"


@dataclass(frozen=True, slots=True)
class Ai:
    """The AI part of a site; `model` is the one opencode starts with, as PROVIDER/MODEL."""

    mode: AiMode = AiMode.OFF
    providers: tuple[Provider, ...] = ()
    model: str = ""
    aliases: tuple[tuple[str, str], ...] = ()
    """Other names of models, each for a PROVIDER/MODEL."""
    total: AiLimits = field(default_factory=AiLimits)
    unpriced: Unpriced = Unpriced.REFUSE
    when_full: WhenFull = WhenFull.STOP
    allow_own_keys: bool = False
    ask_before: tuple[str, ...] | None = None
    """Beginnings of commands that the agent asks about; None: those of core.ai."""


@dataclass(frozen=True, slots=True)
class User:
    """A person with a workspace. `port`: an extra listener on 127.0.0.1 for an SSH tunnel."""

    name: str
    password: Password
    limits: Limits = field(default_factory=Limits)
    port: int | None = None
    suspended: bool = False
    """Whether the workspace is stopped until the operator says otherwise; the data stay."""
    ai_token: int = 1
    """Which of the tokens that the AI gateway knows the user by: another number, another token."""
    ai: AiLimits = EVERYONE
    full_name: str = ""
    """With `email`: how git signs what the user does, unless they say otherwise themselves."""
    email: str = ""


@dataclass(frozen=True, slots=True)
class Site:
    """One validated configuration: everything that may influence what Carrel makes."""

    domain: str
    storage: str
    users: tuple[User, ...] = ()
    about: About = field(default_factory=About)
    tls: Tls = field(default_factory=Tls)
    image: ImageRecipe = field(default_factory=ImageRecipe)
    network: Network = field(default_factory=Network)
    ai: Ai = field(default_factory=Ai)
    local_port: int = 8443

    @property
    def has_gateway(self) -> bool:
        """Whether people's agents speak to the AI gateway."""
        return self.ai.mode is AiMode.GATEWAY

    def user(self, name: str) -> User | None:
        """The user called `name`, or None."""
        return next((user for user in self.users if user.name == name), None)
