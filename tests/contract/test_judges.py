"""What programs of others say about the edge: every finding of theirs is mended, or explained here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import judges
from carrel.core.edge import GuestServer, OwnServer
from carrel.core.headers import Transport
from carrel.render import nginx
from edges import DOMAIN, RealEdge

EXPLAINED = {
    "missing_resolver": "no name is looked up: behind the variable is a Unix socket",
}
SERVER = {
    "default_server_flag": "which site is the default is the operator's business",
}
LOCAL = {
    "hsts_header": "whoever does not trust the local authority could never get past a warning",
    "worker_rlimit_nofile_vs_connections": "the account may not raise its limit of open files",
}


@pytest.fixture
def real(tmp_path: Path) -> Iterator[RealEdge]:
    with RealEdge(tmp_path, ["ada", "ben"], ["ada"]) as edge:
        yield edge


def found(config: Path) -> set[str]:
    return {finding["plugin"] for finding in judges.gixy(config)}


def test_gixy_finds_nothing_in_local_mode_that_is_not_explained(real: RealEdge) -> None:
    assert isinstance(real.edge.server, OwnServer)
    assert found(real.write(real.edge)) == {*EXPLAINED, *LOCAL}


def test_gixy_finds_nothing_on_a_server_that_is_not_explained(
    real: RealEdge, tmp_path: Path
) -> None:
    guest = replace(real.edge, server=GuestServer(("127.0.0.1:8080",)), transport=Transport.PUBLIC)
    real.write(guest)
    include = tmp_path / "include.conf"
    include.write_text(nginx.config(guest))
    operators = tmp_path / "nginx.conf"
    operators.write_text(f"events {{}}\nhttp {{\n    include {include};\n}}\n")
    assert found(operators) == {*EXPLAINED, *SERVER}


def test_sslyze_finds_mozillas_intermediate_profile_kept(real: RealEdge, tmp_path: Path) -> None:
    real.edge = replace(real.edge, transport=Transport.PUBLIC)
    real.start()
    said = judges.sslyze(f"ada.{DOMAIN}", real.port, real.authority, tmp_path / "sslyze.json")
    assert f"ada.{DOMAIN}:{real.port}: OK - Compliant." in said, said
