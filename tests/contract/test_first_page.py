"""What a first visit moves: the editor's own files, from nginx, in front of desks that are fake.

A fake desk answers whatever it is asked with what it was asked, so that a file of nginx's own is known
by its bytes. What the real editor says of the same files is in test_site.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import editors
from carrel.adapters.process import Identity
from carrel.core import editor_files as rules
from carrel.core.edge import HOST_COOKIE
from carrel.targets.editor_files import EditorFiles
from carrel.targets.waiting import until
from edges import Answer, RealEdge, edge
from editors import NEW, OLD

PLACE = f"/{NEW}/static/out"
SCRIPT = f"{PLACE}/vs/code/workbench.js"
PLAIN = b"out/vs/code/workbench.js"


def serve(real: RealEdge, version: str) -> None:
    """Put a small editor's files where nginx looks."""
    place = EditorFiles(real.layout.editor_files, Identity.ours())
    more = {f"{version}/static/out/media/file.{kind}": b"plain" for kind in rules.KINDS}
    place.unpack(version, editors.archive({**editors.of(version), **more}))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealEdge]:
    with edge(tmp_path_factory.mktemp("edge"), ["ada", "ben"], ["ada"]) as running:
        serve(running, NEW)
        yield running


def from_the_desk(answer: Answer) -> bool:
    """Whether the fake desk was asked."""
    return answer.status == 200 and answer.body.startswith("{")


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("", ""),
        ("identity", ""),
        ("gzip", "gzip"),
        ("br", "br"),
        ("gzip, deflate, br, zstd", "br"),
        ("br;q=0, gzip", "gzip"),
        ("gzip;q=0, br", "br"),
        ("gzip;q=0", ""),
        ("deflate", ""),
    ],
)
def test_a_browser_gets_what_was_compressed_once_in_the_best_way_that_it_knows(
    real: RealEdge, accepted: str, coding: str
) -> None:
    answer = real.ask("ada", SCRIPT, {"Accept-Encoding": accepted})
    assert answer.status == 200
    assert answer.body == PLAIN.decode() + (f" as {coding}" if coding else "")
    assert answer.header("Content-Encoding") == (coding or None)
    assert answer.header("Content-Type") == "text/javascript"
    assert answer.header("Vary") == "Accept-Encoding"


@pytest.mark.parametrize("kind", rules.KINDS)
def test_every_kind_of_file_says_what_it_is_and_that_it_may_be_kept(
    real: RealEdge, kind: str
) -> None:
    for answer in (
        real.ask("ada", f"{PLACE}/media/file.{kind}"),
        real.ask("ben", f"{PLACE}/media/file.{kind}?whatever=1"),
        real.ask_tunnel("ada", f"{PLACE}/media/file.{kind}"),
    ):
        assert (answer.status, answer.body) == (200, "plain")
        assert answer.header("Content-Type") == rules.KINDS[kind]
        assert answer.header("Cache-Control") == "public, max-age=31536000, immutable"
        assert answer.header("X-Content-Type-Options") == "nosniff"
        assert answer.header("Referrer-Policy") == "same-origin"
        assert answer.header("Content-Security-Policy") == "frame-ancestors 'self'"
        assert answer.header("Set-Cookie") is None


def test_who_has_a_file_is_told_so_in_each_coding_and_may_ask_for_a_part(real: RealEdge) -> None:
    tags = set()
    for accepted in ("", "gzip", "br"):
        said = {"Accept-Encoding": accepted}
        tag = real.ask("ada", SCRIPT, said).header("ETag") or ""
        again = real.ask("ada", SCRIPT, {**said, "If-None-Match": tag})
        assert (again.status, again.body) == (304, "")
        assert "max-age=31536000" in (again.header("Cache-Control") or "")
        tags.add(tag)
    # RFC 9110, 8.8.3: what is another sequence of bytes has another tag.
    assert len(tags) == 3
    part = real.ask("ada", SCRIPT, {"Range": "bytes=0-2"})
    assert (part.status, part.body) == (206, PLAIN[:3].decode())
    head = real.ask("ada", SCRIPT, method="HEAD")
    assert (head.status, head.body) == (200, "")


@pytest.mark.parametrize(
    "path",
    [
        f"{PLACE}/vs/code/",
        f"{PLACE}/vs/code",
        f"/{NEW}/static",
        f"/{NEW}/static/",
        f"/{NEW}",
        f"/{NEW}/",
        f"{SCRIPT}.br",
        f"{SCRIPT}.gz",
        f"{SCRIPT}/",
        f"{SCRIPT}/x.js",
        f"{PLACE}/vs/code/nothing.js",
        f"{PLACE}/vs/code/.hidden.js",
        f"{PLACE}/media/file.json",
        f"{PLACE}/media/secret",
        f"/{OLD}/static/out/vs/code/workbench.js",
        f"/x{SCRIPT}",
        f"/vscode{SCRIPT}",
        f"/{NEW}/vscode-remote-resource?path=/etc/passwd",
        f"/{NEW}/static/%2e%2e/%2e%2e/state.json.js",
        f"/{NEW}/static/out/%00.js",
        f"/{NEW}/static/../../pages/welcome.html",
        f"/{NEW}/static/..%2f..%2fpages%2fwelcome.html",
        "/stable-main/static/out/vs/code/workbench.js",
    ],
)
def test_what_nginx_has_not_is_the_editors_business_and_nothing_else_comes_from_the_disk(
    real: RealEdge, path: str
) -> None:
    root = Path(real.layout.editor_files)
    for place in (root / f"{NEW}/static/out/media", root.parent):
        (place / "secret").write_text("secret")
        (place / "state.json.js").write_text("secret")
    (root / f"{NEW}/static/out/media/file.json").write_text("secret")
    (root / f"{NEW}/static/out/vs/code/.hidden.js").write_text("secret")
    answer = real.ask("ada", path, {"Cookie": f"{HOST_COOKIE}=S"})
    if "%00" in path:
        assert answer.status == 400
        return
    assert from_the_desk(answer), (answer.status, answer.body[:99])
    # Signed in as before, and told no more about keeping it than the editor says.
    assert answer.seen["cookie"].startswith("code-server-session=S")
    assert answer.header("Cache-Control") is None


@pytest.mark.parametrize("planted", ["file", "compressed", "directory", "version"])
def test_no_link_leads_out(tmp_path: Path, planted: str) -> None:
    outside = tmp_path / "outside"
    (outside / "static/out/vs/code").mkdir(parents=True)
    for ending in ("", ".br", ".gz"):
        (outside / f"static/out/vs/code/workbench.js{ending}").write_text("secret")
    with edge(tmp_path / "edge", ["ada"]) as real:
        serve(real, NEW)
        root = Path(real.layout.editor_files)
        code = root / f"{NEW}/static/out/vs/code"
        match planted:
            case "file":
                (code / "workbench.js").unlink()
                (code / "workbench.js").symlink_to(outside / "static/out/vs/code/workbench.js")
            case "compressed":
                for ending in ("br", "gz"):
                    (code / f"workbench.js.{ending}").unlink()
                    (code / f"workbench.js.{ending}").symlink_to(
                        outside / f"static/out/vs/code/workbench.js.{ending}"
                    )
            case "directory":
                code.rename(root / "moved")
                code.symlink_to(outside / "static/out/vs/code")
            case _:
                (root / NEW).rename(root / "moved")
                (root / NEW).symlink_to(outside)
        for accepted in ("", "br", "gzip"):
            answer = real.ask("ada", SCRIPT, {"Accept-Encoding": accepted})
            assert "secret" not in answer.body
            assert from_the_desk(answer) or answer.body == PLAIN.decode() or answer.status == 403


def test_a_name_without_a_desk_gets_the_same_page_for_these_addresses_too(real: RealEdge) -> None:
    page = real.ask("nobody", "/")
    answers = [real.ask("nobody", SCRIPT), real.ask("nobody", f"{PLACE}/nothing.js")]
    answers.append(real.ask("a-b", SCRIPT))
    for answer in answers:
        assert (answer.status, answer.body) == (404, page.body)
        assert answer.header("Cache-Control") == "no-store"
    assert real.ask("", SCRIPT).status == 404


def test_a_file_is_only_read(real: RealEdge) -> None:
    for method in ("POST", "PUT", "DELETE"):
        assert real.ask("ada", SCRIPT, method=method, body="x").status == 405
        foreign = {"Origin": "https://evil.example"}
        assert real.ask("ada", f"{PLACE}/no.js", foreign, method=method, body="x").status == 403


def test_versions_come_and_go_without_a_reload(tmp_path: Path) -> None:
    with edge(tmp_path, ["ada"]) as real:
        old = f"/{OLD}/static/out/vs/code/workbench.js"
        assert from_the_desk(real.ask("ada", old))
        serve(real, OLD)
        until(
            lambda: real.ask("ada", old).body == PLAIN.decode(), seconds=5, what="the new version"
        )
        serve(real, NEW)
        assert real.ask("ada", SCRIPT).body == PLAIN.decode()
        EditorFiles(real.layout.editor_files, Identity.ours()).keep({NEW})
        until(lambda: from_the_desk(real.ask("ada", old)), seconds=5, what="its end")
        assert real.ask("ada", SCRIPT).body == PLAIN.decode()


def test_without_any_files_and_without_the_module_everything_works_as_before(
    tmp_path: Path,
) -> None:
    with RealEdge(tmp_path, ["ada"]) as bare:
        bare.without_brotli()
        bare.start()
        assert from_the_desk(bare.ask("ada", SCRIPT, {"Accept-Encoding": "br"}))
        serve(bare, NEW)
        for accepted, ending in (("br", ""), ("br, gzip", " as gzip"), ("", "")):
            expected = f"{PLAIN.decode()}{ending}"
            until(
                lambda: bare.ask("ada", SCRIPT, {"Accept-Encoding": accepted}).body == expected,  # noqa: B023
                seconds=5,
                what=expected,
            )
