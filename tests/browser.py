"""A real browser without a window, which calls nobody by itself."""

import contextlib
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

_FLAGS = (
  "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
  "--disable-background-networking --disable-component-update --disable-sync"
)


@contextlib.contextmanager
def opened() -> Iterator[Any]:
  """A page of Playwright's; skips the test where there is no Chromium."""
  api = pytest.importorskip(
    "playwright.sync_api", reason="driving the page needs Playwright"
  )
  chromium = shutil.which("chromium") or shutil.which("chromium-browser")
  if chromium is None:
    pytest.skip("driving the page needs Chromium, which is not installed")
  with api.sync_playwright() as playwright:
    browser = playwright.chromium.launch(
      executable_path=chromium, args=_FLAGS.split()
    )
    yield browser.new_page()
    browser.close()
