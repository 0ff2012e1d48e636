"""People come, change and go while another works on: her connection never closes."""

from __future__ import annotations

import pytest

from servers import CONFIG, STORAGE, Server

CAROL = "\n[users.carol.limits]\nmemory = "
PASSWORD = "a password of hers"


def test_bob_works_on_while_carol_comes_changes_goes_and_comes_back(server: Server) -> None:
    before = server.started("bob", "dan")
    nobody = server.get("nobody")
    with server.editor("bob") as bob:
        server.carrel("user", "add", "carol", "--password-stdin", given=PASSWORD)
        server.shows_workbench("carol")
        server.inside("carol", "sh", "-c", "echo mine >kept")
        assert bob.is_open()

        server.run(f"echo '{CAROL}\"700M\"' >>{CONFIG}")
        server.carrel("apply")
        assert server.property("carol", "MemoryMax") == str(700 << 20)
        server.shows_workbench("carol")
        assert bob.is_open()

        server.carrel("user", "suspend", "carol")
        assert server.property("carol", "ActiveState") == "inactive"
        suspended = server.get("carol")
        assert (suspended.status, suspended.body) == (nobody.status, nobody.body)
        assert bob.is_open()

        server.carrel("user", "resume", "carol")
        server.shows_workbench("carol")
        assert bob.is_open()

        server.carrel("user", "remove", "carol", "--yes")
        assert server.get("carol").status == nobody.status
        assert server.run(f"cat {STORAGE}/carol/workspace/kept") == "mine\n"
        assert server.traces("carol") == ""
        assert bob.is_open()

        said = server.carrel("user", "add", "carol", "--password-stdin", given=PASSWORD, status=4)
        assert "Nothing was changed." in said.errors
        server.carrel("user", "add", "carol")
        assert server.password("carol") == PASSWORD
        server.shows_workbench("carol")
        assert server.inside("carol", "cat", "kept") == "mine\n"

        server.carrel("user", "remove", "carol", "--delete-data", "--yes")

        assert server.traces("carol") == ""
        accounts = (
            "getent passwd carrel-carol; grep carrel-carol /etc/group /etc/subuid /etc/subgid"
        )
        assert server.run(f"{{ {accounts}; }} || true") == ""
        left = f"{STORAGE}/carol /etc/carrel/secrets/carol"
        server.run(f"for path in {left}; do ! [ -e $path ]; done")
        assert bob.is_open()
    assert server.steps() == []
    assert server.started("bob", "dan") == before


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("user", "remove", "nobody", "--yes"), 2, "nobody"),
        (("user", "suspend", "nobody"), 2, "There is no user nobody"),
        (("user", "add", "../dan"), 2, "../dan"),
        (("user", "add", "dan"), 2, "dan"),
        (("user", "remove", "dan", "--delete-data"), 5, "Nobody is there to ask"),
    ],
)
def test_a_mistake_changes_nothing(
    server: Server, arguments: tuple[str, ...], status: int, words: str
) -> None:
    look = f"cat {CONFIG}; ls -lR /etc/carrel/secrets {STORAGE}/dan/workspace; id carrel-dan"
    before = server.run(look)
    assert words in server.carrel(*arguments, status=status).errors
    assert server.run(look) == before
