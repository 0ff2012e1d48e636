"""Fixtures with Chromium. A failing test leaves pictures and logs of its windows behind."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from browser.chromium import WAIT_SECONDS, Chromium
from browser.windows import Windows
from sites import RealSite


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell with the failure where its pictures are."""
    report = yield
    fixtures: dict[str, object] = getattr(item, "funcargs", {})
    windows, folder = fixtures.get("windows"), fixtures.get("tmp_path")
    if not (call.when == "call" and report.failed):
        return report
    if isinstance(windows, Windows) and isinstance(folder, Path):
        windows.keep(folder)
        report.sections.append(("Browser windows", f"pictures and logs are in {folder}"))
    return report


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """The browsers of the session."""
    expect.set_options(timeout=WAIT_SECONDS * 1000)
    with sync_playwright() as playwright:
        browsers = Chromium(playwright, tmp_path_factory.mktemp("chromium"))
        yield browsers
        browsers.close()


@pytest.fixture
def windows(chromium: Chromium, tmp_path: Path) -> Iterator[Windows]:
    """Opens windows for one test. Asks for `tmp_path`, where a failure leaves its pictures."""
    del tmp_path
    opened = Windows(chromium)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def spare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealSite]:
    """Two people, ada and ben, on a site that tests stop, break and bring back."""
    real = RealSite(tmp_path_factory.mktemp("spare"), ["ada", "ben"])
    try:
        real.carrel("up", seconds=1800)
        yield real
    finally:
        real.clean()
