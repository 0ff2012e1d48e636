"""A site with the AI gateway, and a provider on the host that only the gateway reaches.

Used by the tests of the agent, in the terminal and in the browser.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from carrel.targets.waiting import until
from sites import RealSite, free_port

CANARY = "sk-canary-9876543210"
PROVIDER = Path(__file__).parent / "contract/provider.py"
TOKENS_IN, TOKENS_OUT = 10, 5
"""What the provider says each answer took."""
AI = """
[ai]
mode = "gateway"
[ai.limits]
money_per_day = {money}
[ai.providers.desk]
base_url = "http://127.0.0.1:{port}/v1"
api_key_file = "secrets/desk-key"
models = ["reader"]
[ai.providers.desk.prices.reader]
input = 1000.0
output = 2000.0
max_output = 100
"""
PLENTY, NOTHING = 10_000.0, 0.01


class AiSite:
    """A site with a gateway, and a provider on the host that only the gateway reaches."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        (folder / "secrets").mkdir()
        (folder / "secrets/desk-key").write_text(CANARY + "\n")
        self.site = RealSite(folder, ["ada", "ben"], self.ai(PLENTY))
        command = [sys.executable, str(PROVIDER), str(self.port), "/home/coder/project"]
        self.provider = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)

    @classmethod
    @contextlib.contextmanager
    def opened(cls, folder: Path) -> Iterator[AiSite]:
        """One that is up, with everything answering; nothing of it is left at the end."""
        made = cls(folder)
        try:
            made.site.carrel("up", seconds=1800)
            until((folder / "provider.ready").exists, seconds=20, what="provider")
            yield made
        finally:
            made.close()

    def ai(self, money: float) -> str:
        return AI.format(port=self.port, money=money)

    def close(self) -> None:
        self.provider.kill()
        self.provider.wait()
        self.site.clean()

    def ask(self, *words: str) -> str:
        """What the agent says to a prompt of ada's, and what it complains of."""
        command = ("shell", "ada", "--", "timeout", "120", "opencode", "run", *words)
        said = self.site.carrel(*command, status=None)
        return said.stdout + said.stderr

    def curl(self, user: str, *arguments: str, token: str | None = None) -> str:
        """What the gateway answers to somebody inside a workspace, who has their own token."""
        shown = token or "$CARREL_AI_TOKEN"
        command = f'curl -s -m 10 -H "Authorization: Bearer {shown}" "$@"'
        return self.site.inside(user, "sh", "-c", command, "sh", *arguments, status=None)

    def standing(self, user: str = "ada") -> Any:
        return json.loads(self.curl(user, "http://127.0.0.1:4141/carrel/usage"))

    def requests(self) -> list[dict[str, str]]:
        """What reached the provider."""
        file = self.folder / "requests.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def used(self) -> tuple[int, int, int]:
        """Requests, tokens in and tokens out, as `carrel ai usage` adds them up."""
        found = json.loads(self.site.carrel("ai", "usage", "--json").stdout)
        requests, tokens_in, tokens_out = (
            sum(day[name] for day in found) for name in ("requests", "tokens_in", "tokens_out")
        )
        return requests, tokens_in, tokens_out

    def token(self, user: str) -> str:
        return self.site.inside(user, "printenv", "CARREL_AI_TOKEN").strip()

    def change(self, ai: str) -> None:
        """Another [ai] table, taken up while people work; `answering` says when it is."""
        self.site.more = ai
        self.site.write(["ada", "ben"])
        self.site.carrel("up")
