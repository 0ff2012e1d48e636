"""The terminal in the editor, opened by mouse, and the tools that people find in it."""

from __future__ import annotations

import json
import re
from pathlib import Path

from playwright.sync_api import expect

from browser.windows import Windows
from carrel.targets.waiting import until
from sites import RealSite

IMAGE = Path(__file__).parents[2] / "images" / "workspace"


def version(package: str) -> str:
    """The version of an npm package that the image pins."""
    packages = json.loads((IMAGE / "package-lock.json").read_text())["packages"]
    return str(packages[f"node_modules/{package}"]["version"])


def test_the_tools_that_people_expect_run_in_the_terminal(site: RealSite, windows: Windows) -> None:
    tools = {
        """python3 -c 'print("python", 6 * 7)'""": r"python 42",
        """node -p '"node " + 6 * 7'""": r"node 42",
        "npm --version": r"\d+\.\d+\.\d+",
        "git init -q garden && git -C garden status": r"On branch \w+",
        "opencode --version": re.escape(version("opencode-linux-x64-baseline")),
        "code --version": r"\d+\.\d+\.\d+",
    }
    desk = windows.at_work(site, "ada")
    desk.open_terminal()
    desk.type_in_terminal("echo the answer is $((6 * 7))")
    expect(desk.terminal).to_contain_text("the answer is 42")
    desk.picture("terminal")
    for number, line in enumerate(tools):
        desk.type_in_terminal(f"({line}) > tool-{number}.txt 2>&1; echo $? > status-{number}.txt")
    folder = site.workspace("ada")
    last = folder / f"status-{len(tools) - 1}.txt"
    until(lambda: last.exists() and last.read_text() != "", seconds=60, what="the last tool")
    for number, (line, says) in enumerate(tools.items()):
        said = (folder / f"tool-{number}.txt").read_text()
        assert (folder / f"status-{number}.txt").read_text() == "0\n", (line, said)
        assert re.search(says, said), (line, said)


def test_code_opens_a_file_in_the_editor_next_to_the_terminal(
    site: RealSite, windows: Windows
) -> None:
    desk = windows.at_work(site, "ada")
    desk.open_terminal()
    desk.type_in_terminal("echo from the shell > opened-by-code.txt && code opened-by-code.txt")
    expect(desk.tabs.filter(has_text="opened-by-code.txt")).to_be_visible()
