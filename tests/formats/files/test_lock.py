"""One run at a time."""

import errno
import fcntl
import os
import subprocess
import sys

import pytest

from htltools.errors import CannotCreate, TryAgain
from htltools.formats.files.lock import exclusive


def test_the_second_is_refused_and_the_lock_goes(tmp_path):
    """While one holds a lock, another is refused with the name of the holder; afterwards no file is left, and the next may."""
    lock = tmp_path / ".lock"
    with (
        exclusive(lock, tmp_path),
        pytest.raises(TryAgain, match=r"another run is writing .* \(process \d+ of .+\); wait for it"),
        exclusive(lock, tmp_path),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
    with exclusive(lock, tmp_path):
        assert lock.exists()


def test_never_two_at_once(tmp_path):
    """However runs come and go, no two of them are ever inside, although each takes the file with it when it leaves."""
    code = """if True:
        import os, pathlib, sys, time
        from htltools.errors import TryAgain
        from htltools.formats.files.lock import exclusive
        folder, turns, end = pathlib.Path(sys.argv[1]), 0, time.monotonic() + 2
        while time.monotonic() < end:
            try:
                with exclusive(folder / ".lock", folder):
                    os.close(os.open(folder / "inside", os.O_CREAT | os.O_EXCL))
                    os.unlink(folder / "inside")
                    turns += 1
            except TryAgain:
                pass
        assert turns
    """
    runs = [subprocess.Popen([sys.executable, "-c", code, tmp_path]) for _ in range(3)]
    assert [run.wait(timeout=60) for run in runs] == [0, 0, 0]


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks(tmp_path, monkeypatch, capfd, number):
    """Where the file system has no locks, the run goes on without one, and prints nothing."""

    def flock(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with exclusive(tmp_path / ".lock", tmp_path):
        pass
    assert (list(tmp_path.iterdir()), capfd.readouterr()) == ([], ("", ""))


def test_a_killed_run_holds_nothing(tmp_path):
    """A lock goes with the process that held it, also by SIGKILL, and its file is no hindrance."""
    lock = tmp_path / ".lock"
    holds = "import os, pathlib, sys\nfrom htltools.formats.files.lock import exclusive\n"
    holds += "with exclusive(pathlib.Path(sys.argv[1]), 's'): os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", holds, lock]).returncode == -9
    assert lock.exists()
    with exclusive(lock, tmp_path):
        pass
    assert not lock.exists()


def test_a_folder_that_is_not_there(tmp_path):
    """Where the lock cannot be made, nothing could be written either: 73."""
    with (
        pytest.raises(CannotCreate, match=r"cannot write beside .* \(no such file or directory"),
        exclusive(tmp_path / "no/.lock", tmp_path),
    ):
        pass
