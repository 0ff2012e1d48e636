"""Decides what opencode is told: which providers and models exist, and what it asks before it does.

The managed configuration at /etc/opencode beats the user's own and the project's. Without
`enabled_providers` opencode offers hosted models for free, and prompts would leave the server.
"""

from __future__ import annotations

from carrel.core.names import api_key_variable
from carrel.core.resources import Entry
from carrel.core.site import Ai, AiMode, Provider

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
    providers = usable_providers(ai)
    config: dict[str, Json] = {
        "autoupdate": False,
        "share": "disabled",
        "permission": permissions(),
        "enabled_providers": [provider.name for provider in providers],
        "provider": {provider.name: _provider(provider) for provider in providers},
    }
    if providers and ai.model:
        config["model"] = ai.model
        config["small_model"] = ai.model
    return config


def permissions() -> Json:
    """What the agent asks a person about; everything else it does by itself.

    The last rule that fits counts. `rm *` is also `rm` alone. It is a question for people, not a
    wall: whoever wants to get around it can, and what holds a workspace in is its container.
    """
    asked: dict[str, Json] = {f"{command} *": "ask" for command in ASKED_BEFORE}
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
