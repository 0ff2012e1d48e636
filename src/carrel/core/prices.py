"""The price list that Carrel ships, and the addresses of well-known providers.

US dollars per million tokens. Prices change: `[ai.providers.NAME.prices]` in the configuration beats
this table.
"""

from __future__ import annotations

from carrel.core.site import Price, Wire

DATE = "2026-11-01"
"""When the table was last looked through."""

NANO = 1_000_000_000
"""Nano-dollars in a dollar: money is counted in whole ones, so that sums are exact."""

ANTHROPIC = "anthropic"

BASE_URLS = {
    ANTHROPIC: "https://api.anthropic.com/v1",
    "deepseek": "https://api.deepseek.com/v1",
    "google": "https://generativelanguage.googleapis.com/v1beta/openai",
    "groq": "https://api.groq.com/openai/v1",
    "mistral": "https://api.mistral.ai/v1",
    "openai": "https://api.openai.com/v1",
    "openrouter": "https://openrouter.ai/api/v1",
    "xai": "https://api.x.ai/v1",
}

TELL_UNASKED = frozenset({"mistral"})
"""Providers that refuse `stream_options` (status 422, "extra_forbidden") and tell the usage anyway."""


def wire(provider: str) -> Wire:
    """The language of a provider, going by its name."""
    return Wire.ANTHROPIC if provider == ANTHROPIC else Wire.OPENAI


def nano(value: float) -> int:
    """Dollars as whole nano-dollars."""
    return round(value * NANO)


def dollars(money: int) -> str:
    """Nano-dollars for people: cents, or more digits where cents would show nothing."""
    value = money / NANO
    return f"${value:.2f}" if value >= 0.1 or money == 0 else f"${value:.4f}"  # noqa: PLR2004


def price(
    input_: float,
    output: float,
    *,
    cached_input: float | None = None,
    cache_write: float | None = None,
    max_output: int = 0,
    context: int = 0,
) -> Price:
    """A price from dollars per million tokens; what is not said about caches costs as input does."""
    return Price(
        input=nano(input_),
        output=nano(output),
        cached_input=nano(input_ if cached_input is None else cached_input),
        cache_write=nano(input_ if cache_write is None else cache_write),
        max_output=max_output,
        context=context,
    )


def _claude(input_: float, output: float, max_output: int) -> Price:
    # The same rule for all of its models: a tenth to read the cache, a quarter more to write it.
    return price(
        input_,
        output,
        cached_input=input_ / 10,
        cache_write=input_ * 1.25,
        max_output=max_output,
        context=200_000,
    )


def _gpt(input_: float, output: float, cached: float, max_output: int, context: int) -> Price:
    return price(input_, output, cached_input=cached, max_output=max_output, context=context)


SHIPPED: dict[str, dict[str, Price]] = {
    ANTHROPIC: {
        "claude-sonnet-4-5": _claude(3, 15, 64_000),
        "claude-haiku-4-5": _claude(1, 5, 64_000),
        "claude-opus-4-5": _claude(5, 25, 64_000),
        "claude-opus-4-1": _claude(15, 75, 32_000),
    },
    "openai": {
        "gpt-5.1": _gpt(1.25, 10, 0.125, 128_000, 400_000),
        "gpt-5": _gpt(1.25, 10, 0.125, 128_000, 400_000),
        "gpt-5-mini": _gpt(0.25, 2, 0.025, 128_000, 400_000),
        "gpt-5-nano": _gpt(0.05, 0.4, 0.005, 128_000, 400_000),
        "gpt-4.1": _gpt(2, 8, 0.5, 32_768, 1_047_576),
        "gpt-4.1-mini": _gpt(0.4, 1.6, 0.1, 32_768, 1_047_576),
    },
    "google": {
        "gemini-2.5-pro": _gpt(2.5, 15, 0.25, 65_536, 1_048_576),
        "gemini-2.5-flash": _gpt(0.3, 2.5, 0.03, 65_536, 1_048_576),
        "gemini-2.5-flash-lite": _gpt(0.1, 0.4, 0.01, 65_536, 1_048_576),
    },
    "mistral": {
        "mistral-large-latest": _gpt(2, 6, 2, 32_768, 131_072),
        "mistral-medium-latest": _gpt(0.4, 2, 0.4, 32_768, 131_072),
        "devstral-medium-latest": _gpt(0.4, 2, 0.4, 32_768, 131_072),
        "codestral-latest": _gpt(0.3, 0.9, 0.3, 32_768, 256_000),
    },
}
"""By provider and model. The first model of a provider is the one to start with. Where a provider
charges more for long inputs, this is the higher price: a budget must not be overshot."""
