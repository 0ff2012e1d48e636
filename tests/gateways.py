"""A real gateway on sockets in a directory of a test, and a provider of the tests behind it."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from carrel.adapters import books
from carrel.adapters.books import Row
from carrel.core.gateway import Gateway, Person, Upstream
from carrel.core.prices import price
from carrel.core.site import AiLimits, Wire
from carrel.render.gateway import document
from carrel.targets.waiting import until

KEY = "sk-canary-9f8e7d6c5b4a"
MODELS = (
    "plain tools slow stuck cut busy broken garbage endless echo leak locked mute elsewhere early "
    "long late packed"
).split()
PRICE = price(1, 2, cached_input=0.1, cache_write=1.25, max_output=100, context=100_000)
ASK = {"role": "user", "content": "Whose desk is this?"}


def token(user: str) -> str:
    """The token of a person of the tests."""
    return f"token-of-{user}-0123456789"


class Program:
    """A program that ends with the test."""

    def __init__(self, command: list[str], log: Path, *, output: int = subprocess.DEVNULL) -> None:
        self.log = log
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=errors,
                env=environment,
            )

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait; the exit status."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        try:
            return self.process.wait(20)
        finally:
            self.process.kill()
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe is not None:
                    pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.wait()


class Provider(Program):
    """The provider of the tests."""

    def __init__(self, folder: Path) -> None:
        script = Path(__file__).parent / "provider_server.py"
        command = [sys.executable, str(script)]
        super().__init__(command, folder / "provider.log", output=subprocess.PIPE)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def served(self) -> dict[str, Any]:
        """Its own count."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", "/served")
            found: dict[str, Any] = json.loads(connection.getresponse().read())
        return found

    def upstream(self, name: str, wire: Wire = Wire.OPENAI) -> Upstream:
        """The provider as the gateway is told of it."""
        models = tuple((model, PRICE) for model in MODELS)
        return Upstream(name, wire, f"http://127.0.0.1:{self.port}/v1", models)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def sentence(self) -> str:
        """What an error says."""
        return str(self.json["error"]["message"])


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, seconds: float = 20) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = connect(self._path, self.timeout)


def connect(path: str, seconds: float | None = 20) -> socket.socket:
    """A connection to a Unix socket."""
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    opened.settimeout(seconds)
    try:
        opened.connect(path)
    except OSError:
        opened.close()
        raise
    return opened


@dataclass
class RealGateway:
    """A gateway for some people; `write` and `start` make it, `clean` ends it."""

    folder: Path
    settings: Gateway
    secrets: dict[str, str] = field(default_factory=dict)
    program: Program | None = None
    options: tuple[str, ...] = ()
    account: str = ""
    before: str = ""
    """Python to run in the daemon first: a test that waits for a clock sets it faster."""

    @staticmethod
    def of(folder: Path, provider: Provider | None, limits: AiLimits, *users: str) -> RealGateway:
        """A gateway for `users` with the provider of the tests under both of its wires."""
        settings = Gateway(
            sockets=f"{folder}/s",
            admin=f"{folder}/admin.sock",
            books=f"{folder}/books.sqlite",
            secrets=f"{folder}/secrets.env",
            people=tuple(Person(user, limits) for user in users),
            model="desk/plain" if provider else "carrel/assistant",
        )
        secrets = {
            f"TOKEN_{user.upper()}": hashlib.sha256(token(user).encode()).hexdigest()
            for user in users
        }
        if provider is not None:
            both = (provider.upstream("desk"), provider.upstream("claude", Wire.ANTHROPIC))
            settings = replace(settings, providers=both)
            secrets |= {"DESK_API_KEY": KEY, "CLAUDE_API_KEY": KEY}
        for user in users:
            (folder / "s" / user).mkdir(parents=True)
        return RealGateway(folder, settings, secrets)

    @property
    def file(self) -> Path:
        return self.folder / "gateway.json"

    def write(self) -> None:
        """Write both files, each in one step."""
        self._replace(self.file, document(self.settings), 0o644)
        lines = "".join(f"{name}={value}\n" for name, value in self.secrets.items())
        self._replace(Path(self.settings.secrets), lines, 0o600)
        if self.account:
            shutil.chown(self.settings.secrets, self.account)

    def change(self, **changes: Any) -> None:
        """Change the settings."""
        self.settings = replace(self.settings, **changes)
        self.write()

    def limit(self, limits: AiLimits) -> None:
        """Give everybody these limits."""
        self.change(people=tuple(replace(one, limits=limits) for one in self.settings.people))

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.write()
        module = ["-m", "carrel.gateway"]
        if self.before:
            run = "import runpy; runpy.run_module('carrel.gateway', run_name='__main__')"
            module = ["-c", f"{self.before}; {run}"]
        command = [sys.executable, *self.options, *module, str(self.file)]
        command += ["--account", self.account] if self.account else []
        self.program = Program(command, self.folder / "gateway.log")
        until(lambda: self.health() is not None, seconds=20, what="gateway")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it; the exit status."""
        assert self.program is not None
        status = self.program.end(number)
        self.program = None
        return status

    def clean(self) -> None:
        if self.program is not None:
            self.program.__exit__()

    @property
    def log(self) -> str:
        return (self.folder / "gateway.log").read_text()

    def socket(self, user: str) -> str:
        return self.settings.socket(user)

    def health(self) -> int | None:
        """The status of /healthz, or None if nobody is there."""
        try:
            return self.admin("/healthz").status
        except OSError:
            return None

    def admin(self, path: str) -> Reply:
        return request(self.settings.admin, "GET", path, None, {})

    def ask(
        self,
        user: str,
        body: object = None,
        *,
        path: str = "/desk/v1/chat/completions",
        method: str = "POST",
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One request on a connection of its own."""
        given = {
            "Authorization": f"Bearer {token(user) if key is None else key}",
            **(headers or {}),
        }
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        return request(self.socket(user), method, path, data, given)

    def chat(self, user: str, model: str = "plain", **more: Any) -> Reply:
        """Ask for a chat completion."""
        return self.ask(user, {"model": model, "messages": [ASK], **more})

    def usage(self, user: str) -> Any:
        return self.ask(user, path="/carrel/usage", method="GET").json

    def rows(self) -> list[Row]:
        """What the books hold."""
        connection = books.reader(self.settings.books)
        if connection is None:
            return []
        with contextlib.closing(connection):
            columns = ", ".join(Row.__slots__)
            return [Row(*row) for row in connection.execute(f"SELECT {columns} FROM requests")]  # noqa: S608

    def settled(self, count: int) -> list[Row]:
        """The rows, once so many are closed."""
        until(lambda: self._closed() >= count, seconds=10, what=f"{count} rows")
        return self.rows()

    def _closed(self) -> int:
        return sum(row.state == books.CLOSED for row in self.rows())

    @staticmethod
    def _replace(path: Path, text: str, mode: int) -> None:
        new = path.with_suffix(".new")
        new.write_text(text)
        new.chmod(mode)
        new.replace(path)


def request(path: str, method: str, target: str, body: object, headers: Mapping[str, str]) -> Reply:
    """One request over a Unix socket."""
    with contextlib.closing(UnixConnection(path)) as connection:
        connection.request(method, target, body, dict(headers))  # type: ignore[arg-type]
        answer = connection.getresponse()
        return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())


def streaming(
    gateway: RealGateway, user: str, model: str, **more: Any
) -> contextlib.AbstractContextManager[http.client.HTTPResponse]:
    """An open stream; it is cut at the end of the context."""

    @contextlib.contextmanager
    def opened() -> Iterator[http.client.HTTPResponse]:
        body = {"model": model, "messages": [ASK], "stream": True, **more}
        with contextlib.closing(UnixConnection(gateway.socket(user))) as connection:
            headers = {"Authorization": f"Bearer {token(user)}"}
            path = "/desk/v1/chat/completions"
            connection.request("POST", path, json.dumps(body), headers)
            with connection.getresponse() as answer:
                yield answer

    return opened()
