"""`htl prepare`: what becomes of images, masks and tables, and what a killed run leaves."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from htltools.commands.prepare.decode import Settings, Skip
from htltools.commands.prepare.workers import decoded_samples
from htltools.formats.sources.folders import Candidate

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
STABLE = {**os.environ, "SOURCE_DATE_EPOCH": "0", "PYTHONPATH": str(ROOT)}


def rows_of(out):
    """The rows of a stream, without its notes."""
    return [row for row in map(json.loads, out.splitlines()) if "htl" not in row]


def reasons_in(folder):
    """Reason by id of what was left out."""
    return {skip["id"]: skip["reason"] for skip in listed_in(folder) if not skip.get("kept")}


def listed_in(folder):
    """The lines of skips.jsonl."""
    return [line for line in map(json.loads, (folder / "skips.jsonl").read_bytes().splitlines()) if "htl" not in line]


def save(path, array=None, size=(40, 20), **options):
    """Save an array, or noise of a (width, height), as an image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(noise if array is None else array).save(path, **options)


@pytest.fixture
def study(tmp_path):
    """Three images of 40 x 20 with masks of twice that frame, and a table."""
    lesion_mask = np.zeros((40, 80), np.uint8)
    lesion_mask[10:30, 20:50] = 255
    for name in "abc":
        save(tmp_path / f"study/images/{name}.png")
        save(tmp_path / f"study/masks/{name}.png", lesion_mask)
    (tmp_path / "study/metadata.csv").write_text(
        "image_id,patient_id,dx,age,site,split\na,P1,nv,45.0,,train\nb,P2,mel,60,back,test\nc,P1,nv,,,train\n"
    )
    return tmp_path / "study"


def test_a_study_becomes_rows_and_a_store(study, tmp_path, htl):
    """Rows hold what the contract says in its order, boxes are in the image's frame, and the store holds the images and masks."""
    code, out, err = htl("prepare", study, "-o", tmp_path / "s", "--size", "16x32")
    assert code == 0 and "3 samples" in err
    rows, notes = rows_of(out), [json.loads(line) for line in (out.splitlines()[0], out.splitlines()[-1])]
    assert rows[0] == {
        "id": "a",
        "group": "P1",
        "split": "train",
        "store": str(tmp_path / "s/00000.h5"),
        "index": 0,
        "size": [40, 20],
        "boxes": [[10.0, 5.0, 25.0, 15.0]],
        "label": "nv",
        "meta": {"age": 45},
    }
    assert list(rows[1]) == ["id", "group", "split", "store", "index", "size", "boxes", "label", "meta"]
    assert rows[1]["meta"] == {"age": 60, "site": "back"} and "meta" not in rows[2]
    assert (notes[0]["htl"], notes[1]["htl"], notes[1]["rows"], notes[1]["skipped"]) == ("begin", "end", 3, 0)
    assert notes[0]["history"][0]["parameters"]["size"] == "16x32"
    assert "metadata.csv" in next(iter(notes[0]["history"][0]["inputs"]))
    with h5py.File(tmp_path / "s/00000.h5") as file:
        assert file["images"].shape == (3, 16, 32, 3) and file["images"].chunks is None and file["images"].dtype == np.uint8
        assert file["masks"].shape == (3, 16, 32) and set(np.unique(file["masks"])) == {0, 255}
        assert (file["masks"][0, 4:12, 8:20] == 255).all() and file["masks"][0].sum() == 8 * 12 * 255


def test_what_cannot_be_used_is_listed(study, tmp_path, htl):
    """Truncated images, empty and missing masks are left out with a reason, counted in the end note, and listed."""
    save(study / "images/cut.jpg", size=(300, 300))
    (study / "images/cut.jpg").write_bytes((study / "images/cut.jpg").read_bytes()[:3000])
    save(study / "images/empty.png")
    save(study / "images/bare.png")
    for name in "cut", "empty":
        save(study / f"masks/{name}.png", np.zeros((20, 40), np.uint8))
    code, out, err = htl("prepare", study, "-o", tmp_path / "s")
    assert code == 0 and json.loads(out.splitlines()[-1]) | {"by": "", "sha256": ""} == {
        "htl": "end",
        "by": "",
        "rows": 3,
        "skipped": 3,
        "sha256": "",
    }
    assert reasons_in(tmp_path / "s") == {"bare": "no mask", "cut": "the file is cut short", "empty": "the mask is empty"}
    assert "left out 1: the mask is empty (empty)" in err and str(tmp_path / "s/skips.jsonl") in err
    assert [row["index"] for row in rows_of(out)] == [0, 1, 2]


def test_keep_unlabelled(study, tmp_path, htl):
    """--keep-unlabelled keeps images without annotation as rows without boxes, and those known to hold nothing with []."""
    save(study / "images/empty.png")
    save(study / "masks/empty.png", np.zeros((20, 40), np.uint8))
    save(study / "images/bare.png")
    code, out, _ = htl("prepare", study, "-o", tmp_path / "s", "--keep-unlabelled")
    rows = {row["id"]: row for row in rows_of(out)}
    assert code == 0 and len(rows) == 5
    assert "boxes" not in rows["bare"] and rows["empty"]["boxes"] == []


def test_strict(study, tmp_path, htl):
    """--strict fails with 65 after the list is written, and leaves the stream without its end."""
    save(study / "images/bare.png")
    code, out, err = htl("prepare", study, "-o", tmp_path / "s", "--strict")
    assert code == 65 and "htl prepare: left out: 1, and --strict was given" in err
    assert reasons_in(tmp_path / "s") == {"bare": "no mask"}
    assert b'"htl":"end"' not in out


def test_boxes_of_a_table(tmp_path, htl):
    """Boxes partly outside are cut, those wholly outside or empty are left out with a reason, several lines are several boxes."""
    for name in "abcde":
        save(tmp_path / f"p/{name}.png")
    (tmp_path / "t.csv").write_text("id,x0,y0,x1,y1\na,-5,2,10,30\nb,40,0,50,9\nc,5,5,5,9\nd,0,0,4,4\nd,2,2,20,12\n")
    code, out, _ = htl("prepare", tmp_path / "p", "--table", tmp_path / "t.csv", "-o", tmp_path / "s")
    assert code == 0 and {row["id"]: row["boxes"] for row in rows_of(out)} == {
        "a": [[0.0, 2.0, 10.0, 20.0]],
        "d": [[0.0, 0.0, 4.0, 4.0], [2.0, 2.0, 20.0, 12.0]],
    }
    assert reasons_in(tmp_path / "s") == {
        "b": "the box [40.0, 0.0, 50.0, 9.0] lies outside its image of 40x20",
        "c": "the box [5.0, 5.0, 5.0, 9.0] is empty",
        "e": "no line in the table",
    }
    _, out, _ = htl("prepare", tmp_path / "p", "--table", tmp_path / "t.csv", "-o", tmp_path / "u", "--one-box", "union")
    assert rows_of(out)[1]["boxes"] == [[0.0, 0.0, 20.0, 12.0]]
    _, out, _ = htl("prepare", tmp_path / "p", "--table", tmp_path / "t.csv", "-o", tmp_path / "f", "--box-frame", "80x40")
    assert {row["id"]: row["boxes"] for row in rows_of(out)}["b"] == [[20.0, 0.0, 25.0, 4.5]]


def test_coco(tmp_path, htl):
    """COCO boxes are scaled to the image's own frame; a frame of another form is refused; no annotation means no object."""
    for name in "abc":
        save(tmp_path / f"p/{name}.png")
    images = [{"id": i, "file_name": f"{name}.png", "width": 80, "height": 40 if name != "c" else 80} for i, name in enumerate("abc")]
    annotations = [{"image_id": i, "bbox": [8, 4, 16, 8], "category_id": 1} for i in (0, 2)]
    (tmp_path / "c.json").write_text(json.dumps({"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "mel"}]}))
    code, out, _ = htl("prepare", tmp_path / "p", "--coco", tmp_path / "c.json", "-o", tmp_path / "s")
    rows = {row["id"]: row for row in rows_of(out)}
    assert code == 0 and rows["a"]["boxes"] == [[4.0, 2.0, 12.0, 6.0]] and rows["a"]["label"] == "mel" and rows["b"]["boxes"] == []
    assert reasons_in(tmp_path / "s") == {"c": "annotated as 80x80, but the image is 40x20"}


def test_images_alone(tmp_path, htl):
    """Without any source of boxes all images are kept, unlabelled, with splits by hash that stay when images are added."""
    for i in range(12):
        save(tmp_path / f"p/{i}.png")
    _, out, _ = htl("prepare", tmp_path / "p", "-o", tmp_path / "s")
    before = {row["id"]: row["split"] for row in rows_of(out)}
    assert len(before) == 12 and all("boxes" not in row for row in rows_of(out))
    save(tmp_path / "p/00.png")
    _, out, _ = htl("prepare", tmp_path / "p", "-o", tmp_path / "t")
    assert {row["id"]: row["split"] for row in rows_of(out) if row["id"] in before} == before


def test_exif_orientation_turns_size_and_image(tmp_path, htl):
    """A photo taken sideways is stored upright, and its size is that of the upright image."""
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path / "p/a.jpg", exif=exif)
    _, out, _ = htl("prepare", tmp_path / "p", "-o", tmp_path / "s")
    assert rows_of(out)[0]["size"] == [20, 40]


def test_group_in_two_splits(study, tmp_path, htl):
    """A table that puts one group into two splits is refused with 65, before anything is written."""
    (study / "metadata.csv").write_text("id,patient_id,split\na,P1,train\nb,P1,test\n")
    code, out, err = htl("prepare", study, "-o", tmp_path / "s")
    assert code == 65 and "the group 'P1' stands in two splits, train and test" in err
    assert not out and not (tmp_path / "s").exists()


def test_duplicate_ids_are_told(study, tmp_path, htl):
    """Two images of one id: the second is left out."""
    save(study / "images/a.tif")
    code, _, err = htl("prepare", study, "-o", tmp_path / "s")
    assert code == 0 and "1 left out" in err and reasons_in(tmp_path / "s")["a"].startswith("the id is taken by")


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        (["nowhere"], 66),
        (["empty"], 66),
        ([], 2),
        (["empty", "--phantom", "3"], 2),
        (["--phantom", "3", "--size", "0"], 2),
        (["--phantom", "3", "--size", "9x9x9"], 2),
        (["--phantom", "3", "--splits", "1,2"], 2),
        (["--phantom", "0"], 2),
        (["empty", "--box-columns", "a,b"], 2),
        (["empty", "--nonsense"], 2),
        (["empty", "--table", "none.csv"], 66),
    ],
)
def test_wrong_calls(tmp_path, monkeypatch, htl, flags, code):
    """Wrong flags are 2 and missing sources 66, in one line or typer's own, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert htl("prepare", *flags, "-o", "s")[0] == code
    assert not (tmp_path / "s").exists()


def test_nothing_left(study, tmp_path, htl):
    """Where no sample is left the command fails with 65."""
    for path in (study / "images").iterdir():
        path.write_bytes(b"nothing")
    code, _, err = htl("prepare", study, "-o", tmp_path / "s")
    assert code == 65 and "no sample is left" in err


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


def test_out_cannot_be_made(study, tmp_path, htl):
    """An output below a file is 73."""
    (tmp_path / "file").write_text("")
    assert htl("prepare", study, "-o", tmp_path / "file/s")[0] == 73


def test_phantoms(tmp_path, htl):
    """Phantoms take the same path: rows with facts and planted difficulties, the same whatever their number, wrong boxes in train only."""
    code, out, _ = htl("prepare", "--phantom", "60", "-o", tmp_path / "s", "-j", "1")
    rows = rows_of(out)
    assert code == 0 and len(rows) == 60 and rows[0]["size"] == [256, 192]
    assert set(rows[0]["meta"]) >= {"age", "sex", "site", "planted"} and rows[0]["meta"]["planted"] is None
    for row in rows:
        assert (row["meta"]["planted"] == "wrong") == ("true_box" in row["meta"])
        assert row["meta"]["planted"] != "wrong" or row["split"] == "train"
    _, out, _ = htl("prepare", "--phantom", "7", "-o", tmp_path / "t")
    assert [{**row, "store": ""} for row in rows_of(out)] == [{**row, "store": ""} for row in rows[:7]]
    with h5py.File(tmp_path / "s/00000.h5") as many, h5py.File(tmp_path / "t/00000.h5") as few:
        assert (many["images"][:7] == few["images"][:]).all() and many["masks"][0].any()


def test_what_looks_wrong_is_listed(tmp_path, htl):
    """The same pixels in two splits, boxes of all or nothing, an age of 0 and a second spelling are kept, told by kind, and listed."""
    random = np.random.default_rng(3)
    for name in "abcde":
        save(tmp_path / f"p/{name}.png", random.integers(0, 256, (20, 40, 3), np.uint8))
    save(tmp_path / "p/copy.png", np.asarray(Image.open(tmp_path / "p/a.png")))
    lines = "a,P1,train,50,male,1,1,20,9", "b,P2,train,0,male,0,0,40,20", "c,P3,val,61,Male,5,5,5.5,19", "copy,P4,test,50,male,1,1,20,9"
    others = "d,p1,train,,lower back,1,1,20,9", "e,P5,train,130,Lower_Back,1,1,20,9"
    (tmp_path / "t.csv").write_text("id,patient_id,split,age,sex,x0,y0,x1,y1\n" + "\n".join([*lines, *others]) + "\n")
    args = "prepare", tmp_path / "p", "--table", tmp_path / "t.csv", "-o", tmp_path / "s", "--size", "16x32"
    code, out, err = htl(*args)
    assert code == 0 and len(rows_of(out)) == 6 and json.loads(out.splitlines()[-1])["skipped"] == 0
    whole = {"source": str(tmp_path / "p/b.png"), "kept": True}
    assert {"id": "b", "reason": "age is 0"} | whole in listed_in(tmp_path / "s")
    assert sorted((line["id"], line["reason"]) for line in listed_in(tmp_path / "s")) == [
        ("b", "age is 0"),
        ("b", "the box [0.0, 0.0, 40.0, 20.0] covers the whole image of 40x20"),
        ("c", "sex is 'Male', elsewhere 'male'"),
        ("c", "the box [5.0, 5.0, 5.5, 19.0] is thinner than a stored pixel of 40x20"),
        ("copy", "the same pixels as a, which stands in another split (train, this one in test)"),
        ("d", "group is 'p1', elsewhere 'P1'"),
        ("d", "sex is 'lower back', elsewhere 'Lower_Back'"),
        ("e", "age is 130"),
    ]
    assert "htl prepare: look at 1: the same pixels in two splits (copy)\n" in err
    assert err.endswith(f"htl prepare: 6 samples in {tmp_path}/s, 8 to look at: see {tmp_path}/s/skips.jsonl\n")
    before = listed_in(tmp_path / "s")
    assert htl(*args)[0] == 0 and listed_in(tmp_path / "s") == before


def prepare_process(*args, **options):
    """A real `htl prepare` of its own."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": STABLE} | options
    return subprocess.Popen([sys.executable, "-m", "htltools", "prepare", *map(str, args)], **pipes)


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """1,100 names of one small image, and a table: three shards."""
    folder = tmp_path_factory.mktemp("crowd")
    save(folder / "images/0000.png", size=(8, 8))
    for i in range(1, 1100):
        os.link(folder / "images/0000.png", folder / f"images/{i:04d}.png")
    lines = [f"{i:04d},a long name of a patient {i:040d},1,1,6,6\n" for i in range(1100)]
    (folder / "metadata.csv").write_text("id,patient_id,x0,y0,x1,y1\n" + "".join(lines))
    return folder


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


def test_a_list_on_stdin(study):
    """`find | htl prepare -` works with a list of paths; a path that is not there is left out with a reason."""
    save(study / "images/\udcff.png")  # a name that is no UTF-8
    process = prepare_process("-", "-o", "s", cwd=study, stdin=subprocess.PIPE)
    out, err = process.communicate(b"images/a.png\nimages/\xff.png\nimages/none.png\n", timeout=60)
    assert process.returncode == 0, err
    assert [row["id"] for row in rows_of(out)] == ["\\xff", "a"]
    assert reasons_in(study / "s") == {"none": "no such file or directory"}


@pytest.mark.skipif(not (DATA / "ham10000").is_dir(), reason="needs ham10000 in ../shared/data")
def test_ham10000(tmp_path, htl):
    """Boxes from HAM10000's masks, scaled to its smaller images, are those of its table."""
    code, out, err = htl("prepare", DATA / "ham10000", "-o", tmp_path / "s", "--limit", "40", "-j", "1")
    assert code == 0 and "boxes are taken from the masks" in err
    lines = (DATA / "ham10000/metadata.csv").read_text().splitlines()
    table = {line.split(",")[0]: line.split(",") for line in lines}
    for row in rows_of(out):
        cells = table[row["id"]]
        assert row["size"] == [200, 150] and (row["group"], row["label"], row["split"]) == (cells[1], cells[2], cells[12])
        assert row["boxes"][0] == pytest.approx([float(cell) / 3 for cell in cells[8:12]], abs=1e-3)


def test_few_labels(tmp_path, htl):
    """--labelled hides the boxes of whole training groups, the same ones for the same seed; the other splits keep theirs."""

    def made(name, *flags):
        code, out, err = htl("prepare", "--phantom", 60, "--size", 16, "-j", 1, "-o", tmp_path / name, *flags)
        assert code == 0, err
        return [row for row in map(json.loads, out.splitlines()) if "id" in row]

    rows, again, other, whole = (
        made("a", "--labelled", 0.3),
        made("b", "--labelled", 0.3),
        made("c", "--labelled", 0.3, "--label-seed", 1),
        made("d"),
    )
    kept = [{row["id"] for row in some if "boxes" in row} for some in (rows, again, other, whole)]
    assert kept[0] == kept[1] != kept[2]
    assert len(kept[3]) == 60
    training = {row["id"] for row in rows if row["split"] == "train"}
    assert 0 < len(kept[0] & training) < len(training) / 2
    assert {row["id"] for row in rows} - training <= kept[0]
    assert not any("true_box" in row["meta"] for row in rows if row["id"] not in kept[0])
    of_group = {}
    for row in rows:
        if row["split"] == "train":
            of_group.setdefault(row["group"], set()).add("boxes" in row)
    assert all(len(labelled) == 1 for labelled in of_group.values())


@pytest.mark.parametrize("share", ["-0.1", "1.5", "some"])
def test_no_share_of_labels(tmp_path, htl, share):
    """A share of labels is a number from 0 to 1."""
    assert htl("prepare", "--phantom", 4, "-o", tmp_path / "s", "--labelled", share)[0] == 2
