"""A desk with an AI of the tests: a provider and a gateway's cost page, both inside ada's workspace.

Used by test_companion. The real gateway has tests of its own; here it only has to answer one question.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from carrel.targets.waiting import until
from sites import RealSite

PROVIDER_PORT = 4010
COSTS_PORT = 4142
"""Not the gateway's: the workspace forwards that one."""
TOKEN = "token-of-ada-0123456789"
AI = f"""
[ai]
mode = "shared-keys"
model = "desk/reader"
[ai.providers.desk]
base_url = "http://127.0.0.1:{PROVIDER_PORT}/v1"
api_key_file = "secrets/desk-key"
models = ["reader"]
"""
PROVIDER = Path(__file__).parents[1] / "contract/provider.py"
COSTS = f"""
import http.server, threading
class Costs(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        right = self.headers["Authorization"] == "Bearer {TOKEN}" and self.path == "/carrel/usage"
        self.send_response(200 if right else 401)
        self.end_headers()
        self.wfile.write(open("/tmp/usage.json", "rb").read())
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", {COSTS_PORT}), Costs)
threading.Timer(900, server.shutdown).start()
server.serve_forever()
"""
OFFICIAL = {
    "name": "opencode",
    "publisher": "sst-dev",
    "displayName": "opencode",
    "description": "Says when it is run, and does nothing else.",
    "version": "0.0.13",
    "engines": {"vscode": "^1.90.0"},
    "main": "./extension.js",
    "contributes": {
        "commands": [{"command": "opencode.openTerminal", "title": "Open opencode"}],
        "keybindings": [{"command": "opencode.openTerminal", "key": "ctrl+escape"}],
    },
}
OFFICIAL_CODE = """
exports.activate = () => require("vscode").commands.registerCommand("opencode.openTerminal", () =>
    require("fs").writeFileSync("/tmp/official-ran", ""));
"""
PACK = Path(__file__).parents[2] / "images/workspace/build/companion"
USAGE: dict[str, Any] = {
    "user": "ada",
    "currency": "USD",
    "configured": True,
    "model": "desk/reader",
    "spent_today": 0.42,
    "spent_month": 3.5,
    "tokens_today": 12345,
    "limits": {"money_per_day": 5.0, "money_per_month": None, "tokens_per_day": None},
    "left_today": 4.58,
    "warning": None,
}


class Studio:
    """The site, and what its AI pretends."""

    def __init__(self, folder: Path) -> None:
        (folder / "secrets").mkdir()
        (folder / "secrets/desk-key").write_text("sk-desk-0123456789\n")
        self.site = RealSite(folder, ["ada"], AI)

    def open(self) -> None:
        """Bring it up, with everything answering."""
        self.site.carrel("up", seconds=1800)
        self._give_token()
        self._run("provider", PROVIDER.read_text(), str(PROVIDER_PORT), "/home/coder/project")
        self.costs()
        self._run("costs", COSTS)

    def _give_token(self) -> None:
        entries = Path(self.site.layout.secrets_file("ada"))
        with entries.open("a") as file:
            file.write(f"CARREL_AI_TOKEN={TOKEN}\nCARREL_AI_URL=http://127.0.0.1:{COSTS_PORT}\n")
        self.site.inside("ada", "kill", "1", status=None)
        until(self._has_token, seconds=60, what="The desk with its token")
        until(self._is_open, seconds=60, what="The desk")

    def _has_token(self) -> bool:
        said = self.site.inside("ada", "sh", "-c", "echo $CARREL_AI_TOKEN", status=None)
        return said.strip() == TOKEN

    def _is_open(self) -> bool:
        return self.site.get("ada", "/healthz")[0] == 200

    def _run(self, name: str, code: str, *arguments: str) -> None:
        path = f"/tmp/{name}.py"
        self.site.inside("ada", "sh", "-c", f"cat > {path}", given=code)
        command = f"cd /tmp && setsid python3 {path} {' '.join(arguments)} >/tmp/{name}.log 2>&1 &"
        self.site.inside("ada", "sh", "-c", command)

    def costs(self, **more: Any) -> None:
        """What the gateway says from now on."""
        text = json.dumps({**USAGE, **more})
        self.site.inside("ada", "sh", "-c", "cat > /tmp/u && mv /tmp/u /tmp/usage.json", given=text)

    def put(self, name: str, text: str) -> None:
        """Write a file of the project."""
        self.site.inside("ada", "tee", f"/home/coder/project/{name}", given=text)

    def install_official(self) -> None:
        """Install an extension with the name, the command and the key of opencode's own."""
        source = self.site.folder / "official"
        source.mkdir()
        (source / "package.json").write_text(json.dumps(OFFICIAL))
        (source / "extension.js").write_text(OFFICIAL_CODE)
        packed = self.site.workspace("ada") / "official.vsix"
        subprocess.run([PACK, source, packed], check=True, timeout=60)
        packed.chmod(0o644)
        self.site.inside("ada", "code-server", "--install-extension", "official.vsix")
        packed.unlink()

    def remove_official(self) -> None:
        """Take it away again."""
        self.site.inside("ada", "code-server", "--uninstall-extension", "sst-dev.opencode")

    def official_ran(self) -> bool:
        """Whether it was run since this was asked last."""
        command = "test -e /tmp/official-ran && rm /tmp/official-ran && echo yes"
        return self.site.inside("ada", "sh", "-c", command, status=None) == "yes\n"
