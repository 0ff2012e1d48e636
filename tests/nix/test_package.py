"""The package and the flake, as far as they can be looked at without nixpkgs."""

from __future__ import annotations

import json
import shutil
import subprocess
import tomllib
from pathlib import Path

from carrel.cli import reference
from nix import reference as options
from nix.desks import EVALUATE, ROOT, run

PACKAGE = """
let
  lib = {
    importTOML = path: builtins.fromTOML (builtins.readFile path);
    inherit (builtins) head;
    fileset = { unions = files: files; toSource = source: source; };
    licenses.mit = "mit";
    platforms.linux = "linux";
  };
  named = name: name;
  python = { sitePackages = "lib/python"; interpreter = "python"; };
  known = builtins.listToAttrs (map (name: { inherit name; value = name; }) (NAMES));
  python3Packages = known // {
    inherit python;
    hatchling = "hatchling";
    makePythonPath = builtins.concatStringsSep ":";
    buildPythonApplication = package: package;
  };
in
import ROOT/nix/package.nix {
  inherit lib python3Packages;
  installShellFiles = "installShellFiles";
  makeWrapper = "makeWrapper";
}
"""


FLAKE = """
let
  pair = f: name: { inherit name; value = f name; };
  nixpkgs.lib.genAttrs = names: f: builtins.listToAttrs (map (pair f) names);
  nixpkgs.legacyPackages = { x86_64-linux = { }; aarch64-linux = { }; };
  made = (import ROOT/flake.nix).outputs { self = made; inherit nixpkgs; };
in
{
  module = toString made.nixosModules.default;
  systems = builtins.attrNames made.checks;
  checks = builtins.attrNames made.checks.x86_64-linux;
  outputs = builtins.attrNames made;
}
"""


def package() -> dict[str, object]:
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = " ".join(f'"{dependency.split(">")[0]}"' for dependency in dependencies)
    text = PACKAGE.replace("NAMES", f"[ {names} ]").replace("ROOT", str(ROOT))
    result = run(*EVALUATE, "-E", f'removeAttrs ({text}) [ "src" ]')
    assert result.status == 0, result.errors
    found: dict[str, object] = json.loads(result.output)
    return found


def test_the_package_takes_everything_from_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    made = package()
    assert (made["pname"], made["version"]) == (project["name"], project["version"])
    assert made["dependencies"] == [d.partition(">")[0] for d in project["dependencies"]]


def test_on_nixos_no_program_is_looked_for_where_debian_has_it(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(["sh", "-euc", str(package()["postPatch"])], cwd=tmp_path, check=True)
    lines = [
        line
        for file in (tmp_path / "src").rglob("*.py")
        for line in file.read_text().splitlines()
        if "PATH" in line and "bin:" in line
    ]
    assert len(lines) > 5
    assert [line for line in lines if "/usr" in line or "/run/wrappers/bin" not in line] == []


def test_the_flake_offers_the_module_and_the_checks() -> None:
    text = FLAKE.replace("ROOT", str(ROOT))
    result = run(*EVALUATE, "-E", text)
    assert result.status == 0, result.errors
    found = json.loads(result.output)
    assert found["module"] == str(ROOT / "nix/module.nix")
    assert found["systems"] == ["aarch64-linux", "x86_64-linux"]
    assert found["checks"] == ["package", "server", "style"]
    assert {"packages", "devShells", "nixosModules", "formatter"} <= {*found["outputs"]}


def test_the_page_of_options_is_current() -> None:
    assert options.PAGE.read_text() == options.page(), "run `make docs`: nixos.md is out of date"


def test_the_pages_of_commands_do_not_show_what_only_nix_calls() -> None:
    assert "carrel nixos" not in reference.pages()["commands.md"]
