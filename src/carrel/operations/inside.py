"""Looking into one workspace: a shell in its container."""

from __future__ import annotations

from carrel.targets.protocol import Target

SHELL = ("bash", "--login")

WITHOUT_HASH = ("env", "--unset=HASHED_PASSWORD")
"""podman hands the container's variables to every command. code-server forgets the hash at its start,
and nobody else needs it: it is as good as a session (facts of code-server 4.139)."""


def shell(target: Target, user: str, command: tuple[str, ...], *, terminal: bool) -> int:
    """Run a command (or a login shell) as `coder` in the user's container; its exit status."""
    return target.runtime.execute(user, (*WITHOUT_HASH, *(command or SHELL)), terminal=terminal)
