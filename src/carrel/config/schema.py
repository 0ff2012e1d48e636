"""The shape of carrel.toml: every key, its type, default and description.

The JSON Schema and the reference page are generated from here. Rules that involve two keys, other
files or the machine are in config.load.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from carrel.core import names
from carrel.core.site import GIB, KIB, LETS_ENCRYPT, MIB

SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMG])(?:i?B)?", re.IGNORECASE)
UNITS = {"K": KIB, "M": MIB, "G": GIB}
LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
DOMAIN = re.compile(rf"{LABEL}(\.{LABEL})+")
PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
EXTENSION_ID = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9-]*\.[A-Za-z0-9][A-Za-z0-9._-]*(@[0-9A-Za-z.+-]+)?"
)
IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._:/@-]*")
PROVIDER = re.compile(r"[a-z][a-z0-9-]{0,31}")
MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*")
COMMAND = re.compile(r"[A-Za-z0-9._/-]+( [A-Za-z0-9._/*=-]+)*")
HTTP_URL = re.compile(r"https?://[A-Za-z0-9.\[\]:_-]+(/[A-Za-z0-9._~/-]*)?")
HTTPS_URL = re.compile(r"https://[A-Za-z0-9.\[\]:_-]+(/[A-Za-z0-9._~/-]*)?")
EMAIL = re.compile(r"[A-Za-z0-9._+-]+@[A-Za-z0-9.-]+")
PROXY = re.compile(r"http://([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(:\d{1,5})?/?")
NO_PROXY = re.compile(r"\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*|\*|[0-9a-fA-F:]+")
DNS_PROVIDER = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
RESOLVER = re.compile(r"([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\]):\d{1,5}")
PATH = re.compile(r"[^\x00-\x1f\x7f\"'\\$;:{}%,*?\[\]]+")
ARGON2 = re.compile(r"\$argon2(id|i|d)\$v=\d+\$m=\d+,t=\d+,p=\d+\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+")
# Free of what HTML, the templates of the sign-in form (i18next) or a command line would read.
WORDS = re.compile(r"[^\x00-\x1f\x7f<>{}$\\\"`]*[^\x00-\x20\x7f<>{}$\\\"`]")
SMALLEST_MEMORY = 256 * MIB


def wrong(reason: str, remedy: str) -> PydanticCustomError:
    """A fault with its remedy, as config.load expects it."""
    return PydanticCustomError("carrel", "{reason}", {"reason": reason, "remedy": remedy})


def size(value: object) -> object:
    """`2.5G`, `512M` or a number of bytes, as bytes."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise wrong("a size is text like 3G", 'write "512M" or "2.5G"')
    if isinstance(value, int):
        return value
    match = SIZE.fullmatch(value.strip())
    if match is None:
        raise wrong(f'"{value}" is not a size', 'write "512M" or "2.5G"')
    return int(float(match[1]) * UNITS[match[2].upper()])


def matching(pattern: re.Pattern[str], what: str, remedy: str) -> AfterValidator:
    """A validator: the whole text has to match."""

    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise wrong(f'"{value}" is not {what}', remedy)
        return value

    return AfterValidator(check)


def enough_memory(value: int) -> int:
    """Less than this, and VS Code does not start."""
    if value < SMALLEST_MEMORY:
        raise wrong(
            "less memory than VS Code needs to start", 'give at least "256M"; "2G" is usual'
        )
    return value


def user_name(value: str) -> str:
    """A name that is safe as an account, a host name and a path."""
    if not names.USER_NAME.fullmatch(value):
        raise wrong(
            f'"{value}" cannot be a user name',
            "use 1 to 24 lower-case letters and digits, a letter first, no hyphen",
        )
    if value in names.RESERVED_NAMES:
        raise wrong(f'"{value}" is reserved', "choose another name")
    return value


def proxy(value: str) -> str:
    """A proxy that workspaces can use: they have a loopback of their own, and could read a password."""
    if "@" in value:
        raise wrong(
            "a name and a password in it could be read in every workspace",
            "run a forwarder that has them (cntlm, px) on another machine, and name that",
        )
    match = PROXY.fullmatch(value)
    if match is None:
        raise wrong(f'"{value}" is not a proxy', 'write it like "http://proxy.example.org:3128"')
    if match[1] in ("localhost", "[::1]") or match[1].startswith("127."):
        raise wrong(
            f'"{value}" is on this machine itself, where no workspace reaches it',
            "name one on another machine",
        )
    return value


def argon2_hash(value: str) -> str:
    """A hash; what is none may be a password in plain text, so no fault repeats it."""
    if not ARGON2.fullmatch(value):
        raise wrong(
            "not an argon2 hash", "put the password into a file and name it in password_file"
        )
    return value


def extension(value: str) -> str:
    """An Open VSX id or the path of a .vsix file."""
    if not value.endswith(".vsix") and not EXTENSION_ID.fullmatch(value):
        raise wrong(
            f'"{value}" is not an extension',
            'write an Open VSX id like "ms-python.python", or the path of a .vsix file',
        )
    return value


Size = Annotated[int, BeforeValidator(size), AfterValidator(enough_memory)]
Path = Annotated[
    str, matching(PATH, "a usable path", "use no quotes, colons, commas, braces or wildcards")
]
Domain = Annotated[str, matching(DOMAIN, "a domain", 'write it like "code.example.org"')]
Port = Annotated[int, Field(ge=1024, le=65535)]
UserName = Annotated[str, AfterValidator(user_name)]
ProviderName = Annotated[
    str, matching(PROVIDER, "a provider name", 'use letters, digits and hyphens, like "anthropic"')
]
Package = Annotated[str, matching(PACKAGE, "a Debian package", "see `apt-cache search WORD`")]
Extension = Annotated[str, AfterValidator(extension)]
ImageName = Annotated[
    str, matching(IMAGE, "an image", 'write auto, debian, or a reference like "name/image:1.2"')
]
Model = Annotated[str, matching(MODEL, "a model", 'write the name the provider uses, like "gpt-5"')]
Url = Annotated[str, matching(HTTP_URL, "a base URL", 'write it like "https://host.example/v1"')]
Line = Annotated[
    str,
    Field(max_length=120),
    matching(WORDS, "one line of words", 'use no line break and none of < > { } $ ` " \\'),
]
SecureUrl = Annotated[str, matching(HTTPS_URL, "an HTTPS address", "write https://… in full")]
Email = Annotated[str, matching(EMAIL, "an address", 'write it like "ops@example.org"')]
Proxy = Annotated[str, AfterValidator(proxy)]
NoProxy = Annotated[
    str,
    matching(
        NO_PROXY,
        "a host that every program understands",
        'write "host.example.org", ".example.org" for all below it, or an address; no ranges',
    ),
]
DnsProvider = Annotated[
    str, matching(DNS_PROVIDER, "a DNS provider", 'write its code in lego, like "vultr"')
]
Resolver = Annotated[str, matching(RESOLVER, "a resolver", 'write it like "9.9.9.9:53"')]
Money = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
Tokens = Annotated[int, Field(ge=1, le=1_000_000_000_000)]
Hash = Annotated[str, AfterValidator(argon2_hash)]
Command = Annotated[
    str, matching(COMMAND, "the beginning of a command", 'write it like "git push"')
]


class Strict(BaseModel):
    """Unknown keys are faults."""

    # Deferred: every command reads the document once, and needs no validator of a part alone.
    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True
    )


class SiteTable(Strict):
    """What the site tells people of itself: on its pages, and on the sign-in form."""

    name: Line = Field("Carrel", description="what people know it by")
    language: Literal["en", "de"] = Field("en", description="of the pages: English or German")
    contact: Line | None = Field(
        None, description="whom to ask: words, an e-mail address or a web address"
    )


class TlsTable(Strict):
    """Where the wildcard certificate for the domain comes from."""

    mode: Literal["acme", "files", "local"] = Field(
        "local",
        description="acme: Let's Encrypt by DNS-01; files: your own; local: Carrel's own authority",
    )
    email: Email | None = Field(None, description="acme: the account's address at the authority")
    dns_provider: DnsProvider | None = Field(
        None, description="acme: the DNS provider's code in lego; `lego dnshelp` lists them"
    )
    credentials_file: Path | None = Field(
        None, description="acme: lines NAME=value for lego; `lego dnshelp -c PROVIDER` says which"
    )
    server: SecureUrl = Field(LETS_ENCRYPT, description="acme: the authority's directory")
    ca_file: Path | None = Field(
        None, description="acme: PEM root of a private authority, for its own HTTPS"
    )
    dns_resolvers: tuple[Resolver, ...] = Field(
        (),
        description="acme: HOST:PORT of the resolvers to ask whether a record is there, instead of "
        "the name servers of the zone",
    )
    certificate_file: Path | None = Field(None, description="files: the full chain, PEM")
    key_file: Path | None = Field(None, description="files: the private key, PEM")


class NetworkTable(Strict):
    """What stands between the site and the internet.

    Workspaces, the AI gateway, `tls.mode = "acme"` and the image's build go by it. The environment of
    whoever runs a command counts for the build alone, and for what `carrel init` writes here.
    """

    ca_file: Path | None = Field(
        None,
        description="PEM file with authorities to trust, such as a company's, besides those that this "
        "machine trusts",
    )
    http_proxy: Proxy | None = Field(None, description="the proxy for http addresses")
    https_proxy: Proxy | None = Field(None, description="the proxy for https addresses")
    no_proxy: tuple[NoProxy, ...] = Field(
        (),
        description="hosts that are asked without the proxy: names, .NAME for all below it, addresses",
    )


class ImageTable(Strict):
    """What every workspace runs."""

    base: ImageName = Field(
        "auto",
        description="auto: Debian 13 from a registry, or from the machine's own apt sources; "
        "debian: always the latter; or any image reference",
    )
    languages: tuple[Literal["go", "rust", "java", "ruby", "php"], ...] = Field(
        (),
        description="more languages, each with its compiler and its package manager, as Debian has "
        "them; Python, JavaScript, C and C++ are always there",
    )
    packages: tuple[Package, ...] = Field((), description="more Debian packages")
    extensions: tuple[Extension, ...] = Field(
        ("sst-dev.opencode",), description="VS Code extensions: Open VSX ids or .vsix paths"
    )


class LimitsTable(Strict):
    """What one workspace may use."""

    memory: Size | None = Field(None, description="hard limit; default 3G")
    memory_soft: Size | None = Field(
        None, description="kept for the workspace when memory is short; default 5/6 of memory"
    )
    cpus: float | None = Field(None, gt=0, le=1024, description="CPUs; default 1.5")
    processes: int | None = Field(
        None, ge=64, le=1_000_000, description="processes and threads; default 1024"
    )


class StorageTable(Strict):
    """Where the users' directories are."""

    base: Path = Field("/var/lib/vscode", description="holds one directory per user")


class PriceTable(Strict):
    """What one model costs, in US dollars per million tokens."""

    input: Money = Field(description="what is read")
    output: Money = Field(description="what is written")
    cached_input: Money | None = Field(
        None, description="what is read from the provider's cache; default: as input"
    )
    cache_write: Money | None = Field(
        None, description="what goes into that cache; default: as input"
    )
    max_output: Tokens | None = Field(None, description="tokens that the model writes at most")
    context: Tokens | None = Field(None, description="tokens that the model reads at most")


class ProviderTable(Strict):
    """One AI provider."""

    api_key_file: Path | None = Field(None, description="file with the key, nothing else in it")
    base_url: Url | None = Field(None, description="for any server that speaks `wire`")
    models: tuple[Model, ...] = Field(
        (), description="models to offer; needed with base_url; default: those with a known price"
    )
    wire: Literal["openai", "anthropic"] | None = Field(
        None, description="what the server speaks; default: openai, for anthropic its own"
    )
    prices: dict[Model, PriceTable] = Field(
        default_factory=dict, description="by model; beat the prices that Carrel knows"
    )


class AiLimitsTable(Strict):
    """What may be spent at the gateway. Days and months are UTC's."""

    money_per_day: Money | None = Field(None, description="US dollars")
    money_per_month: Money | None = Field(None, description="US dollars")
    tokens_per_day: Tokens | None = Field(None, description="read and written")
    requests_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        None, description="for one person 120 by default"
    )
    concurrent: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        None, description="requests at once; for one person 16 by default"
    )
    request_size: Annotated[int, BeforeValidator(size), Field(ge=KIB, le=GIB)] | None = Field(
        None, description="of one request; for one person 32M by default"
    )


class AiTable(Strict):
    """How workspaces reach their AI."""

    mode: Literal["gateway", "shared-keys", "off"] = Field(
        "off",
        description="gateway: keys stay on the host; shared-keys: keys are in every workspace's "
        "environment, where its user can read them; off: no AI",
    )
    model: Model | None = Field(None, description="what opencode starts with, PROVIDER/MODEL")
    providers: dict[ProviderName, ProviderTable] = Field(
        default_factory=dict, description="by the name that opencode knows them by"
    )
    aliases: dict[Model, Model] = Field(
        default_factory=dict, description="gateway: other names of models, for PROVIDER/MODEL"
    )
    limits: AiLimitsTable = Field(
        default_factory=AiLimitsTable, description="gateway: for each person"
    )
    total: AiLimitsTable = Field(
        default_factory=AiLimitsTable, description="gateway: for all together"
    )
    unpriced: Literal["refuse", "free"] = Field(
        "refuse", description="gateway: what happens to a request for a model without a price"
    )
    when_full: Literal["stop", "serve"] = Field(
        "stop", description="gateway: what it does while its books cannot be written"
    )
    allow_own_keys: bool = Field(
        default=False, description="let people sign in to providers with keys of their own"
    )
    ask_before: tuple[Command, ...] | None = Field(
        None,
        description="commands that the agent asks about before it runs them, by their beginnings, like "
        '"git push"; default: those that delete, publish, or carry something out of the workspace',
    )


class LocalTable(Strict):
    """Local mode only (`carrel up`)."""

    port: Port = Field(8443, description="HTTPS port on 127.0.0.1")


class UserTable(Strict):
    """One person with a workspace."""

    password_file: Path | None = Field(
        None, description="file with the password, in plain text or as an argon2 hash"
    )
    password_hash: Hash | None = Field(
        None,
        repr=False,
        description="the argon2 hash itself, which is as good as the password: this file must then be "
        "for its owner alone (mode 0600); a password_file may hold a hash, too",
    )
    full_name: Line | None = Field(None, description="how git signs the user's work; default: NAME")
    email: Email | None = Field(None, description="the same; default: NAME@domain")
    limits: LimitsTable = Field(default_factory=LimitsTable, description="override [limits]")
    ai: AiLimitsTable = Field(default_factory=AiLimitsTable, description="override [ai.limits]")
    port: Port | None = Field(None, description="also listen on 127.0.0.1:PORT, for an SSH tunnel")
    suspended: bool = Field(
        default=False, description="keep the workspace stopped; `carrel user suspend` sets it"
    )
    ai_token: int = Field(
        1, ge=1, description="the number of the user's token; `carrel ai key rotate` raises it"
    )


class Document(Strict):
    """carrel.toml: the whole configuration of a Carrel site."""

    domain: Domain = Field(description="users work at NAME.domain")
    site: SiteTable = Field(default_factory=SiteTable)
    tls: TlsTable = Field(default_factory=TlsTable)
    image: ImageTable = Field(default_factory=ImageTable)
    network: NetworkTable = Field(default_factory=NetworkTable)
    limits: LimitsTable = Field(default_factory=LimitsTable)
    storage: StorageTable = Field(default_factory=StorageTable)
    ai: AiTable = Field(default_factory=AiTable)
    local: LocalTable = Field(default_factory=LocalTable)
    users: dict[UserName, UserTable] = Field(
        default_factory=dict, description=f"by name: {names.USER_NAME.pattern}"
    )
