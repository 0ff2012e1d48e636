"""Decides what opencode is told: which providers and models exist, and what it asks before it does.

The managed configuration at /etc/opencode beats the user's own and the project's. Without
`enabled_providers` opencode offers hosted models for free, and prompts would leave the server.
"""

from __future__ import annotations

from collections.abc import Iterable

from carrel.core import gateway, names
from carrel.core.gateway import Upstream
from carrel.core.names import api_key_variable
from carrel.core.resources import Entry
from carrel.core.site import Ai, AiMode, Price, Provider, Wire

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None

ASKED_BEFORE = (
    *("rm", "rmdir", "unlink", "shred", "truncate", "find * -delete", "find * -exec rm"),
    *("git push", "git clean", "git reset --hard", "git branch -D", "git stash drop"),
    *("git checkout --", "git restore", "git rm"),
    *("npm publish", "npx * publish", "pnpm publish", "yarn publish", "twine upload", "uv publish"),
    *("cargo publish", "gem push", "docker push", "podman push", "gh", "glab"),
    *("ssh", "scp", "sftp", "rsync", "ftp", "nc", "socat"),
)
"""The beginnings of commands that delete, or that carry something out of the workspace."""


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
    if ai.mode is AiMode.GATEWAY:
        offered: dict[str, Json] = {p.name: _through_gateway(p) for p in _upstreams(ai)}
        model = gateway.default_model(ai)
    else:
        offered = {provider.name: _provider(provider) for provider in usable_providers(ai)}
        model = ai.model if offered else ""
    config: dict[str, Json] = {
        "autoupdate": False,
        "share": "disabled",
        "permission": permissions(ASKED_BEFORE if ai.ask_before is None else ai.ask_before),
        **_providers(ai, offered),
        "provider": offered,
    }
    if model:
        config["model"] = model
        config["small_model"] = model
    return config


def _providers(ai: Ai, offered: dict[str, Json]) -> dict[str, Json]:
    if ai.mode is AiMode.GATEWAY and ai.allow_own_keys:
        # All but opencode's own, which would take prompts from everybody, without a key.
        return {"disabled_providers": ["opencode"]}
    return {"enabled_providers": list(offered)}


def _upstreams(ai: Ai) -> tuple[Upstream, ...]:
    """The gateway's providers; before there is one, its own voice, which says what to do."""
    return gateway.upstreams(ai) or (gateway.VOICE,)


def _through_gateway(provider: Upstream) -> Json:
    models = [model for model, _ in provider.models]
    return {
        "name": provider.name.capitalize(),
        "npm": _library(provider),
        # Of providers that it knows, opencode would offer every model there is.
        "whitelist": list(models),
        "models": {model: _model(price) for model, price in provider.models},
        "options": {
            "baseURL": f"{names.AI_ADDRESS}/{provider.name}/v1",
            "apiKey": f"{{env:{names.AI_TOKEN}}}",
        },
    }


def _model(price: Price | None) -> Json:
    """How much a model reads and writes at once: when opencode sums up what was said so far."""
    if price is None or not price.context or not price.max_output:
        return {}
    return {"limit": {"context": price.context, "output": price.max_output}}


def _library(provider: Upstream) -> str:
    """Which of opencode's built-in libraries speaks the provider's language."""
    return "@ai-sdk/anthropic" if provider.wire is Wire.ANTHROPIC else "@ai-sdk/openai-compatible"


def permissions(ask_before: Iterable[str]) -> Json:
    """What the agent asks a person about; everything else it does by itself.

    The last rule that fits counts. `rm *` is also `rm` alone. It is a question for people, not a
    wall: whoever wants to get around it can, and what holds a workspace in is its container.
    """
    asked: dict[str, Json] = {f"{command} *": "ask" for command in ask_before}
    return {
        "bash": {"*": "allow", **asked},
        # /tmp is the workspace's own, and where programs put what they need for a moment.
        "external_directory": {"*": "ask", "/tmp/*": "allow"},  # noqa: S108 - inside the container
    }


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
