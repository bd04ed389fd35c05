"""htl-migrating(7): its commands and its Python code run as they stand, on files as the other tools write them."""

import json
import re
import shutil
import sys
import textwrap
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from htltools import api
from htltools.core.synthetic.phantom import HEIGHT, WIDTH, phantom

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "man" / "htl-migrating.7").read_text()
BLOCK = re.compile(r'^\.\\" (runs|python)(?: (\w+))?\n\.Bd -literal -offset indent\n(.*?)\n\.Ed$', re.M | re.S)
SMALL = {"HTL_PREPARE_SIZE": "32", "HTL_TRAIN_EPOCHS": "1", "HTL_PRUNE_EPOCHS": "1", "HTL_BATCH_SIZE": "8", "HTL_QUIET": "1"}
COUNT = 24


def save(array: np.ndarray, path: Path) -> None:
    """Write an image, and the folder that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory) -> Path:
    """A YOLO data set with two sets of predictions by Ultralytics, cases of nnU-Net with the masks of two folds, a COCO export, weights."""
    import torch

    folder, random = tmp_path_factory.mktemp("migrating"), np.random.default_rng(0)
    results: dict[str, list] = {"yolo": [], "yolo-pruned": []}
    coco: dict[str, list] = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "lesion"}]}
    for i in range(COUNT):
        made, split = phantom(0, i), "val" if i % 4 == 3 else "train"
        x0, y0, x1, y1 = made.true_box
        save(made.image, folder / "dataset" / "images" / split / f"{i:05}.png")
        label = folder / "dataset" / "labels" / split / f"{i:05}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text(f"0 {(x0 + x1) / 2 / WIDTH} {(y0 + y1) / 2 / HEIGHT} {(x1 - x0) / WIDTH} {(y1 - y0) / HEIGHT}\n")
        for name, noise in (("yolo", 4), ("yolo-pruned", 12)):
            box = [x0, y0, x1 - x0, y1 - y0] + np.abs(random.normal(0, noise, 4))
            results[name].append({"image_id": i, "file_name": f"{i:05}.png", "category_id": 1, "bbox": box.tolist(), "score": 0.9})
        save(made.image, folder / "nnunet" / "imagesTr" / f"case_{i:03}_0000.png")
        save(made.lesion_mask.astype(np.uint8), folder / "nnunet" / "labelsTr" / f"case_{i:03}.png")
        for fold in range(2):
            predicted = np.roll(made.lesion_mask, random.integers(-3, 3), 1).astype(np.uint8)
            save(predicted, folder / "nnunet" / f"fold_{fold}" / f"case_{i:03}.png")
        save(made.image, folder / "exported" / "data" / f"{i}.png")
        coco["images"].append({"id": i, "file_name": f"{i}.png", "width": WIDTH, "height": HEIGHT})
        coco["annotations"].append({"id": i, "image_id": i, "category_id": 1, "bbox": [x0, y0, x1 - x0, y1 - y0]})
    (folder / "exported" / "labels.json").write_text(json.dumps(coco))
    (folder / "dataset" / "data.yaml").write_text("path: .\ntrain: images/train\nval: images/val\nnames:\n  0: lesion\n")
    for name, own in results.items():
        (folder / f"{name}.json").write_text(json.dumps(own))
    shutil.copy(ROOT / "examples" / "own_model.py", folder / "nets.py")
    shutil.copy(folder / "exported" / "data" / "0.png", folder / "image.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "examples")
        from own_model import small

        torch.save(small(32, 32, 3).state_dict(), folder / "weights.pt")
        sys.modules.pop("own_model")
    return folder


def quality_of_labels(labels, predictions, verbose):
    """In the place of cleanlab where it is not installed: the IoU of each annotated box with the predicted one, after the same checks."""
    from htltools.core.geometry.boxes import iou

    assert all(each["bboxes"].shape == (1, 4) and each["labels"].tolist() == [0] for each in labels)
    assert all(len(each) == 1 and each[0].shape == (1, 5) for each in predictions)
    return iou(np.array([each[0][0, :4] for each in predictions]), np.array([each["bboxes"][0] for each in labels]))


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("jq"), reason="jq is not installed")
def test_the_page_is_true(workplace, pasted, monkeypatch):
    """Every block runs where it stands; the hardest come out, and both ways lead back."""
    monkeypatch.chdir(workplace)
    monkeypatch.syspath_prepend(workplace)
    if not find_spec("cleanlab"):
        rank = ModuleType("cleanlab.object_detection.rank")
        monkeypatch.setattr(rank, "get_label_quality_scores", quality_of_labels, raising=False)
        for name in ("cleanlab", "cleanlab.object_detection"):
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
        monkeypatch.setitem(sys.modules, rank.__name__, rank)
    blocks = BLOCK.findall(PAGE)
    assert len(blocks) == PAGE.count("\n.Bd ") - 2, "all but two are for programs that htl does not bring"
    names: dict = {}
    for kind, _, source in blocks:
        text = source.replace("\\-", "-").replace("\\(aq", "'").replace("\\e", "\\")
        if kind == "runs":
            done = pasted(textwrap.indent(text, "           "), workplace, **SMALL)  # as man(1) shows it
            assert done.returncode == 0, (text, done.stderr)  # that the small net is no good, it says
        else:
            exec(compile(textwrap.dedent(text), "htl-migrating.7", "exec"), names)
    hardest = (workplace / "hardest.txt").read_text().split()
    rows = {row["id"]: row for row in api.read_rows("scored.jsonl")}
    assert len(hardest) == 10 and hardest[0] == max(
        (name for name in rows if name.startswith("train/")), key=lambda name: rows[name]["hardness"]["pruned_loss"]
    )
    assert len(api.read_rows("imported.jsonl")) == len(api.read_rows("cases.jsonl")) == COUNT
    cases = api.read_rows("cases.scored.jsonl")
    assert all(0 <= row["hardness"]["seed_disagreement"] < 0.5 for row in cases)
    both = {row["id"]: row["hardness"]["cleanlab"] for row in api.read_rows("both.jsonl")}
    assert both.keys() == rows.keys() and all(0 <= value <= 1 for value in both.values())
    assert len(names["boxes"]) == COUNT and len(names["box"]) == 4
    assert [row["id"] for row in api.read_rows("chosen.jsonl")] == [row["id"] for row in names["hard"]]


def test_numbered_results_are_matched_by_their_file_names(htl, tmp_path):
    """Ultralytics turns the image 0007.png into the number 7; its file_name says which image that is."""
    rows = [{"id": f"000{i}", "split": "test", "size": [100, 100], "boxes": [[10, 10, 50, 50]]} for i in (7, 8)]
    api.write_rows(tmp_path / "rows.jsonl", rows)
    results = [{"image_id": i, "file_name": f"000{i}.png", "category_id": 1, "bbox": [10, 10, 40, 40], "score": 0.9} for i in (7, 8)]
    (tmp_path / "p.json").write_text(json.dumps(results))
    code, out, err = htl("score", tmp_path / "rows.jsonl", "--model", tmp_path / "p.json", "-q")
    assert code == 0, err
    assert [json.loads(line)["predicted"]["dense"] for line in out.splitlines() if b'"id"' in line] == [[10, 10, 50, 50]] * 2
    (tmp_path / "p.json").write_text(json.dumps([{name: value for name, value in each.items() if name != "file_name"} for each in results]))
    code, _, err = htl("score", tmp_path / "rows.jsonl", "--model", tmp_path / "p.json", "-q")
    assert code == 65 and "the image_id 7 is a number, and nothing says which image that is" in err
