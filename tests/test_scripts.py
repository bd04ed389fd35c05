"""The scripts of the repository, and what the README says of the commands."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from htltools.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted(path for folder in ("bin", ".ci", "examples") for path in (ROOT / folder).iterdir() if path.is_file())


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_run_as_they_are(script):
    """Every script can be executed and says by its first line what runs it."""
    assert script.read_text().startswith("#!/usr/bin/env ")
    assert os.access(script, os.X_OK)


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shell_scripts_are_clean():
    """shellcheck finds nothing to say of the shell scripts."""
    shell = [str(path) for path in SCRIPTS if "bash" in path.read_text().splitlines()[0]]
    assert len(shell) >= 6
    found = subprocess.run(["shellcheck", *shell], capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "")


def test_the_readme_lists_every_command():
    """The README's table has one line for each command of the live program, in its order, and stays within 150 lines."""
    text = (ROOT / "README.md").read_text()
    commands = text.split("\n## Commands\n")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)[ `]", commands, re.M) == list(COMMANDS)
    assert len(text.splitlines()) <= 150
    assert not re.search(r"@[A-Z]+@", text), "a figure is still to be filled in"
