"""Who git says made a commit, in a workspace whose person never told it."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrel.config import load, schema
from carrel.core.resources import Service
from carrel.render import local
from carrel.targets import images
from samples import TWO_USERS, surroundings

SIGNATURE = images.context() / "rootfs/opt/carrel/signature"
GITCONFIG = images.context() / "rootfs/etc/gitconfig"


class Workspace:
    """Git with the image's own configuration, and a home."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder = folder
        (folder / "home").mkdir()
        written = folder / "run-gitconfig"
        system = GITCONFIG.read_text()
        assert "path = /run/carrel/gitconfig" in system
        (folder / "gitconfig").write_text(system.replace("/run/carrel/gitconfig", str(written)))
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder / "home"),
            "GIT_CONFIG_SYSTEM": str(folder / "gitconfig"),
            "CARREL_SIGNATURE": str(written),
            **variables,
        }
        self.run("sh", "-euc", f". {SIGNATURE}")
        self.run("git", "init", "-q", "repo")

    def run(self, *command: str, status: int = 0) -> str:
        done = subprocess.run(
            command,
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stderr
        return done.stdout

    def git(self, *arguments: str, status: int = 0) -> str:
        return self.run("git", "-C", "repo", *arguments, status=status)

    @property
    def author(self) -> str:
        self.git("commit", "-q", "--allow-empty", "-m", "work")
        return self.git("log", "-1", "--format=%an <%ae> %cn <%ce>").strip()


DAN = {"CARREL_FULL_NAME": "Dan D. Döe", "CARREL_EMAIL": "dan@example.org"}


def test_a_newcomer_signs_with_what_the_site_says(tmp_path: Path) -> None:
    assert Workspace(tmp_path, **DAN).author == (
        "Dan D. Döe <dan@example.org> Dan D. Döe <dan@example.org>"
    )


def test_what_people_say_themselves_wins(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, **DAN)
    workspace.git("config", "--global", "user.name", "Danny")
    assert workspace.author == "Danny <dan@example.org> Danny <dan@example.org>"
    workspace.git("config", "user.email", "other@example.net")
    assert workspace.author == "Danny <other@example.net> Danny <other@example.net>"


@pytest.mark.parametrize("variables", [{}, {"CARREL_FULL_NAME": "Dan"}, {"CARREL_EMAIL": "a@b.de"}])
def test_an_image_that_is_run_by_hand_asks_who_somebody_is(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    workspace = Workspace(tmp_path, **variables)
    workspace.git("commit", "--allow-empty", "-m", "work", status=128)


@given(st.from_regex(schema.WORDS, fullmatch=True).filter(lambda text: len(text) <= 120))
def test_git_takes_every_name_that_the_configuration_takes(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    file = tmp_path_factory.mktemp("g") / "gitconfig"
    variables = {**DAN, "CARREL_FULL_NAME": name, "CARREL_SIGNATURE": str(file)}
    subprocess.run(["sh", "-euc", f". {SIGNATURE}"], env=variables, check=True)
    command = ["git", "config", "--file", str(file), "user.name"]
    said = subprocess.run(command, capture_output=True, check=True).stdout.decode()
    assert said == f"{name}\n"


def test_a_workspace_is_told_who_works_in_it() -> None:
    site = replace(
        TWO_USERS, users=(replace(TWO_USERS.users[0], full_name="Dan Doe", email="d@example.org"),)
    )
    (command,) = (
        r.command
        for r in local.state(site, surroundings())
        if isinstance(r, Service) and r.name == "workspace-dan"
    )
    assert {"--env=CARREL_FULL_NAME=Dan Doe", "--env=CARREL_EMAIL=d@example.org"} <= {*command}


def test_without_a_word_people_are_called_as_they_sign_in() -> None:
    text = 'domain = "code.example.org"\n[users.dan]\npassword_file = "x"\n[users.eve]\n'
    text += 'password_file = "x"\nfull_name = "Eve Öl"\nemail = "eve@example.net"\n'
    dan, eve = load.recalled(text, Path("/carrel.toml")).users
    assert (dan.full_name, dan.email) == ("dan", "dan@code.example.org")
    assert (eve.full_name, eve.email) == ("Eve Öl", "eve@example.net")
