"""A real browser for tests: Debian's Chromium, headless, for which every host name is this machine.

Browsers send ``Sec-Fetch-*`` only to https and to ``*.localhost``: names of both kinds are worth a test.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

_ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * 127.0.0.1",
]


def chromium_binary() -> str:
    """Chromium on this machine; without one the test is skipped, but fails where CI promises one."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("Chromium is not installed")
    return str(found)


@contextmanager
def running_browser(*arguments: str) -> Iterator[Browser]:
    """A browser of the test's own; nothing it learns stays."""
    binary = chromium_binary()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=[*_ARGUMENTS, *arguments])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def profile(browser: Browser) -> Iterator[BrowserContext]:
    """A person's browser: with its own credentials, service workers and windows, which are closed at the end."""
    context = browser.new_context()
    context.set_default_timeout(20_000)
    try:
        yield context
    finally:
        context.close()
