"""The real nginx judges what is rendered."""

from dataclasses import replace
from pathlib import Path

import pytest

from carrel.adapters import certificates, process
from carrel.adapters.process import Identity
from carrel.core.resources import File
from carrel.core.site import PasswordHash, Site, User
from carrel.errors import ToolFailed
from carrel.render import local
from carrel.render.engine import PATH
from samples import HASH, LAYOUT, TWO_USERS, surroundings


def rendered(folder: Path, site: Site = TWO_USERS) -> Path:
    """A site's nginx files, moved below a temporary folder."""
    me = Identity.ours().name
    layout = replace(LAYOUT, root=str(folder), runtime=str(folder / "run"), account=me, owner=me)
    state = local.state(site, surroundings(layout=layout))
    for resource in state:
        if isinstance(resource, File) and (
            "/nginx/" in resource.path or "/pages/" in resource.path
        ):
            Path(resource.path).parent.mkdir(parents=True, exist_ok=True)
            Path(resource.path).write_text(resource.content)
    pair = certificates.site((TWO_USERS.domain,), certificates.authority(TWO_USERS.domain))
    Path(layout.tls).mkdir()
    Path(f"{layout.tls}/site.crt").write_text(pair.certificate)
    Path(f"{layout.tls}/site.key").write_text(pair.key)
    return Path(layout.nginx_config)


def judge(config: Path) -> str:
    world = process.World({"PATH": PATH})
    return process.run(["nginx", "-t", "-e", "stderr", "-c", str(config)], world).errors


def test_nginx_accepts_the_rendered_configuration_without_a_warning(short_path: Path) -> None:
    said = judge(rendered(short_path))
    assert "syntax is ok" in said
    assert "[warn]" not in said


def test_names_that_are_words_of_nginx_are_only_names(short_path: Path) -> None:
    words = ("volatile", "hostnames", "include", "server", "http", "map", "on", "off")
    users = tuple(User(word, PasswordHash(HASH)) for word in words)
    assert "syntax is ok" in judge(rendered(short_path, replace(TWO_USERS, users=users)))


def test_the_judge_can_say_no(short_path: Path) -> None:
    config = rendered(short_path)
    config.write_text(config.read_text().replace("proxy_pass ", "proxy_pas "))
    with pytest.raises(ToolFailed, match="nginx"):
        judge(config)
