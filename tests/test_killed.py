"""Nothing lost: SIGKILL, SIGTERM and Ctrl-C at random moments of `prepare` and `train`, and what a rerun makes of it."""

import json
import os
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from htltools.formats.store.checksummed_hdf5 import check_hdf5_checksum

ROOT = Path(__file__).resolve().parents[1]
KILLS = int(os.environ.get("HTL_TEST_KILLS", 3))  # of each command, by each signal in turn; 99 for a long look
ENDS = {signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: 143, signal.SIGINT: 130}


class Forks:
    """htl in a folder, in processes that may be killed."""

    def __init__(self):
        how = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
        stable = os.environ | {"SOURCE_DATE_EPOCH": "0", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        self.server = subprocess.Popen([sys.executable, ROOT / "tests" / "forking.py", "4"], env=stable, **how)

    def run(self, folder, *arguments, number=None, delay=0.0):
        """Run htl, send it a signal after so many seconds, and give its exit code."""
        self.server.stdin.write(json.dumps([str(folder), [str(argument) for argument in arguments]]) + "\n")
        child = int(self.server.stdout.readline())
        if number is not None and not select.select([self.server.stdout], [], [], delay)[0]:
            os.kill(child, number)
        return int(self.server.stdout.readline())


@pytest.fixture(scope="module")
def forks():
    """One server of forks, which ends with the tests."""
    forks = Forks()
    yield forks
    forks.server.stdin.close()
    forks.server.wait(timeout=60)


def contents(folder):
    """The bytes of all files of a folder and those below it, by path; without stderr, and without the seconds of a training's log."""
    found = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != "stderr"}
    return {name: re.sub(rb',"seconds":[^,}]*', b"", data) if name.endswith(".log.jsonl") else data for name, data in found.items()}


def said_in(folder):
    """What htl said, which is nothing where it was killed before it could."""
    return (folder / "stderr").read_text() if (folder / "stderr").exists() else ""


def is_temporary(name):
    """Whether a file is one of those that a killed run may leave behind."""
    return name.endswith((".tmp", ".lock"))


def survives(forks, folder, arguments, whole_part, kills=KILLS):
    """Kill htl at that many random moments; each time nothing half-written has its final name, and a rerun equals the undisturbed run.

    `whole_part(name, data, undisturbed)`: whether the content of a file after the kill is allowed.
    """
    place = folder / "place"

    def anew():
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()

    def seconds_of_a_run():
        start = time.monotonic()
        assert forks.run(place, *arguments) == 0, (place / "stderr").read_text()
        return time.monotonic() - start

    anew()
    seconds = seconds_of_a_run()
    undisturbed = contents(place)
    anew()
    seconds = min(seconds, seconds_of_a_run())
    assert contents(place) == undisturbed
    chance, cut = random.Random(0), 0
    for i in range(10 * kills):
        if cut == kills:
            break
        anew()
        number = [*ENDS][i % len(ENDS)]
        code = forks.run(place, *arguments, number=number, delay=chance.random() * seconds)
        left, said = contents(place), said_in(place)
        assert code in (0, ENDS[number], -number) and "Traceback" not in said, (code, said)
        done = {name: data for name, data in left.items() if not is_temporary(name)} == undisturbed
        if code == 0 or done:  # it came too late, if perhaps in time to leave a lock behind
            assert done
            seconds *= 0.9
            continue
        cut, seconds = cut + 1, seconds * 1.05
        for name, data in left.items():
            assert whole_part(place / name, data, undisturbed.get(name)) or is_temporary(name), (name, said)
        assert forks.run(place, *arguments) == 0, (i, number, said, (place / "stderr").read_text())
        assert contents(place) == undisturbed, (i, number, said)
    assert cut >= kills * 0.8, f"{cut} of {kills} kills came in time"


@pytest.mark.slow
def test_prepare_survives(forks, tmp_path):
    """`prepare`, killed at any moment and run again: the same shards, list and rows, byte for byte."""
    (tmp_path / "p").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (40, 9, 9, 3), np.uint8)
    for i, image in enumerate(noise):
        Image.fromarray(image).save(tmp_path / f"p/{i:02d}.png")
    (tmp_path / "p/40.png").write_bytes(b"no image")

    def whole_part(path, data, undisturbed):
        return undisturbed.startswith(data) if path.name == "stdout" else data == undisturbed

    survives(forks, tmp_path, ["prepare", tmp_path / "p", "-o", "store", "--size", "8", "-j", "1"], whole_part)


@pytest.mark.slow
def test_train_survives(forks, phantom, tmp_path):
    """`train`, killed at any moment and run again: the same checkpoint, log and rows, byte for byte."""

    def whole_part(path, data, undisturbed):
        if path.name == "m.resume.h5":
            check_hdf5_checksum(path)
            return True
        return undisturbed.startswith(data) if path.name in ("stdout", "m.log.jsonl") else data == undisturbed

    flags = "--arch", "compact", "--epochs", 3, "--batch-size", 16, "--no-history"
    survives(forks, tmp_path, ["train", phantom.rows, "-o", "m.h5", *flags], whole_part)
