"""Keys for AI: a provider's, which only the gateway reads, and the tokens that workspaces have.

Edits carrel.toml, and brings it about if the site is up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from carrel.config import edit, load
from carrel.core.audit import Did
from carrel.core.site import Site
from carrel.errors import ConfigError
from carrel.operations import users
from carrel.operations.change import Instruction, change
from carrel.operations.users import Done
from carrel.targets.protocol import Target, Told


@dataclass(frozen=True, slots=True)
class NewKey:
    """A provider's key as given; `base_url` and `models` for a provider that Carrel does not know."""

    provider: str
    value: str
    base_url: str = ""
    models: Sequence[str] = ()


def add(target: Target, key: NewKey, told: Told) -> Done:
    """Keep the key in a file of its own, and offer the provider's models; the same for another key."""
    if not key.value or len(key.value.split()) != 1:
        raise ConfigError("A key is one word of text. Nothing was changed.")
    with target.store.locked():
        known = next(
            (p for p in load.load(target.config).ai.providers if p.name == key.provider), None
        )
        path = users.secret_path(target, f"ai-{key.provider}")
        if known is not None and known.api_key is not None:
            path = known.api_key.path

        def edited(text: str, _: Site) -> str:
            if known is not None and known.api_key is not None:
                return text
            name = f"{users.SECRETS}/ai-{key.provider}"
            longer = edit.set_provider(
                text, key.provider, name, base_url=key.base_url, models=key.models
            )
            # The name becomes a part of a path, and is only known to be one when it was parsed.
            load.parse(longer, target.config)
            return longer

        running = change(
            target,
            Instruction(edited, Did.AI_KEY_ADD, about=key.provider, secrets={path: key.value}),
            told,
        )
    return Done(path, running=running)


def rotate(target: Target, name: str, told: Told) -> Done:
    """Another token for the user's workspace, which starts anew; the old one opens nothing any more."""

    def edited(text: str, site: Site) -> str:
        user = site.user(name)
        if user is None:
            raise ConfigError(f"There is no user {name}. Nothing was changed.")
        return edit.set_ai_token(text, name, user.ai_token + 1)

    return Done(running=change(target, Instruction(edited, Did.AI_KEY_ROTATE, name), told))
