"""Somebody new: what the operator says of them is in the file, or nothing has changed."""

import tomllib
from pathlib import Path

import pytest

from carrel.errors import ConfigError
from carrel.operations import users
from fake_server import FakeServer
from samples import HASH


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ordinary_umask: None) -> FakeServer:
    del ordinary_umask
    found = FakeServer(tmp_path / "server").install(monkeypatch)
    found.shelve("0" * 12)
    found.config.write_text(
        f'domain = "code.example.org"\n[storage]\nbase = "{found.folder}/srv"\n'
        f'[users.dan]\npassword_hash = "{HASH}"\n'
    )
    found.apply()
    return found


def test_who_comes_with_a_name_signs_with_it(server: FakeServer) -> None:
    eve = users.Newcomer("eve", "Eve Ö. d'Or", "eve@example.net")
    users.add(server.target, eve, None, lambda _: None)
    found = tomllib.loads(server.config.read_text())["users"]["eve"]
    assert (found["full_name"], found["email"]) == (eve.full_name, eve.email)
    unit = Path(server.layout.drop_in("eve")).read_text()
    assert '"--env=CARREL_FULL_NAME=Eve Ö. d\'Or"' in unit
    assert '"--env=CARREL_EMAIL=eve@example.net"' in unit


@pytest.mark.parametrize(
    "eve",
    [users.Newcomer("eve", "Eve\nDor"), users.Newcomer("eve", email="eve"), users.Newcomer("Eve")],
    ids=["a name of two lines", "no address", "no user's name"],
)
def test_what_cannot_be_said_changes_nothing(server: FakeServer, eve: users.Newcomer) -> None:
    before = server.config.read_text()
    with pytest.raises(ConfigError):
        users.add(server.target, eve, None, lambda _: None)
    assert server.config.read_text() == before
    assert not (server.config.parent / "secrets/eve").exists()
