"""`htl score`."""

import numpy as np
import pytest
import torch

from htltools.core.controls import chance
from htltools.formats.jsonlines import joined_lines, split_lines
from htltools.formats.schema import HARDNESS
from htltools.formats.stream import read_rows


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
    """All splits are scored, in every column of the manual, with both answers in pixels of the picture; nothing else of a row changes."""
    rows, reader = read_rows(scored)
    assert [{key: row[key] for key in before} for row, before in zip(rows, phantom.samples)] == phantom.samples
    for row in rows:
        assert row["hardness"].keys() == HARDNESS.keys()
        assert row["predicted"].keys() == {"dense", "pruned"}
        assert all(0 <= x0 <= x1 <= row["size"][0] and 0 <= y0 <= y1 <= row["size"][1] for x0, y0, x1, y1 in row["predicted"].values())
    assert reader.models == {"dense": str(dense), "pruned": str(pruned)}
    assert len({row["split"] for row in rows}) == 3


def test_nothing_cut_is_no_drift(htl, phantom, dense):
    """A model scored against itself: drift, shift and gaps are 0 for every sample, and both losses agree."""
    code, out, _ = htl("score", phantom.rows, "--model", dense, "--pruned", dense, "-q")
    assert code == 0
    for columns in hardness_of(out).values():
        assert [columns[name] for name in ("drift", "shift", "iou_drop", "loss_gap")] == [0, 0, 0, 0]
        assert columns["loss"] == columns["pruned_loss"]


def test_several_pruned_models_give_the_mean(htl, phantom, scored, dense, pruned, pruned30):
    """--pruned given twice is the mean of the scores of each."""
    _, other, _ = htl("score", phantom.rows, "--model", dense, "--pruned", pruned30, "-q")
    _, both, _ = htl("score", phantom.rows, "--model", dense, "--pruned", pruned, "--pruned", pruned30, "-q")
    first, second, together = hardness_of(scored.read_bytes()), hardness_of(other), hardness_of(both)
    for name, columns in together.items():
        for column, value in columns.items():
            assert value == pytest.approx((first[name][column] + second[name][column]) / 2, abs=2e-6)


def test_unlabelled_rows(htl, phantom, dense, pruned):
    """A row without a box gets what needs no annotation: drift, shift, random."""
    rows = [{key: value for key, value in row.items() if key != "boxes"} for row in phantom.samples[:6]]
    rows[0]["boxes"] = []
    _, out, _ = htl("score", "--model", dense, "--pruned", pruned, "-q", stdin=joined_lines(rows))
    assert [columns.keys() for columns in hardness_of(out).values()] == [{"drift", "shift", "random"}] * 6


def test_the_order_of_rows_does_not_matter(htl, phantom, scored, dense, pruned):
    """A sample scores the same wherever it stands, whatever else is in the stream, in whatever batches."""
    rows = phantom.samples[::-2]
    _, out, _ = htl("score", "--model", dense, "--pruned", pruned, "-q", "--batch-size", 7, stdin=joined_lines(rows))
    expected, found = hardness_of(scored.read_bytes()), hardness_of(out)
    assert list(found) == [row["id"] for row in rows]
    for name, columns in found.items():
        assert columns == pytest.approx(expected[name], abs=1e-5)


def test_random_follows_from_seed_and_id(htl, phantom, scored, dense, pruned):
    """The control for chance is the one of the ids and --seed."""
    found = {name: columns["random"] for name, columns in hardness_of(scored.read_bytes()).items()}
    assert list(found.values()) == pytest.approx(chance(list(found), 0), abs=1e-6)
    _, out, _ = htl("score", phantom.rows, "--model", dense, "--pruned", pruned, "-q", "--seed", 4, "--limit", 3)
    other = hardness_of(out)
    assert [columns["random"] for columns in other.values()] == pytest.approx(chance(list(other), 4), abs=1e-6)


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
    row = phantom.samples[0] | {"hardness": {"mine": 0.5, "drift": -1.0}}
    _, out, _ = htl("score", "--model", dense, "--pruned", pruned, "-q", stdin=joined_lines([row]))
    columns = hardness_of(out)[row["id"]]
    assert columns["mine"] == 0.5
    assert columns["drift"] == pytest.approx(hardness_of(scored.read_bytes())[row["id"]]["drift"], abs=1e-5)


def test_without_a_pruned_model(htl, phantom, dense):
    """A stream that names no pruned model needs --pruned."""
    code, out, err = htl("score", phantom.rows, "--model", dense)
    assert (code, out) == (66, b"")
    assert err == f"htl score: no pruned model in {phantom.rows} or --pruned; did a filter drop the notes? See htl-stream(5)\n"


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
    assert htl("score", phantom.rows, "--model", phantom.rows, "--pruned", dense)[0] == 65


def test_a_store_of_another_frame(htl, dense, pruned, tmp_path):
    """A model is not run on pictures of a frame that it was not trained for."""
    assert htl("prepare", "--phantom", 3, "--size", 48, "-j", 1, "-q", "-o", tmp_path / "s")[0] == 0
    code, _, err = htl("score", tmp_path / "s", "--model", dense, "--pruned", pruned, "-q")
    assert (code, err) == (
        65,
        f"htl score: the store holds pictures of 48x48x3, {dense} takes 32x32x3; prepare them with the same --size\n",
    )


def test_a_model_that_changed_is_refused(htl, phantom, pruned, tmp_path):
    """A stream means one certain model: another file under its name is no substitute, unless --model says so."""
    swapped = tmp_path / "dense.h5"
    swapped.write_bytes(pruned.read_bytes())
    notes = [{"htl": "model", "role": "dense", "path": str(swapped), "sha256": "0" * 64}]
    stdin = joined_lines([*notes, *phantom.samples])
    code, out, err = htl("score", "--pruned", pruned, stdin=stdin)
    assert (code, out) == (65, b"")
    assert err == f"htl score: {swapped} is no longer the dense model that stdin means; name it with --model if it is right all the same\n"
    assert htl("score", "-q", "--model", swapped, "--pruned", pruned, stdin=stdin)[0] == 0
