"""What stands for the secrets in a State: fingerprints, and the key that they are made with.

Used by the places. A fingerprint tells nobody the secret, only whether it is another one.
"""

from __future__ import annotations

import secrets as randomness
from collections.abc import Mapping

from carrel.adapters import files
from carrel.adapters.process import Identity
from carrel.config import secrets
from carrel.core.site import SecretFile, Site


def fingerprints(site: Site, path: str, owner: Identity) -> Mapping[SecretFile, str]:
    """The fingerprints of all secrets of `site`; `path` is the key that they are made with."""
    key = secret_key(path, owner)
    return secrets.fingerprints({*secrets.references(site), SecretFile(path)}, key)


def secret_key(path: str, owner: Identity) -> bytes:
    """What fingerprints and tokens are made with; a throw-away one before its directory exists."""
    text = files.own_text(path)
    if text is None:
        text = randomness.token_hex(32)
        if files.look(path.rpartition("/")[0]) is not None:
            files.write(path, text, owner, 0o600)
    return secrets.key_of(text, path)
