"""The tokens that the gateway knows people by, and the keys of providers that an operator gives."""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from carrel.adapters.process import Identity
from carrel.config import secrets
from carrel.core.layout import LocalLayout
from carrel.core.resources import Entry, Form, Token
from carrel.core.site import SecretFile
from carrel.errors import ConfigError
from carrel.operations import ai_keys
from carrel.operations.ai_keys import NewKey
from carrel.targets.local.runtime import LocalRuntime
from carrel.targets.local.target import LocalTarget

CONFIG = """\
# Ours.
domain = "code.localhost"
[ai]
mode = "off"       # not yet
[users.ada]
password_file = "ada"
"""


@pytest.fixture
def key(tmp_path: Path) -> SecretFile:
    file = tmp_path / "key"
    file.write_text("ab" * 32)
    return SecretFile(str(file))


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalTarget]:
    """A site that is not up."""
    monkeypatch.setattr(LocalRuntime, "active", lambda _: False)
    (tmp_path / "carrel.toml").write_text(CONFIG)
    (tmp_path / "ada").write_text("open sesame\n")
    umask = os.umask(0o022)
    me = Identity.ours().name
    layout = LocalLayout("s", f"{tmp_path}/lib", f"{tmp_path}/run", me, me)
    yield LocalTarget(tmp_path / "carrel.toml", layout, lambda _: None)
    os.umask(umask)


def configuration(target: LocalTarget) -> dict[str, object]:
    return tomllib.loads(target.config.read_text())


def test_everybody_has_another_token_and_each_turn_another(key: SecretFile) -> None:
    found = {secrets.token(Token(user, turn, key)) for user in ("ada", "ben") for turn in (1, 2)}
    assert len(found) == 4
    assert all(len(token) == 64 for token in found)
    assert secrets.token(Token("ada", 1, key)) in found


def test_the_workspace_gets_the_token_and_the_gateway_its_hash(key: SecretFile) -> None:
    token = Token("ada", 1, key)
    text = secrets.environment_file(
        [Entry("CARREL_AI_TOKEN", token), Entry("TOKEN_ADA", token, Form.SHA256)]
    )
    [shown, kept] = [line.partition("=")[2] for line in text.splitlines()]
    assert hashlib.sha256(shown.encode()).hexdigest() == kept


def test_a_key_that_is_not_there_yet_is_an_empty_line(tmp_path: Path) -> None:
    entry = Entry("ANTHROPIC_API_KEY", SecretFile(str(tmp_path / "none")), Form.IF_ANY)
    assert secrets.environment_file([entry]) == "ANTHROPIC_API_KEY=\n"


def test_a_new_provider_turns_the_gateway_on_and_its_key_is_in_a_private_file(
    target: LocalTarget,
) -> None:
    done = ai_keys.add(target, NewKey("anthropic", "sk-secret"), lambda _: None)
    assert done.secret_file == str(target.config.parent / "secrets/ai-anthropic")
    file = Path(done.secret_file)
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("sk-secret\n", 0o600)
    text = target.config.read_text()
    assert text.startswith("# Ours.\n")
    assert "# not yet" in text
    assert "sk-secret" not in text
    assert configuration(target)["ai"] == {
        "mode": "gateway",
        "providers": {"anthropic": {"api_key_file": "secrets/ai-anthropic"}},
    }


def test_another_key_of_the_same_provider_replaces_the_first(target: LocalTarget) -> None:
    ai_keys.add(target, NewKey("anthropic", "sk-first"), lambda _: None)
    before = target.config.read_text()
    done = ai_keys.add(target, NewKey("anthropic", "sk-second"), lambda _: None)
    assert Path(done.secret_file).read_text() == "sk-second\n"
    assert target.config.read_text() == before


@pytest.mark.parametrize(
    "key",
    [
        NewKey("anthropic", ""),
        NewKey("anthropic", "two words"),
        NewKey("mine", "sk-secret"),
        NewKey("../mine", "sk-secret"),
    ],
)
def test_a_key_that_cannot_be_used_changes_nothing(target: LocalTarget, key: NewKey) -> None:
    with pytest.raises(ConfigError) as caught:
        ai_keys.add(target, key, lambda _: None)
    assert "sk-secret" not in str(caught.value)
    assert target.config.read_text() == CONFIG
    left = sorted(str(p.relative_to(target.config.parent)) for p in target.config.parent.rglob("*"))
    made = [name for name in left if name != "secrets" and not name.startswith("lib")]
    assert made == ["ada", "carrel.toml"]


def test_a_turn_is_a_number_in_the_configuration(target: LocalTarget) -> None:
    ai_keys.rotate(target, "ada", lambda _: None)
    ai_keys.rotate(target, "ada", lambda _: None)
    assert configuration(target)["users"] == {"ada": {"password_file": "ada", "ai_token": 3}}
    with pytest.raises(ConfigError, match="no user ben"):
        ai_keys.rotate(target, "ben", lambda _: None)
