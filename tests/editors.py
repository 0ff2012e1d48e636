"""Archives with an editor's files, as an image has them; made by hand for tests."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping

OLD = f"stable-{'a' * 40}"
NEW = f"stable-{'b' * 40}"


CODINGS = {"": "", ".br": " as br", ".gz": " as gzip"}
"""What a file of ours says besides its name, by what is behind its name."""


def member(
    name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, mode: int = 0o644
) -> tarfile.TarInfo:
    """An entry of an archive, whatever its name."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.type, entry.mode = size, kind, mode
    return entry


def archive(
    contents: Mapping[str, bytes], others: Iterable[tarfile.TarInfo] = (), mode: int = 0o644
) -> io.BytesIO:
    """An archive with files, and with other entries after them."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, data in contents.items():
            tar.addfile(member(name, len(data), mode=mode), io.BytesIO(data))
        for other in others:
            tar.addfile(other)
    packed.seek(0)
    return packed


def of(version: str, says: str = "") -> dict[str, bytes]:
    """A small editor: a script and a style, each also compressed. The bytes say which file it is."""
    names = (
        "out/vs/code/workbench.js",
        "out/vs/code/workbench.css",
        "node_modules/@xterm/xterm/lib/xterm.js",
    )
    return {
        f"{version}/static/{name}{coding}": f"{name}{CODINGS[coding]}{says}".encode()
        for name in names
        for coding in CODINGS
    }
