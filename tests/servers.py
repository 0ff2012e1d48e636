"""A server in a test machine as the people see it who use it: over HTTPS, through its nginx.

Also what tests ask of its operator: commands, and which of its units started anew.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import re
import secrets
import shlex
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from carrel.adapters.process import Result
from carrel.targets.waiting import until
from vm.guest import Guest

DOMAIN = "code.example.org"
SOURCE = Path(__file__).parent / "quick.py"
QUICK = "/root/quick.py"
CONFIG = "/etc/carrel/carrel.toml"
STORAGE = "/var/lib/vscode"
PROJECT = "/?folder=/home/coder/project"
COMMAND_SECONDS = 600
ANSWER_SECONDS = 240
"""Until a desk answers: several may start at once, on an emulated processor."""
REPLY_SECONDS = 60
ATTEMPT_SECONDS = 150
SILENCE_SECONDS = 30
"""VS Code's server sends a sign of life every 5 s."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of nginx."""

    status: int
    headers: Mapping[str, str]
    body: str


class Server:
    """The server in `guest`, with Carrel applied."""

    def __init__(
        self,
        guest: Guest,
        authority: str = "/etc/carrel/ca.crt",
        secrets: str = "/etc/carrel/secrets",
    ) -> None:
        self.guest = guest
        self._secrets = secrets
        self._authority = authority
        """What browsers trust: a file in the guest."""
        self._trusted: ssl.SSLContext | None = None
        self._sessions: dict[str, str] = {}
        self._imported: int | None = None
        """The start of the guest at which our process of tests/quick.py was started."""

    # -- its operator ------------------------------------------------------------------------

    def carrel(
        self,
        *arguments: str,
        status: int | None = 0,
        given: str = "",
        seconds: float = COMMAND_SECONDS,
    ) -> Result:
        """Run the command line as root, `given` its input; `status` None takes any exit status."""
        script = f"printf %s {shlex.quote(given)} | {shlex.join((*self._command(), *arguments))}"
        result = self.guest.run(script, check=False, seconds=seconds)
        if status is not None:
            said = f"{arguments}: {result.output}\n{result.errors}"
            assert result.status == status, said
            assert "Traceback" not in result.errors, said
        return result

    def _command(self) -> tuple[str, ...]:
        """The command line, which has been imported before (tests/quick.py)."""
        if self._imported != self.guest.starts:
            self.guest.put(QUICK, SOURCE)
            self.guest.run(
                f"systemd-run --quiet --property=KillMode=process /opt/carrel/bin/python {QUICK} serve"
            )
            self._imported = self.guest.starts
        return ("/usr/bin/python3", "-ISE", QUICK)

    def run(self, script: str) -> str:
        """What a script of root's prints; it has to succeed."""
        return self.guest.run(script, seconds=COMMAND_SECONDS).output

    def inside(self, user: str, *command: str, status: int | None = 0) -> str:
        """What a command in the user's container prints."""
        return self.carrel("shell", user, "--", *command, status=status).output

    def started(self, *users: str) -> dict[str, str]:
        """Which run of their unit each user has: another one after each start."""
        units = " ".join(f"carrel-workspace@{user}.service" for user in users)
        said = self.run(f"systemctl show --property=Id,InvocationID {units}")
        found = dict(re.findall(r"Id=carrel-workspace@(\w+)\.service\nInvocationID=(\w*)", said))
        assert set(found) == set(users), said
        return found

    def property(self, user: str, name: str) -> str:
        """What systemd says of the user's unit."""
        unit = f"carrel-workspace@{user}.service"
        return self.run(f"systemctl show --property={name} --value {unit}").strip()

    def traces(self, user: str) -> str:
        """The files of Carrel's and systemd's that name a user, and the account's processes."""
        return self.run(
            f"""
            find /etc/systemd /run/systemd/units /var/lib/carrel /run/carrel /run/carrel-root \
                -maxdepth 3 '(' -name '*[-@]{user}*' -o -name {user} -o -name '{user}.*' ')'
            grep --recursive --files-with-matches --word-regexp {user} \
                /etc/systemd /etc/nginx /var/lib/carrel/nginx || true
            pgrep --uid carrel-{user} --list-full || true
            """
        )

    def steps(self) -> list[str]:
        """What `carrel apply` would do now, as `carrel plan` says it."""
        found: list[str] = json.loads(self.carrel("plan", "--json").output)["steps"]
        return found

    def second_image(self, copy: str, mark: str) -> str:
        """Make a whole second image in a moment: only the file `mark` is its own; the first one."""
        shelf = "/var/lib/carrel/images"
        first = self.run(f"cat {shelf}/selected").strip()
        self.run(
            f"""
            mkdir {shelf}/{copy}
            cp --archive --link {shelf}/{first}/closed {shelf}/{first}/rootfs {shelf}/{copy}/
            echo second >{shelf}/{copy}/rootfs{mark}
            cp {shelf}/{first}/environment {shelf}/{copy}/
            sed 's/{first}/{copy}/' {shelf}/{first}/image.json >{shelf}/{copy}/image.json
            """
        )
        return first

    # -- the people who use it ---------------------------------------------------------------

    def trust(self) -> ssl.SSLContext:
        """From here on, trust the authority that the server has now, as people do who import it."""
        authority = self.run(f"cat {self._authority}")
        self._trusted = ssl.create_default_context(cadata=authority)
        return self._trusted

    def _tls(self) -> ssl.SSLContext:
        return self._trusted or self.trust()

    def certificate(self) -> bytes:
        """The certificate that nginx presents, as anybody sees it who trusts the authority."""
        plain = socket.create_connection(("127.0.0.1", self.guest.https_port), REPLY_SECONDS)
        with self._tls().wrap_socket(plain, server_hostname=DOMAIN) as secured:
            return secured.getpeercert(binary_form=True) or b""

    def get(
        self,
        user: str = "",
        path: str = "/",
        headers: Mapping[str, str] | None = None,
        data: str | None = None,
    ) -> Reply:
        """The answer to a request at the user's address; follows no redirect."""
        connection = _Forwarded(_host(user), self.guest.https_port, self._tls())
        with contextlib.closing(connection):
            method = "GET" if data is None else "POST"
            connection.request(method, path, body=data, headers=dict(headers or {}))
            reply = connection.getresponse()
            return Reply(reply.status, dict(reply.headers), reply.read().decode())

    def password(self, user: str) -> str:
        """The user's password."""
        return self.run(f"cat {self._secrets}/{user}").strip()

    def sign_in(self, user: str) -> str:
        """The header with which the user is known from here on."""
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        data = f"password={self.password(user)}"
        replies: list[Reply] = []

        def let_in() -> bool:
            replies.append(self.get(user, "/login", form, data))
            return replies[-1].status != http.client.TOO_MANY_REQUESTS

        # We are one address, which may try once a minute.
        until(let_in, seconds=ATTEMPT_SECONDS, what="another attempt to sign in")
        assert replies[-1].status == http.client.FOUND, replies[-1]
        return replies[-1].headers["Set-Cookie"].partition(";")[0]

    def session(self, user: str) -> str:
        """What `sign_in` gave the last time, as a browser keeps it, if it is still good."""
        known = self._sessions.get(user)
        if known is None or self.workbench(user, known).status != http.client.OK:
            known = self._sessions[user] = self.sign_in(user)
        return known

    def workbench(self, user: str, cookie: str) -> Reply:
        """The page of VS Code."""
        return self.get(user, PROJECT, {"Cookie": cookie})

    def answers(self, user: str, seconds: float = ANSWER_SECONDS) -> None:
        """Return when the user's code-server answers through nginx."""
        until(lambda: self.alive(user), seconds=seconds, what=f"the desk of {user}")

    def alive(self, user: str) -> bool:
        """Whether the user's code-server answers through nginx now."""
        try:
            return self.get(user, "/healthz").status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False

    def shows_workbench(self, user: str) -> None:
        """Return when the user has answered, signed in and got the workbench."""
        self.answers(user)
        reply = self.workbench(user, self.session(user))
        assert reply.status == http.client.OK, reply
        assert "vscode-workbench-web-configuration" in reply.body

    @contextlib.contextmanager
    def editor(self, user: str) -> Iterator[Editor]:
        """The connection that an open VS Code keeps to its server."""
        self.answers(user)
        cookie = self.session(user)
        version = re.search(r"stable-[0-9a-f]+", self.workbench(user, cookie).body)
        assert version is not None
        token = secrets.token_hex(16)
        path = (
            f"/{version[0]}?reconnectionToken={token}&reconnection=false&skipWebSocketFrames=false"
        )
        plain = socket.create_connection(("127.0.0.1", self.guest.https_port), REPLY_SECONDS)
        with self._tls().wrap_socket(plain, server_hostname=_host(user)) as secured:
            yield Editor(secured, _host(user), path, cookie)


class Editor:
    """An open WebSocket of VS Code."""

    def __init__(self, connection: ssl.SSLSocket, host: str, path: str, cookie: str) -> None:
        self._connection = connection
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: https://{host}\r\n"
            f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\nCookie: {cookie}\r\n\r\n".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            more = connection.recv(1)
            assert more, head
            head += more
        assert head.startswith(b"HTTP/1.1 101 "), head.decode()

    def is_open(self) -> bool:
        """Whether VS Code's server still sends signs of life; waits for the next one."""
        self._connection.settimeout(0)
        # What came before we asked says nothing about now.
        while (received := self._received()) is not None:
            if not received:
                return False
        self._connection.settimeout(SILENCE_SECONDS)
        return bool(self._received())

    def _received(self) -> bytes | None:
        """What came; empty when the other side has closed, None when nothing came in time."""
        try:
            return self._connection.recv(65536)
        except (TimeoutError, ssl.SSLWantReadError):
            return None
        except OSError:
            return b""


class _Forwarded(http.client.HTTPSConnection):
    """TLS to the guest's port here, for a name that no resolver knows."""

    def __init__(self, name: str, port: int, context: ssl.SSLContext) -> None:
        super().__init__(name, timeout=REPLY_SECONDS, context=context)
        self._here, self._wrap = port, context.wrap_socket

    def connect(self) -> None:
        plain = socket.create_connection(("127.0.0.1", self._here), REPLY_SECONDS)
        self.sock = self._wrap(plain, server_hostname=self.host)


def _host(user: str) -> str:
    return f"{user}.{DOMAIN}" if user else DOMAIN
