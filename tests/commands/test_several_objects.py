"""Several objects of several classes on an image, from COCO annotations to an ONNX file."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from htltools.core.geometry.matching import set_overlap
from htltools.core.geometry.objects import packed
from htltools.formats.models.checkpoint import Checkpoint
from htltools.formats.rows.jsonlines import joined_lines, split_lines
from htltools.formats.sources.open_rows import read_rows

CLASSES = "bright", "red"


def draw(random):
    """An image [64, 96, 3] with none to two objects, and its annotations as (class, [x, y, width, height])."""
    image, drawn = random.integers(0, 60, (64, 96, 3), np.uint8), []
    for side in range(random.integers(0, 3)):
        x, y, width, height = (int(n) for n in random.integers((4, 2, 12, 14), (20, 20, 26, 40)))
        kind = int(random.integers(2))
        image[y : y + height, x + 48 * side : x + 48 * side + width, : 1 if kind else 3] += 180
        drawn.append((kind, [x + 48 * side, y, min(width, 96 - x - 48 * side), height]))
    return image, drawn


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """A COCO data set of 90 scenes, prepared, trained, pruned and scored: `folder`, `rows` (as dicts), and paths by name."""
    from tests.conftest import made

    folder, random = tmp_path_factory.mktemp("several"), np.random.default_rng(0)
    (folder / "images").mkdir()
    images, annotations = [], []
    for number in range(1, 91):
        image, drawn = draw(random)
        Image.fromarray(image).save(folder / "images" / f"{number:03d}.png")
        split = "train" if number <= 60 else "val" if number <= 75 else "test"
        meta = {"sex": "male" if number % 2 else "female"}
        images.append({"id": number, "file_name": f"{number:03d}.png", "width": 96, "height": 64, "split": split, "meta": meta})
        for kind, box in drawn:
            annotations.append({"id": len(annotations) + 1, "image_id": number, "category_id": 10 + kind, "bbox": box})
    categories = [{"id": 10 + number, "name": name} for number, name in enumerate(CLASSES)]
    (folder / "coco.json").write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    paths = {name: folder / name for name in ("rows.jsonl", "dense.h5", "pruned.h5", "scored.jsonl", "coco.json", "store")}
    quiet = "-q", "--batch-size", 12
    rows = made("prepare", folder / "images", "--coco", paths["coco.json"], "--size", 64, "-j", 1, "-q", "-o", paths["store"])
    rows = made("train", "-o", paths["dense.h5"], "--arch", "compact_fcos", "--epochs", 6, *quiet, stdin=rows)
    rows = made("prune", "-o", paths["pruned.h5"], "--sparsity", 0.5, "--epochs", 1, *quiet, stdin=rows)
    paths["scored.jsonl"].write_bytes(made("score", "-q", stdin=rows))
    by_name = {name.partition(".")[0]: path for name, path in paths.items()}
    return SimpleNamespace(folder=folder, **by_name | {"rows": read_rows(paths["scored.jsonl"])[0]})


def test_one_constant_set_of_objects_is_told(htl, chain, silenced, copy_of, tmp_path):
    """A pruned net that finds the same objects on every image, or none anywhere, is reported by score, also with -q."""
    same = copy_of(silenced(chain.dense, tmp_path / "s.h5", "net.model.head."), tmp_path / "p.h5", chain.dense)
    code, _, err = htl("score", chain.scored, "-q", "--model", chain.dense, "--pruned", same)
    assert code == 0 and f"htl score: {same} predicts the same for all 90 rows: " in err
    assert "predicts the same" not in htl("score", chain.scored, "-q", "--model", chain.dense, "--pruned", chain.pruned)[2]


def test_rows_have_a_label_for_each_box(chain):
    """Each box has the class of its category; an image without annotations holds nothing."""
    coco = json.loads(chain.coco.read_text())
    by_image = {image["id"]: [] for image in coco["images"]}
    for annotation in coco["annotations"]:
        by_image[annotation["image_id"]].append(CLASSES[annotation["category_id"] - 10])
    assert [row.get("labels", []) for row in chain.rows] == list(by_image.values())
    assert all(len(row["boxes"]) == len(row.get("labels", [])) for row in chain.rows)
    assert [] in by_image.values()


def test_model_knows_its_classes_and_learned(chain):
    """The checkpoint says what it finds; the pruned copy is sparse and has the same recovery as any."""
    dense, pruned = Checkpoint.load(chain.dense), Checkpoint.load(chain.pruned)
    assert dense.architecture == {
        "task": "detect",
        "name": "compact_fcos",
        "size": [64, 64, 3],
        "classes": list(CLASSES),
        "most": 10,
    }
    assert dense.metrics["val_iou"] > 0.4
    assert pruned.architecture == dense.architecture
    assert pruned.pruning["sparsity"] == pytest.approx(0.5, abs=1e-3)
    assert pruned.training == dense.training == {"flip": [0.5, 0.5], "looks": False}


def test_train_tells_threshold_baseline_and_sides(htl, chain, tmp_path):
    """stderr says the score from which objects count and what one constant set reaches; classes that name a side do not go with mirrors."""
    sided = [row | {"labels": ["left lung" if label == "red" else label for label in row.get("labels", [])]} for row in chain.rows[:75]]
    (tmp_path / "r.jsonl").write_bytes(joined_lines(sided))
    arguments = ("train", tmp_path / "r.jsonl", "--arch", "compact_fcos", "--epochs", 1, "--batch-size", 12)
    code, _, err = htl(*arguments, "-o", tmp_path / "m.h5")
    assert code == 0 and "the class left lung names a side, and training sees mirror images" in err, err
    model = Checkpoint.load(tmp_path / "m.h5")
    constant, threshold = model.metrics["constant_val_iou"], float(model.weights["threshold"])
    assert 0 < constant < 1 and f"constant_val_iou {constant:.4f}, objects count from a score of {threshold:.4g} on" in err
    assert "names a side" not in htl(*arguments, "-o", tmp_path / "v.h5", "--flip", "vertical")[2]


def test_hardness_and_what_was_found(chain):
    """Rows get the columns that several objects have, within their bounds, and the objects of either model, best first."""
    for row in chain.rows:
        hardness = row["hardness"]
        assert set(hardness) == {
            "pruned_disagreement",
            "pruned_shift",
            "pruned_loss",
            "iou_drop",
            "loss_gap",
            "suspect",
            "loss",
            "smallness",
            "random",
        }
        assert all(0 <= hardness[name] <= 1 for name in ("pruned_disagreement", "pruned_shift", "smallness"))
        assert "predicted" not in row
        for objects in (row["detected"][role] for role in ("dense", "pruned")):
            assert len(objects["boxes"]) == len(objects["labels"]) == len(objects["scores"])
            assert objects["scores"] == sorted(objects["scores"], reverse=True)
            assert set(objects["labels"]) <= set(CLASSES)
    same = [row for row in chain.rows if row["detected"]["dense"] == row["detected"]["pruned"]]
    assert all(row["hardness"]["pruned_disagreement"] == pytest.approx(0, abs=1e-5) for row in same)


def test_unlabelled_rows_are_scored_without_what_needs_a_box(htl, chain):
    """A row without boxes has pruned_disagreement and shift alone."""
    rows = [{key: value for key, value in row.items() if key not in ("boxes", "labels", "hardness")} for row in chain.rows[:5]]
    code, out, err = htl("score", "-q", "--model", chain.dense, "--pruned", chain.pruned, stdin=joined_lines(rows))
    assert code == 0, err
    assert all(set(row["hardness"]) == {"pruned_disagreement", "pruned_shift", "random"} for row in split_lines(out) if "id" in row)


def metrics(out):
    """Values by metric and subgroup of the lines of `evaluate`, but for those of single classes."""
    return {(line["metric"], str(line["subgroup"])): line for line in split_lines(out) if "class" not in line}


def test_evaluate_has_average_precision_with_intervals(htl, chain):
    """AP stands beside the metrics of overlap, with intervals, by subgroup, and as difference between two models; empty images count."""
    code, out, err = htl("evaluate", chain.scored, "--baseline", chain.pruned, "--group-by", "sex")
    assert code == 0, err
    measured = metrics(out)
    for name in ("iou_mean", "ap", "ap50", "ap75"):
        line = measured[name, "None"]
        assert line["n"] == 15
        assert 0 <= line["low"] <= line["value"] <= line["high"] <= 1
        assert measured[f"{name}.delta", "None"]["against"] == str(chain.pruned)
        assert measured[name, "{'sex': 'female'}"]["n"] + measured[name, "{'sex': 'male'}"]["n"] == 15
    assert measured["ap50", "None"]["value"] >= measured["ap75", "None"]["value"]
    reached = measured["ap50", "None"]["value"]
    assert 0 < reached < 1
    assert htl("evaluate", chain.scored, "--fail-under", f"ap50={reached + 1e-4}")[0] == 3
    assert htl("evaluate", chain.scored, "--fail-under", f"ap50={reached - 1e-4}")[0] == 0
    same = metrics(htl("evaluate", chain.scored, "--baseline", chain.dense)[1])
    assert {same[f"{name}.delta", "None"]["value"] for name in ("iou_mean", "ap", "ap50")} == {0}


def test_evaluate_tells_classes_apart_and_sensitivity(htl, chain, tmp_path):
    """Lines of each class say which and how many objects; FROC rises; the curve passes through precision and recall at the threshold."""
    code, out, err = htl("evaluate", chain.scored, "--curve", tmp_path / "c.csv")
    assert code == 0, err
    threshold = float(Checkpoint.load(chain.dense).weights["threshold"])
    assert f"objects count from a score of {threshold:.4g} on, as train set it" in err
    lines = split_lines(out)
    overall = {line["metric"]: line["value"] for line in lines if "class" not in line}
    by_class = {(line["class"], line["metric"]): line for line in lines if "class" in line}
    assert {name for name, _ in by_class} == set(CLASSES)
    tested = [row for row in chain.rows if row["split"] == "test"]
    for name in CLASSES:
        assert by_class[name, "class_ap50"]["objects"] == sum(row.get("labels", []).count(name) for row in tested)
    for metric in ("ap", "ap50", "ap75"):
        assert overall[metric] == pytest.approx(np.mean([by_class[name, f"class_{metric}"]["value"] for name in CLASSES]), abs=1e-5)
    froc = [overall[f"froc@{rate}"] for rate in ("0.125", "0.25", "0.5", "1", "2", "4", "8")]
    assert froc == sorted(froc) and overall["froc_mean"] == pytest.approx(np.mean(froc), abs=1e-5)
    points = list(csv.DictReader((tmp_path / "c.csv").read_text().splitlines()))
    assert {point["class"] for point in points} == {"", *CLASSES} and {point["model"] for point in points} == {str(chain.dense)}
    *_, last = (point for point in points if not point["class"] and float(point["score"]) >= threshold - 1e-6)
    for name in ("precision", "recall", "f1", "fp_per_image"):
        assert float(last[name]) == pytest.approx(overall[name], abs=1e-5)
    found = sum(len(row["detected"]["dense"]["boxes"]) for row in tested)
    assert overall["fp_per_image"] == pytest.approx(found * (1 - overall["precision"]) / len(tested), abs=1e-4)


def test_another_threshold_and_limits_by_class(htl, chain, dense, phantom, tmp_path):
    """--threshold moves what counts, and not average precision; a limit holds for every class; one box has no score."""
    strict, loose = (
        {
            line["metric"]: line["value"]
            for line in split_lines(htl("evaluate", chain.scored, "--threshold", score)[1])
            if "class" not in line
        }
        for score in (0.6, 0.1)
    )
    assert strict["recall"] <= loose["recall"] and strict["fp_per_image"] < loose["fp_per_image"] and strict["ap"] == loose["ap"]
    code, _, err = htl("evaluate", chain.scored, "--fail-under", "class_recall=1", "-q")
    assert code == 3 and "class_recall of class " in err
    assert htl("evaluate", chain.scored, "--fail-under", "fp_per_image=10", "-q")[0] == 0
    for flags in (("--threshold", 0.5), ("--curve", tmp_path / "c.csv")):
        code, _, err = htl("evaluate", phantom.rows, "--model", dense, *flags)
        assert code == 2 and f"{flags[0]} is for models of several objects, and {dense} predicts one box" in err
    code, _, err = htl("evaluate", chain.scored, "--curve", tmp_path / "c.txt")
    assert code == 2 and "--curve writes .csv or .jsonl" in err


@pytest.mark.slow
def test_onnx_predicts_alike_and_evaluates_alike(htl, chain, tmp_path):
    """The ONNX file has three outputs, names its classes, passes its parity check, and reaches the same metrics."""
    import onnxruntime

    code, _, err = htl("export", "--model", chain.dense, "-o", tmp_path / "m.onnx", chain.scored)
    assert code == 0, err
    assert "largest difference from torch" in err
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    assert [(each.name, each.shape[1:]) for each in session.get_outputs()] == [("boxes", [10, 4]), ("scores", [10]), ("labels", [10])]
    metadata = session.get_modelmeta().custom_metadata_map
    assert metadata["htl.task"] == "detect"
    assert json.loads(metadata["htl.objects"])["classes"] == list(CLASSES)
    ours, theirs = (metrics(htl("evaluate", chain.scored, "--model", path)[1]) for path in (chain.dense, tmp_path / "m.onnx"))
    assert ours.keys() == theirs.keys()
    assert all(theirs[name]["value"] == pytest.approx(line["value"], abs=1e-4) for name, line in ours.items())
    code, out, err = htl("score", chain.scored, "--model", tmp_path / "m.onnx")
    assert code == 0 and "an ONNX file of several objects has no training loss: losses are 1 - overlap with the annotation" in err
    rows = [row for line in out.splitlines() if "hardness" in (row := json.loads(line))]
    assert all(0 <= row["hardness"]["loss"] <= 1 for row in rows) and len(rows) > 50
    code, _, err = htl("export", "--model", chain.dense, "-o", tmp_path / "i.onnx", chain.scored, "--quantize", "int8")
    assert (code, "--quantize int8 is not for models of the task detect" in err, (tmp_path / "i.onnx").exists()) == (2, True, False)


def test_doubt_of_each_object(htl, chain):
    """`score` and `predict` doubt the same objects alike; what no mirror image, or no pruned copy, has is wholly doubtful."""
    code, out, err = htl("score", chain.scored, "--model", chain.dense, "--also", "mirror_disagreement", "-q")
    assert code == 0, err
    scored = [row for row in split_lines(out) if "id" in row]
    predicted = [row for row in split_lines(htl("predict", chain.scored, "--model", chain.dense, "-q")[1]) if "id" in row]
    seen = []
    for row, other in zip(scored, predicted, strict=True):
        found, doubt = row["detected"]["dense"], row["hardness"]["mirror_disagreement"]
        assert found == other["detected"]["dense"] and doubt == other["hardness"]["mirror_disagreement"]
        assert len(found["doubts"]) == len(found["boxes"]) and all(0 <= each <= 1 for each in found["doubts"])
        if found["doubts"]:
            assert doubt >= np.mean(found["doubts"]) - 1e-5, "what only a mirror image has counts too"
        seen += found["doubts"]
    assert min(seen) < 0.3 < max(seen)
    code, out, err = htl("predict", chain.scored, "--model", chain.dense, "--pruned", chain.pruned, "--doubt", "pruned", "-q")
    assert code == 0, err
    for row in (row for row in split_lines(out) if "id" in row):
        dense, copy = (next(each for each in chain.rows if each["id"] == row["id"])["detected"][role] for role in ("dense", "pruned"))
        lonely = [label not in copy["labels"] for label in dense["labels"]]
        assert all(doubt == 1 for doubt, alone in zip(row["detected"]["dense"]["doubts"], lonely, strict=True) if alone)


@pytest.mark.slow
def test_doubt_of_each_object_inside_a_file(htl, chain, tmp_path):
    """An ONNX file doubts images and objects as `predict` of the checkpoint does; objects that do not count are wholly doubtful.

    With one mirror image: three take three times as long to export, and test_export_inside has them.
    """
    from htltools.formats.models.onnx import OnnxModel
    from htltools.formats.store.shard import Images

    dense = tmp_path / "m.h5"
    checkpoint = Checkpoint.load(chain.dense)
    checkpoint.training = {"flip": [0.5, 0.0]}
    checkpoint.save(dense)
    predicted = [row for row in split_lines(htl("predict", chain.scored, "--model", dense, "-q")[1]) if "id" in row]
    code, _, err = htl("export", chain.scored, "--model", dense, "-o", tmp_path / "m.onnx", "--doubt", "mirror")
    assert code == 0 and "largest difference of doubt" in err, err
    file = OnnxModel(tmp_path / "m.onnx", "cpu")
    shapes = {"scores": (None,), "doubt": (), "doubts": (None,)}
    outputs = file.predict(Images(chain.rows).batch(np.arange(len(chain.rows))), shapes)
    for row, image, doubts, scores in zip(predicted, outputs["doubt"], outputs["doubts"], outputs["scores"], strict=True):
        assert image == pytest.approx(row["hardness"]["mirror_disagreement"], abs=1e-3)
        counted = scores >= np.float32(file.threshold)
        assert doubts[counted] == pytest.approx(row["detected"]["dense"]["doubts"], abs=1e-3) and (doubts[~counted] == 1).all()


def results_of(rows, role, numbers):
    """The objects that a role predicts, as COCO results with image ids as `numbers` have them."""
    results = []
    for row in rows:
        own = row["detected"][role]
        for (x0, y0, x1, y1), label, score in zip(own["boxes"], own["labels"], own["scores"]):
            box = [x0, y0, x1 - x0, y1 - y0]
            results.append({"image_id": numbers[row["id"]], "category_id": 10 + CLASSES.index(label), "bbox": box, "score": score})
    return json.dumps(results)


def test_results_of_another_tool(htl, chain, tmp_path):
    """COCO results score and evaluate as the model that they come from does, but for its loss; categories need the data set."""
    numbers = {image["file_name"].removesuffix(".png"): image["id"] for image in json.loads(chain.coco.read_text())["images"]}
    for role in ("dense", "pruned"):
        (tmp_path / f"{role}.json").write_text(results_of(chain.rows, role, numbers))
    both = ["--predictions", tmp_path / "dense.json", tmp_path / "pruned.json"]
    code, out, err = htl("score", chain.scored, *both, "--coco", chain.coco, "--batch-size", 7)
    assert code == 0, err

    def counted(row, role):
        own = row["detected"][role]
        each = [[*np.divide(b, row["size"] * 2), CLASSES.index(k)] for b, k, score in zip(*own.values(), strict=True) if score >= 0.5]
        return packed([np.reshape(each, (-1, 5))], 5)

    for ours, theirs in zip(chain.rows, (row for row in split_lines(out) if "id" in row), strict=True):
        expected = 1 - set_overlap(counted(ours, "dense"), counted(ours, "pruned"))[0]
        assert theirs["hardness"]["pruned_disagreement"] == pytest.approx(expected, abs=1e-4)
        boxes = [[*np.divide(b, ours["size"] * 2), CLASSES.index(k)] for b, k in zip(ours["boxes"], ours.get("labels", []))]
        annotated = packed([np.reshape(boxes, (-1, 5))], 5)
        assert theirs["hardness"]["loss"] == pytest.approx(1 - set_overlap(counted(ours, "dense"), annotated)[0], abs=1e-4)
    labels = [label for row in split_lines(out) if "id" in row for label in row["detected"]["dense"]["labels"]]
    assert {*labels} == {*CLASSES}
    code, out, err = htl("evaluate", chain.scored, "--predictions", tmp_path / "dense.json", "--coco", chain.coco)
    assert code == 0, err
    assert metrics(out)["ap50", "None"]["n"] == 15
    code, _, err = htl("evaluate", chain.scored, "--predictions", tmp_path / "dense.json")
    assert code == 65
    assert "name the data set that was predicted on with --coco" in err


def test_pages_and_sheets_show_every_box(htl, chain, tmp_path):
    """The contact sheet and the report take rows with several boxes; the page has average precision as evaluate gives it."""
    assert htl("view", chain.scored, "--sort", "pruned_disagreement", "--sheet", tmp_path / "s.png", "-q")[0] == 0
    code, out, _ = htl("view", chain.scored, "--thumbnails", "blocks", "--limit", 12, "--columns", "id", "-q")
    both = next(row for row in chain.rows if len(set(row.get("labels", []))) == 2)
    assert code == 0 and ", ".join(both["labels"]) in htl("view", "--thumbnails", "blocks", "-q", stdin=joined_lines([both]))[1].decode()
    code, _, err = htl("report", chain.scored, "-o", tmp_path / "r.html", "--split", "test")
    assert code == 0, err
    page, measured = (tmp_path / "r.html").read_text(), metrics(htl("evaluate", chain.scored)[1])
    assert "mean IoU" in page
    for name in ("iou_mean", "ap", "ap50", "ap75"):
        assert f"<td>{name}</td><td>{measured[name, 'None']['value']:.3f} [" in page
    of_class = next(line for line in split_lines(htl("evaluate", chain.scored)[1]) if line["metric"] == "class_ap")
    objects, value = of_class["objects"], of_class["value"]
    assert f"<td>{of_class['class']}</td><td>{objects}</td><td>dense</td><td>{value:.3f} [" in page
    assert "false positives per image</text>" in page
    assert htl("view", chain.scored, "--to", f"coco:{tmp_path}/back.json", "-q")[0] == 0
    back, given = (json.loads(path.read_text()) for path in (tmp_path / "back.json", chain.coco))
    assert {each["name"] for each in back["categories"]} == set(CLASSES)
    assert len(back["annotations"]) == len(given["annotations"])
    code, out, err = htl("evaluate", chain.scored, "--split", "train", "--hard", "pruned_loss", "--top", 0.3, "--group-by", "sex")
    assert code == 0, err


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--attend", "adaptive"], "compact_fcos is a net of the task detect, which --attend adaptive is not for"),
        (["--supervision", "semi"], "compact_fcos is a net of the task detect, which --supervision semi does not train"),
        (["--supervision", "weak"], "compact_fcos is a net of the task detect, which --supervision weak does not train"),
        (["--init", "imagenet"], "there are no ImageNet weights for compact_fcos"),
    ],
)
def test_what_detectors_cannot_do(htl, chain, tmp_path, arguments, message):
    """Flags that have no meaning here are refused before anything is read."""
    code, _, err = htl("train", chain.scored, "-o", tmp_path / "m.h5", "--arch", "compact_fcos", *arguments)
    assert (code, message in err) == (2, True), err


def test_kinds_do_not_mix(htl, chain, phantom, dense, tmp_path):
    """A localizer with one box and a detector neither score nor compare together; a net with one box says what to do with several."""
    code, _, err = htl("score", chain.scored, "--model", chain.dense, "--pruned", dense)
    assert code == 65
    assert "models that do not go together" in err
    code, _, err = htl("evaluate", chain.scored, "--model", chain.dense, "--baseline", dense)
    assert code == 65
    assert "compare models of one kind" in err
    code, _, err = htl("report", chain.scored, "-o", tmp_path / "r.html", "--attended", dense)
    assert (code, "compare models of one kind" in err) == (65, True)
    code, _, err = htl("train", chain.scored, "-o", tmp_path / "m.h5", "-q")
    assert code == 65
    assert "train a net that finds several" in err
    code, _, err = htl("prune", chain.scored, "-o", tmp_path / "p.h5", "--method", "channel", "--sparsity", 0.5, "--model", chain.dense)
    assert code == 2
    strange = [row | {"labels": ["blue"] * len(row["boxes"])} for row in chain.rows]
    code, _, err = htl("evaluate", "--model", chain.dense, stdin=joined_lines(strange))
    assert (code, "an object of class 'blue', and the model knows bright, red" in err) == (65, True)
    wrong = [row | {"labels": ["red"] * 7} for row in chain.rows]
    code, _, err = htl("evaluate", "--model", chain.dense, stdin=joined_lines(wrong))
    assert (code, "labels says the class of each box" in err) == (65, True)


@pytest.mark.slow
def test_folds_and_weights(htl, chain, tmp_path):
    """A detector can leave a fold out, and then judges it alone; weights of rows count; nothing else is asked of the stream."""
    rows = joined_lines({key: value for key, value in row.items() if key != "hardness"} | {"weight": 1.5} for row in chain.rows)
    quick = "--arch", "compact_fcos", "--epochs", 1, "--batch-size", 12, "-q"
    for k in (1, 2):
        assert htl("train", "-o", tmp_path / f"d{k}.h5", "--fold", f"{k}/2", *quick, stdin=rows)[0] == 0
        half = "--recover", "none", "--sparsity", 0.3, "-q"
        assert htl("prune", "--model", tmp_path / f"d{k}.h5", "-o", tmp_path / f"p{k}.h5", *half, stdin=rows)[0] == 0
    models = [each for k in (1, 2) for each in ("--model", tmp_path / f"d{k}.h5", "--pruned", tmp_path / f"p{k}.h5")]
    code, out, err = htl("score", *models, "-q", stdin=rows)
    assert code == 0, err
    assert all("pruned_disagreement" in row["hardness"] and "detected" in row for row in split_lines(out) if "id" in row)


def test_two_lungs_of_real_radiographs(htl, shared_data, tmp_path):
    """From a table with columns for either lung to an average precision of 0.9 at IoU 0.5 on patients not trained on."""
    quick = "-q", "--arch", "compact_fcos", "--flip", "none", "--epochs", 3, "--batch-size", 16
    code, rows, err = htl("prepare", shared_data / "covid-cxr-lungs", "--size", 64, "-j", 1, "-o", tmp_path / "store")
    assert code == 0, err
    samples = [row for row in split_lines(rows) if "id" in row]
    assert len(samples) == 319
    assert all(row["labels"] == ["right_lung", "left_lung"] for row in samples)
    assert htl("train", "-o", tmp_path / "m.h5", *quick, stdin=rows)[0] == 0
    code, out, err = htl("evaluate", "--model", tmp_path / "m.h5", "--fail-under", "ap50=0.9", stdin=rows)
    assert code == 0, err
    assert metrics(out)["ap50", "None"]["n"] == 62
