"""`htl score`."""

import json
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from htltools.core.hardness.baselines import chance
from htltools.core.hardness.cross_fitting import fold_of
from htltools.errors import DataError
from htltools.formats.models.checkpoint import Checkpoint
from htltools.formats.rows.jsonlines import joined_lines, split_lines
from htltools.formats.rows.stream import RowReader
from htltools.formats.rows.vocabulary import HARDNESS
from htltools.formats.sources.open_rows import read_rows

DYNAMICS = {"forgetting", "cartography_error", "cartography_spread", "negative_aum"}  # those that a training leaves
ON_REQUEST = {"grand", "dropout_disagreement", "mirror_disagreement", "look_disagreement", "soft_dice_doubt"}
SEVERAL = {*ON_REQUEST, "pie", "seed_disagreement"}  # columns that take a flag, or several models


def hardness_of(out):
    """Hardness by id."""
    return {line["id"]: line["hardness"] for line in split_lines(out) if "id" in line}


@pytest.fixture(scope="module")
def pruned30(htl, phantom, dense):
    """A copy of `dense` without 30 % of its weights."""
    path = phantom.folder / "pruned30.h5"
    assert htl("prune", phantom.rows, "-q", "--model", dense, "-o", path, "--sparsity", 0.3, "--recover", "none")[0] == 0
    return path


def test_every_row_gets_every_column(phantom, scored, dense, pruned):
    """All splits are scored, in every column of two models without --also, with both predictions in pixels; nothing else changes."""
    rows, reader = read_rows(scored)
    assert [{key: row[key] for key in before} for row, before in zip(rows, phantom.samples)] == phantom.samples
    for row in rows:
        assert row["hardness"].keys() == HARDNESS.keys() - SEVERAL - DYNAMICS
        assert row["predicted"].keys() == {"dense", "pruned"}
        assert all(0 <= x0 <= x1 <= row["size"][0] and 0 <= y0 <= y1 <= row["size"][1] for x0, y0, x1, y1 in row["predicted"].values())
    assert reader.models == {"dense": str(dense), "pruned": str(pruned)}
    assert len({row["split"] for row in rows}) == 3


def test_nothing_cut_is_no_disagreement(htl, phantom, dense, copy_of, tmp_path):
    """A model scored against itself: pruned_disagreement, shift and gaps are 0 for every sample, and both losses agree."""
    code, out, _ = htl("score", phantom.rows, "--model", dense, "--pruned", copy_of(dense, tmp_path / "p.h5"), "-q")
    assert code == 0
    for columns in hardness_of(out).values():
        assert [columns[name] for name in ("pruned_disagreement", "pruned_shift", "iou_drop", "loss_gap")] == [0, 0, 0, 0]
        assert columns["loss"] == columns["pruned_loss"]


@pytest.mark.parametrize("name, layers", [("dense", ["net.6.2.weight"]), ("by_map", ["net.heads."])])
def test_a_pruned_model_that_predicts_one_constant(htl, phantom, request, silenced, copy_of, tmp_path, name, layers):
    """One constant box for all rows is told, also with -q, of boxes and of maps; a copy that tells images apart is not complained of."""
    origin = request.getfixturevalue(name)
    copies = copy_of(silenced(origin, tmp_path / "s.h5", *layers), tmp_path / "p.h5", origin), copy_of(origin, tmp_path / "q.h5")
    code, _, err = htl("score", phantom.rows, "--model", origin, "--pruned", copies[0], "--pruned", copies[1], "-q")
    columns = "pruned_disagreement, pruned_shift and pruned_loss are then the distance from that one prediction, not hardness"
    assert code == 0 and f"htl score: {tmp_path}/p.h5 predicts the same for all {len(phantom.samples)} rows: {columns}\n" in err
    few = htl("score", phantom.rows, "--model", origin, "--pruned", copies[0], "-q", "--limit", 5)
    assert few[::2] == (0, "")  # too few rows to tell


def test_several_pruned_models_give_the_mean(htl, phantom, scored, dense, pruned, pruned30):
    """--pruned given twice is the mean of the scores of each."""
    _, other, _ = htl("score", phantom.rows, "--model", dense, "--pruned", pruned30, "-q")
    _, both, _ = htl("score", phantom.rows, "--model", dense, "--pruned", pruned, "--pruned", pruned30, "-q")
    first, second, together = hardness_of(scored.read_bytes()), hardness_of(other), hardness_of(both)
    for name, columns in together.items():
        assert columns.pop("pie") in (0, 0.5, 1)
        for column, value in columns.items():
            assert value == pytest.approx((first[name][column] + second[name][column]) / 2, abs=2e-6)


@pytest.fixture(scope="module")
def other(htl, phantom):
    """A dense model of another seed than `dense`: path of its checkpoint."""
    path = phantom.folder / "other.h5"
    assert htl("train", phantom.rows, "-q", "-o", path, "--arch", "compact", "--epochs", 2, "--batch-size", 16, "--seed", 1)[0] == 0
    return path


def test_several_dense_models_give_the_mean(htl, phantom, scored, dense, other, pruned, copy_of, tmp_path):
    """--model given twice is the mean of the scores with each, whatever their order, and adds how far the two disagree."""
    copies = ["--pruned", pruned, "--pruned", copy_of(pruned, tmp_path / "p.h5", other)]
    _, out, _ = htl("score", phantom.rows, "--model", other, *copies[2:], "-q", "--also", "grand")
    first, second = hardness_of(scored.read_bytes()), hardness_of(out)
    code, out, _ = htl("score", phantom.rows, "--model", dense, "--model", other, *copies, "-q", "--also", "grand")
    assert code == 0
    boxes = {line["id"]: line["predicted"] for line in split_lines(scored.read_bytes()) if "id" in line}
    for line in [line for line in split_lines(out) if "id" in line]:
        name, columns = line["id"], line["hardness"]
        assert 0 < columns.pop("seed_disagreement") <= 1
        assert columns.pop("grand") > 0
        columns.pop("pie", None)
        for column, value in columns.items():
            assert value == pytest.approx((first[name][column] + second[name][column]) / 2, abs=2e-6), column
        assert line["predicted"]["pruned"] == boxes[name]["pruned"]
        assert line["predicted"]["dense"] != boxes[name]["dense"]
    _, swapped, _ = htl("score", phantom.rows, "--model", other, "--model", dense, *copies, "-q", "--also", "grand")
    for name, columns in hardness_of(swapped).items():
        assert columns == pytest.approx(hardness_of(out)[name], abs=2e-6)


def test_pruned_models_are_compared_with_their_own_dense_one(htl, phantom, dense, other, copy_of, tmp_path):
    """Each pruned model is compared with the one that it was pruned from, in whatever order, and not with those of other seeds."""
    copies = [copy_of(model, tmp_path / f"{model.stem}.h5") for model in (other, dense)]
    models = ["--model", dense, "--model", other, "--pruned", copies[0], "--pruned", copies[1]]
    code, out, _ = htl("score", phantom.rows, *models, "-q")
    assert code == 0
    for columns in hardness_of(out).values():
        assert (columns["pruned_disagreement"], columns["pruned_shift"], columns["iou_drop"]) == (0, 0, 0)
        assert columns["seed_disagreement"] > 0


def test_models_that_do_not_go_together(htl, phantom, dense, other, pruned, pruned30, tmp_path):
    """Swapped roles, a pruned copy of another net, a pruned model in the place of a dense one, and one file twice are refused."""
    copy, dense_again = tmp_path / "copy.h5", tmp_path / "again.h5"
    copy.write_bytes(pruned.read_bytes())
    dense_again.write_bytes(dense.read_bytes())
    for models, code, error in (
        (["--model", pruned, "--pruned", dense], 65, f"{dense} is no pruned model; are --model and --pruned swapped?"),
        (["--model", dense, "--pruned", other], 65, f"{other} is no pruned model; make one with htl prune"),
        (["--model", dense, "--pruned", dense_again], 65, f"{dense_again} is no pruned model; make one with htl prune"),
        (
            ["--model", other, "--pruned", pruned],
            65,
            f"{pruned} is no pruned copy of {other}; name the model that it was pruned from with --model",
        ),
        (
            ["--model", pruned30, "--pruned", pruned],
            65,
            f"{pruned} is no pruned copy of {pruned30}; name the model that it was pruned from with --model",
        ),
        (
            ["--model", dense, "--model", pruned30, "--pruned", pruned],
            65,
            f"{pruned30} is a pruned model, and none of --pruned is a copy of it; name it with --pruned",
        ),
        (
            ["--model", dense, "--pruned", pruned, "--pruned", pruned.parent / "." / pruned.name],
            2,
            f"{pruned} is named twice; a model is not compared with itself; make a pruned copy with htl prune",
        ),
    ):
        assert htl("score", phantom.rows, *models) == (code, b"", f"htl score: {error}\n")
    assert htl("score", phantom.rows, "-q", "--limit", 2, "--model", dense_again, "--pruned", copy)[0] == 0  # a copied file is the same


def test_a_damaged_model(htl, phantom, dense, pruned, tmp_path):
    """A checkpoint of which one byte flipped is refused, not scored by."""
    data = bytearray(dense.read_bytes())
    data[len(data) // 2] ^= 64
    (tmp_path / "d.h5").write_bytes(data)
    code, out, err = htl("score", phantom.rows, "--model", tmp_path / "d.h5", "--pruned", pruned)
    assert (code, out) == (65, b"")
    assert err == f"htl score: {tmp_path}/d.h5 is damaged: its checksum does not hold; make it again, or take it from a copy\n"


def test_a_model_pruned_twice(htl, phantom, pruned, tmp_path):
    """A pruned model may stand in the place of the dense one where the other was pruned from it."""
    code, _, _ = htl("prune", phantom.rows, "-q", "--model", pruned, "-o", tmp_path / "p.h5", "--sparsity", 0.8, "--recover", "none")
    assert code == 0
    assert htl("score", phantom.rows, "-q", "--limit", 2, "--model", pruned, "--pruned", tmp_path / "p.h5")[0] == 0


def test_worked_by_hand(htl, fixed, copy_of, tmp_path):
    """Models that predict one box each give columns worked by hand, pie and seed_disagreement among them."""
    copies = {"a": (fixed.half, fixed.half), "b": (fixed.left, fixed.half), "c": (fixed.left, fixed.left)}
    models = ["--model", fixed.half, "--model", fixed.left]
    for name, (model, origin) in copies.items():
        models += ["--pruned", copy_of(model, tmp_path / f"{name}.h5", origin)]
    code, out, _ = htl("score", fixed.file, *models, "-q")
    assert code == 0
    columns = hardness_of(out)
    # t0 is annotated with the box that `half` predicts: 100 x 50 pixels of 200 x 100
    assert columns["t0"]["seed_disagreement"] == columns["t4"]["seed_disagreement"] == pytest.approx(0.5, abs=1e-4)
    assert columns["t0"]["el2n"] == pytest.approx(0.125, abs=1e-4)
    assert columns["t0"]["pruned_disagreement"] == pytest.approx(0.5 / 3, abs=1e-4)
    assert columns["t0"]["pie"] == pytest.approx(1 / 3, abs=1e-6)  # one of two dense ones is right, which is no majority
    assert "pie" not in columns["t4"]
    assert columns["t4"].keys() == {"pruned_disagreement", "pruned_shift", "seed_disagreement", "random"}


@pytest.fixture(scope="module")
def crossfitted(htl, phantom, tmp_path_factory):
    """Models of both folds of two, and a pruned copy of each: `dense` and `pruned`, in order of their folds."""
    folder = tmp_path_factory.mktemp("folds")
    paths = {role: [folder / f"{role}{k}.h5" for k in (1, 2)] for role in ("dense", "pruned")}
    for k, dense, pruned in zip((1, 2), *paths.values()):
        training = ["train", phantom.rows, "-q", "-o", dense, "--arch", "compact", "--fold", f"{k}/2", "--epochs", 2, "--batch-size", 8]
        assert htl(*training)[0] == 0
        cut = ["prune", phantom.rows, "-q", "--model", dense, "-o", pruned, "--sparsity", 0.5, "--epochs", 1, "--batch-size", 8]
        assert htl(*cut)[0] == 0
    return SimpleNamespace(**paths)


def named(dense, pruned):
    """The flags that name these models."""
    return [*(word for path in dense for word in ("--model", path)), *(word for path in pruned for word in ("--pruned", path))]


def test_every_training_row_is_scored_out_of_fold(htl, phantom, crossfitted):
    """A training row gets what the models that left its group out give it, whatever their order; any other row the mean over all."""
    single = []
    plain = [row | {"split": "test"} for row in phantom.samples]  # of which any model may say what it likes
    for dense, pruned in zip(crossfitted.dense, crossfitted.pruned):
        _, out, _ = htl("score", "-q", *named([dense], [pruned]), "--also", "grand,dropout", stdin=joined_lines(plain))
        single.append(hardness_of(out))
    for models in (named(crossfitted.dense, crossfitted.pruned), named(crossfitted.dense, crossfitted.pruned[::-1])):
        code, out, _ = htl("score", phantom.rows, "-q", *models, "--also", "grand,dropout", "--batch-size", 7)
        assert code == 0
        hardness, folds = hardness_of(out), set()
        for row in phantom.samples:
            columns, k = hardness[row["id"]], fold_of(row["group"], 2) if row["split"] == "train" else None
            folds.add(k)
            if k:
                expected = single[k - 1][row["id"]]
            else:
                several = {name: columns.pop(name) for name in ("pie", "seed_disagreement")}
                assert several["seed_disagreement"] > 0
                expected = {name: (value + single[1][row["id"]][name]) / 2 for name, value in single[0][row["id"]].items()}
            assert columns == pytest.approx(expected, abs=3e-6, rel=1e-5)
        assert folds == {1, 2, None}


def test_folds_that_do_not_go_together(htl, phantom, crossfitted, dense, pruned, tmp_path):
    """Models with a fold and without, of another deal, or without a partner are refused before a row is written."""
    (one, two), (cut, other_cut) = crossfitted.dense, crossfitted.pruned
    remedy = "name models of the same K and seed, or none with a fold"
    code, out, err = htl("score", phantom.rows, "-q", *named([one, dense], [cut]))
    assert (code, out) == (65, b"")
    cause = f"models that do not go together: {one} leaves out fold 1/2 (seed 0) and {dense} leaves out no fold"
    assert err == f"htl score: {cause}; {remedy}\n"
    assert htl("score", phantom.rows, "-q", *named([one, two], [pruned]))[0] == 65
    for name, change in {"seed": {"seed": 3}, "count": {"K": 3}}.items():
        checkpoint = Checkpoint.load(two)
        checkpoint.fold |= change
        checkpoint.save(tmp_path / f"{name}.h5")
        code, _, err = htl("score", phantom.rows, "-q", *named([one, tmp_path / f"{name}.h5"], [cut]))
        assert (code, err.startswith("htl score: models that do not go together: "), err.endswith(f"{remedy}\n")) == (65, True, True)
    code, out, err = htl("score", phantom.rows, "-q", *named([one], [other_cut]))
    cause = f"{other_cut} leaves out fold 2/2 (seed 0), and no dense model does"
    assert (code, out, err) == (65, b"", f"htl score: {cause}; name the one it was pruned from with --model\n")


def test_a_fold_that_is_missing(htl, phantom, crossfitted):
    """A training row that every model at hand was fitted to has no score out of fold, and is refused; other rows do not need every fold."""
    (one, two), (cut, _) = crossfitted.dense, crossfitted.pruned
    first = next(row["id"] for row in phantom.samples if row["split"] == "train" and fold_of(row["group"], 2) == 2)
    for models, role, flag in ((named([one], [cut]), "dense", "--model"), (named([one, two], [cut]), "pruned", "--pruned")):
        code, out, err = htl("score", phantom.rows, "-q", *models)
        cause = f"no {role} model leaves out fold 2/2, to which the row {first!r} of split train belongs"
        assert (code, out, err) == (65, b"", f"htl score: {cause}; name one that does with {flag}\n")
        rest = [row for row in phantom.samples if row["split"] != "train"]
        assert htl("score", "-q", *models, stdin=joined_lines(rest))[0] == 0


def test_unlabelled_rows(htl, phantom, dense, pruned):
    """A row without a box gets what needs no annotation: pruned_disagreement, shift, random."""
    rows = [{key: value for key, value in row.items() if key != "boxes"} for row in phantom.samples[:6]]
    rows[0]["boxes"] = []
    _, out, _ = htl("score", "--model", dense, "--pruned", pruned, "-q", stdin=joined_lines(rows))
    assert [columns.keys() for columns in hardness_of(out).values()] == [{"pruned_disagreement", "pruned_shift", "random"}] * 6


def test_the_order_of_rows_does_not_matter(htl, phantom, scored, dense, pruned):
    """A sample scores the same wherever it stands, whatever else is in the stream, in whatever batches."""
    rows = phantom.samples[::-2]
    _, out, _ = htl("score", "--model", dense, "--pruned", pruned, "-q", "--batch-size", 7, stdin=joined_lines(rows))
    expected, hardness = hardness_of(scored.read_bytes()), hardness_of(out)
    assert list(hardness) == [row["id"] for row in rows]
    for name, columns in hardness.items():
        assert columns == pytest.approx(expected[name], abs=1e-5)


def test_random_follows_from_seed_and_id(htl, phantom, scored, dense, pruned):
    """The control for chance is the one of the ids and --seed."""
    hardness = {name: columns["random"] for name, columns in hardness_of(scored.read_bytes()).items()}
    assert list(hardness.values()) == pytest.approx(chance(list(hardness), 0), abs=1e-6)
    _, out, _ = htl("score", phantom.rows, "--model", dense, "--pruned", pruned, "-q", "--seed", 4, "--limit", 3)
    other = hardness_of(out)
    assert [columns["random"] for columns in other.values()] == pytest.approx(chance(list(other), 4), abs=1e-6)


def table_of(err):
    """The table on stderr: its lines as lists of cells."""
    return [line.split("\t") for line in err.splitlines() if "\t" in line]


def test_how_alike_models_rank(htl, phantom, dense, other, pruned, pruned30, copy_of, tmp_path):
    """--stability prints, for each split, the rank correlation of scores by single models, for columns of several models."""
    others = copy_of(pruned30, tmp_path / "other30.h5", other)
    models = ["--model", dense, "--model", other, "--pruned", pruned, "--pruned", others]
    code, out, err = htl("score", phantom.rows, *models, "--stability", "--batch-size", 7)
    assert code == 0
    assert "htl score: rank correlation from model to model, mean over their pairs, by split\n" in err
    heading, *lines = table_of(err)
    assert heading == ["column", "train", "val", "test"]
    assert [line[0] for line in lines] == ["pruned_disagreement", "pruned_shift", "pruned_loss", "loss", "el2n"]
    pairs = (dense, pruned), (other, others)
    single = [hardness_of(htl("score", phantom.rows, "--model", one, "--pruned", copy, "-q")[1]) for one, copy in pairs]
    correlations = {line[0]: dict(zip(heading[1:], map(float, line[1:]))) for line in lines}
    for split in heading[1:]:
        names = [row["id"] for row in phantom.samples if row["split"] == split]
        for column in ("loss", "el2n"):
            expected = spearmanr(*([scores[name][column] for name in names] for scores in single)).statistic
            assert correlations[column][split] == pytest.approx(expected, abs=2e-3)
    assert hardness_of(htl("score", phantom.rows, *models, "--batch-size", 7, "-q")[1]) == hardness_of(out)
    copies = [word for name in "pq" for word in ("--pruned", copy_of(dense, tmp_path / f"{name}.h5"))]
    _, _, err = htl("score", phantom.rows, "--model", dense, *copies, "--stability")
    assert [line[:2] for line in table_of(err)[1:]] == [["pruned_disagreement", "-"], ["pruned_shift", "-"], ["pruned_loss", "1.000"]]


def test_one_model_of_each_role_has_no_stability(htl, phantom, dense, pruned):
    """--stability without several models is a usage error before anything is read."""
    code, out, err = htl("score", phantom.rows, "--model", dense, "--pruned", pruned, "--stability")
    assert (code, out) == (2, b"")
    assert err == "htl score: --stability compares models: name two or more with --model or --pruned\n"


def test_models_and_random_state_are_untouched(htl, phantom, dense, pruned):
    """Scoring leaves the files of both models, and the random state of the process, as they were."""
    before = dense.read_bytes(), pruned.read_bytes()
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].tobytes()
    htl("score", phantom.rows, "--model", dense, "--pruned", pruned, "-q", "--limit", 9)
    assert (dense.read_bytes(), pruned.read_bytes()) == before
    assert torch.equal(torch.get_rng_state(), state)
    assert np.random.get_state()[1].tobytes() == numpy_state


def test_earlier_scores_are_kept_and_renewed(htl, phantom, dense, pruned, scored):
    """Scoring again renews the columns of htl, and keeps one that somebody else added."""
    row = phantom.samples[0] | {"hardness": {"mine": 0.5, "pruned_disagreement": -1.0}}
    _, out, _ = htl("score", "--model", dense, "--pruned", pruned, "-q", stdin=joined_lines([row]))
    columns = hardness_of(out)[row["id"]]
    assert columns["mine"] == 0.5
    assert columns["pruned_disagreement"] == pytest.approx(hardness_of(scored.read_bytes())[row["id"]]["pruned_disagreement"], abs=1e-5)


def test_without_a_pruned_model(htl, phantom, dense):
    """A dense model alone gives the columns that need no pruned one, which is said once, and the doubt that is asked for."""
    code, out, err = htl("score", phantom.rows, "--model", dense, "--batch-size", 16, "--also", "mirror_disagreement")
    assert (code, err) == (0, "htl score: no pruned model is named: the columns that need one are left out\n")
    rows = [line for line in split_lines(out) if "id" in line]
    assert len(rows) == 80
    for row in rows:
        assert set(row["hardness"]) == {"loss", "el2n", "smallness", "mirror_disagreement", "random"}
        assert set(row["predicted"]) == {"dense"} and 0 <= row["hardness"]["mirror_disagreement"] <= 1
    assert [line["role"] for line in split_lines(out) if line.get("htl") == "model"] == ["dense"]


def test_a_pruned_model_that_is_named_too_late(htl, phantom, dense, pruned):
    """A note of a pruned model after many rows, which went out without it, is refused rather than half used."""
    rows = [{**phantom.samples[0], "id": f"r{i}"} for i in range(1200)]
    stdin = joined_lines([*rows, {"htl": "model", "role": "pruned", "path": str(pruned)}])
    code, _, err = htl("score", "--model", dense, "-q", stdin=stdin)
    assert (code, err) == (65, "htl score: stdin names a pruned model only after its first rows; name it with --pruned\n")


def test_doubt_that_a_model_cannot_have(htl, phantom, dense):
    """Columns of doubt that do not go with a model are refused with the reason."""
    for column, reason in ("look_disagreement", "looks once"), ("soft_dice_doubt", "predicts no masks"):
        code, out, err = htl("score", phantom.rows, "--model", dense, "-q", "--also", column)
        assert (code, out) == (65, b"")
        assert err == f"htl score: {dense} has no {column}: it {reason}; leave out --also\n"


def test_a_model_that_is_none(htl, phantom, dense, tmp_path):
    """A file that is no checkpoint, one that is not there, and rows given as a model are refused by name."""
    (tmp_path / "text.h5").write_text("no model")
    code, _, err = htl("score", phantom.rows, "--model", dense, "--pruned", tmp_path / "text.h5")
    assert code == 65
    assert err.startswith(f"htl score: {tmp_path}/text.h5 is no htl checkpoint, or damaged (")
    assert htl("score", phantom.rows, "--model", tmp_path / "no.h5", "--pruned", dense)[::2] == (
        66,
        f"htl score: {tmp_path}/no.h5 is not there\n",
    )
    code, _, err = htl("score", phantom.rows, "--model", phantom.rows, "--pruned", dense)
    assert (code, f"{phantom.rows} holds predictions, {dense} does not" in err) == (2, True)


def test_a_store_of_another_frame(htl, dense, pruned, tmp_path):
    """A model is not run on images of a frame that it was not trained for."""
    assert htl("prepare", "--phantom", 3, "--size", 48, "-j", 1, "-q", "-o", tmp_path / "s")[0] == 0
    code, _, err = htl("score", tmp_path / "s", "--model", dense, "--pruned", pruned, "-q")
    assert (code, err) == (
        65,
        f"htl score: the store holds images of 48x48x3, {dense} takes 32x32x3; prepare them with the same --size\n",
    )


def test_a_model_that_changed_is_refused(htl, phantom, dense, pruned, tmp_path):
    """A stream means one certain model: another file under its name is no substitute, unless --model says so."""
    swapped = tmp_path / "dense.h5"
    swapped.write_bytes(dense.read_bytes())
    notes = [{"htl": "model", "role": "dense", "path": str(swapped), "sha256": "0" * 64}]
    stdin = joined_lines([*notes, *phantom.samples])
    code, out, err = htl("score", "--pruned", pruned, stdin=stdin)
    assert (code, out) == (65, b"")
    assert err == f"htl score: {swapped} is no longer the dense model that stdin means; name it with --model if it is right all the same\n"
    assert htl("score", "-q", "--model", swapped, "--pruned", pruned, stdin=stdin)[0] == 0


def notes(model=None, pruned=None, by="a", history=(), rows=0, skipped=0):
    """What stands before and after the rows of a command that names these models."""
    models = [{"htl": "model", "role": role, "path": str(path)} for role, path in {"dense": model, "pruned": pruned}.items() if path]
    begin = {"htl": "begin", "schema": 1, "by": by, "history": list(history)}
    return [begin, *models], [{"htl": "end", "by": by, "rows": rows, "skipped": skipped}]


def test_models_may_be_named_after_rows(htl, phantom, scored, dense, pruned):
    """Rows wait until the notes have named both models, wherever these stand, and then score as ever."""
    head, tail = notes(dense)
    late = notes(None, pruned)[0][1:]
    code, out, _ = htl("score", "-q", stdin=joined_lines([*head, *phantom.samples[:3], *late, *phantom.samples[3:6], *tail]))
    assert code == 0
    hardness, expected = hardness_of(out), hardness_of(scored.read_bytes())
    assert list(hardness) == [row["id"] for row in phantom.samples[:6]]
    for name, columns in hardness.items():
        assert columns == pytest.approx(expected[name], abs=1e-5)


def test_another_model_in_the_middle_is_refused(htl, phantom, dense, pruned, pruned30):
    """Rows of two streams that mean different models do not compare: refused, unless a flag says which one to use."""
    (head, tail), (other, _) = notes(dense, pruned), notes(dense, pruned30)
    first, second = phantom.samples[:4], phantom.samples[4:8]
    stdin = joined_lines([*head, *first, *tail, *other, *second, *tail])
    code, out, err = htl("score", "-q", "--batch-size", 2, stdin=stdin)
    assert code == 65
    assert err == f"htl score: stdin names {pruned} as pruned model, and later {pruned30}; name one of them with --pruned\n"
    assert b'"htl":"end"' not in out
    assert htl("score", "-q", "--pruned", pruned30, stdin=stdin)[0] == 0
    same = joined_lines([*head, *first, *tail, *head, *second, *tail])
    code, out, _ = htl("score", "-q", stdin=same)
    assert (code, len(hardness_of(out))) == (0, 8)


def test_history_that_comes_late_stands_at_the_end(htl, phantom, dense, pruned):
    """After `cat` the second history is known only when rows are out already: the stream ends with a note that holds all of it."""
    (head, tail), (other, other_tail) = notes(dense, pruned, "a", [{"run": "a"}], 4, 1), notes(dense, pruned, "b", [{"run": "b"}], 4, 2)
    stdin = joined_lines([*head, *phantom.samples[:4], *tail, *other, *phantom.samples[4:8], *other_tail])
    code, out, _ = htl("score", "-q", "--batch-size", 2, stdin=stdin)
    assert code == 0
    begins, ends = ([line for line in split_lines(out) if line.get("htl") == kind] for kind in ("begin", "end"))
    assert [[record["run"] for record in begin["history"]] for begin in begins] == [["a", ends[0]["by"]], ["a", "b", ends[0]["by"]]]
    assert [(end["rows"], end["skipped"]) for end in ends] == [(8, 3), (0, 0)]
    reader = RowReader(out.splitlines(keepends=True))
    assert len(list(reader)) == 8
    assert [record["run"] for record in reader.history] == ["a", "b", ends[0]["by"]]
    assert reader.skipped == 3
    assert htl("score", "-q", "--no-history", stdin=stdin)[1].count(b'"htl":"begin"') == 1


def test_rows_go_out_while_others_come_in(served, phantom, dense, pruned):
    """The first batch is written, and can be read, before the last row has come."""
    command = ["htl", "score", "-q", "--batch-size", "4", "--model", str(dense), "--pruned", str(pruned)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=served) as process:
        process.stdin.write(joined_lines(phantom.samples[:5]))
        process.stdin.flush()
        lines = [process.stdout.readline() for _ in range(7)]  # begin, two models, four rows
        assert [json.loads(line).get("id") for line in lines[3:]] == [row["id"] for row in phantom.samples[:4]]
        rest, _ = process.communicate(joined_lines(phantom.samples[5:7]))
    assert process.returncode == 0
    assert [line["id"] for line in split_lines(rest) if "id" in line] == [row["id"] for row in phantom.samples[4:7]]


def test_a_stream_that_turns_out_to_be_cut(htl, phantom, dense, pruned):
    """What was scored before the cut is out already; without an end note the next command knows that it is not all."""
    head, _ = notes(dense, pruned)
    stdin = joined_lines([*head, *phantom.samples[:8]])
    code, out, err = htl("score", "-q", "--batch-size", 2, stdin=stdin)
    assert (code, "stdin was cut: 1 begin notes, 0 end notes" in err) == (65, True)
    assert len(hardness_of(out)) == 8
    assert b'"htl":"end"' not in out
    with pytest.raises(DataError, match="was cut"):
        list(RowReader(out.splitlines(keepends=True)))
    assert htl("score", "-q", stdin=stdin + b"garbage\n")[:2] == (65, b"")  # it all fits in the first batch
    assert len(hardness_of(htl("score", "-q", "--partial", stdin=stdin)[1])) == 8


def test_limit_reads_and_checks_the_rest(htl, phantom, dense, pruned):
    """--limit scores the first rows, and a fault in the others is still a fault."""
    head, tail = notes(dense, pruned)
    rows = [*head, *phantom.samples[:8], *tail]
    code, out, _ = htl("score", "-q", "--limit", 3, "--batch-size", 2, stdin=joined_lines(rows))
    assert (code, list(hardness_of(out))) == (0, [row["id"] for row in phantom.samples[:3]])
    code, out, err = htl("score", "-q", "--limit", 3, stdin=joined_lines([*rows[:-1], {"id": 7}, rows[-1]]))
    assert (code, out) == (65, b"")
    assert "line 12: id: input should be a valid string" in err


def test_no_rows(htl, dense, pruned):
    """An empty stream is an error, and nothing is written."""
    assert htl("score", "--model", dense, "--pruned", pruned) == (
        65,
        b"",
        "htl score: no rows in stdin; did the command before fail, or a filter drop them all?\n",
    )


def test_gradient_norms_on_request(htl, phantom, dense, pruned, scored):
    """--also grand adds the norm of each sample's gradient, where there is a box, which resample can go by; the rest stays the same."""
    rows = [phantom.samples[0] | {"boxes": []}, *phantom.samples[1:]]
    arguments = ["score", "-q", "--model", dense, "--pruned", pruned, "--also", "grand"]
    code, out, _ = htl(*arguments, stdin=joined_lines(rows))
    assert code == 0
    hardness, usual = hardness_of(out), hardness_of(scored.read_bytes())
    assert "grand" not in hardness.pop(rows[0]["id"])
    for name, columns in hardness.items():
        assert columns.pop("grand") > 0
        assert columns == pytest.approx(usual[name], abs=1e-5)
    code, out, _ = htl("resample", "-q", "--by", "grand", "--boost", 1, stdin=out)
    assert code == 0
    assert len({row["weight"] for row in split_lines(out) if row.get("split") == "train" and row.get("boxes")}) == 2


def test_disagreement_under_dropout_on_request(htl, phantom, dense, pruned):
    """--also dropout_disagreement needs no box, and a row's score depends on the seed, but not on its batch or place."""
    rows = [{key: value for key, value in row.items() if key != "boxes"} for row in phantom.samples]
    arguments = ["score", "-q", "--model", dense, "--pruned", pruned, "--also", "dropout_disagreement"]
    hardness = {
        name: columns["dropout_disagreement"] for name, columns in hardness_of(htl(*arguments, stdin=joined_lines(rows))[1]).items()
    }
    assert len(hardness) == len(rows)
    assert all(0 <= value <= 1 for value in hardness.values())
    assert len(set(hardness.values())) > len(rows) / 2
    other = hardness_of(htl(*arguments, "--batch-size", 7, stdin=joined_lines(rows[::-1]))[1])
    assert {name: columns["dropout_disagreement"] for name, columns in other.items()} == pytest.approx(hardness, abs=2e-5)
    seeded = hardness_of(htl(*arguments, "--seed", 1, stdin=joined_lines(rows))[1])
    assert {name: columns["dropout_disagreement"] for name, columns in seeded.items()} != pytest.approx(hardness, abs=2e-5)


def test_unknown_columns_are_refused(htl, phantom):
    """--also with a column that does not exist is a usage error before anything is read."""
    code, _, err = htl("score", phantom.rows, "--also", "grand,negative_aum")
    known = "grand, dropout_disagreement, mirror_disagreement, look_disagreement, soft_dice_doubt"
    assert (code, err) == (2, f"htl score: --also knows no column 'negative_aum'; it knows {known}\n")


def test_models_of_labels_are_scored_without_boxes(htl, phantom, by_map, copy_of, tmp_path):
    """A weakly supervised model predicts, and has pruned_disagreement, without boxes; columns that need a box head are refused."""
    bare = [{name: value for name, value in row.items() if name != "boxes"} for row in phantom.samples[:8]]
    models = "--model", by_map, "--pruned", copy_of(by_map, tmp_path / "p.h5")
    code, out, _ = htl("score", *models, stdin=joined_lines(bare))
    rows = [line for line in split_lines(out) if "id" in line]
    assert (code, [row["hardness"]["pruned_disagreement"] for row in rows]) == (0, [0] * 8)
    assert all({"dense", "pruned"} == set(row["predicted"]) for row in rows)
    code, out, err = htl("score", *models, "--also", "grand", stdin=joined_lines(bare))
    assert (code, out) == (65, b"")
    assert f"{by_map} is a model of the task class_map: it has no box head for --also grand; leave out --also" in err


# boxes of images of 200 x 100: a quarter of the image, its upper half, its left half
PLACES = {"quarter": [0, 0, 100, 50], "upper": [0, 0, 200, 50], "left": [0, 0, 100, 100]}
FOREIGN = [
    {"id": "sub/a", "split": "train", "size": [200, 100], "boxes": [[0.0, 0.0, 100.0, 50.0]]},
    {"id": "b", "split": "train", "size": [200, 100], "boxes": [[0.0, 0.0, 100.0, 50.0]]},
    {"id": "c", "split": "test", "size": [200, 100]},
]


@pytest.fixture
def results(tmp_path):
    """`results("dense", a="quarter")` writes a file of COCO results, a box by image, each with a worse one before it; gives its path."""

    def write(name, **predictions):
        path = tmp_path / f"{name}.json"
        worse = [{"image_id": image, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 0.1} for image in predictions]
        best = [{"image_id": image, "category_id": 1, "bbox": PLACES[place], "score": 0.9} for image, place in predictions.items()]
        path.write_text(json.dumps(worse + best))  # these places begin at 0, 0: width and height are the far edges
        return path

    return write


def test_constant_predictions_of_other_tools(htl, results):
    """Files whose pruned model predicts one box for every image are told of likewise."""
    rows = [FOREIGN[0] | {"id": f"r{i}"} for i in range(12)]
    dense = results("dense", **{f"r{i}": ("quarter", "upper")[i % 2] for i in range(12)})
    pruned = results("pruned", **{f"r{i}": "left" for i in range(12)})
    code, _, err = htl("score", "-q", "--predictions", dense, pruned, stdin=joined_lines(rows))
    assert code == 0 and f"htl score: {pruned} predicts the same for all 12 rows: " in err
    assert htl("score", "-q", "--predictions", pruned, dense, stdin=joined_lines(rows))[::2] == (0, "")


def test_predictions_of_other_tools(htl, results):
    """COCO results take the place of both models: rows without a store get the columns that follow from predictions, worked by hand."""
    files = results("dense", a="quarter", b="quarter", c="upper"), results("pruned", a="upper", b="upper", c="left")
    code, out, err = htl("score", "--predictions", *files, stdin=joined_lines(FOREIGN))
    kind = "read as one box an image: no row has the field labels"
    assert (code, err) == (0, "".join(f"htl score: {path}: {kind}\n" for path in files))
    hardness = hardness_of(out)
    assert hardness["sub/a"].keys() == HARDNESS.keys() - SEVERAL - DYNAMICS
    expected = {"pruned_disagreement": 0.5, "pruned_shift": 0.125, "iou_drop": 0.5, "loss": 0, "el2n": 0, "smallness": 0.75}
    assert {name: hardness["sub/a"][name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert hardness["c"].keys() == {"pruned_disagreement", "pruned_shift", "random"} and hardness["c"][
        "pruned_disagreement"
    ] == pytest.approx(2 / 3, abs=1e-6)
    rows = [line for line in split_lines(out) if "id" in line]
    assert rows[2]["predicted"] == {"dense": [0, 0, 200, 50], "pruned": [0, 0, 100, 100]}
    assert not [line for line in split_lines(out) if line.get("htl") == "model"]  # no checkpoint to hand on
    code, again, _ = htl("score", "--model", files[0], "--pruned", files[1], stdin=joined_lines(FOREIGN))
    assert (code, hardness_of(again)) == (0, hardness)


def test_several_files_of_predictions(htl, results):
    """--pruned names more of them, as it does with models: columns are means, pie is there, and --stability has something to compare."""
    dense, right, wrong = results("dense", a="quarter", b="quarter"), results("p1", a="quarter", b="quarter"), results("p2", a="left")
    arguments = ["score", "--predictions", dense, right, "--pruned", wrong, "--stability"]
    code, out, err = htl(*arguments, stdin=joined_lines(FOREIGN[:2]))
    assert (code, "rank correlation from model to model" in err) == (0, True)
    assert hardness_of(out)["sub/a"]["pie"] == hardness_of(out)["b"]["pie"] == 0.5
    assert hardness_of(out)["sub/a"]["pruned_disagreement"] == pytest.approx(0.25, abs=1e-6)


def test_missing_predictions(htl, results):
    """Where a box is annotated, a missing one is a miss of IoU 0 and a high loss; what needs no annotation is absent; and so said."""
    files = results("dense", a="quarter", b="quarter", c="upper"), results("pruned", a="quarter")
    code, out, err = htl("score", "--predictions", *files, stdin=joined_lines(FOREIGN))
    assert (code, err.splitlines()[-1]) == (0, f"htl score: {files[1]}: no prediction for 2 of 3 rows")
    hardness = hardness_of(out)
    assert "pruned_disagreement" not in hardness["b"] and "suspect" not in hardness["b"] and hardness["c"].keys() == {"random"}
    assert hardness["b"]["iou_drop"] == 1 and hardness["b"]["pruned_loss"] > 3 and hardness["sub/a"]["pruned_loss"] == 0
    assert [line["predicted"].keys() for line in split_lines(out) if "id" in line][1] == {"dense"}
    code, out, _ = htl("resample", "-q", "--by", "pruned_loss", "--top", 0.5, "--boost", 1, stdin=out)
    assert code == 0
    weights = {line["id"]: line["weight"] for line in split_lines(out) if "weight" in line}
    assert weights["b"] > weights["sub/a"]


def test_predictions_by_number(htl, results, tmp_path):
    """Where image_id numbers the images of a data set, --coco names it, such as the one that view --to coco writes."""
    assert htl("view", "-q", "--to", f"coco:{tmp_path}/set.json", stdin=joined_lines(FOREIGN))[0] == 0
    predictions = {"1": "quarter", "2": "upper", "3": "left"}
    files = results("dense", **predictions), results("pruned", **predictions)
    code, out, err = htl("score", "--predictions", *files, "--coco", tmp_path / "set.json", stdin=joined_lines(FOREIGN))
    assert (code, "no prediction" in err) == (0, False)
    assert [columns["pruned_disagreement"] for columns in hardness_of(out).values()] == [0, 0, 0]
    code, out, err = htl("score", "--predictions", *files, stdin=joined_lines(FOREIGN))
    assert (code, b'"htl":"end"' in out) == (65, False)
    remedy = "image_id should be the id of a row; where it numbers the images of a data set, name that with --coco"
    assert err == f"htl score: {files[0]} has a prediction for none of the 3 rows; {remedy}\n"


def test_predictions_and_models_do_not_mix(htl, results, fixed):
    """A model beside predictions, columns that need a model, and a file that is not there are refused before anything is written."""
    dense = results("dense", a="quarter")
    code, out, err = htl("score", fixed.file, "--model", dense, "--pruned", fixed.half)
    remedy = "score predictions with predictions, and models with models"
    assert (code, out, err) == (2, b"", f"htl score: {dense} holds predictions, {fixed.half} does not; {remedy}\n")
    assert htl("score", fixed.file, "--predictions", dense, fixed.half)[:2] == (65, b"")
    code, out, err = htl("score", fixed.file, "--predictions", dense, dense, "--also", "grand")
    assert (code, out, err) == (2, b"", "htl score: --also grand needs models: it does not follow from predictions\n")
    assert htl("score", fixed.file, "--predictions", dense, "absent.json")[:2] == (66, b"")
    code, out, err = htl("score", fixed.file, "--model", fixed.half, "--pruned", fixed.half, "--coco", dense)
    cause = "--coco numbers the images of predictions, and there are none; name some with --predictions"
    assert (code, out, err) == (2, b"", f"htl score: {cause}\n")
