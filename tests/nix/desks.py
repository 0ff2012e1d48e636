"""The NixOS module, evaluated by the real Nix with the harness beside this file; no nixpkgs, no network.

`Desks` is what a configuration leads to. Tests write configurations as Nix.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import tomlkit

from carrel.adapters import process
from carrel.config import load
from carrel.core.site import Site

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
EXAMPLE = HERE / "example.nix"

LIBRARY = "CARREL_NIXPKGS_LIB"
"""The environment's name for the `lib` of a real nixpkgs, with which the same tests can be run."""

# Evaluates without a store, so that nothing has to be set up for whoever runs the tests.
EVALUATE = ("nix-instantiate", "--store", "dummy://", "--eval", "--strict", "--json")


@dataclass(frozen=True)
class Made:
    """What a path in the store is made from: a text, a script, toml, json, a directory, a command."""

    kind: str
    content: Any


@dataclass(frozen=True)
class Desks:
    """A configuration, evaluated."""

    found: dict[str, Any]
    store: dict[str, Made] = field(default_factory=dict)
    """By path; only of `traced`."""

    @property
    def broken(self) -> list[str]:
        """The messages of assertions that do not hold, each on one line."""
        return [" ".join(one["message"].split()) for one in self.found["broken"]]

    @property
    def warnings(self) -> list[str]:
        return [" ".join(warning.split()) for warning in self.found["warnings"]]

    def service(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.found["services"][name]
        return found

    def podman(self, user: str) -> list[str]:
        found: list[str] = self.found["podman"][f"carrel-{user}"]
        return found

    def written(self, folder: Path) -> Path:
        """Its carrel.toml, as a file in `folder`, beside what else the module puts there."""
        config = folder / "carrel.toml"
        config.write_text(tomlkit.dumps(self.etc("carrel.toml")))
        (folder / "nixos.json").write_text(json.dumps(self.etc("nixos.json")))
        return config

    def etc(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.found["etc"][f"carrel/{name}"]["content"]
        return found

    @cached_property
    def nginx(self) -> str:
        """The inside of nginx's `http { … }`."""
        text: str = self.found["nginx"]
        return text

    def site(self, folder: Path) -> Site:
        """The Site that Carrel reads from its carrel.toml."""
        return load.declared(self.written(folder))


def run(*command: str) -> process.Result:
    return process.run(list(command), process.here(), statuses=None)


def evaluate(configuration: Path) -> Desks:
    """What the configuration in a file leads to; AssertionError with Nix's words if to nothing."""
    result = _evaluate(configuration)
    assert result.status == 0, result.errors
    return Desks(json.loads(result.output))


def traced(configuration: Path) -> Desks:
    """The same, with what everything in the store is made from, and a path that changes with it."""
    result = _evaluate(configuration, "--arg", "traced", "true")
    assert result.status == 0, result.errors
    lines = (line.partition("trace: ") for line in result.errors.splitlines())
    told = [json.loads(text) for before, mark, text in lines if mark and not before]
    store = {one["path"]: Made(one["kind"], one["content"]) for one in told}
    return Desks(json.loads(result.output), store)


def complaints(configuration: Path) -> list[str]:
    """The assertions that do not hold. NixOS, too, looks at nothing else before it looks at them."""
    result = _evaluate(configuration, "-A", "broken")
    assert result.status == 0, result.errors
    return Desks({"broken": json.loads(result.output)}).broken


def refusal(configuration: Path) -> str:
    """What Nix says against a configuration that it does not take."""
    result = _evaluate(configuration)
    assert result.status != 0, "this configuration was accepted"
    return result.errors


def _evaluate(configuration: Path, *options: str) -> process.Result:
    harness = str(HERE / "evaluate.nix")
    library = os.environ.get(LIBRARY, "")
    return run(
        *EVALUATE, harness, *options,
        "--arg", "configuration", str(configuration), "--argstr", "library", library,
    )  # fmt: skip


def configuration(folder: Path, more: str = "", *, users: str = "", options: str = "") -> Path:
    """A site with dan, and `more`; `users` adds to the people, `options` declares those of others."""
    file = folder / "configuration.nix"
    file.write_text(f"""\
{{ config, lib, ... }}:
{{
  options = {{ {options} }};
  config = lib.mkMerge [
    {{
      security.acme.acceptTerms = true;
      security.acme.defaults.email = "ops@example.org";
      services.code-server-multi = {{
        enable = true;
        domain = "code.example.org";
        acme.dnsProvider = lib.mkDefault "vultr";
        users.dan.passwordFile = lib.mkDefault "/run/secrets/dan";
      }};
    }}
    {{ services.code-server-multi = {{ users = {{ {users} }}; }}; }}
    {{ {more} }}
  ];
}}
""")
    return file
