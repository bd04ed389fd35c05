"""The manual against the live commands: every command, flag and exit code has its place in a page, and the examples run."""

import importlib
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image

from htltools.cli import COMMANDS, HELP, app
from htltools.formats.sources.open_rows import read_rows

ROOT = Path(__file__).parents[1]
MAN = ROOT / "man"
ORDER = ("prepare", "train", "look", "prune", "score", "predict", "join", "resample", "evaluate", "export", "report", "view")
PAGES = ["htl.1", *(f"htl-{name}.1" for name in ORDER), "htl-stream.5", "htl-tutorial.7", "htl-migrating.7"]

# the order matters: examples of a page go on from the files of those before it
RUNNABLE = [f"htl-{name}.1" for name in ORDER] + ["htl-stream.5"]

RUNS = r'\.\\" runs\n'  # the mark of examples that need nothing but what stands before them

ALWAYS = {0, 1, 2, 65, 66, 73, 74, 75, 130, 141, 143}
DEVICE = ALWAYS | {69}
CODES = {
    "prepare": DEVICE,
    "train": DEVICE,
    "look": DEVICE,
    "prune": DEVICE,
    "score": DEVICE,
    "predict": DEVICE,
    "join": ALWAYS - {73},
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


def literal_blocks(page: str, marked: str = "", section: str | None = None) -> list[str]:
    """The examples of a page, or of one section of it, as a reader would paste them."""
    text = text_of(page).partition(f"\n.Sh {section}\n")[2].partition("\n.Sh ")[0] + "\n" if section else text_of(page)
    blocks = re.findall(marked + r"\.Bd -literal -offset indent\n(.*?)\n\.Ed\n", text, re.S)
    return [block.replace("\\e", "\\").replace("\\(aq", "'") for block in blocks]


def test_order_of_commands():
    """The commands are these, listed in the order in which they are used."""
    assert tuple(COMMANDS) == ORDER


@pytest.mark.parametrize("name", ORDER)
def test_command_is_whole(name):
    """Every command has a module, a manual page and a test file, and each names it; its summary is that of its help."""
    assert (MAN / f"htl-{name}.1").is_file()
    assert (ROOT / "tests" / "commands" / f"test_{name}.py").is_file()
    module = importlib.import_module(f"htltools.commands.{name}.command")
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
    entries = {re.findall(r"Fl -(\S+)", entry.partition("\n")[0])[0]: entry for entry in re.split(r"\n\.It (?=Fl )", section)[1:]}
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
    for title in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES", "SEE ALSO", "CAVEATS"):
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
    from htltools.formats.rows import schema, vocabulary

    text = text_of("htl-stream.5")
    listed = set(re.findall(r"^\.It Va (\S+)$", text, re.M))
    for table in (
        schema.Sample.model_fields,
        vocabulary.HARDNESS,
        vocabulary.STORE,
        vocabulary.CHECKPOINT,
        vocabulary.ONNX,
        vocabulary.METRICS,
        vocabulary.DOUBT,
        vocabulary.ODDS,
    ):
        assert set(table) <= listed
    for kind, note in schema.NOTES.items():
        entry = text.partition(f".It Va htl Ns = Ns Dq {kind}\n")[2].partition("\n.It ")[0]
        keys = {field.alias or name for name, field in note.model_fields.items()} - {"htl"}
        assert set(re.findall(r"^\.Va (\w+) :$", entry, re.M)) == keys, kind


def test_stream_page_example():
    """The rows shown in htl-stream(5) are valid."""
    from htltools.formats.rows.stream import RowReader

    lines = literal_blocks("htl-stream.5")[0].encode().splitlines(keepends=True)
    assert [row["id"] for row in RowReader(lines)] == ["a", "b"]


@pytest.mark.skipif(not shutil.which("mandoc"), reason="mandoc is not installed")
@pytest.mark.parametrize("page", PAGES)
def test_lint(page):
    """mandoc has no complaint about a page."""
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", MAN / page], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("", 0)


@pytest.mark.skipif(not shutil.which("groff"), reason="groff is not installed")
@pytest.mark.parametrize("page", PAGES)
def test_groff_shows_the_whole_page(page):
    """groff, which formats pages for man(1) on most Linux systems, gives no warning and shows every section, to the last word.

    It takes a word such as Do or An in a reference for a macro, and then omits the rest of the page; mandoc does not.
    """
    done = subprocess.run(
        ["groff", "-ww", "-K", "utf8", "-m", "mandoc", "-T", "utf8", "-P", "-cbou", MAN / page], capture_output=True, text=True
    )
    assert (done.stderr, done.returncode) == ("", 0)
    headings = re.findall(r"^\.Sh (.+)$", text_of(page), re.M)
    assert re.findall(rf"^({'|'.join(map(re.escape, headings))})$", done.stdout, re.M) == headings
    body, _, _ = done.stdout.rstrip().rpartition("\n")  # without the footer
    assert re.findall(r"\w+", body)[-1] == re.findall(r"\w+", text_of(page))[-1]


@pytest.fixture(scope="module")
def followed(tmp_path_factory, pasted):
    """A folder in which the examples marked as runnable were pasted one after the other."""
    folder = tmp_path_factory.mktemp("manual")
    for page in RUNNABLE:
        blocks = literal_blocks(page, RUNS)
        assert blocks, page
        # one look: its file is exported three times, and more looks take long to export
        once = {"HTL_TRAIN_LOOKS": "1"} if page == "htl-train.1" else {}
        for block in blocks:
            done = pasted(block, folder, HTL_QUIET="1", **once)
            assert done.returncode == 0, (page, block, done.stderr)
    return folder


def test_examples_run(followed):
    """The examples marked as runnable do what they say when they are pasted one after the other."""
    assert (followed / "hardest.png").is_file()
    assert (followed / "lesion.onnx").is_file()
    assert len((followed / "metrics.jsonl").read_text().splitlines()) > 18


@pytest.fixture(scope="module")
def workplace(followed, save_dicom):
    """That folder with all else that the other examples name: data of one's own, models of several seeds, predictions of other tools."""
    for name, count in ("ham10000", "40"), ("radiographs", "40"), ("FOLDER", "120"):
        subprocess.run([sys.executable, ROOT / "examples" / "phantom_files.py", followed / name, count], check=True)
    for i in range(8):  # images in a folder, the boxes in a table beside them, and slices with masks
        shutil.copy(followed / "FOLDER" / "images" / f"{i:05}.png", followed / f"{i:05}.png")
        save_dicom(followed / "series" / "images" / f"{i}.dcm", np.arange(400, dtype=np.int16).reshape(20, 20), PatientID=f"p{i}")
        mask = np.zeros((20, 20), np.uint8)
        mask[4:9, 6:12] = 255
        (followed / "series" / "masks").mkdir(exist_ok=True)
        Image.fromarray(mask).save(followed / "series" / "masks" / f"{i}.png")
    boxes = "".join(f"{i:05},P{i},{i},2,40,50\n" for i in range(8))
    (followed / "boxes.csv").write_text(f"image_id,patient,left,top,right,bottom\n{boxes}")
    (followed / "study.key").write_bytes(bytes(range(32)))
    shutil.copy(followed / "00000.png", followed / "image.jpg")
    rows = read_rows(followed / "rows.jsonl")[0]
    predictions = [{"image_id": row["id"], "category_id": 1, "bbox": [9, 9, 90, 80], "score": 0.9} for row in rows]
    for name in "yolo", "dense", "pruned":
        (followed / f"{name}.json").write_text(json.dumps(predictions))
    (followed / "marks.csv").write_text(f"id,mark\n{rows[0].id},wrong\n{rows[1].id},keep\n")
    copies = {"dense": "s0 s1 d0 d1 f1 f2 dense1 dense2 dense3 attended1 attended2 attended3", "pruned": "p0 p1 p70 p80 p90"}
    for role, names in copies.items():
        for name in names.split():
            shutil.copy(followed / f"{role}.h5", followed / f"{name}.h5")
    (followed / "nets.py").write_text((ROOT / "examples" / "own_model.py").read_text())
    return followed


ABSENT = "--init imagenet", "fiftyone datasets", "import fiftyone"  # what needs a network, or a program that htl does not bring
OTHERS = [
    pytest.param(block, id=f"{page}-{i}")
    for page in ["htl.1", *(f"htl-{name}.1" for name in ORDER)]
    for i, block in enumerate(literal_blocks(page, section="EXAMPLES"))
    if block not in literal_blocks(page, RUNS) and not any(needs in block for needs in ABSENT)
]
SMALL = {"HTL_PREPARE_SIZE": "32", "HTL_TRAIN_EPOCHS": "1", "HTL_PRUNE_EPOCHS": "1", "HTL_BATCH_SIZE": "8"}


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("bash"), reason="the examples are for bash")
@pytest.mark.parametrize("block", OTHERS)
def test_other_examples_run(block, workplace, tmp_path, pasted):
    """The other examples run as they stand where the files that they name are, here small ones with short trainings."""
    outputs = set(re.findall(r" -o (\S+)", block))
    for path in workplace.iterdir():
        if path.is_dir():
            (tmp_path / path.name).symlink_to(path)
        elif path.name not in outputs and (path.suffix != ".h5" or path.name in block or "?.h5" in block):
            shutil.copy(path, tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    if "store" not in outputs:
        (tmp_path / "store").symlink_to(workplace / "phantom")
    done = pasted(block.replace("--count 200", "--count 20"), tmp_path, HTL_QUIET="1", **SMALL)
    assert done.returncode in ({0, 3} if "--fail-under" in block else {0}), done.stderr
