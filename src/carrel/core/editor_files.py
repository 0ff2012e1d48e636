"""The editor's own files that browsers fetch: how their addresses look, and which nginx may serve.

VS Code answers `/QUALITY-COMMIT/static/…` with files of its own, the same for everybody, and tells
browsers to keep them for a year: under one address there is never another file. Used by render, which
has nginx serve them, and by targets.editor_files, which puts them where nginx looks.
"""

from __future__ import annotations

import re
from typing import TypeGuard

VERSION = r"[a-z]+-[0-9a-f]{40}"
"""QUALITY-COMMIT: which build of the editor it is."""

KINDS = {
    "css": "text/css",
    "html": "text/html",
    "js": "text/javascript",
    "svg": "image/svg+xml",
    "ttf": "font/ttf",
    "wasm": "application/wasm",
}
"""What browsers fetch, by the end of its name. What is of no such kind, the editor itself answers."""

CODINGS = ("br", "gz")
"""What stands behind the name of a file that is the same one compressed."""

_PART = r"[A-Za-z0-9_@-][A-Za-z0-9_@.-]*"
"""One name in a path: no hidden file, no step up."""
PATH = rf"{VERSION}/static/(?:{_PART}/)*{_PART}\.(?:{'|'.join(KINDS)})"

_STORED = re.compile(rf"{PATH}(?:\.(?:{'|'.join(CODINGS)}))?")
_IS_VERSION = re.compile(VERSION)

KEPT = "public, max-age=31536000, immutable"
"""What the editor says of them (Cache-Control), and that there is no use in asking again (RFC 8246)."""


def belongs(path: str, version: str) -> bool:
    """Whether a file in an archive is one of this version of the editor, and of use to nginx."""
    return path.startswith(f"{version}/") and _STORED.fullmatch(path) is not None


def is_version(name: object) -> TypeGuard[str]:
    """Whether this is the name of an editor's build; what an image says of itself is anything."""
    return isinstance(name, str) and _IS_VERSION.fullmatch(name) is not None
