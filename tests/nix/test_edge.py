"""The real nginx judges what NixOS would write for the module, and serves it."""

import re
import socket
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import judges
from carrel.adapters import certificates, process
from carrel.errors import ToolFailed
from carrel.render.engine import PATH
from carrel.targets.nixos import declared as nixos
from carrel.targets.waiting import until
from nix.desks import EXAMPLE, Desks, configuration, evaluate
from nix.pairs import Pair

NIXPKGS_GIXY = {
    "add_header_multiline", "add_header_redefinition", "alias_traversal", "host_spoofing",
    "http_splitting", "origins", "ssrf", "valid_referers",
}  # fmt: skip
"""The checks of gixy 0.1.21, with which `writers.writeNginxConfig` refuses to build a nginx.conf
(pkgs/build-support/writers/scripts.nix and pkgs/by-name/gi/gixy/package.nix in nixpkgs)."""

WORLD = process.World({"PATH": PATH})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class Ports:
    secure: int
    plain: int


def written(desks: Desks, folder: Path, ports: Ports, domain: str = "code.example.org") -> Path:
    """nginx.conf of NixOS, moved below a folder and to other ports."""
    pair = certificates.site(("code.example.org",), certificates.authority("code.example.org"))
    tls = folder / "acme" / domain
    tls.mkdir(parents=True)
    (tls / "fullchain.pem").write_text(pair.certificate)
    (tls / "key.pem").write_text(pair.key)
    nixos.write_pages(desks.written(folder), folder / "pages")
    text = (
        desks.nginx.replace("/var/lib/acme", f"{folder}/acme")
        .replace("/nix/store/carrel-pages", f"{folder}/pages")
        .replace("/run/carrel/", f"{folder}/run/")
        .replace("0.0.0.0:443", f"127.0.0.1:{ports.secure}")
        .replace("0.0.0.0:80", f"127.0.0.1:{ports.plain}")
    )
    home = folder / "nginx"
    home.mkdir()
    places = "".join(
        f"{kind}_temp_path {home}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; pid {home}/pid; error_log stderr warn; master_process off;\n"
        f"events {{ }}\nhttp {{\n{places} types {{ text/html html; }}\n{text}\n}}\n"
    )
    return config


def judge(config: Path) -> str:
    """What nginx says of a whole configuration; also what NixOS's own judge finds is a failure."""
    assert [found for found in judges.gixy(config) if found["plugin"] in NIXPKGS_GIXY] == []
    return process.run(["nginx", "-t", "-e", "stderr", "-c", str(config)], WORLD).errors


def test_nginx_accepts_the_example_without_a_warning(short_path: Path) -> None:
    said = judge(written(evaluate(EXAMPLE), short_path, Ports(free_port(), free_port())))
    assert "syntax is ok" in said
    assert "[warn]" not in said


def test_nginx_accepts_names_that_are_its_own_words(short_path: Path) -> None:
    words = ("volatile", "hostnames", "include", "server", "map", "on", "off")
    users = "".join(f'{word}.passwordFile = "/p";' for word in words)
    desks = evaluate(configuration(short_path, users=users))
    assert "syntax is ok" in judge(written(desks, short_path, Ports(free_port(), free_port())))


OWN = "/var/lib/acme/code.example.org"
# RFC 1035, 2.3.4: 63 octets in a label, 255 in a name, of which two are not in its text.
LONGEST = ".".join(["d" * 63, "o" * 63, "m" * 63, "n" * 24, "example", "org"])


@pytest.mark.parametrize(
    ("more", "users"),
    [
        ("services.code-server-multi.users = lib.mkForce { };", ""),
        ("", "dan.suspended = true;"),
        (
            f'services.code-server-multi.domain = lib.mkForce "{LONGEST}";',
            f'{"z" * 24}.passwordFile = "/p";',
        ),
        ("", "".join(f'u{number}.passwordFile = "/p";' for number in range(50))),
        (
            f'services.code-server-multi = {{ sslCertificate = "{OWN}/fullchain.pem"; '
            f'sslCertificateKey = "{OWN}/key.pem"; }};',
            "dan.port = 9000;",
        ),
    ],
    ids=["nobody", "all suspended", "the longest names", "fifty", "a certificate of one's own"],
)
def test_nginx_accepts_a_site_whoever_works_there(short_path: Path, more: str, users: str) -> None:
    other = (
        'services.nginx.virtualHosts."other.example.net".locations."/".extraConfig = "return 204;";'
    )
    desks = evaluate(configuration(short_path, f"{more} {other}", users=users))
    domain = LONGEST if LONGEST in more else "code.example.org"
    assert len(f"{'z' * 24}.{LONGEST}") == 253
    said = judge(written(desks, short_path, Ports(free_port(), free_port()), domain))
    assert "syntax is ok" in said


def test_nginx_accepts_every_site_that_is_compared(pair: Pair, short_path: Path) -> None:
    ports = Ports(free_port(), free_port())
    assert "syntax is ok" in judge(written(pair.desks, short_path, ports, pair.site.domain))


def test_the_judge_can_say_no(short_path: Path) -> None:
    desks = evaluate(
        configuration(
            short_path, 'services.nginx.virtualHosts."code.example.org".extraConfig = "broken on;";'
        )
    )
    with pytest.raises(ToolFailed, match="broken"):
        judge(written(desks, short_path, Ports(free_port(), free_port())))


@dataclass(frozen=True)
class Reply:
    status: int
    head: str
    body: str


@dataclass(frozen=True)
class Edge:
    """The example, served. Only dan has an editor; it answers with what it was sent."""

    ports: Ports

    def get(self, host: str, path: str = "/", *headers: str, secure: bool = True) -> Reply:
        port = self.ports.secure if secure else self.ports.plain
        plain = socket.create_connection(("127.0.0.1", port), timeout=10)
        lines = (f"GET {path} HTTP/1.1", f"Host: {host}", *headers, "Connection: close")
        with _anybody().wrap_socket(plain, server_hostname=host) if secure else plain as connection:
            connection.sendall("\r\n".join((*lines, "", "")).encode())
            with connection.makefile("rb") as stream:
                head, _, body = stream.read().partition(b"\r\n\r\n")
        return Reply(int(head.split()[1]), head.decode(), body.decode())


def _anybody() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class Echo(socketserver.StreamRequestHandler):
    """An editor that sends the head of a request back."""

    def handle(self) -> None:
        head = b"".join(iter(self.rfile.readline, b"\r\n"))
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(head) + head)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    folder = tmp_path_factory.mktemp("edge")
    ports = Ports(free_port(), free_port())
    config = written(evaluate(EXAMPLE), folder, ports)
    # The tunnels' ports may be taken on this machine.
    text = re.sub(r"127\.0\.0\.1:808[12]", lambda _: f"127.0.0.1:{free_port()}", config.read_text())
    config.write_text(text)
    (folder / "run/dan").mkdir(parents=True)
    (folder / "run/alice").mkdir()
    for path in (folder, *folder.parents[:3]):
        path.chmod(path.stat().st_mode | 0o011)
    editor = socketserver.ThreadingUnixStreamServer(f"{folder}/run/dan/editor.sock", Echo)
    threading.Thread(target=editor.serve_forever, daemon=True).start()
    nginx = subprocess.Popen(["nginx", "-e", "stderr", "-c", str(config)])
    try:
        until(lambda: _listens(ports.secure) and _listens(ports.plain), seconds=20, what="nginx")
        yield Edge(ports)
    finally:
        nginx.terminate()
        nginx.wait()
        editor.shutdown()
        editor.server_close()


def test_a_desk_is_reached_and_told_the_truth_about_the_client(edge: Edge) -> None:
    reply = edge.get("dan.code.example.org", "/", "X-Forwarded-Host: evil", "Forwarded: for=evil")
    assert reply.status == 200
    assert "Host: dan.code.example.org" in reply.body
    assert "X-Forwarded-Proto: https" in reply.body
    assert "evil" not in reply.body


def test_a_desk_that_rests_says_so(edge: Edge) -> None:
    reply = edge.get("alice.code.example.org")
    assert reply.status == 503
    assert "<html" in reply.body
    assert "Retry-After" in reply.head


@pytest.mark.parametrize("name", ["eve.code.example.org", "a.b.code.example.org"])
def test_any_other_name_gets_the_same_page(edge: Edge, name: str) -> None:
    reply = edge.get(name)
    assert reply.status == 404
    assert reply.body == edge.get("nobody.code.example.org").body
    assert "<html" in reply.body


def test_the_bare_domain_welcomes(edge: Edge) -> None:
    reply = edge.get("code.example.org")
    assert reply.status == 200
    assert "<html" in reply.body


@pytest.mark.parametrize("name", ["code.example.org", "dan.code.example.org", "x.code.example.org"])
def test_plain_http_leads_to_https(edge: Edge, name: str) -> None:
    reply = edge.get(name, "/a?b", secure=False)
    assert reply.status == 301
    assert f"Location: https://{name}/a?b" in reply.head
