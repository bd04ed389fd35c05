"""Runs of `htl prepare`: what stands from an earlier one, its processes, and what is left of one that was killed."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import SimpleNamespace

import h5py
import pytest
from PIL import Image

from htltools.commands.prepare import shards, write
from htltools.commands.prepare.decode import Settings, Skip
from htltools.commands.prepare.workers import decoded_samples
from htltools.errors import TryAgain
from htltools.formats.sources.candidate import Candidate

ROOT = Path(__file__).parents[2]
STABLE = {**os.environ, "SOURCE_DATE_EPOCH": "0", "PYTHONPATH": str(ROOT)}


def rows_of(out):
    """The rows of a stream, without its notes."""
    return [row for row in map(json.loads, out.splitlines()) if "htl" not in row]


def listed_in(folder):
    """The lines of skips.jsonl."""
    return [line for line in map(json.loads, (folder / "skips.jsonl").read_bytes().splitlines()) if "htl" not in line]


def reasons_in(folder):
    """Reason by id of what was left out."""
    return {skip["id"]: skip["reason"] for skip in listed_in(folder) if not skip.get("kept")}


def test_another_store_stands(study, tmp_path, htl):
    """A store of other parameters is not touched without --force; with it, it is replaced whole; the same call takes it as it is."""
    first = htl("prepare", study, "-o", tmp_path / "s", "--no-history")
    when = (tmp_path / "s/00000.h5").stat().st_mtime_ns
    assert htl("prepare", study, "-o", tmp_path / "s", "--no-history")[:2] == first[:2]
    assert (tmp_path / "s/00000.h5").stat().st_mtime_ns == when
    code, out, err = htl("prepare", study, "-o", tmp_path / "s", "--size", "32")
    assert code == 73 and not out and "replace it with --force" in err and (tmp_path / "s/00000.h5").stat().st_mtime_ns == when
    (tmp_path / "s/00007.h5").write_bytes((tmp_path / "s/00000.h5").read_bytes())
    assert htl("prepare", study, "-o", tmp_path / "s", "--size", "32", "--force")[0] == 0
    with h5py.File(tmp_path / "s/00000.h5") as file:
        assert file["images"].shape == (3, 32, 32, 3)
    assert not (tmp_path / "s/00007.h5").exists()


def test_a_rerun_decodes_nothing(study, tmp_path, htl, monkeypatch):
    """Over a finished store, the same call gives the same rows without a look into an image."""
    first = htl("prepare", study, "-o", tmp_path / "s", "--no-history")
    monkeypatch.setattr(Image, "open", lambda *_: pytest.fail("an image was opened"))
    assert htl("prepare", study, "-o", tmp_path / "s", "--no-history")[:2] == first[:2]


def test_a_changed_table_makes_another_store(study, tmp_path, htl):
    """A store is not taken for one of another split, label or note in the table."""
    table = study / "metadata.csv"
    said = table.read_text()
    assert htl("prepare", study, "-o", tmp_path / "s")[0] == 0
    for old, new in (("P2,mel,60,back,test", "P2,mel,60,back,val"), ("mel", "bcc"), ("back", "face")):
        table.write_text(said.replace(old, new))
        assert htl("prepare", study, "-o", tmp_path / "s")[0] == 73
    table.write_text(said)
    assert htl("prepare", study, "-o", tmp_path / "s")[0] == 0


class Instant(Executor):
    """Workers that are always done, and count what they have made and nobody has taken."""

    def __init__(self):
        self.waiting = self.most = 0

    def submit(self, function, candidates, settings):
        future = Future()
        future.set_result([Skip(candidate.id) for candidate in candidates])
        self.waiting += len(candidates)
        self.most = max(self.most, self.waiting)
        return future


def test_memory_does_not_grow_with_the_number_of_images():
    """However many images there are, and however fast they are decoded, no more than a shard of them waits to be written."""
    workers, names = Instant(), [f"{i:05d}" for i in range(3001)]
    for name, sample in zip(names, decoded_samples(workers, map(Candidate, names), Settings((8, 8))), strict=True):
        assert sample.reason == name
        workers.waiting -= 1
    assert workers.waiting == 0 and 512 <= workers.most <= 512 + 2 * 8


def test_workers_make_whole_shards(tmp_path, htl, save_image, monkeypatch):
    """Where there are many shards, each is made by one worker: rows and shards are those of one process, and all images are counted."""
    save_image(tmp_path / "images/0000.png", size=(8, 8))
    for i in range(1, 2100):
        os.link(tmp_path / "images/0000.png", tmp_path / f"images/{i:04d}.png")
    (tmp_path / "images/1000.png").unlink()
    (tmp_path / "images/1000.png").write_bytes(b"no image")
    counted, made = [], shards.made_by_workers
    monkeypatch.setattr(
        write, "made_by_workers", lambda workers, todo, settings, advance, **about: made(workers, todo, settings, counted.append, **about)
    )
    stores = {}
    for jobs in 1, 2:
        folder = tmp_path / f"s{jobs}"
        code, out, err = htl("prepare", tmp_path / "images", "-o", folder, "--size", 8, "--keep-unlabelled", "-j", jobs, "--no-history")
        assert code == 0, err
        rows = [{**row, "store": row["store"].replace(f"s{jobs}/", "s/")} for row in rows_of(out)]
        arrays = []
        for path in sorted(folder.glob("*.h5")):
            with h5py.File(path) as file:
                arrays += [file[name][()].tobytes().replace(f"s{jobs}/".encode(), b"s/") for name in ("images", "rows", "skips", "digests")]
        stores[jobs] = rows, arrays, reasons_in(folder)
    assert stores[1] == stores[2] and len(stores[1][0]) == 2099 and len(stores[1][1]) == 5 * 4 and list(stores[1][2]) == ["1000"]
    assert sum(counted) == 2100


@pytest.mark.parametrize("when", ["submit", "result"])
def test_a_worker_that_was_killed(when, tmp_path):
    """It is a reason to try again with fewer of them, whether it is noticed when work is given or when it is taken."""

    class Broken:
        jobs, done = 2, SimpleNamespace(value=0)

        def submit(self, *task):
            if when == "submit":
                raise BrokenProcessPool
            future = Future()
            future.set_exception(BrokenProcessPool())
            return future

    candidates = [Candidate("0")]
    for made in (
        shards.made_by_workers(Broken(), {tmp_path / "0.h5": candidates}, Settings((8, 8)), print),
        decoded_samples(Broken(), candidates, Settings((8, 8))),
    ):
        with pytest.raises(TryAgain, match="a decoding process was killed"):
            next(made)


def test_half_a_shard_is_removed(tmp_path):
    """What a killed worker has begun to write does not stay behind; whole shards do."""
    for name in "00000.h5", ".00000.h5.ab12.tmp", ".00001.h5.cd34.tmp":
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(KeyboardInterrupt), write.nothing_half_written([tmp_path / "00000.h5", tmp_path / "00001.h5"]):
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["00000.h5"]


def test_out_cannot_be_made(study, tmp_path, htl):
    """An output below a file is 73."""
    (tmp_path / "file").write_text("")
    assert htl("prepare", study, "-o", tmp_path / "file/s")[0] == 73


def prepare_process(*args, **options):
    """A real `htl prepare` of its own."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": STABLE} | options
    return subprocess.Popen([sys.executable, "-m", "htltools", "prepare", *map(str, args)], **pipes)


@pytest.fixture(scope="module")
def crowd(tmp_path_factory, save_image):
    """1,100 names of one small image, and a table: three shards."""
    folder = tmp_path_factory.mktemp("crowd")
    save_image(folder / "images/0000.png", size=(8, 8))
    for i in range(1, 1100):
        os.link(folder / "images/0000.png", folder / f"images/{i:04d}.png")
    lines = [f"{i:04d},a long name of a patient {i:040d},1,1,6,6\n" for i in range(1100)]
    (folder / "metadata.csv").write_text("id,patient_id,x0,y0,x1,y1\n" + "".join(lines))
    return folder


@pytest.mark.slow
def test_killed_and_taken_up(crowd, tmp_path):
    """A run killed by SIGKILL leaves whole shards and no process; its rerun gives the bytes of an undisturbed run."""
    args = crowd, "-o", tmp_path / "s", "--size", "8", "-j", "2"
    killed = prepare_process(*args)  # nobody reads: it waits on its first rows, with the first shard written
    deadline = time.monotonic() + 60
    while not (tmp_path / "s/00000.h5").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=20)  # its workers have let go of the pipe
    assert {path.name for path in (tmp_path / "s").glob("[0-9]*.h5")} == {"00000.h5"}

    def whole_run():
        process = prepare_process(*args)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        shards = sorted((tmp_path / "s").glob("*"))
        return out, err, {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in shards}

    resumed = whole_run()
    assert b"taking up an earlier run: 1 of 3 shards stand" in resumed[1]
    for path in (tmp_path / "s").iterdir():
        path.unlink()
    undisturbed = whole_run()
    assert len(rows_of(resumed[0])) == 1100 and set(resumed[2]) == {"00000.h5", "00001.h5", "00002.h5", "skips.jsonl"}
    assert resumed[0] == undisturbed[0] and resumed[2] == undisturbed[2]


def test_ctrl_c_and_a_reader_that_leaves(crowd, tmp_path):
    """Ctrl-C ends the whole group of processes with 130 and without a traceback; a reader that leaves ends it with 141."""
    process = prepare_process(crowd, "-o", tmp_path / "s", "--size", "8", "-j", "2", start_new_session=True)
    while not (tmp_path / "s/00000.h5").exists():
        time.sleep(0.02)
    time.sleep(0.5)  # by then it waits for a reader of its rows
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130 and b"Traceback" not in err
    process = prepare_process(crowd, "-o", tmp_path / "t", "--size", "8", "-j", "2")
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    assert process.wait(timeout=20) == 141 and b"Traceback" not in err


def test_a_list_on_stdin(study, save_image):
    """`find | htl prepare -` works with a list of paths; a path that is not there is left out with a reason."""
    save_image(study / "images/\udcff.png")  # a name that is no UTF-8
    shutil.copy(study / "masks/a.png", study / "masks/\udcff.png")
    process = prepare_process("-", "-o", "s", cwd=study, stdin=subprocess.PIPE)
    out, err = process.communicate(b"images/a.png\nimages/\xff.png\nimages/none.png\n", timeout=60)
    assert process.returncode == 0, err
    assert [row["id"] for row in rows_of(out)] == ["\\xff", "a"]
    assert reasons_in(study / "s") == {"none": "it is not there"}


def test_ctrl_c_tells_how_to_go_on(htl, tmp_path, monkeypatch):
    """An interrupted prepare ends with 130 and says that the same command takes the store up, and so it does."""

    def interrupted(*args, **how):
        raise KeyboardInterrupt

    asked = "prepare", "--phantom", 3, "--size", 8, "-j", 1, "-o", tmp_path / "store"
    with monkeypatch.context() as patch:
        patch.setattr(shards, "write_next_shard", interrupted)
        code, _, err = htl(*asked)
    said = f"htl prepare: stopped; no shard was finished, but the same command takes {tmp_path}/store up\n"
    assert (code, err.endswith(said)) == (130, True), err
    assert htl(*asked)[0] == 0
