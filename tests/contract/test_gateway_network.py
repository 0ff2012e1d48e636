"""A real gateway behind a company's proxy that opens TLS."""

import http.client
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from carrel.adapters import certificates
from carrel.adapters.certificates import Pair
from carrel.core.site import AiLimits, Network
from carrel.targets.waiting import until
from gateways import Provider, RealGateway

COMPANY = certificates.authority("localhost")


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Provider]:
    with Provider(tmp_path) as running:
        yield running


@pytest.fixture
def gateway(provider: Provider, tmp_path: Path) -> Iterator[RealGateway]:
    made = RealGateway.of(tmp_path, provider, AiLimits(concurrent=100), "ada")
    yield made
    made.clean()


@contextmanager
def opened(port: int, certificate: Pair, folder: Path) -> Iterator[int]:
    """The port at which `port` is spoken to by TLS, under a certificate of the company."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            behind = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            behind.request("POST", self.path, body, {"Content-Type": "application/json"})
            answer = behind.getresponse()
            data = answer.read()
            behind.close()
            self.send_response(answer.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    (folder / "pair.pem").write_text(certificate.certificate + certificate.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "pair.pem")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def at(gateway: RealGateway, base_url: str) -> None:
    """Have the gateway ask its provider there."""
    desk, other = gateway.settings.providers
    gateway.settings = replace(
        gateway.settings, providers=(replace(desk, base_url=base_url), other)
    )


def test_authorities_of_the_site_are_believed_from_the_moment_they_are_named(
    gateway: RealGateway, provider: Provider, tmp_path: Path
) -> None:
    signed = certificates.site(("localhost",), COMPANY)
    with opened(provider.port, signed, tmp_path) as port:
        at(gateway, f"https://localhost:{port}/v1")
        gateway.start()
        assert gateway.chat("ada").status == 502
        (tmp_path / "company.pem").write_text(COMPANY.certificate)
        gateway.change(network=Network(ca_file=str(tmp_path / "company.pem")))
        until(lambda: gateway.chat("ada").status == 200, seconds=10, what="trust")


def test_authorities_that_change_in_place_are_believed_too(
    gateway: RealGateway, provider: Provider, tmp_path: Path
) -> None:
    file = tmp_path / "company.pem"
    file.write_text(certificates.authority("other.example").certificate)
    with opened(provider.port, certificates.site(("localhost",), COMPANY), tmp_path) as port:
        at(gateway, f"https://localhost:{port}/v1")
        gateway.settings = replace(gateway.settings, network=Network(ca_file=str(file)))
        gateway.start()
        assert gateway.chat("ada").status == 502
        file.write_text(COMPANY.certificate)
        until(lambda: gateway.chat("ada").status == 200, seconds=10, what="trust")


def test_authorities_that_cannot_be_read_stop_nobody(gateway: RealGateway, tmp_path: Path) -> None:
    gateway.settings = replace(
        gateway.settings, network=Network(ca_file=str(tmp_path / "nowhere.pem"))
    )
    gateway.start()
    assert gateway.chat("ada").status == 200
    assert "nowhere.pem cannot be used" in gateway.log


def test_a_provider_is_asked_through_the_proxy_unless_it_is_an_exception(
    gateway: RealGateway, provider: Provider
) -> None:
    # No such name exists. The provider of the tests is its own proxy: it takes whole addresses.
    proxy = f"http://127.0.0.1:{provider.port}"
    at(gateway, "http://provider.invalid/v1")
    gateway.settings = replace(gateway.settings, network=Network(http_proxy=proxy))
    gateway.start()
    answer = gateway.chat("ada")
    assert answer.status == 200, answer.body
    assert json.loads(answer.body)["usage"]
    gateway.change(network=Network(http_proxy=proxy, no_proxy=(".invalid",)))
    until(lambda: gateway.chat("ada").status == 502, seconds=10, what="the exception")


def test_loopback_is_never_asked_through_the_proxy(gateway: RealGateway) -> None:
    gateway.settings = replace(
        gateway.settings, network=Network(http_proxy="http://proxy.invalid:3128")
    )
    gateway.start()
    assert gateway.chat("ada").status == 200
