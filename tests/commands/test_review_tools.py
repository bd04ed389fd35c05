"""A review through the labelling tools' own libraries: datumaro, by which CVAT reads and writes, and the converter of Label Studio.

Neither comes with htl: pip install datumaro label-studio-sdk.
"""

import json
import shutil

import pytest

from htltools.formats.rows.jsonlines import split_lines

BOX = [10.0, 5.0, 25.0, 15.0]  # of each image of `study`


@pytest.fixture
def review(htl, study, tmp_path):
    """The rows of `study`, and the folder of a review of them: its file, and its images."""
    code, out, err = htl("prepare", study, "-o", tmp_path / "store", "--size", "16")
    assert code == 0, err
    (tmp_path / "rows.jsonl").write_bytes(out)
    flags = "--to", f"coco:{tmp_path}/review.json", "--copy-images", tmp_path / "review"
    assert htl("view", tmp_path / "rows.jsonl", *flags)[0] == 0
    return tmp_path


def boxes_after(htl, folder, corrections) -> list:
    """The boxes of each row once a review is back; that of the first image was moved, and no other."""
    code, out, err = htl("resample", folder / "rows.jsonl", "--corrections", corrections)
    assert code == 0, err
    assert "1 of 3 images are corrected (objects: 1 moved), 2 stay as they were" in err
    return [line["boxes"][0] for line in split_lines(out) if "id" in line]


@pytest.mark.parametrize(
    "kind, written", [("coco_instances", "annotations/instances_default.json"), ("cvat", "default.xml"), ("yolo", ".")]
)
def test_cvat(htl, review, kind, written):
    """CVAT's library reads the review with its images, and what it writes comes back, whichever of its formats is asked for."""
    datumaro = pytest.importorskip("datumaro", reason="pip install datumaro")
    (review / "in/annotations").mkdir(parents=True)
    shutil.copy(review / "review.json", review / "in/annotations/instances_default.json")
    shutil.copytree(review / "review", review / "in/images/default")
    dataset = datumaro.Dataset.import_from(str(review / "in"), "coco_instances")
    assert {item.id: item.media.size for item in dataset} == {f"images/{name}": (20, 40) for name in "abc"}
    item = next(item for item in dataset if item.id == "images/a")
    (own,) = item.annotations
    dataset.put(item.wrap(annotations=[datumaro.Bbox(12, 5, 20, 10, label=own.label)]))
    dataset.export(str(review / "out"), kind, save_media=False)
    assert boxes_after(htl, review, review / "out" / written) == [pytest.approx([12, 5, 32, 15], abs=0.01), BOX, BOX]


@pytest.mark.parametrize("as_coco", [False, True])
def test_label_studio(htl, review, as_coco):
    """Label Studio's converter makes tasks of the review, and both its JSON and its COCO come back."""
    imports = pytest.importorskip("label_studio_sdk.converter.imports.coco", reason="pip install label-studio-sdk")
    from label_studio_sdk.converter import Converter

    tasks, exported = review / "tasks.json", review / "export.json"
    imports.convert_coco_to_ls(
        str(review / "review.json"), str(tasks), out_type="annotations", image_root_url="/data/local-files/?d=review"
    )
    content = json.loads(tasks.read_text())
    for number, task in enumerate(content, 1):
        task["id"] = task["annotations"][0]["id"] = number
        if task["data"]["image"].endswith("a.png"):
            task["annotations"][0]["result"][0]["value"] |= {"x": 30, "width": 50}
    exported.write_text(json.dumps(content))
    if as_coco:
        converter = Converter((review / "tasks.label_config.xml").read_text(), str(review), download_resources=False)
        converter.convert_to_coco(str(exported), str(review / "out"), output_image_dir=str(review / "out/images"), is_dir=False)
        exported = review / "out/result.json"
    assert boxes_after(htl, review, exported) == [pytest.approx([12, 5, 32, 15], abs=0.01), BOX, BOX]
