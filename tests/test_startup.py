"""Starting up: what needs no model runs without torch, and completion works in the shell."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SLOW = {"torch", "torchvision", "onnxruntime", "onnx"}
ROWS = "".join(
    json.dumps(
        {"id": f"s{i}", "split": "train", "size": [10, 10], "boxes": [[1.0, 1.0, 5.0, 5.0]], "hardness": {"pruned_disagreement": i / 4}}
    )
    + "\n"
    for i in range(4)
)


def start(*args: str, stdin: str = "", **environment: str) -> tuple[int, str, str, set[str]]:
    """Exit code, stdout and stderr of htl, and what it imported, in a process of its own."""
    spy = (
        "import atexit, os, sys; atexit.register(lambda: open(os.environ['SPY'], 'w').write(' '.join(sys.modules)));"
        "from htltools.cli import main; sys.exit(main())"
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HTL_")}
    with tempfile.TemporaryDirectory() as folder:
        seen = Path(folder, "modules")
        done = subprocess.run(
            [sys.executable, "-c", spy, *args],
            input=stdin,
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=kept | {"SPY": str(seen), "COLUMNS": "100"} | environment,
        )
        return done.returncode, done.stdout, done.stderr, set(seen.read_text().split())


@pytest.mark.parametrize("args", [["--help"], ["-h"], ["--version"], ["train", "--help"], ["evaluate", "-h"], ["prepare", "--help"]])
def test_help_is_quick(args):
    """Help and versions come without torch, and without reading any rows."""
    code, out, err, modules = start(*args)
    assert (code, err) == (0, "")
    assert len(out.splitlines()) > 5
    assert "typer" in modules
    assert not modules & SLOW


def test_overview_loads_no_command():
    """`htl --help` costs hardly more than typer itself: it imports no command, and no library of theirs."""
    modules = start("--help")[3]
    assert "htltools.cli" in modules
    assert not {name for name in modules if name.startswith("htltools.commands.")}
    assert not modules & {"numpy", "pydantic", "rich", "h5py"}


@pytest.mark.parametrize(
    "args", [["view", "-"], ["view", "--to", "tsv"], ["resample", "--by", "pruned_disagreement"], ["resample", "--by", "smallness"]]
)
def test_plumbing_is_quick(args):
    """Rows are filtered and weighted without torch."""
    code, out, err, modules = start(*args, stdin=ROWS)
    assert code == 0, err
    assert out.count("s3") == 1
    assert not modules & SLOW


@pytest.mark.parametrize("command", ["evaluate", "predict", "score"])
def test_own_nets_predict_without_torchvision(phantom, dense, pruned, command):
    """Where a model is one of htl's own nets, neither torchvision nor torch's compiler is imported: each takes as long as torch itself."""
    copy = ("--pruned", str(pruned)) if command == "score" else ()
    code, _, err, modules = start(command, str(phantom.rows), "--model", str(dense), *copy, "-q")
    assert code == 0, err
    assert "torch" in modules and not modules & {"torchvision", "torch._dynamo", "sympy"}


def test_wrong_flags_are_told_in_one_line():
    """A wrong flag is one line and exit code 2, without torch."""
    code, out, err, modules = start("train", "--dev", "cpu")
    assert (code, out) == (2, "")
    assert err.startswith("htl train: No such option: --dev")
    assert err.endswith("; see htl train --help\n") and err.count("\n") == 1
    assert not modules & SLOW


@pytest.mark.parametrize(
    "command", ["train -o m.h5", "prune -o p.h5", "score", "evaluate", "report -o r.html", "export -o m.onnx", "resample", "view"]
)
def test_no_rows_are_told_at_once(command):
    """Where stdin is closed and no file is named, a command says so without torch."""
    spy = "import sys; from htltools.cli import main; code = main(sys.argv[1:]); print('torch' in sys.modules); sys.exit(code)"
    how = {"capture_output": True, "text": True, "cwd": ROOT, "preexec_fn": lambda: os.close(0)}
    done = subprocess.run([sys.executable, "-c", spy, *command.split()], **how)
    assert (done.returncode, done.stdout) == (2, "False\n")
    assert "no rows: pipe them in or name a file" in done.stderr


def test_debug_shows_where(tmp_path):
    """--debug, or HTL_DEBUG, adds the traceback; without it there is one line."""
    assert start("view", "absent")[2] == "htl view: absent is not there; name a file of rows, a store, or - for stdin\n"
    for run in (start("view", "absent", "--debug"), start("view", "absent", HTL_DEBUG="1")):
        assert run[0] == 66
        assert "Traceback" in run[2] and "MissingInput" in run[2]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("htl tr", ["train"]),
        ("htl pr", ["prepare", "prune", "predict"]),
        ("htl train --dev", ["--device"]),
        ("htl train --lr-scheduler ", ["onecycle", "cosine"]),
        ("htl prune --method l", ["l1", "layer-l1"]),
        ("htl help ex", ["export"]),
    ],
)
def test_completion(words, expected):
    """The TAB key completes commands, flags and the words that a flag takes, without torch."""
    place = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" ")), "_HTL_COMPLETE": "complete_bash"}
    code, out, _, modules = start(**place)
    assert (code, out.split()) == (0, expected)
    assert not modules & SLOW


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell):
    """The completion of each shell can be printed, to be put where the user likes, and names the variable that asks for words."""
    code, out, _, modules = start(_HTL_COMPLETE=f"source_{shell}")
    assert code == 0
    assert f"_HTL_COMPLETE=complete_{shell}" in out
    assert not modules & SLOW


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
def test_completion_in_bash():
    """In bash itself, with the script loaded, `htl tr` and TAB gives `train`."""
    script = """
        eval "$(htl --show-completion)"
        COMP_WORDS=(htl tr) COMP_CWORD=1
        _htl_completion htl
        echo "${COMPREPLY[@]}"
    """
    environment = os.environ | {"PATH": f"{ROOT / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment)
    assert (done.stdout, done.stderr) == ("train\n", "")


def test_variables_of_other_meaning_are_left_alone():
    """HTL_VERSION, which a script may set for itself, is no flag; a variable of a command's flag is one."""
    assert start("view", "--no-notes", stdin=ROWS, HTL_VERSION="1.2")[0] == 0
    assert start("view", "--no-notes", stdin=ROWS, HTL_VIEW_LIMIT="2")[1].count("\n") == 2


def test_help_opens_the_page(tmp_path):
    """`htl help COMMAND` gives the page of the manual to man(1); without man(1) it prints the help."""
    fake = tmp_path / "man"
    fake.write_text('#!/bin/sh\necho "page $1"\n')
    fake.chmod(0o755)
    with_man = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    for topic, page in {"score": "htl-score.1", "stream": "htl-stream.5", "htl": "htl.1"}.items():
        assert start("help", topic, PATH=with_man)[1].endswith(f"{os.sep}{page}\n")
    assert start("help", "nonsense")[0] == 2


def test_help_without_man(tmp_path):
    """Where man(1) is missing, `htl help` prints what --help prints."""
    (tmp_path / "sh").symlink_to(shutil.which("sh"))
    code, out, err, _ = start("help", "score", PATH=str(tmp_path))
    assert (code, err) == (0, "")
    assert out.startswith("Usage: htl score [OPTIONS]")
