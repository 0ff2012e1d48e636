"""The [ai] table to its part of a Site, and the faults that only show when keys are seen together.

Used by config.load. Looks at no key file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from carrel.config import schema
from carrel.config.fault import Fault
from carrel.core import gateway, prices
from carrel.core.site import (
    Ai,
    AiLimits,
    AiMode,
    Price,
    Provider,
    SecretFile,
    Unpriced,
    WhenFull,
    Wire,
)


def ai(table: schema.AiTable, secret: Callable[[str | None], SecretFile | None]) -> Ai:
    """The AI part of a site."""
    providers = tuple(
        Provider(
            name=name,
            api_key=secret(entry.api_key_file),
            base_url=(entry.base_url or "").rstrip("/"),
            models=entry.models,
            wire=Wire(entry.wire) if entry.wire else prices.wire(name),
            prices=tuple((model, _price(price)) for model, price in entry.prices.items()),
        )
        for name, entry in table.providers.items()
    )
    first = next((f"{p.name}/{p.models[0]}" for p in providers if p.models), "")
    return Ai(
        mode=AiMode(table.mode),
        providers=providers,
        model=table.model or first,
        aliases=tuple(table.aliases.items()),
        total=limits(table.total, AiLimits()),
        unpriced=Unpriced(table.unpriced),
        when_full=WhenFull(table.when_full),
        allow_own_keys=table.allow_own_keys,
        ask_before=table.ask_before,
    )


def limits(table: schema.AiLimitsTable, base: AiLimits) -> AiLimits:
    """The limits of a table, over those that hold without it."""

    def money(value: float | None, otherwise: int | None) -> int | None:
        return otherwise if value is None else prices.nano(value)

    def number(value: int | None, otherwise: int | None) -> int | None:
        return otherwise if value is None else value

    return AiLimits(
        money_per_day=money(table.money_per_day, base.money_per_day),
        money_per_month=money(table.money_per_month, base.money_per_month),
        tokens_per_day=number(table.tokens_per_day, base.tokens_per_day),
        requests_per_minute=number(table.requests_per_minute, base.requests_per_minute),
        concurrent=number(table.concurrent, base.concurrent),
        request_size=number(table.request_size, base.request_size),
    )


def _price(table: schema.PriceTable) -> Price:
    return prices.price(
        table.input,
        table.output,
        cached_input=table.cached_input,
        cache_write=table.cache_write,
        max_output=table.max_output or 0,
        context=table.context or 0,
    )


def faults(found: Ai) -> Iterator[Fault]:
    """What is wrong between the keys of [ai]."""
    if found.mode is AiMode.SHARED_KEYS and not found.providers:
        yield Fault(
            "ai.providers", f"empty, but ai.mode is {found.mode}", "add one, or set mode off"
        )
    for provider in found.providers:
        yield from _provider_faults(provider, found.mode)
    yield from _model_faults(found)


def _provider_faults(provider: Provider, mode: AiMode) -> Iterator[Fault]:
    where = f"ai.providers.{provider.name}"
    if provider.name == gateway.STAND_IN:
        yield Fault(where, "that is the gateway's own voice", "choose another name")
        return
    if provider.base_url and not provider.models:
        yield Fault(f"{where}.models", "empty, but needed with base_url", "name the models")
    if mode is AiMode.GATEWAY:
        if not provider.base_url and provider.name not in prices.BASE_URLS:
            known = ", ".join(sorted(prices.BASE_URLS))
            yield Fault(where, f"not a provider that Carrel knows ({known})", "add its base_url")
        elif not provider.base_url and not gateway.offered_models(provider):
            yield Fault(f"{where}.models", "empty, and Carrel knows none", "name the models")
    elif not provider.base_url and provider.api_key is None:
        yield Fault(where, "has neither api_key_file nor base_url", "add the file with its key")
    models = gateway.offered_models(provider)
    for model, _ in provider.prices:
        if models and model not in models:
            yield Fault(f"{where}.prices.{model}", "not one of its models", "add it to models")


def _model_faults(found: Ai) -> Iterator[Fault]:
    owners = {provider.name: provider for provider in found.providers}
    wanted = [("ai.model", found.model)] if found.model else []
    for where, model in [*wanted, *((f"ai.aliases.{a}", m) for a, m in found.aliases)]:
        owner, _, name = model.partition("/")
        if owner not in owners:
            yield Fault(where, f'no provider "{owner}" is configured', "write PROVIDER/MODEL")
        elif found.mode is AiMode.GATEWAY and name not in gateway.offered_models(owners[owner]):
            yield Fault(where, f'{owner} does not offer "{name}" here', "add it to its models")
