"""The edge in front of fake desks: what it lets through, what it says, and what it keeps to itself."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from carrel.core.edge import HOST_COOKIE, LOGIN_ATTEMPTS_AT_ONCE, LONGEST_COOKIES
from carrel.core.headers import Transport
from carrel.targets.waiting import until
from edges import DOMAIN, PASSWORD, SESSION, RealEdge, edge

FOREIGN = [
    "https://ben.code.localhost:{port}",
    "https://code.localhost:{port}",
    "https://ada.code.localhost",
    "https://ada.code.localhost:{port}0",
    "http://ada.code.localhost:{port}",
    "https://xada.code.localhost:{port}",
    "https://ada.code.localhost:{port}.evil.example",
    "https://evil.example",
    "null",
]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealEdge]:
    with edge(tmp_path_factory.mktemp("edge"), ["ada", "ben"], ["ada"]) as running:
        yield running


# -- headers and TLS ---------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/login", "/proxy/5173/"])
def test_a_desk_can_be_framed_by_nobody_else(real: RealEdge, path: str) -> None:
    answer = real.ask("ada", path)
    assert answer.status == 200
    assert answer.header("Content-Security-Policy") == "frame-ancestors 'self'"


@pytest.mark.parametrize("path", ["/", "/login"])
def test_a_desk_says_once_what_browsers_shall_not_do(real: RealEdge, path: str) -> None:
    answer = real.ask("ada", path)
    assert answer.header("X-Content-Type-Options") == "nosniff"
    assert answer.header("Referrer-Policy") == "same-origin"
    # Somebody who does not trust the local authority could never get past its warning.
    assert answer.header("Strict-Transport-Security") is None


def test_with_a_certificate_that_browsers_trust_they_come_back_with_tls_only(
    tmp_path: Path,
) -> None:
    with RealEdge(tmp_path, ["ada"]) as public:
        public.edge = replace(public.edge, transport=Transport.PUBLIC)
        public.start()
        for user, path in (
            ("ada", "/"),
            ("ada", "/login"),
            ("ada", "/proxy/5173/"),
            ("nobody", "/"),
        ):
            said = public.ask(user, path).header("Strict-Transport-Security") or ""
            assert said.startswith("max-age=63072000")
        assert public.ask().header("Strict-Transport-Security") is not None


def test_what_runs_behind_a_port_keeps_headers_of_its_own(real: RealEdge) -> None:
    answer = real.ask("ada", "/proxy/5173/")
    assert answer.header("X-Content-Type-Options") is None
    assert answer.header("Referrer-Policy") is None


def test_a_page_of_ours_can_be_framed_by_nobody_and_is_not_kept(real: RealEdge) -> None:
    for answer in (real.ask(), real.ask("nobody")):
        assert answer.header("Content-Security-Policy") == "frame-ancestors 'none'"
        assert answer.header("Cache-Control") == "no-store"
        assert answer.header("X-Content-Type-Options") == "nosniff"


def test_nothing_says_which_nginx_this_is(real: RealEdge) -> None:
    assert real.ask("nobody").header("Server") == "nginx"


@pytest.mark.parametrize("name", ["evil.example", "localhost", "code.localhost.evil.example"])
def test_a_name_that_is_not_ours_gets_no_certificate(real: RealEdge, name: str) -> None:
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        real.connect(sni=name)


def test_who_asks_for_an_address_gets_no_certificate(real: RealEdge) -> None:
    blind = ssl.create_default_context()
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE
    plain = socket.create_connection(("127.0.0.1", real.port), 10)
    with contextlib.closing(plain), pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        blind.wrap_socket(plain)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "ada.code.localhost.evil.example"])
def test_another_name_inside_a_connection_of_ours_is_refused(real: RealEdge, host: str) -> None:
    assert real.ask("ada", headers={"Host": host}).status == 421


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_tls_below_1_2_is_refused(real: RealEdge, version: ssl.TLSVersion) -> None:
    old = real.tls
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = version
    plain = socket.create_connection(("127.0.0.1", real.port), 10)
    with contextlib.closing(plain), pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
        old.wrap_socket(plain, server_hostname=f"ada.{DOMAIN}")


def test_browsers_are_offered_http_2(real: RealEdge) -> None:
    context = real.tls
    context.set_alpn_protocols(["h2", "http/1.1"])
    plain = socket.create_connection(("127.0.0.1", real.port), 10)
    with context.wrap_socket(plain, server_hostname=f"ada.{DOMAIN}") as connection:
        assert connection.selected_alpn_protocol() == "h2"


# -- who asks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_foreign_page_can_neither_write_nor_open_a_websocket(real: RealEdge, origin: str) -> None:
    said = {"Origin": origin.format(port=real.port)}
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert real.ask("ada", "/save", said, method=method).status == 403
        assert real.ask("ada", "/proxy/5173/", said, method=method).status == 403
    assert real.ask("ada", "/login", said, method="POST").status == 403
    assert real.upgrade("ada", said).status == 403


def test_the_desks_own_page_can_write_and_open_a_websocket(real: RealEdge) -> None:
    said = {"Origin": real.origin()}
    assert real.ask("ada", "/save", said, method="POST").status == 200
    assert real.ask("ada", "/proxy/5173/", said, method="DELETE", body="").status == 501
    assert real.upgrade("ada", said).status == 101


def test_a_websocket_of_nobody_is_refused_and_a_request_by_hand_is_not(real: RealEdge) -> None:
    assert real.upgrade("ada").status == 403
    assert real.ask("ada", "/save", method="POST").status == 200


@pytest.mark.parametrize("site", ["same-site", "cross-site"])
def test_a_foreign_page_that_hides_its_name_can_neither_write_nor_sign_out(
    real: RealEdge, site: str
) -> None:
    said = {"Sec-Fetch-Site": site}
    assert real.ask("ada", "/save", said, method="POST").status == 403
    for path in ("/logout", "/Logout/", "//logout?to=/"):
        assert real.ask("ada", path, said).status == 403
    assert real.ask("ada", "/", said).status == 200, "links from elsewhere work"
    assert real.ask("ada", "/logout", {"Sec-Fetch-Site": "same-origin"}).status == 302


def test_only_websockets_are_upgraded(real: RealEdge) -> None:
    said = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABk"}
    answer = real.ask("ada", "/", said)
    assert answer.status == 200
    assert "upgrade" not in answer.seen


def test_a_tunnel_answers_for_loopback_only_and_to_its_own_page(real: RealEdge) -> None:
    port = real.tunnels["ada"]
    # ssh may listen at another port than we do.
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", "127.0.0.1:9000"):
        said = {"Host": host, "Origin": f"http://{host}"}
        assert real.ask_tunnel("ada", "/save", said, method="POST").status == 200
    other = {"Host": f"127.0.0.1:{port}", "Origin": f"http://127.0.0.1:{port + 1}"}
    assert real.ask_tunnel("ada", "/save", other, method="POST").status == 403
    rebound = {"Host": f"evil.example:{port}", "Origin": f"http://evil.example:{port}"}
    assert real.ask_tunnel("ada", "/", rebound).status == 421


def test_what_a_client_says_about_where_it_comes_from_is_replaced(real: RealEdge) -> None:
    lies = {
        "Forwarded": "for=1.2.3.4;host=evil.example;proto=http",
        "X-Forwarded-For": "1.2.3.4",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "ftp",
        "X-Forwarded-Port": "1",
        "X-Forwarded-Prefix": "/evil",
        "X-Forwarded-Server": "evil.example",
        "X-Forwarded-User": "root",
        "X_Forwarded_Host": "evil.example",
        "X-Real-IP": "1.2.3.4",
        "X-Original-URL": "/evil",
    }
    for path in ("/", "/login", "/proxy/5173/"):
        seen = real.ask("ada", path, lies).seen
        told = {name: value for name, value in seen.items() if name.startswith(("x-", "forw"))}
        assert told == {
            "x-real-ip": "127.0.0.1",
            "x-forwarded-for": "127.0.0.1",
            "x-forwarded-proto": "https",
        }
        assert seen["host"] == real.host("ada")


# -- the session -------------------------------------------------------------------------------


def test_the_session_is_a_cookie_that_no_other_host_can_set(real: RealEdge) -> None:
    answer = real.sign_in()
    assert answer.status == 302
    cookie = answer.header("Set-Cookie") or ""
    value, *options = cookie.split("; ")
    assert value == f"{HOST_COOKIE}={SESSION}"
    # RFC 6265bis, 4.1.3.2: what a browser asks of the prefix.
    assert set(options) == {"Path=/", "Secure", "HttpOnly", "SameSite=Lax"}
    assert value.startswith("__Host-")


def test_signing_out_ends_that_cookie(real: RealEdge) -> None:
    cookie = real.ask("ada", "/logout").header("Set-Cookie") or ""
    assert cookie.startswith(f"{HOST_COOKIE}=; Path=/; Max-Age=0; ")


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        ("{ours}", "code-server-session=S; "),
        ("a=1; {ours}; b=2", "code-server-session=S; a=1; b=2"),
        ("{ours}; b=2", "code-server-session=S; b=2"),
        ("a=1; {ours}", "code-server-session=S; a=1; "),
        # A sibling's, however it gets in first.
        ("code-server-session=evil; {ours}", "code-server-session=S; code-server-session=evil; "),
        ("code-server-session=evil", "code-server-session=; code-server-session=evil"),
        ("x{ours}; a=1", "code-server-session=; xours; a=1"),
        ("a=1", "code-server-session=; a=1"),
    ],
)
def test_the_desk_sees_this_hosts_session_first_and_under_one_name(
    real: RealEdge, sent: str, seen: str
) -> None:
    given = {"Cookie": sent.replace("{ours}", f"{HOST_COOKIE}=S")}
    expected = seen.replace("xours", f"x{HOST_COOKIE}=S")
    for path in ("/", "/login", "/proxy/5173/"):
        assert real.ask("ada", path, given).seen["cookie"] == expected


def test_without_a_cookie_the_desk_sees_none(real: RealEdge) -> None:
    assert "cookie" not in real.ask("ada").seen


def test_a_tunnels_session_has_its_users_name_for_all_ports_share_their_cookies(
    real: RealEdge,
) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    body = f"password={PASSWORD.replace(' ', '+')}"
    answer = real.ask_tunnel("ada", "/login", form, method="POST", body=body)
    assert answer.header("Set-Cookie") == f"carrel-ada={SESSION}; Path=/; HttpOnly; SameSite=Lax"
    seen = real.ask_tunnel("ada", "/", {"Cookie": "carrel-ben=B; carrel-ada=S"}).seen["cookie"]
    assert seen == "code-server-session=S; carrel-ben=B; "


def test_a_cookie_for_the_whole_domain_stays_with_the_desk_that_sets_it(real: RealEdge) -> None:
    cookies = real.ask("ada", "/proxy/5173/").headers["set-cookie"]
    assert cookies == ["taste=salt; Domain=ada.code.localhost; Path=/", "other=1"]


def test_a_flood_of_cookies_is_refused_for_that_request_only(real: RealEdge) -> None:
    for size in (LONGEST_COOKIES, 30_000, 500_000):
        flood = {"Cookie": "; ".join(f"c{n}={'x' * 90}" for n in range(size // 95 + 1))}
        answer = real.ask("ada", headers=flood)
        assert answer.status == 400
        assert "<title>" in answer.body
    assert real.ask("ada", headers={"Cookie": f"{HOST_COOKIE}=S"}).status == 200


# -- signing in --------------------------------------------------------------------------------


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[RealEdge]:
    with edge(tmp_path, ["ada", "ben"], ["ada"]) as running:
        yield running


def test_wrong_passwords_from_one_address_wait_and_the_other_desk_does_not(fresh: RealEdge) -> None:
    ways = ["/login", "/LOGIN", "/login/", "//login", "/%6cogin", "/x/../login"]
    answers = [fresh.sign_in("ada", "guess", path).status for path in ways]
    assert answers == [200] * (1 + LOGIN_ATTEMPTS_AT_ONCE)
    for path in ways:
        answer = fresh.sign_in("ada", PASSWORD, path)
        assert answer.status == 429
        assert int(answer.header("Retry-After") or 0) == 60
    assert fresh.ask("ada", "/login").status == 200
    assert fresh.sign_in("ben").status == 302


def test_every_refused_sign_in_is_one_line_without_the_password(fresh: RealEdge) -> None:
    fresh.sign_in("ada", "guess-one")
    fresh.sign_in("ben")
    evil = {"User-Agent": "x\n\x1b[31m", "Origin": fresh.origin(), "Referer": '"\\x'}
    with contextlib.suppress(ValueError):
        fresh.ask("ada", "/login?user=forged%0asign-in", evil, method="POST", body="password=g2")
    said = {**evil, "User-Agent": "x"}
    fresh.ask("ada", "/login?user=forged%0asign-in", said, method="POST", body="password=guess-two")
    fresh.ask_tunnel("ada", "/login", {"Host": "localhost"}, method="POST", body="password=guess-3")
    line = "sign-in refused: user=ada address=127.0.0.1\n"
    # nginx writes it when the answer is gone already.
    until(lambda: fresh.sign_ins.count("\n") >= 3, seconds=5, what="the last line")
    assert fresh.sign_ins == line * 3
    errors = Path(f"{fresh.layout.nginx}/errors.log").read_text()
    assert "guess" not in errors


# -- beside other sites ------------------------------------------------------------------------


def test_the_real_nginx_finds_nothing_to_warn_about(fresh: RealEdge) -> None:
    config = fresh.layout.nginx_config
    said = subprocess.run(
        ["nginx", "-t", "-e", "stderr", "-c", config], capture_output=True, text=True, check=True
    )
    assert "[warn]" not in said.stderr
