"""What the AI gateway is told: people with limits, providers with models and prices, its files.

Made from a Site here, written as gateway.json by render.gateway, read back by carrel.gateway.
Holds no secret.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from carrel.core import names, prices
from carrel.core.site import Ai, AiLimits, Network, Price, Provider, Unpriced, User, WhenFull, Wire

STAND_IN, STAND_IN_MODEL = "carrel", "assistant"
"""The provider and the model that answer as long as no provider is configured."""


def is_key(text: str) -> bool:
    """Whether a provider's key can be sent at all: one line, of characters that a header may have."""
    return text.isascii() and text.isprintable()


@dataclass(frozen=True, slots=True)
class Upstream:
    """A provider as the gateway sees it. A model without a price has None."""

    name: str
    wire: Wire
    base_url: str
    models: tuple[tuple[str, Price | None], ...]
    needs_key: bool = True
    """Whether it is known to refuse requests without a key; a server of one's own may have none."""
    tells_unasked: bool = False
    """Whether its streams tell their usage unasked, and being asked is an error to it."""

    @property
    def key_variable(self) -> str:
        """Where its key is in the secrets file."""
        return names.api_key_variable(self.name)

    def price(self, model: str) -> Price | None:
        """The price of one of its models."""
        return dict(self.models)[model]

    def offers(self, model: str) -> bool:
        """Whether `model` is one of its models, by the provider's own name."""
        return any(name == model for name, _ in self.models)


VOICE = Upstream(STAND_IN, Wire.OPENAI, "", ((STAND_IN_MODEL, None),), needs_key=False)
"""What opencode is offered as long as there is no provider: it says what is missing."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a socket."""

    name: str
    limits: AiLimits

    @property
    def token_variable(self) -> str:
        """Where the hash of the person's token is in the secrets file."""
        return names.token_variable(self.name)


@dataclass(frozen=True, slots=True)
class Gateway:
    """All that the gateway is told. The first four are paths; `admin` is the host-only socket."""

    sockets: str
    admin: str
    books: str
    secrets: str
    people: tuple[Person, ...] = ()
    total: AiLimits = field(default_factory=AiLimits)
    providers: tuple[Upstream, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()
    model: str = ""
    unpriced: Unpriced = Unpriced.REFUSE
    when_full: WhenFull = WhenFull.STOP
    allow_own_keys: bool = False
    network: Network = field(default_factory=Network)
    """`ca_file` is the whole list of authorities here; empty: the machine's own."""

    def provider(self, name: str) -> Upstream | None:
        """The provider called `name`."""
        return next((provider for provider in self.providers if provider.name == name), None)

    def socket(self, user: str) -> str:
        """The socket of a person."""
        return f"{self.sockets}/{user}/{names.AI_SOCKET}"


def gateway(
    ai: Ai, users: Iterable[User], *, sockets: str, admin: str, books: str, secrets: str
) -> Gateway:
    """What the gateway of a site is told; suspended people have no socket."""
    providers = upstreams(ai)
    return Gateway(
        sockets=sockets,
        admin=admin,
        books=books,
        secrets=secrets,
        people=tuple(Person(user.name, user.ai) for user in users if not user.suspended),
        total=ai.total,
        providers=providers,
        aliases=ai.aliases,
        model=default_model(ai),
        unpriced=ai.unpriced,
        when_full=ai.when_full,
        allow_own_keys=ai.allow_own_keys,
    )


def upstreams(ai: Ai) -> tuple[Upstream, ...]:
    """The providers of a site with all that Carrel knows of them filled in."""
    found = []
    for provider in ai.providers:
        shipped = prices.SHIPPED.get(provider.name, {})
        known: dict[str, Price] = {**shipped, **dict(provider.prices)}
        found.append(
            Upstream(
                name=provider.name,
                wire=provider.wire,
                base_url=provider.base_url or prices.BASE_URLS.get(provider.name, ""),
                models=tuple((model, known.get(model)) for model in offered_models(provider)),
                needs_key=not provider.base_url,
                tells_unasked=not provider.base_url and provider.name in prices.TELL_UNASKED,
            )
        )
    return tuple(found)


def offered_models(provider: Provider) -> tuple[str, ...]:
    """The models of a provider by its own names: as configured, or all with a known price."""
    known = {**prices.SHIPPED.get(provider.name, {}), **dict(provider.prices)}
    return provider.models or tuple(known)


def default_model(ai: Ai) -> str:
    """The model to start with, PROVIDER/MODEL: as configured, or the first, or Carrel's own voice."""
    first = next((f"{p.name}/{p.models[0][0]}" for p in upstreams(ai) if p.models), "")
    return ai.model or first or f"{STAND_IN}/{STAND_IN_MODEL}"


@dataclass(frozen=True, slots=True)
class Chosen:
    """The provider that a request goes to, and the model by the name that it knows."""

    provider: Upstream
    model: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """There is no such model; the text is a sentence for the client."""

    sentence: str


def choose(settings: Gateway, model: str, at: Upstream | None) -> Chosen | Unknown:
    """Whom a request for `model` is for; `at` is the provider that its path names, if it names one.

    A provider's own name of a model comes first, then aliases, then PROVIDER/MODEL.
    """
    if at is not None and at.offers(model):
        return Chosen(at, model)
    target = dict(settings.aliases).get(model, model)
    owner, _, rest = target.partition("/")
    prefixed = settings.provider(owner)
    if prefixed is not None and prefixed.offers(rest) and at in (None, prefixed):
        return Chosen(prefixed, rest)
    owners = [provider for provider in settings.providers if provider.offers(target)]
    if at is None and len(owners) == 1:
        return Chosen(owners[0], target)
    if at is None and owners:
        choices = " or ".join(f"{provider.name}/{target}" for provider in owners)
        return Unknown(f"Several providers have a model {_short(target)} here: write {choices}.")
    return Unknown(f"There is no model {_short(model)} here. {_offered(settings, at)}")


def offered(settings: Gateway, at: Upstream | None) -> list[str]:
    """The names by which models can be asked for, at one provider or without naming one."""
    if at is not None:
        return [name for name, _ in at.models]
    return [
        *(name for name, _ in settings.aliases),
        *(
            f"{provider.name}/{name}"
            for provider in settings.providers
            for name, _ in provider.models
        ),
    ]


def _offered(settings: Gateway, at: Upstream | None) -> str:
    found = offered(settings, at)
    return f"There are: {', '.join(found)}." if found else "There is none at all."


def _short(name: str) -> str:
    return f'"{name[:100]}"'
