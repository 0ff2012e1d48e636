"""Decides what opencode is told: which providers and models exist, and nothing else.

The managed configuration at /etc/opencode beats the user's own and the project's. Without
`enabled_providers` opencode offers hosted models for free, and prompts would leave the server.
"""

from __future__ import annotations

from carrel.core.names import api_key_variable
from carrel.core.resources import Entry
from carrel.core.site import Ai, AiMode, Provider

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None


def usable_providers(ai: Ai) -> tuple[Provider, ...]:
    """The providers a workspace may speak to directly: those of mode shared-keys."""
    return ai.providers if ai.mode is AiMode.SHARED_KEYS else ()


def key_entries(ai: Ai) -> tuple[Entry, ...]:
    """The environment variables with the shared keys; the values, not the paths."""
    return tuple(
        Entry(api_key_variable(provider.name), provider.api_key)
        for provider in usable_providers(ai)
        if provider.api_key is not None
    )


def agent_config(ai: Ai) -> Json:
    """The managed opencode.json."""
    providers = usable_providers(ai)
    config: dict[str, Json] = {
        "autoupdate": False,
        "share": "disabled",
        "enabled_providers": [provider.name for provider in providers],
        "provider": {provider.name: _provider(provider) for provider in providers},
    }
    if providers and ai.model:
        config["model"] = ai.model
        config["small_model"] = ai.model
    return config


def _provider(provider: Provider) -> Json:
    options: dict[str, Json] = {}
    if provider.api_key is not None:
        options["apiKey"] = f"{{env:{api_key_variable(provider.name)}}}"
    config: dict[str, Json] = {"options": options}
    if provider.base_url:
        options["baseURL"] = provider.base_url
        config["npm"] = "@ai-sdk/openai-compatible"
        config["name"] = provider.name
    if provider.models:
        config["models"] = {model: {"name": model} for model in provider.models}
    return config
