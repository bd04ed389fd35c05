"""What the tests share: htl within the process, htl in a shell, and small artifacts that are made once."""

import contextlib
import fcntl
import io
import os
import pty
import shutil
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path
from types import SimpleNamespace

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: processes side by side, and equal bits in all of them
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores Ctrl-C for what it runs behind, and so would the children
ROOT = Path(__file__).resolve().parents[1]
PLAIN = "--arch", "compact", "--attend", "none"  # flags of a training that takes little time
# Files with a test that takes long, the longest first: whoever gets one last ends last. xdist itself puts files of few tests at the end.
LONGEST = (
    "test_tutorial",
    "test_killed",
    "test_manual",
    "test_launching",
    "test_several_objects",
    "test_look",
    "test_matrix",
    "test_scripts",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the longest files start first; the order within a file stays."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))


def call_htl(*args, stdin: bytes = b"") -> tuple[int, bytes, str]:
    """Run htl within this process: exit code, stdout as bytes and stderr as text."""
    from htltools.cli import main

    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(stdin))
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([str(arg) for arg in args])
    finally:
        sys.stdin = before
    return code, out.buffer.getvalue(), err.buffer.getvalue().decode()


def made(*args, stdin: bytes = b"") -> bytes:
    """What a call of htl writes that must succeed."""
    code, out, err = call_htl(*args, stdin=stdin)
    assert code == 0, err
    return out


@pytest.fixture(scope="session")
def htl():
    """`htl(*args, stdin=b"")` gives exit code, stdout as bytes and stderr as text."""
    return call_htl


@pytest.fixture
def shell(tmp_path):
    """`shell("htl view - | head -1", **variables)` runs a line of bash with real processes, and gives what subprocess.run gives.

    It runs in `tmp_path`, fails where any part of a pipe fails, and finds htl on its PATH.
    """
    environment = os.environ | {"PATH": f"{ROOT / 'bin'}:{os.environ['PATH']}", "NO_COLOR": "1"}

    def run(line: str, **variables):
        return subprocess.run(
            ["bash", "-c", f"set -o pipefail; {line}"],
            cwd=tmp_path,
            env=environment | {name: str(value) for name, value in variables.items()},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """An environment whose htl starts at once, because it is forked from a process that has imported torch.

    So are the processes that share its work, where WORKERS in the environment is the program `workers` beside it.
    """
    place = tmp_path_factory.mktemp("bin")
    serving = f'"{sys.executable}" -SE "{ROOT / "tests" / "serving.py"}" "{place / "socket"}"'
    (place / "htl").write_text(f'#!/bin/sh\nexec {serving} "$@"\n')
    (place / "workers").write_text(f'#!/bin/sh\n[ "$1 $2" = "-m htltools" ] && shift 2 && exec {serving} "$@"\n')
    for program in "htl", "workers":
        (place / program).chmod(0o755)
    path = os.pathsep.join([str(place), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "HTL_JOBS": "1"}
    how = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
    server = subprocess.Popen([sys.executable, ROOT / "tests" / "serving.py", place / "socket"], **how)
    assert server.stdout.readline() == "ready\n"
    yield environment
    server.communicate()


@pytest.fixture
def examples(tmp_path, served):
    """A copy of the folder of examples, whose scripts find an htl that starts at once: they put bin/ beside it in front of the PATH."""
    (tmp_path / "bin").symlink_to(served["PATH"].split(os.pathsep)[0])
    return shutil.copytree(ROOT / "examples", tmp_path / "examples")


@pytest.fixture(scope="session")
def pasted(served):
    """`pasted(lines, folder, **variables)` runs lines of bash in a folder, and gives what subprocess.run gives."""

    def run(lines: str, folder: Path, **variables: str):
        how = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True}
        return subprocess.run(["bash", "-euc", lines], cwd=folder, env=served | variables, **how)

    return run


@pytest.fixture(scope="session")
def on_terminal(served):
    """`on_terminal(lines, folder, columns, **variables)` runs lines of bash on a terminal of so many columns, and gives what that shows.

    The environment says nothing of the terminal that the tests themselves run on.
    """
    of_terminals = "NO_COLOR", "TERM_PROGRAM", "LC_TERMINAL", "COLORTERM", "TMUX", "STY", "KITTY_WINDOW_ID", "COLUMNS", "HTL_QUIET"
    own = {name: value for name, value in served.items() if name not in of_terminals} | {"TERM": "xterm-256color"}

    def run(lines: str, folder: Path, columns: int = 80, **variables: str) -> str:
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        how = {"stdin": subprocess.DEVNULL, "stdout": slave, "stderr": slave}
        running = subprocess.Popen(["bash", "-euc", lines], cwd=folder, env=own | variables, **how)
        os.close(slave)
        shown = b""
        while piece := read_piece(master):
            shown += piece
        os.close(master)
        assert running.wait(timeout=60) == 0, shown.decode()
        return shown.decode().replace("\r\n", "\n")

    return run


def read_piece(master: int) -> bytes:
    """What a terminal shows next; nothing once the last program has left it."""
    try:
        return os.read(master, 65536)
    except OSError:  # EIO: Linux says so of a terminal that nobody has open any more
        return b""


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real images beside the checkout, where this machine has one."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real images: there is no folder {os.path.relpath(folder, ROOT)}")
    return folder


@pytest.fixture(scope="session")
def save_dicom():
    """`save_dicom(path, values, **tags)` writes an array [h, w] or [h, w, 3], or frames of such, as DICOM, and gives its dataset."""
    import pydicom
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    def save(path, values, *, syntax=ExplicitVRLittleEndian, frames=None, data=None, **tags):
        header = pydicom.Dataset()
        header.file_meta = pydicom.dataset.FileMetaDataset()
        header.file_meta.TransferSyntaxUID = syntax
        header.SOPClassUID = header.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
        header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        colour = values.shape[-1] == 3
        header.Rows, header.Columns = values.shape[frames is not None :][:2]
        header.SamplesPerPixel, header.PhotometricInterpretation = (3, "RGB") if colour else (1, "MONOCHROME2")
        if colour:
            header.PlanarConfiguration = 0
        if frames:
            header.NumberOfFrames = frames
        header.BitsAllocated = header.BitsStored = values.dtype.itemsize * 8
        header.HighBit, header.PixelRepresentation = header.BitsStored - 1, int(values.dtype.kind == "i")
        for name, value in tags.items():
            setattr(header, name, value)
        header.PixelData = (
            values.astype(values.dtype.newbyteorder("<>"[syntax.is_little_endian is False])).tobytes() if data is None else data
        )
        if len(header.PixelData) % 2:
            header.PixelData += b"\0"
        header["PixelData"].VR = "OB" if header.BitsAllocated == 8 else "OW"
        path.parent.mkdir(parents=True, exist_ok=True)
        header.save_as(path, enforce_file_format=True)
        return header

    return save


@pytest.fixture(scope="session")
def phantom(tmp_path_factory):
    """80 synthetic images of 32 x 32 in a store: `folder`, `rows` (a file) and `samples` (its rows as dicts)."""
    from htltools.formats.sources.open_rows import read_rows

    folder = tmp_path_factory.mktemp("phantom")
    (folder / "rows.jsonl").write_bytes(made("prepare", "--phantom", 80, "--size", 32, "-j", 1, "-q", "-o", folder / "store"))
    return SimpleNamespace(folder=folder, rows=folder / "rows.jsonl", samples=read_rows(folder / "rows.jsonl")[0])


@pytest.fixture(scope="session")
def dense(phantom):
    """A compact localizer that looks once, trained for two epochs on the phantom rows: path of its checkpoint."""
    path = phantom.folder / "dense.h5"
    (phantom.folder / "trained.jsonl").write_bytes(made("train", phantom.rows, "-q", "-o", path, *PLAIN, "--epochs", 2, "--batch-size", 16))
    return path


@pytest.fixture(scope="session")
def by_map(phantom):
    """A localizer trained for two epochs on the labels of the phantom rows alone: path of its checkpoint."""
    path = phantom.folder / "map.h5"
    made("train", phantom.rows, "-q", "-o", path, "--supervision", "weak", "--epochs", 2, "--batch-size", 16)
    return path


@pytest.fixture(scope="session")
def pruned(phantom, dense):
    """A copy of `dense` without 60 % of its weights, not recovered: path of its checkpoint."""
    path = phantom.folder / "pruned.h5"
    made("prune", phantom.rows, "-q", "--model", dense, "-o", path, "--sparsity", 0.6, "--recover", "none")
    return path


@pytest.fixture(scope="session")
def scored(phantom, dense, pruned):
    """The phantom rows with their hardness: path of the file."""
    path = phantom.folder / "scored.jsonl"
    path.write_bytes(made("score", phantom.rows, "-q", "--model", dense, "--pruned", pruned))
    return path


@pytest.fixture(scope="session")
def silenced():
    """`silenced(model, path, *prefixes)` writes a model once more, with zeros in the weights whose names start so; gives the path."""
    from htltools.formats.models.checkpoint import Checkpoint

    def write(model, path, *prefixes):
        made = Checkpoint.load(model)
        made.weights |= {name: 0 * array for name, array in made.weights.items() if name.startswith(prefixes)}
        made.save(path)
        return path

    return write


@pytest.fixture(scope="session")
def copy_of():
    """`copy_of(model, path, origin=model)` writes a model once more, as a pruned copy of `origin`, and gives the path."""
    from htltools.formats.models.checkpoint import Checkpoint

    figures = {"method": "l1", "asked": 0.5, "sparsity": 0.5, "recover": "none", "val_iou": 0.5, "dense_val_iou": 0.5}

    def write(model, path, origin=None):
        made = Checkpoint.load(model)
        made.pruning = figures | {"dense_sha256": Checkpoint.load(origin or model).digest}
        made.save(path)
        return path

    return write
