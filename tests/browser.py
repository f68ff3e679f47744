"""A real browser for tests of pages."""

import shutil
import warnings

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OFFLINE = [  # no word to the maker's servers, which a closed network would refuse one by one
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


@pytest.fixture(scope="session")
def chromium():
    """A real browser, one for all tests of a process; without one they are skipped, loudly."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sync_playwright = None
    if CHROMIUM is None or sync_playwright is None:
        missing = "chromium" if CHROMIUM is None else "playwright"
        warnings.warn(f"NO BROWSER: gallery and page are NOT tested, for want of {missing}", stacklevel=1)
        pytest.skip(f"{missing} is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OFFLINE)
        yield browser
        browser.close()
