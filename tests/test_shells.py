"""What shells and machines do to htl: pipes and devices as outputs, messages that nobody takes, odd encodings and variables."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from htltools.formats.files.atomic import is_pipe_or_device, replacing
from htltools.formats.models.checkpoint import Checkpoint

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("force", ["", "--force"])
def test_outputs_go_through_a_pipe(pasted, shell, scored, dense, tmp_path, force):
    """A named pipe, and `>(command)`, get what a file would hold, and stay what they are."""
    line = f"""
        mkfifo pipe; cat pipe > piped & htl evaluate {scored} --model {dense} -q -o pipe {force} > /dev/null; wait $!
        htl evaluate {scored} --model {dense} -q -o file > /dev/null; cmp file piped; test -p pipe
        htl view {scored} -q --to coco:/dev/stdout {force} > whole.json
        htl view {scored} -q --to coco:coco.json; cmp coco.json whole.json
    """
    done = pasted(line, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    done = shell(f"htl view {scored} -q --to coco:>(cat > substituted; echo >&2) {force} 2>&1 | cat")
    assert (done.returncode, done.stdout.strip()) == (0, "")
    assert (tmp_path / "substituted").read_bytes() == (tmp_path / "coco.json").read_bytes()


def test_a_device_stays_a_device(tmp_path):
    """What is written to /dev/null goes there; nothing is renamed to it."""
    assert is_pipe_or_device(Path("/dev/null")) and is_pipe_or_device(Path("/dev/fd/9")) and is_pipe_or_device(Path("/dev/stdout"))
    assert not any(map(is_pipe_or_device, (tmp_path, tmp_path / "new", Path(__file__))))
    with replacing("/dev/null") as temporary:
        temporary.write_bytes(b"x")
    assert Path("/dev/null").is_char_device() and not temporary.exists() and not temporary.parent.exists()


def test_models_through_a_pipe(pasted, phantom, dense, tmp_path):
    """A pruned model goes through a pipe, and no note names that; a training, which keeps its state beside its model, wants a file."""
    line = f"""
        mkfifo pipe; cat pipe > p.h5 &
        htl prune {phantom.rows} -q --model {dense} -o pipe --sparsity 0.5 --recover none > rows.jsonl; wait $!
        htl train {phantom.rows} -q -o /dev/null > /dev/null || echo $?
    """
    done = pasted(line, tmp_path)
    assert Checkpoint.load(tmp_path / "p.h5").pruning["asked"] == 0.5
    assert '"role":"dense"' in (tmp_path / "rows.jsonl").read_text() and '"role":"pruned"' not in (tmp_path / "rows.jsonl").read_text()
    assert done.stdout == "2\n"
    *_, said = done.stderr.splitlines()  # before it, that the small models are no good
    assert said == "htl train: -o /dev/null is no file, and a training keeps its state beside it; name a file, and copy that"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_training_outlives_its_messages(pasted, phantom, dense, tmp_path):
    """Where stderr is full, or nobody reads it any more, a training ends with its checkpoint, and 0."""
    train = f"htl train {phantom.rows} --arch compact --attend none --epochs 2 --batch-size 16"
    done = pasted(f"{train} -o a.h5 2> /dev/full > a; {train} -o b.h5 2> >(head -c 1 > /dev/null) > b", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for name in "ab":
        assert Checkpoint.load(tmp_path / f"{name}.h5").digest == Checkpoint.load(dense).digest
        assert '"htl":"end"' in (tmp_path / name).read_text().splitlines()[-1]


def test_closed_stderr(shell, scored, tmp_path):
    """With stderr closed messages go nowhere, and above all not into the rows."""
    done = shell(f"htl view {scored} --where 'age>200' --no-notes 2>&-; htl view {scored} --sort sex --limit 3 --no-notes 2>&- | wc -l")
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["3"], "")
    assert shell(f"htl view {tmp_path}/no 2>&-").returncode == 66


def test_tables_in_ascii(shell, tmp_path):
    """Tables are UTF-8, as rows are, whatever Python is told of the terminal."""
    (tmp_path / "rows.jsonl").write_text('{"id": "Müller", "label": "naïve"}\n', encoding="utf-8")
    done = shell("htl view rows.jsonl --to tsv; htl view rows.jsonl --columns label", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout, done.stderr) == (0, "id\tlabel\nMüller\tnaïve\nlabel\nnaïve\n", "")


def test_a_clock_that_is_none(shell, tmp_path):
    """SOURCE_DATE_EPOCH that is no number of seconds is a usage error."""
    (tmp_path / "rows.jsonl").write_text('{"id": "a"}\n')
    for text in ("abc", "", "9" * 30):
        done = shell("htl view rows.jsonl", SOURCE_DATE_EPOCH=text)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"htl view: SOURCE_DATE_EPOCH is a number of seconds since 1970, not {text!r}\n"


@pytest.mark.parametrize(
    ("data", "remedy"),
    [
        (b'{\n  "id": "a"\n}\n', "; a row is one line: jq writes them so with -c\n"),
        (b'[\n{"id": "a"}\n]\n', "; a row is one line: jq writes them so with -c\n"),
        (b'{"id": "a"}\0{"id": "b"}\0', "; rows are separated by newlines, not by NUL: tr '\\0' '\\n' changes that\n"),
    ],
)
def test_rows_in_other_clothes(htl, data, remedy):
    """Pretty-printed and NUL-separated rows are refused with the way to mend them."""
    code, out, err = htl("view", stdin=data)
    assert (code, out) == (65, b"")
    assert err.startswith("htl view: stdin, line 1 is no JSON (") and err.endswith(remedy)


def test_a_python_without_the_packages(tmp_path):
    """A Python that lacks a package, as another user's may, is named in one line."""
    done = subprocess.run(
        [sys.executable, "-S", "-m", "htltools"], cwd=ROOT, capture_output=True, text=True, env={"PATH": os.environ["PATH"]}
    )
    assert done.returncode == 69
    assert done.stderr == f"htl: {sys.executable} has no typer; run bin/setup, or name the Python that htl is installed in\n"


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root may write anywhere")
def test_setup_of_another_user(tmp_path):
    """bin/setup in a checkout that one may only read says whose turn it is; a finished one is left in peace."""
    (tmp_path / "bin").mkdir()
    (tmp_path / ".venv").mkdir()
    shutil.copy(ROOT / "bin" / "setup", tmp_path / "bin")
    for name in ("pyproject.toml", "requirements-light.txt"):
        (tmp_path / name).write_text("")
    for folder in (tmp_path / ".venv", tmp_path):
        folder.chmod(0o555)
    for parent in tmp_path.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o055)
    drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    done = subprocess.run([*drop, tmp_path / "bin" / "setup"], capture_output=True, text=True)
    tmp_path.chmod(0o755)
    assert (done.returncode, done.stdout) == (73, "")
    assert "is not yours: let its owner run bin/setup" in done.stderr
