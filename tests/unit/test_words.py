"""Editing the configuration, secrets, records and trees."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings

from carrel.config import edit, secrets
from carrel.core.plan import diff
from carrel.core.resources import Entry, Form, State
from carrel.core.site import PasswordHash, SecretFile
from carrel.errors import ConfigError
from carrel.targets import record
from carrel.targets.tree import Tree
from samples import HASH, states

TEXT = """\
# the team's desks
domain = "code.example.org"  # ours

[users.dan]  # the boss
password_file = "dan"
limits.memory = "2G"

# keep me
[ai]
mode = "off"
"""


def test_adding_a_user_keeps_every_comment_and_line() -> None:
    text = edit.add_user(TEXT, "eve", {"password_file": "secrets/eve"})
    assert [line for line in TEXT.splitlines() if line not in text.splitlines()] == []
    assert tomllib.loads(text)["users"]["eve"] == {"password_file": "secrets/eve"}
    assert tomllib.loads(text)["users"]["dan"] == tomllib.loads(TEXT)["users"]["dan"]


def test_the_first_user_can_be_added() -> None:
    text = edit.add_user('domain = "a.b"\n', "dan", {"password_file": "secrets/dan"})
    assert tomllib.loads(text)["users"] == {"dan": {"password_file": "secrets/dan"}}


def test_a_user_is_added_once() -> None:
    with pytest.raises(ConfigError, match="already a user dan"):
        edit.add_user(TEXT, "dan", {"password_file": "x"})


def test_a_new_user_is_written_with_what_was_said_and_no_more() -> None:
    said = {"password_file": "secrets/eve", "full_name": 'Eve "E" Ö', "email": ""}
    found = tomllib.loads(edit.add_user(TEXT, "eve", said))["users"]["eve"]
    assert found == {"password_file": "secrets/eve", "full_name": 'Eve "E" Ö'}


def test_removing_takes_the_user_and_nothing_else() -> None:
    text = edit.remove_user(edit.add_user(TEXT, "eve", {"password_file": "x"}), "dan")
    assert set(tomllib.loads(text)["users"]) == {"eve"}
    assert "# keep me" in text
    assert "# the team's desks" in text


def test_removing_nobody_names_those_who_are_there() -> None:
    with pytest.raises(ConfigError, match="no user eve") as caught:
        edit.remove_user(TEXT, "eve")
    assert "dan" in caught.value.fix


def test_a_password_file_replaces_a_hash() -> None:
    text = edit.set_password_file(f'[users.dan]\npassword_hash = "{HASH}"\n', "dan", "p")
    assert tomllib.loads(text)["users"]["dan"] == {"password_file": "p"}


def test_an_environment_file_holds_values_and_hashes(tmp_path: Path) -> None:
    key, password = tmp_path / "key", tmp_path / "password"
    key.write_text("sk-123\n")
    password.write_text("open sesame\n")
    entries = (
        Entry("HASHED_PASSWORD", SecretFile(str(password)), Form.PASSWORD_HASH),
        Entry("MINE_API_KEY", SecretFile(str(key))),
    )
    text = secrets.environment_file(entries)
    lines = dict(line.split("=", 1) for line in text.splitlines())
    assert lines["MINE_API_KEY"] == "sk-123"
    assert secrets.matches(lines["HASHED_PASSWORD"], "open sesame")
    assert not secrets.matches(lines["HASHED_PASSWORD"], "open barley")
    assert secrets.environment_file(entries, existing=text) == text


def test_a_hash_is_taken_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "hash"
    file.write_text(HASH)
    from_file = Entry("H", SecretFile(str(file)), Form.PASSWORD_HASH)
    given_hash = Entry("H", None, given=PasswordHash(HASH))
    for entry in (from_file, given_hash):
        assert secrets.environment_file((entry,)) == f"H={HASH}\n"


def test_an_environment_file_of_lego_is_read_as_shells_and_systemd_read_it() -> None:
    text = """\
# ours
VULTR_API_KEY=a=b#c
export EMPTY=
  SINGLE='it is "so"'
DOUBLE="a b"
"""
    assert secrets.variables(text) == {
        "VULTR_API_KEY": "a=b#c", "EMPTY": "", "SINGLE": 'it is "so"', "DOUBLE": "a b"
    }  # fmt: skip


def test_fingerprints_depend_on_value_and_key(tmp_path: Path) -> None:
    one, two = SecretFile(f"{tmp_path}/1"), SecretFile(f"{tmp_path}/2")
    for ref in (one, two):
        Path(ref.path).write_text("same")
    prints = secrets.fingerprints([one, two], b"key")
    assert prints[one] == prints[two]
    assert secrets.fingerprints([one], b"other")[one] != prints[one]
    Path(one.path).write_text("new")
    assert secrets.fingerprints([one], b"key")[one] != prints[one]
    assert "same" not in str(prints)


def test_a_vanished_secret_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        secrets.value(SecretFile(f"{tmp_path}/gone"))


def test_new_passwords_are_long_and_never_the_same() -> None:
    made = {secrets.new_password() for _ in range(200)}
    assert len(made) == 200
    assert all(len(p) == 14 and set(p) <= set(secrets.ALPHABET + "-") for p in made)


@given(states)
def test_a_recorded_state_is_read_back_the_same(state: State) -> None:
    assert record.load(record.dump(state)) == state


def test_a_tree_is_the_state_written_into_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    @settings(max_examples=15)
    @given(states, states)
    def check(first: State, second: State) -> None:
        tree = Tree(tmp_path_factory.mktemp("tree"))
        for state in (first, second):
            tree.apply(diff(tree.observe(), state), lambda _: None)
            assert tree.observe() == state
        assert not diff(tree.observe(), second)

    check()
