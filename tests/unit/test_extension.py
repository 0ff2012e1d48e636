"""Carrel's extension for VS Code: it does what it says it does, and its package is valid."""

from __future__ import annotations

import json
import re
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "images/workspace/extension"
PACK = ROOT / "images/workspace/build/companion"
VSX = "{http://schemas.microsoft.com/developer/vsx-schema/2011}"
BUILT_IN = {"workbench.action.terminal.new", "workbench.action.showCommands"}
BUILT_IN |= {"~remote.forwardedPorts.focus"}


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SOURCE / "package.json").read_text())
    return found


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("package") / "companion.vsix"
    subprocess.run([PACK, SOURCE, path], check=True, timeout=60)
    return path


def implemented() -> set[str]:
    code = (SOURCE / "extension.js").read_text()
    table = code.partition("const commands = {")[2].partition("};")[0]
    return set(re.findall(r'"(carrel\.\w+)":', table))


def declared(described: dict[str, Any]) -> set[str]:
    return {entry["command"] for entry in described["contributes"]["commands"]}


def words(described: dict[str, Any]) -> Iterator[str]:
    """Every text that can name a command as a link."""
    for welcome in described["contributes"]["viewsWelcome"]:
        yield welcome["contents"]
    for walkthrough in described["contributes"]["walkthroughs"]:
        for step in walkthrough["steps"]:
            yield step["description"]


def test_the_logic_passes_its_own_tests() -> None:
    """Needs Node 20 or newer: `node` on the PATH."""
    tests = sorted((ROOT / "tests/unit/extension").glob("*.test.js"))
    assert tests
    ran = subprocess.run(
        ["node", "--test", *tests], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stdout
    assert re.search(r"pass [1-9]", ran.stdout)


def test_every_command_is_described_and_implemented(described: dict[str, Any]) -> None:
    assert declared(described) == implemented()


def test_menus_keys_buttons_and_steps_name_commands_that_exist(described: dict[str, Any]) -> None:
    contributes = described["contributes"]
    named = {entry["command"] for menu in contributes["menus"].values() for entry in menu}
    named |= {key["command"] for key in contributes["keybindings"] if key["command"][0] != "-"}
    named |= set(contributes["configurationDefaults"]["terminal.integrated.commandsToSkipShell"])
    linked = {link for text in words(described) for link in re.findall(r"\(command:(.+?)\)", text)}
    events = {
        event.removeprefix("onCommand:")
        for walkthrough in contributes["walkthroughs"]
        for step in walkthrough["steps"]
        for event in step["completionEvents"]
    }
    assert named | linked | events <= declared(described) | BUILT_IN
    assert events <= linked


def test_the_promised_keys_are_there_and_others_where_a_browser_or_windows_takes_them(
    described: dict[str, Any],
) -> None:
    keys: dict[str, list[str]] = {}
    for binding in described["contributes"]["keybindings"]:
        keys.setdefault(binding["command"], []).append(binding["key"])
    assert keys["carrel.askAi"] == ["ctrl+escape", "alt+a"]
    assert keys["carrel.newSession"] == ["ctrl+shift+escape", "alt+n"]
    assert keys["carrel.addToAi"] == ["ctrl+alt+k", "alt+k"]


def test_no_key_of_the_official_extension_is_bound_twice(described: dict[str, Any]) -> None:
    bindings = described["contributes"]["keybindings"]
    removed = {(b["key"], b["mac"]) for b in bindings if b["command"].startswith("-opencode.")}
    official = {
        ("ctrl+escape", "cmd+escape"),
        ("ctrl+shift+escape", "cmd+shift+escape"),
        ("ctrl+alt+k", "cmd+alt+k"),
    }
    assert removed == official


def test_a_step_has_a_picture_with_words_for_those_who_do_not_see_it(
    described: dict[str, Any],
) -> None:
    [walkthrough] = described["contributes"]["walkthroughs"]
    assert walkthrough["title"] == "Get started with Carrel"
    for step in walkthrough["steps"]:
        assert step["media"]["altText"]
        picture = SOURCE / step["media"]["svg"]
        ElementTree.parse(picture)  # noqa: S314 - our own file
        # VS Code shows them under a policy that lets no inline style count.
        assert "style=" not in picture.read_text()


def test_every_file_that_is_named_is_in_the_package(
    described: dict[str, Any], package: Path
) -> None:
    with zipfile.ZipFile(package) as archive:
        inside = set(archive.namelist())
    named = set(re.findall(r'"(?:\./)?([\w/-]+\.(?:js|svg))"', json.dumps(described)))
    for code in SOURCE.glob("*.js"):
        named |= {f"{name}.js" for name in re.findall(r'require\("\./(\w+)"\)', code.read_text())}
    assert {"extension.js", "pages.js", "media/ai.svg"} <= named
    assert {f"extension/{name}" for name in named} <= inside


def test_the_package_is_one_that_vs_code_installs(described: dict[str, Any], package: Path) -> None:
    with zipfile.ZipFile(package) as archive:
        assert archive.testzip() is None
        kinds = ElementTree.fromstring(archive.read("[Content_Types].xml"))  # noqa: S314
        manifest = ElementTree.fromstring(archive.read("extension.vsixmanifest"))  # noqa: S314
        ends = {Path(name).suffix.removeprefix(".") for name in archive.namelist()}
    identity = manifest.find(f"{VSX}Metadata/{VSX}Identity")
    assert identity is not None
    assert identity.attrib["Id"] == described["name"] == "companion"
    assert identity.attrib["Publisher"] == described["publisher"] == "carrel"
    assert identity.attrib["Version"] == described["version"]
    assert ends - {"xml"} <= {kind.attrib["Extension"] for kind in kinds}


def test_the_package_is_the_same_bytes_whenever_and_wherever_it_is_made(
    package: Path, tmp_path: Path
) -> None:
    for path in sorted(SOURCE.rglob("*"), reverse=True):
        copy = tmp_path / "copy" / path.relative_to(SOURCE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            copy.write_bytes(path.read_bytes())
            copy.chmod(0o600)
    again = tmp_path / "again.vsix"
    subprocess.run([PACK, tmp_path / "copy", again], check=True, timeout=60)
    assert again.read_bytes() == package.read_bytes()


def test_a_kind_of_file_that_the_package_does_not_know_is_refused(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text("{}")
    (tmp_path / "photo.png").write_bytes(b"")
    target = tmp_path / "out.vsix"
    ran = subprocess.run(
        [PACK, tmp_path, target], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode != 0
    assert "photo.png" in ran.stderr
    assert not target.exists()
