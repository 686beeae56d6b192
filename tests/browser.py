"""A real browser in tests: Debian's Chromium, driven by Playwright, that notes whatever a page asks for or says."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.embedded import REQUIRED

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None and "chromium" not in REQUIRED, reason="needs the Debian package chromium (a browser)"
)


@dataclass(slots=True)
class Tab:
    """A page, what it said on its console, and what it asked for besides itself."""

    page: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@contextmanager
def chromium() -> Iterator[Browser]:
    assert CHROMIUM is not None, "SEEDDRILL_REQUIRE names chromium, and it is not there"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def opened(browser: Browser, address: str) -> Tab:
    """The page at an address, loaded."""
    tab = Tab(browser.new_page())
    tab.page.on("console", lambda message: tab.said.append(message.text))
    tab.page.on("pageerror", lambda error: tab.said.append(str(error)))
    tab.page.on("request", lambda request: tab.asked.append(request.url) if request.url != address else None)
    tab.page.goto(address)
    return tab


@contextmanager
def dashboard(directory: Path, *options: str) -> Iterator[str]:
    """The address of the live page of a run, served by a process of its own."""
    command = [sys.executable, "-m", "engine", "dashboard", str(directory), "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()
