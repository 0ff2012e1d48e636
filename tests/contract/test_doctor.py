"""`carrel doctor` on a real site: well when it is, and by name what is broken on purpose."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from carrel.doctor.walk import CHECKS
from carrel.targets.waiting import until
from sites import RealSite


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealSite]:
    """A site that these tests may break."""
    real = RealSite(tmp_path_factory.mktemp("patient"), ["ada"])
    try:
        real.carrel("up")
        yield real
    finally:
        real.clean()


def findings(desk: RealSite, status: int) -> list[dict[str, Any]]:
    told = json.loads(desk.carrel("doctor", "--json", status=status).stdout)
    assert told["healthy"] == (status == 0)
    found: list[dict[str, Any]] = told["findings"]
    return found


def ills(desk: RealSite) -> dict[str, str]:
    """What is wrong, by check; each with a remedy."""
    found = [finding for finding in findings(desk, status=8) if finding["verdict"] == "ill"]
    assert all(finding["fix"] for finding in found)
    return {finding["check"]: f"{finding['what']} | {finding['why']}" for finding in found}


@contextlib.contextmanager
def mode(path: Path, changed: int) -> Iterator[None]:
    before = path.stat().st_mode & 0o7777
    path.chmod(changed)
    try:
        yield
    finally:
        path.chmod(before)


def test_a_site_that_is_well_is_called_well_and_what_was_not_looked_at_is_said(
    desk: RealSite,
) -> None:
    found = findings(desk, status=0)
    assert {finding["check"] for finding in found} == {check.name for check in CHECKS}
    assert all(finding["why"] for finding in found if finding["verdict"] == "skipped")
    well = [finding["what"] for finding in found if finding["verdict"] == "well"]
    for words in (
        "the desk of ada asks for the password",
        "the WebSocket of ada opens",
        "nginx lets a WebSocket be silent for 60 minutes",
        "a WebSocket with a foreign Origin is refused",
        "a WebSocket with a foreign Origin and X-Forwarded-Host is refused",
        "TLSv1.3, and the certificate is believed",
        "only the web server reaches the socket of ada",
    ):
        assert words in well
    said = desk.carrel("doctor").stdout
    assert "Nothing needs mending." in said
    assert "$argon2" not in said


def test_a_directory_that_others_may_enter_is_named(desk: RealSite) -> None:
    folder = Path(desk.layout.socket_directory("ada"))
    with mode(folder, 0o755):
        found = ills(desk)
    assert list(found) == ["sockets"]
    assert f"{folder} has mode 0755" in found["sockets"]


def test_a_socket_that_nobody_may_use_is_named(desk: RealSite) -> None:
    with mode(Path(desk.layout.editor_socket("ada")), 0o000):
        assert "(mode 0000)" in ills(desk)["sockets"]


def test_a_workspace_that_was_stopped_is_named(desk: RealSite) -> None:
    supervisor = desk.target.store.supervisor
    supervisor.stop_program("workspace-ada")
    try:
        found = ills(desk)
    finally:
        supervisor.start_program("workspace-ada")
        until(lambda: desk.get("ada", "/healthz")[0] == 200, seconds=60, what="ada")
    assert "the desk of ada answers 503" in found["page"]
    assert "websocket" not in found


def test_a_certificate_that_ended_is_named(desk: RealSite) -> None:
    result = subprocess.run(
        ["faketime", "+366 days", sys.executable, "-m", "carrel", "doctor", "--json"],
        env={**os.environ, "CARREL_CONFIG": str(desk.config)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 8, result.stderr
    told = json.loads(result.stdout)["findings"]
    found = {f["check"]: f["what"] for f in told if f["verdict"] == "ill"}
    assert "ended 1 day ago" in found["certificate"]
    assert "expired" in found["tls"]


def test_an_nginx_that_is_down_is_named(desk: RealSite) -> None:
    supervisor = desk.target.store.supervisor
    supervisor.stop_program("edge")
    try:
        found = ills(desk)
    finally:
        supervisor.start_program("edge")
        until(lambda: reachable(desk), seconds=30, what="nginx")
    assert list(found) == ["tls"]
    assert str(desk.port) in found["tls"]


def test_a_shorter_silence_is_named(desk: RealSite) -> None:
    config = Path(desk.layout.nginx_config)
    before = config.read_text()
    config.write_text(before.replace("proxy_read_timeout 3600s", "proxy_read_timeout 60s"))
    try:
        found = ills(desk)
    finally:
        config.write_text(before)
    assert "less than an hour" in found["websocket"]


def reachable(desk: RealSite) -> bool:
    try:
        return desk.get("ada", "/healthz")[0] == 200
    except OSError:
        return False
