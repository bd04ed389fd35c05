"""A page as a browser holds it, for tests."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="chromium is not installed")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--enable-logging=stderr", "--virtual-time-budget=8000",
    "--dump-dom",
]  # fmt: skip


def browsed(page: Path, address: str, folder: Path) -> str:
    """The page at `#address` after its script ran without an error; the browser's own files go to `folder`."""
    done = subprocess.run(
        [BROWSER, *FLAGS, f"--user-data-dir={folder}", f"file://{page}#{address}"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "CONSOLE" not in done.stderr, done.stderr
    tag = re.search(r"<html[^>]*>", done.stdout)[0]
    assert "data-error" not in tag and "data-ready" in tag, tag
    return done.stdout
