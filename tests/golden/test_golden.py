"""The whole State of a sample site as files that people review.

After a wanted change: `make golden`, then read the difference in git.
"""

import os
from pathlib import Path

import pytest

from carrel.cli.reference import pages
from carrel.config import load, nixos
from carrel.core.plan import diff
from carrel.core.resources import File, State
from carrel.targets.tree import Tree
from samples import ACME, FILES, V1, V2, desired, on_server

HERE = Path(__file__).parent
SITES = {
    "local-v1": desired(machine=V1),
    "local-v2": desired(machine=V2),
    "server": on_server(),
    "host-acme": on_server(ACME),
    "host-files": on_server(FILES),
}


def without_pages(state: State) -> State:
    """The pages have tests of their own; here they would only be noise."""
    return State.of(r for r in state if not (isinstance(r, File) and "/pages/" in r.path))


@pytest.mark.parametrize("name", SITES)
def test_the_sample_site_is_what_was_reviewed(name: str) -> None:
    state = without_pages(SITES[name])
    tree = Tree(HERE / name)
    if os.environ.get("CARREL_GOLDEN") == "write":
        tree.apply(diff(tree.observe(), state), lambda _: None)
    assert tree.observe() == state


def test_the_reference_pages_are_current() -> None:
    folder = HERE.parents[1] / "docs/reference"
    for name, text in pages().items():
        assert (folder / name).read_text() == text, f"run `make docs`: {name} is out of date"


def test_what_the_nixos_module_knows_is_current() -> None:
    file = HERE.parents[1] / "nix/facts.json"
    assert file.read_text() == nixos.facts(), "run `make docs`: nix/facts.json is out of date"


def test_every_fault_in_a_bad_file_is_told_at_once() -> None:
    file = HERE / "faulty.toml"
    with pytest.raises(load.Faulty) as caught:
        load.load(file)
    told = "\n".join(str(fault) for fault in caught.value.faults) + "\n"
    expected = HERE / "faulty.txt"
    if os.environ.get("CARREL_GOLDEN") == "write":
        expected.write_text(told)
    assert told == expected.read_text()
