"""htl predict: new images in, boxes and doubt out."""

import csv
import io
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from htltools.formats.models.checkpoint import Checkpoint
from htltools.formats.rows.jsonlines import joined_lines, split_lines
from htltools.formats.sources.open_rows import read_rows

ROOT = Path(__file__).resolve().parents[2]


def rows_of(out):
    """Rows by id."""
    return {line["id"]: line for line in split_lines(out) if "id" in line}


def cells_of(out):
    """The lines of a CSV as dicts."""
    return list(csv.DictReader(io.StringIO(out.decode())))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Forty images with a table of boxes, rows that `prepare` made of them, and a net trained on them."""
    from tests.conftest import PLAIN, made

    folder = tmp_path_factory.mktemp("study")
    subprocess.run([sys.executable, ROOT / "examples" / "phantom_files.py", folder / "photos", "40"], check=True)
    rows, dense = folder / "rows.jsonl", folder / "dense.h5"
    rows.write_bytes(made("prepare", folder / "photos", "--size", 32, "-j", 1, "-q", "-o", folder / "store"))
    made("train", rows, "-q", "-o", dense, *PLAIN, "--epochs", 2, "--batch-size", 16)
    return SimpleNamespace(folder=folder, photos=folder / "photos", rows=rows, dense=dense)


def test_images_give_what_their_store_gives(htl, study):
    """Predictions for a folder are those of prepare and score for the same images, and so are those for rows, and by an ONNX file."""
    scored = rows_of(htl("score", study.rows, "-q", "--model", study.dense, "--also", "mirror_disagreement")[1])
    onnx = study.folder / "dense.onnx"
    assert htl("export", "-q", "--model", study.dense, "-o", onnx)[0] == 0
    for source, model in (study.photos, study.dense), (study.rows, study.dense), (study.photos, onnx):
        code, out, err = htl("predict", source, "--model", model, "--batch-size", 16, "-j", 1)
        assert (code, err) == (0, "")
        predicted = rows_of(out)
        assert predicted.keys() == scored.keys() and len(predicted) == 40
        for name, row in predicted.items():
            assert row["predicted"]["dense"] == pytest.approx(scored[name]["predicted"]["dense"], abs=0.02 if model == onnx else 1e-4)
            assert row["hardness"]["mirror_disagreement"] == pytest.approx(scored[name]["hardness"]["mirror_disagreement"], abs=1e-4)
            assert row["size"] == scored[name]["size"] and row["boxes"] == scored[name]["boxes"]


def test_rows_of_images_have_a_file_and_neither_store_nor_split(htl, study, monkeypatch):
    """A row names the file that was read as it was named, and is in no store; no split is drawn."""
    monkeypatch.chdir(study.folder)
    row = rows_of(htl("predict", "photos", "--model", "dense.h5", "-q", "--limit", 3)[1])["00000"]
    assert row["file"] == "photos/images/00000.png" and not {"store", "index", "split"} & row.keys()
    assert list(row)[:2] == ["id", "file"]


def test_worked_by_hand(htl, fixed):
    """A net that always says the left of the middle: one of two mirror images is met nowhere. One in the middle has no doubt."""
    code, out, err = htl("predict", fixed.file, "--model", fixed.left, "--csv", "-")
    assert (code, err) == (0, "")
    assert list(cells_of(out)[0].values()) == ["t0", "", "50.0", "25.0", "100.0", "75.0", "object", "", "0.5"]
    assert {line["doubt"] for line in cells_of(htl("predict", fixed.file, "--model", fixed.half, "--csv", "-")[1])} == {"0.0"}


def test_several_models_give_their_mean_and_their_disagreement(htl, fixed):
    """The box is the mean of those of all models, and seed_disagreement is 1 - IoU of these two: half of the larger box."""
    code, out, _ = htl(
        "predict", fixed.file, "-q", "--model", fixed.half, "--model", fixed.left, "--doubt", "seed", "--refer-threshold", "0.4"
    )
    row = rows_of(out)["t0"]
    assert (code, row["predicted"]) == (0, {"dense": [50.0, 25.0, 125.0, 75.0]})
    assert row["hardness"] == {"seed_disagreement": 0.5} and row["refer"] is True
    code, out, _ = htl(
        "predict", fixed.file, "-q", "--model", fixed.half, "--model", fixed.left, "--doubt", "seed", "--refer-threshold", "0.5"
    )
    assert rows_of(out)["t0"]["refer"] is False


def test_a_pruned_copy_is_compared(htl, fixed, copy_of, tmp_path):
    """--pruned gives pruned_disagreement and pruned_shift beside the doubt."""
    pruned = copy_of(fixed.left, tmp_path / "p.h5", fixed.half)
    row = rows_of(htl("predict", fixed.file, "-q", "--model", fixed.half, "--pruned", pruned)[1])["t0"]
    assert row["hardness"] == pytest.approx({"pruned_disagreement": 0.5, "pruned_shift": 0.0625, "mirror_disagreement": 0})


@pytest.mark.parametrize(
    "flags, code, message",
    [
        (["--doubt", "look"], 65, "{model} has no look_disagreement: it looks once; ask for another --doubt, or none"),
        (["--doubt", "soft_dice"], 65, "{model} has no soft_dice_doubt: it predicts no masks; ask for another --doubt, or none"),
        (["--doubt", "seed"], 2, "seed_disagreement compares models: name two or more with --model; ask for another --doubt, or none"),
        (
            ["--doubt", "pruned"],
            2,
            "pruned_disagreement compares with a pruned copy: name it with --pruned; ask for another --doubt, or none",
        ),
        (["--threshold", "0.5"], 2, "--threshold is for models of several objects, and {model} predicts one box"),
        (["--masks", "{folder}/m"], 65, "{model} predicts no masks; leave out --masks"),
        (
            ["--refer-threshold", "auto"],
            65,
            "--refer-threshold auto: {model} keeps no threshold of doubt; set one with htl evaluate --keep-threshold",
        ),
        (["--refer-threshold", "much"], 2, "--refer-threshold takes a number, auto or none, not 'much'"),
        (
            ["--doubt", "none", "--refer-threshold", "0.5"],
            2,
            "--refer-threshold is a threshold of doubt, and there is none; ask for one with --doubt",
        ),
    ],
)
def test_what_a_model_does_not_have_is_refused(htl, fixed, tmp_path, flags, code, message):
    """Flags that do not go with a model are refused in one line before anything is written."""
    flags = [flag.format(folder=tmp_path) for flag in flags]
    assert htl("predict", fixed.file, "--model", fixed.half, *flags) == (code, b"", f"htl predict: {message.format(model=fixed.half)}\n")


def test_no_mirror_images_means_no_doubt_by_them(htl, fixed, tmp_path):
    """A net that saw no mirror images is shown none, which is said; asked for, it is an error."""
    checkpoint = Checkpoint.load(fixed.half)
    checkpoint.training = {"flip": [0, 0]}
    checkpoint.save(tmp_path / "m.h5")
    reason = f"{tmp_path / 'm.h5'} has no mirror_disagreement: it saw no mirror images in training (train --flip none)"
    code, out, err = htl("predict", fixed.file, "--model", tmp_path / "m.h5")
    assert (code, err) == (0, f"htl predict: {reason}; no doubt is known\n")
    assert rows_of(out)["t0"]["hardness"] == {}
    code, _, err = htl("predict", fixed.file, "--model", tmp_path / "m.h5", "--doubt", "mirror")
    assert (code, err) == (65, f"htl predict: {reason}; ask for another --doubt, or none\n")


def test_images_that_cannot_be_read_are_counted_and_listed(htl, study, save_image, tmp_path):
    """Unreadable images are left out with a warning, counted by reason, and listed in a file; --strict makes an error of them."""
    for name in "ab":
        save_image(tmp_path / f"in/{name}.png")
    (tmp_path / "in/bad.png").write_text("no image")
    (tmp_path / "in/none.jpg").write_bytes(b"")
    arguments = ["predict", tmp_path / "in", "--model", study.dense, "-q"]
    code, out, err = htl(*arguments, "--skips", tmp_path / "skips.jsonl")
    assert code == 0 and rows_of(out).keys() == {"a", "b"}
    assert split_lines(out)[-1]["skipped"] == 2
    assert err == (
        f"htl predict: left out 2: no image in a known format ({tmp_path}/in/bad.png, {tmp_path}/in/none.jpg)\n"
        f"htl predict: 2 images left out, listed in {tmp_path / 'skips.jsonl'}\n"
    )
    skips = [line for line in split_lines((tmp_path / "skips.jsonl").read_bytes()) if "id" in line]
    assert [(line["id"], line["reason"]) for line in skips] == [(name, "no image in a known format") for name in ("bad", "none")]
    code, out, err = htl(*arguments, "--strict", "--csv", tmp_path / "b.csv")
    assert (code, err.splitlines()[-1]) == (65, "htl predict: left out: 2, and --strict was given")
    assert not (tmp_path / "b.csv").exists() and "htl" not in split_lines(out)[-1], "a cut stream, and no table"
    code, _, err = htl("predict", tmp_path / "in/bad.png", "--model", study.dense)
    assert (code, err) == (65, "htl predict: none of the 1 images can be read; no image in a known format\n")


def test_annotation_that_cannot_be_used_is_left_aside(htl, study, save_image, tmp_path):
    """Neither a table without names nor a mask that is no image keeps an image from being predicted."""
    save_image(tmp_path / "in/images/a.png")
    (tmp_path / "in/masks").mkdir()
    (tmp_path / "in/masks/a.png").write_text("no image")
    (tmp_path / "in/metadata.csv").write_text("this,that\n1,2\n")
    code, out, _ = htl("predict", tmp_path / "in", "--model", study.dense)
    assert (code, list(rows_of(out))) == (0, ["a"])
    assert "boxes" not in rows_of(out)["a"]


def test_sources_on_stdin_are_paths_or_rows(htl, study, monkeypatch):
    """Stdin is a list of paths, or rows, by its first letter; both at once, or nothing at all, are refused."""
    monkeypatch.chdir(study.folder)
    wanted = [f"0000{i}" for i in range(3)]
    listed = "".join(f"photos/images/{name}.png\n" for name in wanted).encode()
    assert list(rows_of(htl("predict", "-", "--model", "dense.h5", "-q", stdin=listed)[1])) == wanted
    piped = htl("predict", "--model", "dense.h5", "-q", "--limit", 3, stdin=study.rows.read_bytes())[1]
    assert list(rows_of(piped)) == wanted
    code, _, err = htl("predict", "photos", "rows.jsonl", "--model", "dense.h5")
    assert (code, err) == (2, "htl predict: rows.jsonl holds rows, and stands beside other sources; join rows with cat\n")
    code, _, err = htl("predict", "photos")
    assert (code, err) == (2, "htl predict: no model is named; name it with --model\n")
    code, _, err = htl("predict", "photos", "--model", "rows.jsonl")
    assert (code, err) == (
        65,
        "htl predict: rows.jsonl is no model: it holds rows, or predictions; name a checkpoint or an ONNX file with --model\n",
    )


def test_the_model_of_the_stream_is_used_and_handed_on(htl, phantom, dense):
    """Rows that name a model need no flag, and name it for the next command."""
    trained = (phantom.folder / "trained.jsonl").read_bytes()
    code, out, _ = htl("predict", "-q", stdin=trained)
    assert code == 0 and len(rows_of(out)) == 80
    assert [line["path"] for line in split_lines(out) if line.get("htl") == "model"] == [str(dense)]


def test_files_of_other_programs(htl, study, tmp_path):
    """A run writes rows, CSV, COCO results that evaluate reads, YOLO labels and overlays; a second one refuses to replace them."""
    flags = ["--csv", tmp_path / "b.csv", "--coco-results", tmp_path / "r.json", "--yolo", tmp_path / "y", "--overlay", tmp_path / "o"]
    code, out, err = htl("predict", study.photos, "--model", study.dense, *flags)
    assert code == 0, err
    assert "image_id is the id of the row, file_name its file; categories: 1 object" in err
    rows, cells = rows_of(out), cells_of((tmp_path / "b.csv").read_bytes())
    assert [line["id"] for line in cells] == list(rows)
    assert len(list((tmp_path / "y/labels").iterdir())) == len(list((tmp_path / "o").iterdir())) == 40
    with Image.open(tmp_path / "o/00000.png") as drawn:
        assert list(drawn.size) == rows["00000"]["size"]
    ours, theirs = (
        split_lines(htl("evaluate", study.rows, "-q", *flags, "--split", "train")[1])[0]
        for flags in (["--model", study.dense], ["--predictions", tmp_path / "r.json"])
    )
    assert ours["metric"] == theirs["metric"] == "iou_mean" and ours["value"] == pytest.approx(theirs["value"], abs=1e-4)
    code, _, err = htl("predict", study.photos, "--model", study.dense, "-q", *flags)
    assert (code, err) == (73, f"htl predict: {tmp_path / 'b.csv'} exists; replace it with --force, or name another output\n")
    code, _, err = htl("predict", study.photos, "--model", study.dense, "-q", *flags[4:])
    assert (code, "holds something already" in err) == (73, True)
    assert htl("predict", study.photos, "--model", study.dense, "-q", *flags, "--force")[0] == 0


def test_masks_in_the_size_of_the_originals(htl, study, phantom, tmp_path):
    """Masks are PNG of 0 and 255 in the original's size, around which the predicted box lies; soft_dice_doubt comes with them."""
    model = tmp_path / "m.h5"
    assert htl("train", phantom.rows, "-q", "-o", model, "--arch", "compact_unet", "--epochs", 1, "--batch-size", 16)[0] == 0
    code, out, err = htl("predict", study.photos, "--model", model, "-q", "--masks", tmp_path / "m", "--doubt", "soft_dice", "-j", 2)
    assert code == 0, err
    for row in rows_of(out).values():
        assert 0 <= row["hardness"]["soft_dice_doubt"] <= 1
        with Image.open(tmp_path / f"m/{row['id']}.png") as mask:
            assert list(mask.size) == row["size"] and set(np.unique(mask)) <= {0, 255}


def test_dicom_is_named_by_its_file_or_by_a_key(htl, study, save_dicom, tmp_path):
    """Without a key the ids of DICOM images are the names of their files; with that of a store they are those of the store."""
    values = np.arange(400, dtype=np.int16).reshape(20, 20)
    save_dicom(tmp_path / "in/one.dcm", values, PatientID="p")
    save_dicom(tmp_path / "in/two.dcm", np.stack([values, values[::-1]]), frames=2, PatientID="p")
    rows = rows_of(htl("predict", tmp_path / "in", "--model", study.dense, "-q", "--overlay", tmp_path / "o")[1])
    assert list(rows) == ["one", "two-0001", "two-0002"] and not any("group" in row for row in rows.values())
    assert (tmp_path / "o/two-0002.png").is_file()
    (tmp_path / "in/copy.dcm").write_bytes((tmp_path / "in/one.dcm").read_bytes())
    assert len(rows_of(htl("predict", tmp_path / "in", "--model", study.dense, "-q")[1])) == 4, "each file has its predictions"
    (tmp_path / "in/copy.dcm").unlink()
    assert htl("prepare", tmp_path / "in", "-q", "-o", tmp_path / "store", "--size", 32)[0] == 0
    named = rows_of(htl("predict", tmp_path / "in", "--model", study.dense, "-q", "--id-key", tmp_path / "store.id-key")[1])
    assert named.keys() == {row.id for row in read_rows(tmp_path / "store")[0]}


def test_objects_have_scores_and_doubts_of_their_own(htl, phantom, tmp_path):
    """A detector gives each object its score and its doubt; --threshold lets more or fewer of them count."""
    model = tmp_path / "d.h5"
    assert htl("train", phantom.rows, "-q", "-o", model, "--arch", "compact_fcos", "--epochs", 1, "--batch-size", 16)[0] == 0
    counts = []
    for threshold in 0.0, 0.05, 1.0:
        code, out, err = htl("predict", phantom.rows, "--model", model, "-q", "--threshold", threshold, "--limit", 8)
        assert code == 0, err
        found = [row["detected"]["dense"] for row in rows_of(out).values()]
        assert all(len(each["boxes"]) == len(each["labels"]) == len(each["scores"]) == len(each["doubts"]) for each in found)
        assert all(score >= threshold for each in found for score in each["scores"])
        counts.append(sum(len(each["boxes"]) for each in found))
    assert counts[0] > 0 and counts == sorted(counts, reverse=True) and counts[2] == 0
    code, out, _ = htl("predict", phantom.rows, "--model", model, "-q", "--threshold", 0, "--limit", 2, "--csv", "-")
    assert all(0 <= float(line["doubt"]) <= 1 and 0 < float(line["score"]) <= 1 for line in cells_of(out))


def test_the_order_of_rows_and_the_size_of_batches_do_not_matter(htl, phantom, dense):
    """Each row has the same prediction and doubt wherever it stands."""
    lines = [line for line in phantom.rows.read_bytes().splitlines(keepends=True) if b'"id"' in line]
    one, other = (
        rows_of(htl("predict", "--model", dense, "-q", "--batch-size", size, stdin=b"".join(own))[1])
        for own, size in ((lines, 7), (lines[::-1], 64))
    )
    for name, row in one.items():
        assert row["predicted"]["dense"] == pytest.approx(other[name]["predicted"]["dense"], abs=0.02)
        assert row["hardness"] == pytest.approx(other[name]["hardness"], abs=1e-3)


def test_a_cut_stream_is_an_error(htl, phantom, dense):
    """Rows without their end note are refused, but with --partial."""
    cut = b"".join(phantom.rows.read_bytes().splitlines(keepends=True)[:-1])
    assert htl("predict", "--model", dense, "-q", stdin=cut)[0] == 65
    assert htl("predict", "--model", dense, "-q", "--partial", stdin=cut)[0] == 0


def test_memory_stays_flat(htl, study, monkeypatch):
    """Images are decoded and predicted batch by batch: no batch waits for the last image."""
    from htltools.commands.predict import image_files

    alive = []
    made = image_files.in_memory

    def counted(pictures):
        alive.append(len(pictures))
        return made(pictures)

    monkeypatch.setattr(image_files, "in_memory", counted)
    assert htl("predict", study.photos, "--model", study.dense, "-q", "--batch-size", 8, "-j", 1)[0] == 0
    assert alive == [8] * 5


def test_images_in_folders_that_are_not_used_are_told(htl, study, save_image, tmp_path):
    """Images beside a folder images/ are not predicted for, as prepare does not use them; that is said even with -q."""
    for place in "images", "extra":
        save_image(tmp_path / "in" / place / f"{place}.png")
    code, out, err = htl("predict", tmp_path / "in", "--model", study.dense, "-q")
    assert (code, list(rows_of(out))) == (0, ["images"])
    assert err == f"htl predict: 1 images lie in folders that are not used ({tmp_path}/in/extra): name these folders as sources\n"


def test_an_earlier_verdict_does_not_stay(htl, study):
    """A row that was referred before says nothing of it where no threshold is known now."""
    rows = [{**line, "refer": True} for line in split_lines(study.rows.read_bytes()) if "id" in line][:2]
    out = htl("predict", "--model", study.dense, "-q", stdin=joined_lines(rows))[1]
    assert len(rows_of(out)) == 2 and not any("refer" in row for row in rows_of(out).values())


def test_nothing_on_stdin(htl, study):
    """An empty stdin is an error that says so."""
    code, out, err = htl("predict", "--model", study.dense, stdin=b"")
    assert (code, out) == (66, b"")
    assert err == "htl predict: stdin holds neither rows nor paths; did the command before fail, or a filter drop them all?\n"


def test_other_processes_decode_and_draw(htl, phantom, dense, tmp_path):
    """With several processes the rows and the files are those of one."""
    for name in map(str, range(70)):
        Image.new("RGB", (30, 20), (int(name), 90, 60)).save(tmp_path / f"{name}.png")
    one, two = (
        htl("predict", tmp_path, "--model", dense, "-q", "-j", jobs, "--overlay", tmp_path.parent / f"drawn{jobs}", "--no-history")[1]
        for jobs in (1, 2)
    )
    assert rows_of(one) == rows_of(two) and len(rows_of(two)) == 70
    for path in (tmp_path.parent / "drawn1").iterdir():
        assert path.read_bytes() == (tmp_path.parent / "drawn2" / path.name).read_bytes()
    code, _, err = htl("predict", phantom.rows, "--model", dense, "-q", "-j", 2, "--overlay", tmp_path.parent / "stored")
    assert (code, err, len(list((tmp_path.parent / "stored").iterdir()))) == (0, "", 80)


def test_a_reader_that_goes_away(pasted, phantom, dense, tmp_path):
    """head ends the pipe early, and the command with 141, in silence."""
    ran = pasted(f"set -o pipefail; htl predict {phantom.rows} --model {dense} -q --batch-size 1 | head -2", tmp_path)
    assert (ran.returncode, len(ran.stdout.splitlines()), ran.stderr.count("\n") <= 1) == (141, 2, True)
