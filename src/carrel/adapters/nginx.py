"""The operator's nginx: tests a configuration before it counts, and has it read.

The test runs in a mount namespace of its own, in which the new file already is where it will be:
whoever reloads nginx meanwhile still sees the old one.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from carrel.adapters import files, process, systemd, versions
from carrel.adapters.process import Identity, World
from carrel.core.names import NGINX_UNIT
from carrel.errors import ToolFailed

WORLD = World({"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"})

BROTLI = "ngx_http_brotli_static_module.so"
"""The module for files that are compressed with brotli already: libnginx-mod-http-brotli-static."""
CONFIGURATION = Path("/etc/nginx/nginx.conf")
ENABLED = "modules-enabled"
"""Where Debian says which modules nginx loads; its nginx.conf includes them."""

# $1: a directory with the new file, $2: the directory of the old one, on which it is laid.
_TEST = 'mount -t overlay -o "lowerdir=$1:$2" overlay "$2" && exec nginx -t -q'


def switch(path: str, content: str) -> None:
    """Put `content` at `path` if nginx accepts its whole configuration with it, and have it read.

    Raises ToolFailed when it does not; the old file stays, and other sites are not touched.
    """
    before = files.text(path)
    _test(path, content)
    files.write(path, content, Identity.ours(), 0o644)
    try:
        reload()
    except BaseException:
        _restore(path, before)
        raise


def remove(path: str) -> None:
    """Take the file away, and have nginx read what remains."""
    files.remove_file(path)
    reload()


def reload() -> None:
    """Have a running nginx read its configuration; start one that is not running."""
    if running():
        systemd.reload(NGINX_UNIT)
    else:
        systemd.start(NGINX_UNIT)


def running() -> bool:
    """Whether the operator's nginx runs."""
    return systemd.states([NGINX_UNIT])[NGINX_UNIT].active == "active"


def test() -> None:
    """ToolFailed if nginx would not take its configuration as it is on the disk now."""
    result = process.run(["nginx", "-t", "-q"], WORLD, statuses=None)
    if result.status != 0:
        raise ToolFailed(
            "nginx rejects its configuration. Nothing was reloaded.",
            why=f"it said:\n  {result.errors.strip() or result.output.strip()}",
            fix="mend what it names; `nginx -t` says whether it is well again",
        )


def installed(module: str) -> str:
    """The file of a module beside nginx's other ones; empty if there is none, or no nginx."""
    found = re.search(r"--modules-path=(\S+)", versions.nginx_options())
    path = Path(found[1], module) if found else None
    return str(path) if path is not None and path.is_file() else ""


def loaded(module: str) -> str:
    """What the operator's nginx loads `module` from; empty if it does not.

    Read in its files: asking nginx itself would have it look up the names of other sites' servers.
    """
    files_ = [CONFIGURATION]
    if ENABLED in _plain(CONFIGURATION):
        files_ += sorted((CONFIGURATION.parent / ENABLED).glob("*.conf"))
    said = "\n".join(map(_plain, files_))
    line = re.search(rf"^\s*load_module\s+\"?([^\s\";]*/{re.escape(module)})", said, re.MULTILINE)
    return line[1] if line else ""


def _plain(file: Path) -> str:
    try:
        return re.sub(r"#.*", "", file.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return ""


def _test(path: str, content: str) -> None:
    target = Path(path)
    with tempfile.TemporaryDirectory(prefix="carrel-nginx-") as staged:
        files.write(f"{staged}/{target.name}", content, Identity.ours(), 0o644)
        result = process.run(
            ["unshare", "--mount", "--propagation=private", "sh", "-c", _TEST, "sh", staged,
             str(target.parent)],
            WORLD,
            statuses=None,
        )  # fmt: skip
    if result.status != 0:
        raise ToolFailed(
            "nginx rejects the new site. Nothing was reloaded, and the old configuration stays.",
            why=f"it said:\n  {result.errors.strip() or result.output.strip()}",
            fix="mend what it names; `carrel plan --show nginx` shows Carrel's own file",
        )


def _restore(path: str, before: str | None) -> None:
    if before is None:
        files.remove_file(path)
    else:
        files.write(path, before, Identity.ours(), 0o644)
