"""`htl prepare` on folders as people and published data sets have them: the boxes are where they were drawn."""

import json

import numpy as np
import pytest


@pytest.fixture
def scene(tmp_path, save_image):
    """`scene(path, box)` saves an image of 40 x 20, different each time; `scene.mask(path, box)` the mask of a box in it."""
    random = np.random.default_rng(0)

    def image(name):
        save_image(tmp_path / name, random.integers(0, 256, (20, 40, 3), np.uint8))

    def mask(name, *boxes):
        pixels = np.zeros((20, 40), np.uint8)
        for x0, y0, x1, y1 in boxes:
            pixels[y0:y1, x0:x1] = 255
        save_image(tmp_path / name, pixels)

    image.mask = mask
    return image


@pytest.fixture
def prepared(tmp_path, htl, monkeypatch):
    """`prepared("data", ...)` runs `htl prepare` where the images are: exit code, rows by id, stderr and the reasons by id."""

    def run(*arguments):
        monkeypatch.chdir(tmp_path)
        code, out, err = htl("prepare", *arguments, "-o", "store", "--force", "-j", "1")
        rows = {row["id"]: row for row in map(json.loads, out.splitlines()) if "id" in row}
        skips = tmp_path / "store/skips.jsonl"
        lines = map(json.loads, skips.read_text().splitlines()) if skips.exists() else []
        return code, rows, err, {line["id"]: line["reason"] for line in lines if "id" in line and "kept" not in line}

    return run


def test_masks_beside_images(scene, prepared):
    """BUSI: images and masks in one folder, with a second mask of one image; the folders are classes. Named by --masks as well."""
    for label in ("benign", "malignant"):
        for i in (1, 2):
            scene(f"busi/{label}/{label} ({i}).png")
            scene.mask(f"busi/{label}/{label} ({i})_mask.png", (4, 2, 10, 8))
    scene.mask("busi/benign/benign (1)_mask_1.png", (20, 10, 30, 18))
    for flags in ([], ["--masks", "busi"]):
        code, rows, _, _ = prepared("busi", "--one-box", "union", *flags)
        assert code == 0 and len(rows) == 4
        assert rows["benign/benign (1)"]["boxes"] == [[4, 2, 30, 18]] and rows["benign/benign (1)"]["label"] == "benign"
        assert rows["malignant/malignant (2)"]["boxes"] == [[4, 2, 10, 8]]


def test_a_patient_in_two_split_folders(scene, prepared):
    """A patient whose folder stands in train and test is refused with what can be done: --group-column none or --split-column none."""
    for split, patient in (("train", "patient1"), ("train", "patient2"), ("test", "patient1"), ("test", "patient3")):
        scene(f"set/{split}/{patient}/{split}-{patient}.png")
    code, _, err, _ = prepared("set")
    assert (
        code == 65 and "the group 'patient1' stands in two splits, test and train; groups: folders such as patient1; splits: folders" in err
    )
    assert "--split-column none draws splits of whole groups, --group-column none gives the groups up" in err
    code, rows, err, _ = prepared("set", "--group-column", "none")
    assert code == 0 and all("group" not in row for row in rows.values()) and "groups: none (--group-column)" in err
    assert {row["split"] for name, row in rows.items() if name.startswith("test")} == {"test"}
    code, rows, _, _ = prepared("set", "--split-column", "none")
    assert code == 0 and len({(row["group"], row["split"]) for row in rows.values()}) == 3


def test_a_folder_for_each_image(scene, prepared):
    """Data Science Bowl 2018: masks of any name are those of the one image beside them."""
    for name in ("n0", "n1"):
        scene(f"train/{name}/images/{name}.png")
        scene.mask(f"train/{name}/masks/{name}x.png", (4, 2, 10, 8))
        scene.mask(f"train/{name}/masks/y{name}.png", (20, 10, 30, 18))
    _, rows, _, _ = prepared("train", "--one-box", "union")
    assert {name: row["boxes"] for name, row in rows.items()} == {f"{name}/images/{name}": [[4, 2, 30, 18]] for name in ("n0", "n1")}


def test_ham10000_from_above(scene, prepared, tmp_path):
    """HAM10000 as Kaggle has it: the folder above holds the parts, one of them twice, the masks and the table."""
    lines = ["lesion_id,image_id,dx"]
    for i in range(4):
        scene(f"ham/HAM10000_images_part_{1 + i // 2}/ISIC_{i}.jpg")
        scene.mask(f"ham/HAM10000_segmentations_lesion_tschandl/ISIC_{i}_segmentation.png", (4, 2, 10 + i, 8))
        lines.append(f"HAM_{i // 2},ISIC_{i},nv")
    (tmp_path / "ham/HAM10000_metadata.csv").write_text("\n".join(lines) + "\n")
    copies = tmp_path / "ham/ham10000_images_part_1"
    copies.mkdir()
    for path in (tmp_path / "ham/HAM10000_images_part_1").iterdir():
        (copies / path.name).write_bytes(path.read_bytes())
    _, rows, _, reasons = prepared("ham")
    assert [(name, row["group"], row["boxes"]) for name, row in sorted(rows.items())] == [
        (f"HAM10000_images_part_{1 + i // 2}/ISIC_{i}", f"HAM_{i // 2}", [[4, 2, 10 + i, 8]]) for i in range(4)
    ]
    assert set(reasons.values()) == {"it is a copy of an image of the same name"} and len(reasons) == 2


def test_files_of_other_kinds(scene, prepared, tmp_path):
    """Images that are not read are counted, and with --strict the exit code is 65."""
    scene("data/a.png")
    (tmp_path / "data/b.heic").write_bytes(b"")
    code, rows, err, reasons = prepared("data")
    assert code == 0 and list(rows) == ["a"] and reasons == {"b.heic": "images of its kind are not read"}
    assert "images of other kinds are not read: 1 .heic" in err
    assert prepared("data", "--strict")[0] == 65


def test_masks_left_over(scene, prepared):
    """Masks without an image are told."""
    scene("data/images/a.png")
    for name in ("a", "b", "c"):
        scene.mask(f"data/masks/{name}.png", (4, 2, 10, 8))
    assert "2 masks are of no image (data/masks/b.png, data/masks/c.png)" in prepared("data")[2]


def test_table_names_the_folder(scene, prepared, tmp_path):
    """metadata.csv may call the images images/a.png, wherever one stands."""
    scene("data/images/a.png")
    (tmp_path / "data/metadata.csv").write_text("file_name,patient_id,x0,y0,x1,y1\nimages/a.png,P1,4,2,10,8\n")
    for source in ("data", "./data/", str(tmp_path / "data"), "data/images"):
        code, rows, _, _ = prepared(source)
        assert code == 0 and rows["a"]["group"] == "P1" and rows["a"]["boxes"] == [[4, 2, 10, 8]]


def test_splits_of_folders(scene, prepared):
    """Folders train, val and test are splits."""
    for split in ("train", "val", "test"):
        for i in range(3):
            scene(f"data/{split}/{i}.png")
    _, rows, _, _ = prepared("data")
    assert len(rows) == 9 and all(row["split"] == name.split("/")[0] for name, row in rows.items())
