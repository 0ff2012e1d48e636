"""Takes a secret out of bytes that come in any pieces.

Used by the gateway for everything that a provider sends: one may repeat the key it was given.
"""

from __future__ import annotations

REPLACEMENT = b"[key]"


class Scrubber:
    """Passes bytes on at once; only what may be the beginning of the secret waits for the rest."""

    __slots__ = ("_first", "_held", "_secret")

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._first = secret[:1]
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What may be passed on now."""
        secret = self._secret
        if not secret:
            return data
        if self._held:
            data = self._held + data
            self._held = b""
        if secret in data:
            data = data.replace(secret, REPLACEMENT)
        at = data.find(self._first, max(0, len(data) - len(secret) + 1))
        while at >= 0:
            if secret.startswith(data[at:]):
                self._held = data[at:]
                return data[:at]
            at = data.find(self._first, at + 1)
        return data

    def end(self) -> bytes:
        """What was held back and turned out to be something else."""
        held, self._held = self._held, b""
        return held
