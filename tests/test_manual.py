"""The manual against the live commands: every command, flag and exit code has its place in a page, and the examples run."""

import importlib
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import typer

from htltools.cli import COMMANDS, HELP, app

ROOT = Path(__file__).parents[1]
MAN = ROOT / "man"
ORDER = ("prepare", "train", "prune", "score", "resample", "evaluate", "export", "report", "view")
PAGES = ["htl.1", *(f"htl-{name}.1" for name in ORDER), "htl-stream.5"]

# the order matters: examples of a page go on from the files of those before it
RUNNABLE = [f"htl-{name}.1" for name in ORDER] + ["htl-stream.5"]

ALWAYS = {0, 1, 2, 65, 66, 73, 74, 75, 130, 141, 143}
DEVICE = ALWAYS | {69}
CODES = {
    "prepare": ALWAYS,
    "train": DEVICE,
    "prune": DEVICE,
    "score": DEVICE,
    "resample": ALWAYS,
    "evaluate": DEVICE | {3},
    "export": DEVICE,
    "report": DEVICE,
    "view": ALWAYS,
}


def text_of(page: str) -> str:
    """The source of a page, with plain hyphens."""
    return (MAN / page).read_text().replace("\\-", "-")


def live_flags(name: str | None) -> set[str]:
    """The flags of a command, or of htl itself."""
    group = typer.main.get_command(app)
    command = group.get_command(None, name) if name else group
    params = [*command.get_params(typer.Context(command, help_option_names=HELP["help_option_names"]))]
    return {flag for p in params for flag in [*p.opts, *p.secondary_opts] if flag.startswith("-")}


def documented_flags(page: str) -> set[str]:
    """The flags that the OPTIONS of a page list."""
    section = text_of(page).partition(".Sh OPTIONS\n")[2].partition("\n.Sh ")[0]
    items = re.findall(r"^\.It (Fl .*)$", section, re.M)
    return {"-" + name for item in items for name in re.findall(r"Fl (\S+)", item)}


def literal_blocks(page: str, marked: str = "") -> list[str]:
    """The examples of a page as a reader would paste them."""
    found = re.findall(marked + r"\.Bd -literal -offset indent\n(.*?)\n\.Ed\n", text_of(page), re.S)
    return [block.replace("\\e", "\\").replace("\\(aq", "'") for block in found]


def test_order_of_commands():
    """The commands are these, listed in the order in which they are used."""
    assert tuple(COMMANDS) == ORDER


@pytest.mark.parametrize("name", ORDER)
def test_command_is_whole(name):
    """Every command has a module, a page of the manual and a test file, and each names it; its summary is that of its help."""
    assert (MAN / f"htl-{name}.1").is_file()
    assert (ROOT / "tests" / "commands" / f"test_{name}.py").is_file()
    module = importlib.import_module(f"htltools.commands.{name}")
    summary = getattr(module, name).__doc__.partition("\n")[0]
    assert summary.split()[:4] == COMMANDS[name].split()[:4] or summary.startswith(COMMANDS[name].rstrip("."))
    assert f".Xr htl-{name} 1" in text_of("htl.1")


def test_no_page_without_a_command():
    """There are no pages of commands that went away."""
    assert sorted(path.name for path in MAN.iterdir()) == sorted(PAGES)


@pytest.mark.parametrize("name", [None, *ORDER])
def test_flags(name):
    """The OPTIONS of a page are exactly the flags of its command."""
    page = f"htl-{name}.1" if name else "htl.1"
    assert documented_flags(page) == live_flags(name)


@pytest.mark.parametrize("page", PAGES)
def test_flags_in_the_text(page):
    """Flags that a page mentions anywhere, also of other commands and in examples, exist."""
    every = {flag for name in [None, *ORDER] for flag in live_flags(name)}
    mentioned = {"-" + name for name in re.findall(r"\bFl (\S+)", text_of(page))}
    assert mentioned <= every
    for command, rest in re.findall(r"htl (\w+)((?:[^|\n]|\\e\n)*)", text_of(page)):
        if command in COMMANDS and not rest.startswith(" 1"):
            assert set(re.findall(r"(?<=\s)--[a-z-]+", rest)) <= live_flags(command), (command, rest)


@pytest.mark.parametrize("name", ORDER)
def test_defaults(name):
    """What a page gives as the default of a flag is what the command uses."""
    section = text_of(f"htl-{name}.1").partition(".Sh OPTIONS\n")[2].partition("\n.Sh ")[0]
    entries = {re.findall(r"Fl -(\S+)", entry.partition("\n")[0])[0]: entry for entry in section.split("\n.It ")[1:]}
    for param in typer.main.get_command(app).get_command(None, name).params:
        if isinstance(param.default, (bool, type(None))) or param.param_type_name != "option" or param.default is ...:
            continue
        flag = max(param.opts, key=len).removeprefix("--")
        assert f"Default: {param.default}." in entries[flag].replace("\n", " "), flag


@pytest.mark.parametrize("name", ORDER)
def test_exit_codes(name):
    """A page lists the exit codes that its command can give, and no others."""
    section = text_of(f"htl-{name}.1").partition(".Sh EXIT STATUS\n")[2].partition("\n.Sh ")[0]
    assert {int(code) for code in re.findall(r"^\.It (\d+)$", section, re.M)} == CODES[name]


@pytest.mark.parametrize("name", ORDER)
def test_sections(name):
    """Every page of a command says what it does, what it does not do, and shows an example."""
    text = text_of(f"htl-{name}.1")
    for title in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "ENVIRONMENT", "EXIT STATUS", "EXAMPLES", "SEE ALSO"):
        assert f"\n.Sh {title}\n" in text
    assert re.search(r"^(It does not|It changes no) ", text, re.M)
    assert literal_blocks(f"htl-{name}.1")


def test_wheel_installs_the_pages():
    """A wheel puts every page where man(1) looks for it."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    shared = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    assert {page: shared.get(f"man/{page}") for page in PAGES} == {page: f"share/man/man{page[-1]}/{page}" for page in PAGES}


def test_references_to_pages():
    """Every page of htl that another refers to is there."""
    named = {f"{name}.{section}" for page in PAGES for name, section in re.findall(r"^\.Xr (htl\S*) (\d)", text_of(page), re.M)}
    assert named == set(PAGES)


def test_stream_page():
    """htl-stream(5) names every field, note, column, dataset, attribute and metric of the schema."""
    from htltools.formats import schema

    text = text_of("htl-stream.5")
    listed = set(re.findall(r"^\.It Va (\S+)$", text, re.M))
    for table in (schema.Sample.model_fields, schema.HARDNESS, schema.STORE, schema.CHECKPOINT, schema.ONNX, schema.METRICS, schema.ODDS):
        assert set(table) <= listed
    for kind, note in schema.NOTES.items():
        entry = text.partition(f".It Va htl Ns = Ns Dq {kind}\n")[2].partition("\n.It ")[0]
        keys = {field.alias or name for name, field in note.model_fields.items()} - {"htl"}
        assert set(re.findall(r"^\.Va (\w+) :$", entry, re.M)) == keys, kind


def test_stream_page_example():
    """The rows shown in htl-stream(5) are valid."""
    from htltools.formats.stream import RowReader

    lines = literal_blocks("htl-stream.5")[0].encode().splitlines(keepends=True)
    assert [row["id"] for row in RowReader(lines)] == ["a", "b"]


@pytest.mark.skipif(not shutil.which("mandoc"), reason="mandoc is not installed")
@pytest.mark.parametrize("page", PAGES)
def test_lint(page):
    """mandoc has no complaint about a page."""
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", MAN / page], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("", 0)


@pytest.mark.skipif(not shutil.which("bash"), reason="the examples are for bash")
def test_examples_run(tmp_path):
    """The examples marked as runnable do what they say when they are pasted one after the other."""
    environment = os.environ | {"PATH": f"{ROOT / 'bin'}{os.pathsep}{os.environ['PATH']}", "HTL_QUIET": "1", "HTL_JOBS": "1"}
    for page in RUNNABLE:
        blocks = literal_blocks(page, r'\.\\" runs\n')
        assert blocks, page
        for block in blocks:
            done = subprocess.run(["bash", "-euc", block], cwd=tmp_path, env=environment, capture_output=True, text=True)
            assert done.returncode == 0, (page, block, done.stderr)
    assert (tmp_path / "hardest.png").is_file()
    assert (tmp_path / "lesion.onnx").is_file()
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) > 18
