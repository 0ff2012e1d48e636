"""Pairs of sites, evaluated once for all tests."""

import pytest

from nix.pairs import SITES, Pair


@pytest.fixture(scope="session", params=SITES)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """The same site on NixOS and on a server of Debian."""
    return Pair.of(request.param, tmp_path_factory.mktemp("pair"))
