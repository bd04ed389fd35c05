"""The same samples in another form give the same figures: rows shuffled, ids renamed, a file split and put together again."""

import json
import random

import pytest

from htltools.formats.rows.jsonlines import joined_lines


def lines_of(data: bytes) -> list[dict]:
    """All lines of an output."""
    return [json.loads(line) for line in data.splitlines()]


def samples_of(data: bytes) -> list[dict]:
    """The rows of an output, without notes."""
    return [line for line in lines_of(data) if "htl" not in line]


@pytest.fixture(scope="module")
def figures(htl, phantom, dense, pruned):
    """`figures(rows)`: hardness by id, the metrics of the dense model with subgroups, and who is hard, of some rows."""

    def run(rows: list[dict], scored: bytes = b"") -> tuple[dict, list, list]:
        models = "--model", dense, "--pruned", pruned
        out = scored or htl("score", "-q", *models, stdin=joined_lines(rows))[1]
        metrics = lines_of(htl("evaluate", "-q", "--model", dense, "--group-by", "sex", stdin=joined_lines(rows))[1])
        hard = htl("evaluate", "-q", "--split", "train", "--hard", "pruned_loss", "--group-by", "sex,site", stdin=out)[1]
        return {row["id"]: row["hardness"] for row in samples_of(out)}, metrics, lines_of(hard)

    return run


def test_shuffled_rows(figures, phantom):
    """The order of rows changes no score, no metric, no interval and no odds ratio."""
    rows = [dict(row) for row in phantom.samples]
    plain = figures(rows)
    random.Random(1).shuffle(rows)
    assert figures(rows) == plain


def test_renamed_ids(figures, phantom):
    """Other names of the samples, in another order of the alphabet, give the same figures but for what is drawn by their names."""

    def drawn_apart(found):
        hardness, metrics, odds = found
        apart = [{name: own[name] for name in own if name != "random"} for own in hardness.values()]
        return apart, metrics, [line for line in odds if line["column"] != "random"]

    rows = [row | {"group": row.group} for row in phantom.samples]
    renamed = [row | {"id": f"x{len(rows) - i:04d}"} for i, row in enumerate(rows)]
    assert drawn_apart(figures(renamed)) == drawn_apart(figures(rows))


def test_split_and_put_together(htl, figures, phantom, dense, pruned):
    """Parts of a file that are scored apart and put together are the file scored whole, but for the rounding of other batches."""
    rows = [dict(row) for row in phantom.samples]
    parts = [htl("score", "-q", "--model", dense, "--pruned", pruned, stdin=joined_lines(part))[1] for part in (rows[:31], rows[31:])]
    together, whole = figures(rows, b"".join(parts)), figures(rows)
    assert together[0].keys() == whole[0].keys() and together[1] == whole[1]
    for name, hardness in whole[0].items():
        assert together[0][name] == pytest.approx(hardness, abs=2e-5)
