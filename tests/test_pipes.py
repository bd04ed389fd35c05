"""htl among other programs: real processes and real pipes."""

import json
import shutil

import pytest

from htltools.formats.models.checkpoint import Checkpoint
from htltools.formats.rows.jsonlines import joined_lines, split_lines


def ids(text):
    """The ids of the rows in a text."""
    return [row["id"] for row in map(json.loads, text.splitlines()) if "id" in row]


@pytest.fixture
def rows(tmp_path, shell):
    """Forty rows as htl writes them, with notes: rows.jsonl in the folder where the shell runs."""
    plain = [{"id": f"r{i:02d}", "split": "train" if i % 2 else "test", "meta": {"age": i}} for i in range(40)]
    (tmp_path / "plain.jsonl").write_bytes(joined_lines(plain))
    assert shell("htl view plain.jsonl > rows.jsonl").returncode == 0
    return [row["id"] for row in plain]


def test_head_cuts_a_stream(shell, rows):
    """`head` in the middle leaves a cut stream: refused with 65 and the remedy, and taken with --partial."""
    refused = shell("head -n 11 rows.jsonl | htl view")
    assert (refused.returncode, refused.stdout) == (65, "")
    assert refused.stderr == (
        "htl view: stdin was cut: 1 begin notes, 0 end notes; look at the command before, or accept what there is with --partial\n"
    )
    taken = shell("head -n 11 rows.jsonl | htl view --partial")
    assert (taken.returncode, ids(taken.stdout)) == (0, rows[:10])
    half = shell("head -c 1500 rows.jsonl | htl view --partial --no-notes | tail -n 1")
    assert half.returncode == 0
    assert ids(half.stdout)[0] in rows
    assert "ends in half a line" in shell("head -c 1500 rows.jsonl | htl view").stderr


def test_grep_shuf_jq_and_tee_in_the_middle(shell, rows, tmp_path):
    """Programs that know nothing of htl may drop, shuffle, change and copy rows."""
    assert ids(shell("""grep '"split":"train"' rows.jsonl | htl view""").stdout) == rows[1::2]
    assert sorted(ids(shell("shuf --random-source=rows.jsonl rows.jsonl | htl view --partial").stdout)) == rows
    changed = shell("htl view rows.jsonl | jq -c 'if .id then .meta.old = (.meta.age > 20) else . end' | htl view --where old=True")
    assert (changed.returncode, ids(changed.stdout)) == (0, rows[21:])
    copied = shell("htl view rows.jsonl --limit 3 | tee copy.jsonl | htl view")
    assert ids(copied.stdout) == rows[:3]
    assert ids((tmp_path / "copy.jsonl").read_text()) == rows[:3]


def test_split_and_cat(shell, rows):
    """Pieces of a stream that are put together again are the stream; `cat` of two streams is one; a piece that is missing is noticed."""
    whole = shell("split -n l/2 rows.jsonl half. && cat half.aa half.ab | htl view")
    assert (whole.returncode, ids(whole.stdout)) == (0, rows)
    assert shell("cat half.aa | htl view").returncode == 65
    both = shell("htl view rows.jsonl --split train > a && htl view rows.jsonl --split test > b && cat a b | htl view")
    assert (both.returncode, sorted(ids(both.stdout))) == (0, rows)
    twice = shell("cat a a | htl view")
    assert (twice.returncode, twice.stderr.count("\n")) == (65, 1)
    assert "stands twice" in twice.stderr


@pytest.mark.skipif(not shutil.which("parallel"), reason="GNU parallel is not installed")
def test_gnu_parallel(shell, rows):
    """Rows may be spread over processes by GNU parallel, and come together as one stream."""
    done = shell("htl view rows.jsonl --no-notes | parallel --will-cite --pipe -N 20 -j 2 htl view --where 'age\\>=5' | htl view")
    assert (done.returncode, sorted(ids(done.stdout))) == (0, rows[5:])


def test_a_closed_pipe_is_141_and_silent(shell, tmp_path):
    """A reader that has enough ends the writer with 141 and without a word."""
    (tmp_path / "many.jsonl").write_bytes(joined_lines({"id": str(i), "meta": {"text": "x" * 90}} for i in range(5000)))
    done = shell("htl view many.jsonl | head -n 1 > first; echo ${PIPESTATUS[0]}")
    assert (done.stdout, done.stderr) == ("141\n", "")
    assert split_lines((tmp_path / "first").read_bytes())[0]["htl"] == "begin"


def test_a_full_disk_is_74(shell, rows):
    """What cannot be written never passes for success."""
    done = shell("htl view rows.jsonl > /dev/full")
    assert (done.returncode, done.stderr) == (74, "htl view: cannot write to stdout (No space left on device)\n")
    assert shell("htl view rows.jsonl --to tsv > /dev/full").returncode == 74
    assert shell("htl --version > /dev/full").returncode == 74


def test_a_killed_command_is_noticed_by_the_next(shell, rows):
    """Where the command before was killed in the middle of its rows, the next one refuses what it got."""
    done = shell("(head -n 11 rows.jsonl; kill -KILL $BASHPID) | htl view; echo ${PIPESTATUS[*]}")
    assert done.stdout == "137 65\n"
    assert "stdin was cut" in done.stderr
    done = shell("(cat rows.jsonl; sleep 60) | htl view & sleep 1; false | htl resample; echo $?; kill %1")
    assert done.stdout.startswith("65\n")
    assert "no rows in stdin" in done.stderr


def test_closed_streams(shell, rows):
    """A stdin or stdout that the caller closed is an error that says so, never a traceback."""
    done = shell("htl view <&-")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, "htl view: no rows: pipe them in or name a file; see htl view --help")
    done = shell("htl view rows.jsonl >&-")
    assert (done.returncode, done.stderr) == (74, "htl: stdout is closed\n")


@pytest.mark.slow
def test_the_whole_chain(pasted, tmp_path):
    """The line of the README, in small: from images to a comparison, and an ONNX file."""
    done = pasted(
        "set -o pipefail; htl prepare --phantom 80 --size 32 -j 1 -o store | htl train --attend none -o dense.h5 --epochs 2 --batch-size 16"
        " | htl prune -o pruned.h5 --sparsity 0.5 --epochs 1 --batch-size 16 | htl score"
        " | htl train -o attended.h5 --looks 1 --epochs 2 --batch-size 16 | htl evaluate --baseline dense.h5"
        " && htl export --model attended.h5 -o lesion.onnx",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stderr + done.stdout
    metrics = {line["metric"]: line for line in split_lines(done.stdout.encode())}
    assert {"iou_mean", "iou_mean.delta"} <= metrics.keys()
    assert metrics["iou_mean.delta"]["against"].endswith("dense.h5")
    assert {path.name for path in tmp_path.iterdir()} == {
        "store", "dense.h5", "dense.log.jsonl", "pruned.h5", "attended.h5", "attended.log.jsonl", "lesion.onnx",
    }  # fmt: skip
    commands = [record["command"].split()[1] for record in Checkpoint.load(tmp_path / "attended.h5").history]
    assert commands == ["prepare", "train", "prune", "score", "train"]
