"""A program behind VS Code's port forwarding: Vite, whose page changes while somebody looks at it."""

from __future__ import annotations

import base64
import io
import shlex
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import expect

from browser.windows import Windows
from carrel.targets.waiting import until
from sites import RealSite

VITE = Path(__file__).resolve().parents[2] / ".cache/vite"
PORT = 5173
BASE = f"/absproxy/{PORT}/"
NODE = "/opt/carrel/code-server/lib/node"
START_SECONDS = 60

PAGE = """\
<!doctype html><title>garden</title><p id="said"></p><script type="module" src="main.js"></script>
"""
SCRIPT = """\
import { said } from "./said.js";
const show = text => { document.getElementById("said").textContent = text; };
show(said);
import.meta.hot.accept("./said.js", changed => show(changed.said));
"""


def put(site: RealSite, path: str, text: str) -> None:
    """Write a file of the project, as its owner does."""
    site.inside("ada", "tee", f"garden/{path}", given=text)


@pytest.fixture
def garden(site: RealSite) -> Iterator[str]:
    """The address of Vite's page on ada's desk."""
    assert (VITE / ".installed").exists(), "there is no Vite: run `make vite`"
    site.inside("ada", "mkdir", "-p", "garden")
    site.inside("ada", "sh", "-c", "base64 -d | tar -C garden -x", given=packed())
    for path, text in (("index.html", PAGE), ("main.js", SCRIPT), ("said.js", said("seeds"))):
        put(site, path, text)
    serve = shlex.join(
        [
            NODE,
            "node_modules/vite/bin/vite.js",
            f"--base={BASE}",
            f"--port={PORT}",
            "--strictPort",
        ]
    )
    site.inside("ada", "sh", "-c", f"cd garden && setsid {serve} >vite.log 2>&1 </dev/null &")
    yield site.address("ada", BASE)
    site.inside("ada", "pkill", "-f", "vite.js", status=None)
    site.inside("ada", "rm", "-rf", "garden")


def packed() -> str:
    """Vite and all that it needs, as text: what is given to a command inside is text."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(VITE / "node_modules", "node_modules")
    return base64.b64encode(archive.getvalue()).decode()


def said(word: str) -> str:
    return f'export const said = "{word}";\n'


def test_vites_page_and_its_hot_reload_work_behind_the_edge(
    site: RealSite, windows: Windows, garden: str
) -> None:
    desk = windows.remembered(site, "ada")
    page = desk.page

    def answers() -> bool:
        reply = page.goto(garden)
        return reply is not None and reply.status == 200

    until(answers, seconds=START_SECONDS, what="Vite")
    expect(page.locator("#said")).to_have_text("seeds")
    until(partial(connected, desk.console), seconds=START_SECONDS, what="Vite's WebSocket")
    assert [socket.url for socket in desk.sockets][-1].startswith(garden.replace("https", "wss"))
    page.evaluate("window.planted = true")

    put(site, "said.js", said("flowers"))
    expect(page.locator("#said")).to_have_text("flowers")
    assert page.evaluate("window.planted"), "the page was not loaded again"


def connected(console: list[str]) -> bool:
    return any("[vite] connected" in line for line in console)
