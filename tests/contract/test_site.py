"""A real site from the command line's point of view."""

import subprocess
from pathlib import Path

import pytest

from carrel.adapters import files
from carrel.core import editor_files
from carrel.core.edge import HOST_COOKIE
from carrel.targets.waiting import until
from sites import RealSite


def test_both_workspaces_answer_and_ask_for_a_password(site: RealSite) -> None:
    for user in ("ada", "ben"):
        status, headers, _ = site.get(user)
        assert status == 302
        assert headers["Location"].startswith("./login")
        status, _, body = site.get(user, "/login")
        assert status == 200
        assert "password" in body


def test_a_name_without_a_desk_gets_the_same_page_whatever_it_is(site: RealSite) -> None:
    answers = [site.get(name) for name in ("nobody", "eve", "xn--80ak6aa92e", "a-b", "ada-app")]
    for status, headers, body in answers:
        assert status == 404
        assert headers["Cache-Control"] == "no-store"
        assert "<title>" in body
        assert body == answers[0][2]


def test_the_bare_domain_welcomes_people(site: RealSite) -> None:
    status, _, body = site.get()
    assert status == 200
    assert "code.localhost" in body
    assert site.get(path="/other")[0] == 404


def test_the_pages_are_not_paths_of_a_workspace(site: RealSite) -> None:
    assert site.get(path="/.carrel/unavailable.html")[0] == 404
    # code-server's own answer to somebody who is not signed in.
    assert site.get("ada", "/404.html")[0] == 401


# -- what nginx serves in the editor's place ---------------------------------------------------


CARRIED = {"Date", "Server", "Connection", "Transfer-Encoding", "Content-Length"}
"""Headers of a transfer, not of a file."""
BETTER = {"Cache-Control", "Content-Type"}
"""Of these, nginx says more."""


@pytest.fixture(scope="module")
def session(site: RealSite) -> dict[str, str]:
    """Headers of somebody who has signed in."""
    _, headers, _ = site.sign_in("ada")
    cookie = headers["Set-Cookie"].partition(";")[0]
    assert cookie.startswith(HOST_COOKIE)
    return {"Cookie": cookie}


def served(site: RealSite) -> list[str]:
    """The addresses of all files that nginx has of the editor of the image in use."""
    (image,) = (b for b in site.target.images.all() if b.reference == site.status()["image"])
    root = Path(site.layout.editor_files)
    found = [path for path in (root / image.editor).rglob("*") if path.is_file()]
    return sorted(
        f"/{p.relative_to(root)}" for p in found if p.suffix.lstrip(".") in editor_files.KINDS
    )


def test_nginx_says_of_every_file_what_the_editor_says_and_gives_the_same_bytes(
    site: RealSite, session: dict[str, str]
) -> None:
    paths = served(site)
    assert any(path.endswith("/workbench.js") for path in paths)
    for path in paths:
        status, ours, body = site.get("ada", path)
        # The editor answers for the same files below a second name, which nginx passes on.
        asked, theirs, its_body = site.get("ada", f"/vscode{path}", session)
        assert (status, asked) == (200, 200), path
        assert body == its_body, path
        said = {name: value for name, value in theirs.items() if name not in CARRIED | BETTER}
        assert said.items() <= ours.items(), path
        assert set(theirs["Cache-Control"].split(", ")) < set(ours["Cache-Control"].split(", "))
        # For kinds that it does not know, the editor says this.
        assert theirs["Content-Type"] in (ours["Content-Type"], "text/plain"), path


UNPACK = """\
const fs = require("node:fs"), zlib = require("node:zlib");
for (const file of process.argv.slice(1)) {
    const plain = fs.readFileSync(file);
    if (!zlib.gunzipSync(fs.readFileSync(`${file}.gz`)).equals(plain)) throw file;
    if (!zlib.brotliDecompressSync(fs.readFileSync(`${file}.br`)).equals(plain)) throw file;
}
"""


def test_what_was_compressed_is_the_same_when_it_is_opened(site: RealSite) -> None:
    paths = [f"{site.layout.editor_files}{path}" for path in served(site)]
    subprocess.run(["node", "--eval", UNPACK, *paths], check=True, timeout=60)
    script = next(Path(path) for path in paths if path.endswith("/workbench.js"))
    size = script.stat().st_size
    assert Path(f"{script}.gz").stat().st_size < 0.3 * size
    assert Path(f"{script}.br").stat().st_size < 0.23 * size


def test_the_page_asks_for_files_that_nginx_has(site: RealSite, session: dict[str, str]) -> None:
    _, _, page = site.get("ada", "/?folder=/home/coder/project", session)
    version = served(site)[0].split("/")[1]
    asked = {part for part in page.split('"') if f"{version}/static/out/" in part and "." in part}
    known = set(served(site))
    scripts = {
        f"/{path.removeprefix('./').lstrip('/')}"
        for path in asked
        if path.endswith((".js", ".css"))
    }
    assert len(scripts) >= 3
    assert scripts <= known


def test_without_the_files_the_editor_itself_answers(
    site: RealSite, session: dict[str, str]
) -> None:
    path = next(path for path in served(site) if path.endswith("/nls.messages.js"))
    assert site.get("ada", path)[1].get("ETag")
    root = Path(site.layout.editor_files)
    root.rename(root.with_name("editor-moved"))
    try:
        # Somebody who is not signed in gets nothing of the editor's.
        until(lambda: site.get("ada", path)[0] == 401, seconds=5, what="the editor's refusal")
        status, headers, body = site.get("ada", path, session)
        assert (status, headers.get("ETag")) == (200, None)
        assert len(body) > 100_000
    finally:
        root.with_name("editor-moved").rename(root)
    until(lambda: site.get("ada", path)[0] == 200, seconds=5, what="nginx's own file")


def test_building_an_image_that_is_there_brings_its_files_again(new_site: RealSite) -> None:
    new_site.carrel("image", "build")
    paths = served(new_site)
    place = Path(new_site.layout.editor_files) / paths[0].split("/")[1]
    aside = place.rename(place.with_name(".aside"))
    try:
        new_site.carrel("image", "build")
        assert served(new_site) == paths
    finally:
        if not place.exists():
            aside.rename(place)
        files.remove_tree(str(aside))
