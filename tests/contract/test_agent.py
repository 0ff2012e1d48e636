"""opencode in a workspace, with shared keys and with AI off."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from carrel.targets.waiting import until
from sites import RealSite

PORT = 4010
CANARY = "sk-canary-0123456789"
AI = f"""
[ai]
mode = "shared-keys"
[ai.providers.desk]
base_url = "http://127.0.0.1:{PORT}/v1"
api_key_file = "secrets/desk-key"
models = ["reader"]
"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealSite]:
    """A site with a provider of the tests; the provider runs inside ada's workspace."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "secrets").mkdir()
    (folder / "secrets/desk-key").write_text(CANARY + "\n")
    real = RealSite(folder, ["ada", "ben"], AI)
    try:
        real.carrel("up")
        code = (Path(__file__).parent / "provider.py").read_text()
        real.inside("ada", "sh", "-c", "cat > /tmp/provider.py", given=code)
        real.inside("ada", "sh", "-c", f"setsid python3 /tmp/provider.py {PORT} >/tmp/log 2>&1 &")
        until((real.workspace("ada") / "provider.ready").exists, seconds=20, what="provider")
        yield real
    finally:
        real.clean()


def ask(desk: RealSite, *words: str) -> str:
    return desk.inside("ada", "timeout", "120", "opencode", "run", *words)


def test_it_answers_a_prompt(desk: RealSite) -> None:
    assert "The desk is yours." in ask(desk, "Whose desk is this?")


def test_it_edits_a_file_when_told_to(desk: RealSite) -> None:
    ask(desk, "Make a greeting and write it to a file.")
    made = desk.workspace("ada") / "made-by-agent.txt"
    assert made.read_text() == "Hello from the agent.\n"
    assert made.owner() == desk.layout.account


def test_it_does_not_delete_without_asking_and_here_nobody_can_answer(desk: RealSite) -> None:
    ask(desk, "Make a greeting and write it to a file.")
    said = ask(desk, "Now delete it.")
    assert (desk.workspace("ada") / "made-by-agent.txt").exists(), said


def test_a_port_of_the_agent_is_of_no_use_to_a_web_page_or_another_account(desk: RealSite) -> None:
    started = "setsid opencode serve --port 4096 >/tmp/serve.log 2>&1 & echo $!"
    pid = desk.inside("ada", "sh", "-c", started).strip()
    try:
        here = "curl --silent --max-time 5 --output /dev/null --write-out %{http_code}"
        alive = f"{here} http://127.0.0.1:4096/global/health"
        until(
            lambda: desk.inside("ada", "sh", "-c", alive, status=None) == "401",
            seconds=30,
            what="port",
        )
        foreign = "-H 'Origin: https://evil.example' -H 'Host: evil.example'"
        every = [
            f"-X {method} {extra} http://127.0.0.1:4096/{path}"
            for extra in (
                "",
                foreign,
                "-u opencode:",
                "-u opencode:wrong",
                f"-u opencode:x {foreign}",
            )
            for path in ("doc", "session", "event", "tui/append-prompt", "session/x/shell", "pty")
            for method in ("GET", "POST")
        ]
        script = "".join(f"{here} {request}; echo\n" for request in every)
        answers = desk.inside("ada", "sh", given=script).split()
        assert dict(zip(every, answers, strict=True)) == dict.fromkeys(every, "401")
        asked = f"-X OPTIONS {foreign} -H 'Access-Control-Request-Method: POST'"
        command = f"curl --silent --include {asked} http://127.0.0.1:4096/session"
        told = desk.inside("ada", "sh", "-c", command)
        assert "access-control-allow-origin" not in told.lower()
        told = desk.inside("ada", "cat", "/tmp/serve.log")
        [password] = re.findall("^User opencode, password ([0-9a-f]{32}) ", told, re.MULTILINE)
        command = f"{here} -u opencode:{password} http://127.0.0.1:4096/global/health"
        assert desk.inside("ada", "sh", "-c", command) == "200"
    finally:
        desk.inside("ada", "kill", pid)


def test_the_provider_gets_the_shared_key(desk: RealSite) -> None:
    ask(desk, "Hello?")
    lines = (desk.workspace("ada") / "requests.jsonl").read_text().splitlines()
    requests = [json.loads(line) for line in lines]
    assert {r["key"] for r in requests} == {f"Bearer {CANARY}"}
    assert {r["path"] for r in requests} == {"/v1/chat/completions"}


def test_only_the_configured_models_are_offered(desk: RealSite) -> None:
    assert desk.inside("ada", "opencode", "models").split() == ["desk/reader"]


def test_a_project_cannot_add_a_provider(desk: RealSite) -> None:
    own = {
        "enabled_providers": ["opencode", "desk", "rogue"],
        "share": "auto",
        "provider": {
            "rogue": {
                "npm": "@ai-sdk/openai-compatible",
                "options": {"baseURL": "http://127.0.0.1:1/v1"},
                "models": {"m": {"name": "m"}},
            }
        },
    }
    desk.inside("ada", "sh", "-c", "cat > opencode.json", given=json.dumps(own))
    try:
        assert desk.inside("ada", "opencode", "models").split() == ["desk/reader"]
    finally:
        desk.inside("ada", "rm", "opencode.json")


def test_the_managed_configuration_cannot_be_changed_from_inside(desk: RealSite) -> None:
    out = desk.inside("ada", "sh", "-c", "echo x > /etc/opencode/opencode.json; echo $?")
    assert out.split()[-1] != "0"


def test_the_key_is_in_no_log_no_process_list_and_no_configuration(desk: RealSite) -> None:
    state = Path(desk.layout.state)
    holders = {
        p.name for p in state.rglob("*") if p.is_file() and CANARY.encode() in p.read_bytes()
    }
    assert holders == {"ada.env", "ben.env"}
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert CANARY.encode() not in process.read_bytes()
        except OSError:
            continue


def test_with_ai_off_nothing_is_offered_and_nothing_is_tried(site: RealSite) -> None:
    assert site.inside("ada", "opencode", "models").split() == []
    out = site.carrel(
        "shell", "ada", "--", "timeout", "60", "opencode", "run", "hello", status=None
    )
    assert out.returncode != 0
