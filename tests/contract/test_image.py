"""The workspace image: what is in it, and how building it behaves."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from carrel.core.site import GIB, ImageRecipe
from carrel.errors import DiskFull
from carrel.targets import images
from sites import RealSite

LARGEST = 1.4 * GIB


def listed(site: RealSite) -> dict[str, dict[str, Any]]:
    found = json.loads(site.carrel("image", "list", "--json").stdout)
    return {entry["reference"]: entry for entry in found}


def current(site: RealSite) -> dict[str, Any]:
    return listed(site)[site.status()["image"]]


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("node", ("node", "--version")),
        ("npm", ("npm", "--version")),
        ("opencode", ("opencode", "--version")),
        ("git", ("git", "--version")),
        ("python", ("python3", "--version")),
        ("code_server", ("code-server", "--version")),
    ],
)
def test_the_manifest_says_what_is_there(
    site: RealSite, name: str, command: tuple[str, ...]
) -> None:
    said = site.inside("ada", *command)
    assert current(site)["manifest"][name].removeprefix("v") in said


def test_the_promised_versions_are_there(site: RealSite) -> None:
    manifest = current(site)["manifest"]
    assert manifest["code_server"] == "4.139.1"
    assert manifest["opencode"] == "1.18.33"
    assert manifest["node"].startswith("24.")


def test_it_is_small_enough(site: RealSite) -> None:
    assert 0 < current(site)["size"] <= LARGEST


@pytest.mark.parametrize(
    "tool",
    [
        "rg",
        "jq",
        "curl",
        "less",
        "nano",
        "vim",
        "pip",
        "npx",
        "ssh",
        "unzip",
        "code",
        "code-server",
    ],
)
def test_people_find_the_tools_they_expect(site: RealSite, tool: str) -> None:
    assert site.inside("ada", "bash", "-lc", f"command -v {tool}").startswith("/")


def test_a_virtual_environment_and_a_global_npm_prefix_belong_to_the_user(site: RealSite) -> None:
    assert site.inside("ada", "sh", "-c", "python3 -m venv /tmp/v && /tmp/v/bin/pip --version")
    assert site.inside("ada", "npm", "prefix", "--global").strip() == "/home/coder/.local"


def test_a_second_build_has_nothing_to_do(site: RealSite) -> None:
    said = site.carrel("image", "build")
    assert "step" not in said.stderr
    assert site.status()["image"] in said.stdout


def test_what_could_not_be_fetched_is_told_everywhere(site: RealSite) -> None:
    missing = current(site)["manifest"]["missing_extensions"]
    present = {entry["id"].lower() for entry in current(site)["manifest"]["extensions"]}
    # One or the other, depending on whether Open VSX can be reached from here.
    assert set(missing) | present == {"carrel.companion", "sst-dev.opencode"}
    assert "carrel.companion" in present
    for command in (("status",), ("image", "build")):
        said = site.carrel(*command).stderr
        assert all(name in said for name in missing)
    assert site.status()["missing_extensions"] == missing


def compiled(site: RealSite) -> str:
    """When each module was compiled that code-server has compiled: another build has other times."""
    modules = "/opt/carrel/node_modules/code-server"
    wanted = ("-path", "*/build/Release/*.node", "-newermt", "2020-01-01")
    return site.inside("ada", "find", modules, *wanted, "-printf", "%T@ %P\\n")


def vsix(folder: Path) -> Path:
    """An extension that does nothing, made by hand."""
    manifest = {
        "name": "quiet",
        "publisher": "carrel-tests",
        "version": "1.2.3",
        "engines": {"vscode": "^1.60.0"},
        "contributes": {"commands": [{"command": "quiet.hush", "title": "Hush"}]},
    }
    identity = 'Id="quiet" Version="1.2.3" Publisher="carrel-tests" Language="en-US"'
    namespace = "http://schemas.microsoft.com/developer/vsx-schema/2011"
    path = folder / "quiet.vsix"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("extension/package.json", json.dumps(manifest))
        archive.writestr(
            "extension.vsixmanifest",
            f'<?xml version="1.0"?><PackageManifest Version="2.0.0" xmlns="{namespace}"><Metadata>'
            f"<Identity {identity}/><DisplayName>Quiet</DisplayName></Metadata><Installation>"
            '<InstallationTarget Id="Microsoft.VisualStudio.Code"/></Installation><Assets><Asset '
            'Type="Microsoft.VisualStudio.Code.Manifest" Path="extension/package.json"/></Assets>'
            "</PackageManifest>",
        )
        archive.writestr(
            "[Content_Types].xml",
            '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/'
            'content-types"><Default Extension=".json" ContentType="application/json"/></Types>',
        )
    return path


def test_a_base_with_code_server_is_used_as_it_is_and_a_vsix_goes_in(
    site: RealSite, new_site: RealSite
) -> None:
    base = site.status()["image"]
    path = vsix(new_site.folder)
    new_site.more = f'[image]\nbase = "{base}"\nextensions = ["{path.name}"]'
    new_site.write(["ada"])
    try:
        new_site.carrel("image", "build", seconds=1800)
        manifest = current(new_site)["manifest"]
        found = [entry["id"] for entry in manifest["extensions"]]
        assert found == ["carrel-tests.quiet", "carrel.companion"]
        assert manifest["missing_extensions"] == []
        assert manifest["code_server"] == "4.139.1"
        new_site.carrel("up")
        assert new_site.get("ada", "/healthz")[0] == 200
        shown = new_site.inside("ada", "code-server", "--version")
        assert "4.139.1" in shown
        assert compiled(new_site) == compiled(site) != ""
    finally:
        new_site.carrel("down")
        new_site.target.store.podman.untag(new_site.status()["image"])


def test_an_interrupted_build_leaves_nothing_half_done(new_site: RealSite) -> None:
    new_site.more = '[image]\npackages = ["cowsay"]'
    new_site.write(["ada"])
    new_site.interrupted("image", "build", at="step ")
    assert new_site.status()["image"] not in listed(new_site)
    assert not Path(f"{new_site.layout.root}/images/context").exists()
    assert new_site.status()["image_state"] == "not built yet"


def test_without_room_on_the_disk_nothing_is_begun(
    new_site: RealSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_site.carrel("up")
    monkeypatch.setattr(images, "ROOM", 2**60)
    wanted = images.image(ImageRecipe(packages=("cowsay",)))
    with pytest.raises(DiskFull, match="too full to build") as caught:
        new_site.target.builder.build(wanted)
    assert "free some space" in caught.value.fix


def test_the_tag_changes_with_whatever_goes_in(tmp_path: Path) -> None:
    plain = images.image(ImageRecipe())
    extension = vsix(tmp_path)
    recipes = [
        ImageRecipe(base="debian"),
        ImageRecipe(packages=("cowsay",)),
        ImageRecipe(extensions=()),
        ImageRecipe(extensions=(str(extension),)),
    ]
    tags = {images.image(recipe).reference for recipe in recipes}
    assert len(tags | {plain.reference}) == 5
    before = images.image(recipes[-1]).reference
    extension.write_bytes(b"another")
    assert images.image(recipes[-1]).reference != before
    assert images.image(ImageRecipe()).reference == plain.reference


def test_code_server_has_time_to_load_on_a_busy_server(site: RealSite) -> None:
    wrapper = "/opt/carrel/code-server/out/node/wrapper.js"
    assert "const timeoutInterval = 120000;" in site.inside("ada", "grep", "timeout", wrapper)
