"""A package index, an npm registry and a git host in one, for one workspace: run inside of it.

`python3 registry.py FOLDER [PAIR]`: fills FOLDER, serves it on 127.0.0.1, prints the port. With PAIR (a
certificate and its key, PEM) it speaks TLS, as a company's proxy that opens everything would. Knows
nothing but the standard library, because it runs where only the image's Python is.
"""

import base64
import hashlib
import io
import json
import ssl
import subprocess
import sys
import tarfile
import zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

NAME = "carrelgreets"
SAYS = "greetings from the index"


def wheel(folder: Path) -> None:
    """A Python package with a module and a program of its name."""
    file = folder / f"{NAME}-1.0-py3-none-any.whl"
    module = f"def main():\n    print({SAYS!r})\n"
    info = f"{NAME}-1.0.dist-info"
    texts = {
        f"{NAME}.py": module,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{NAME}-py = {NAME}:main\n",
    }
    record = "".join(f"{name},,\n" for name in (*texts, f"{info}/RECORD"))
    folder.mkdir(parents=True)
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in {**texts, f"{info}/RECORD": record}.items():
            archive.writestr(name, text)
    (folder / "index.html").write_text(f'<a href="{file.name}">{file.name}</a>')


def package(folder: Path, address: str) -> None:
    """An npm package with a program of its name."""
    described = {"name": NAME, "version": "1.0.0", "bin": {f"{NAME}-js": "main.js"}}
    texts = {
        "package/package.json": json.dumps(described),
        "package/main.js": f"#!/usr/bin/env node\nconsole.log({SAYS!r})\n",
    }
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name, text in texts.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text), 0o755
            archive.addfile(entry, io.BytesIO(text.encode()))
    folder.mkdir(parents=True)
    (folder / "it.tgz").write_bytes(data.getvalue())
    hashed = base64.b64encode(hashlib.sha512(data.getvalue()).digest()).decode()
    dist = {"tarball": f"{address}/files/it.tgz", "integrity": f"sha512-{hashed}"}
    version = {**described, "dist": dist}
    told = {"name": NAME, "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
    (folder.parent / NAME).write_text(json.dumps(told))


def repository(folder: Path) -> None:
    """A git repository that a plain web server can serve."""
    git = ["git", "-C", str(folder), "-c", "user.name=Index", "-c", "user.email=i@example.org"]
    folder.mkdir()
    for command in (
        ("init", "-q"),
        ("commit", "-q", "--allow-empty", "-m", SAYS),
        ("update-server-info",),
    ):
        subprocess.run([*git, *command], check=True)


def main(folder: Path, pair: str) -> None:
    """Serve until somebody ends it."""

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(folder))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if pair:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    port = server.server_address[1]
    address = f"{'https' if pair else 'http'}://localhost:{port}"
    wheel(folder / "simple" / NAME)
    package(folder / "files", address)
    repository(folder / "repository")
    (folder / "ready").write_text(SAYS)
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "")
