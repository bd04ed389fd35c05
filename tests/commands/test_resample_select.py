"""`htl resample --where`, `--mode select` and `--mark`: rows that are hard by a condition, and rows that stay."""

import pytest

from htltools.formats.rows.jsonlines import joined_lines, split_lines


def row(name, split="train", **more):
    """An annotated row."""
    return {"id": name, "split": split, "size": [100, 100], "boxes": [[10, 10, 60, 60]], **more}


ROWS = [row(f"r{i}", hardness={"loss": i / 10, "pruned_disagreement": 1 - i / 10}) for i in range(10)]


def site(name, where, split="train", **more):
    """An annotated row of a site; images of one letter are a group."""
    return row(name, split, group=name[0], meta={"site": where}, **more)


# 4 images of the face in two lesions, 12 of the back in ten
SITES = [site(name, "face") for name in ("a1", "a2", "b1", "b2")]
SITES += [site(name, "back") for name in ("c1", "c2", "d1", "d2", *"efghijkl")]


def chosen_by(htl, *args, rows=SITES):
    """The rows that resample writes, by id, and its message."""
    code, out, err = htl("resample", *args, stdin=joined_lines(rows))
    assert code == 0, err
    return {line["id"]: line for line in split_lines(out) if "id" in line}, err


def test_a_condition_chooses_hard_rows(htl):
    """--where takes the place of --by and --top in every mode, needs no scores, and several conditions must all hold."""
    weights = {name: line["weight"] for name, line in chosen_by(htl, "--where", "site=face", "--boost", 8)[0].items()}
    assert weights == {name: pytest.approx((9 if name[0] in "ab" else 1) / 3) for name in weights}
    rows = chosen_by(htl, "--where", "site=face", "--where", "id!=a1", "--mode", "select")[0]
    assert list(rows) == ["a2", "b1", "b2"]
    _, out, _ = htl("resample", "--where", "site=face", "--mode", "repeat", "--boost", 1, stdin=joined_lines(SITES))
    assert sorted(line["id"] for line in split_lines(out) if line.get("repeat")) == ["a1", "a2", "b1", "b2"]


def test_no_row_fits_a_condition(htl):
    """A condition that no training row fits is refused, and so is a field that none has."""
    code, out, err = htl("resample", "--where", "site=hand", stdin=joined_lines(SITES))
    assert (code, out, err) == (65, b"", "htl resample: no row has the site 'hand'; there are back, face\n")
    code, _, err = htl("resample", "--where", "sight=face", stdin=joined_lines(SITES))
    assert code == 65
    assert err.startswith("htl resample: no row has a field 'sight'; the first has id, ")
    code, _, err = htl("resample", "--where", "site!=hand", stdin=joined_lines(SITES))
    assert (code, "by site!=hand; site!=hand excludes no row: there are back, face" in err) == (0, True)


def test_hard_rows_are_made_rare(htl):
    """--share leaves so many of the hard rows that they make up that share, drawn by whole groups, and all others."""
    rows, message = chosen_by(htl, "--where", "site=face", "--mode", "select", "--share", 0.15)
    faces = {name[0] for name in rows if name[0] in "ab"}
    assert len(rows) == 14
    assert len(faces) == 1  # one lesion with both of its images: 2 of 14
    assert message == "htl resample: 4 of 16 training rows are hard by site=face, 2 of the 14 that stay; 14 rows of 16 go on\n"
    assert not {"a1", "b1"} & chosen_by(htl, "--where", "site=face", "--mode", "select", "--share", 0)[0].keys()


def test_a_count_of_rows_with_a_rare_part(htl):
    """--count with --share says how many rows stay in all; all images of a lesion stay or go; another seed draws others."""
    args = ["--where", "site=face", "--mode", "select", "--share", 0.2, "--count", 10]
    drawn = [tuple(chosen_by(htl, *args, "--seed", seed)[0]) for seed in range(6)]
    for names in drawn:
        assert len(names) == 10
        assert sum(name[0] in "ab" for name in names) == 2
        assert all(("c1" in names) == ("c2" in names) and ("d1" in names) == ("d2" in names) for names in drawn)
    assert len(set(drawn)) > 1
    assert tuple(chosen_by(htl, *args)[0]) == drawn[0]
    code, out, err = htl("resample", *args[:4], "--share", 0.5, "--count", 10, stdin=joined_lines(SITES))
    assert (code, out) == (65, b"")
    assert err == "htl resample: 5 hard rows of 10 are wanted, and there are 4; lower --count or --share\n"


def test_the_smallest_are_made_rare(htl):
    """--by smallness --top --share works without scores; splits val and test stay whole."""
    rows = [row(f"r{i}", boxes=[[0, 0, 10 + i, 50]]) for i in range(40)] + [row("v", "val")]
    names = chosen_by(htl, "--by", "smallness", "--top", 0.25, "--mode", "select", "--share", 0.1, "--count", 20, rows=rows)[0]
    assert len(names) == 21
    assert sum(name in names for name in [f"r{i}" for i in range(10)]) == 2
    assert "v" in names


def test_a_count_of_the_hardest(htl):
    """--count alone takes the place of --top: so many of the hardest rows, or of those that fit, by whole groups."""
    assert list(chosen_by(htl, "--by", "loss", "--mode", "select", "--count", 3, rows=ROWS)[0].values()) == ROWS[7:]
    names = chosen_by(htl, "--where", "site=face", "--mode", "select", "--count", 2)[0]
    assert set(names) in ({"a1", "a2"}, {"b1", "b2"})
    code, _, err = htl("resample", "--by", "loss", "--mode", "select", "--count", 11, stdin=joined_lines(ROWS))
    assert (code, err) == (65, "htl resample: 11 rows are wanted, and there are 10; lower --count\n")


def test_marks_stand_in_every_split(htl):
    """--mark writes yes or no into meta of every row that has the column: other splits go by the threshold of the training rows."""
    others = [row("v1", "val", hardness={"loss": 0.7}, meta={"sex": "male"}), row("v2", "test", hardness={"loss": 0.69}), row("t", "test")]
    rows = chosen_by(htl, "--by", "loss", "--top", 0.3, "--mark", "rare", rows=[*ROWS, *others])[0]
    assert {name: line.get("meta") for name, line in rows.items()} == {
        **{f"r{i}": {"rare": "yes" if i > 6 else "no"} for i in range(10)},
        "v1": {"sex": "male", "rare": "yes"},
        "v2": {"rare": "no"},
        "t": None,
    }
    marked, _ = chosen_by(htl, "--where", "site=face", "--mark", "rare", rows=[*SITES, site("z", "face", "test"), site("y", "back", "val")])
    assert [name for name, line in marked.items() if line["meta"]["rare"] == "yes"] == ["a1", "a2", "b1", "b2", "z"]
    again = chosen_by(htl, "--where", "rare=yes", "--boost", 8, rows=list(marked.values()))[0]
    assert {name[0] for name, line in again.items() if line.get("weight", 0) > 1} == {"a", "b"}


def test_marks_of_equal_rows(htl):
    """Where most rows are equally hard, a hash of the id decides in every split, and not every row of val and test is marked."""
    rows = [
        {"id": f"s{i}", "split": ("train", "val", "test")[i % 3], "size": [9, 9], "boxes": [[0, 0, 5, 5]], "hardness": {"pie": 0.0}}
        for i in range(300)
    ]
    found, message = chosen_by(htl, "--by", "pie", "--top", 0.3, "--mark", "rare", rows=rows)
    marked = {name for name, line in found.items() if line["meta"]["rare"] == "yes"}
    assert "30 of 100 training rows are hard by pie (30 of 100 that tie at the threshold)" in message
    counts = {split: sum(row["split"] == split and row["id"] in marked for row in rows) for split in ("train", "val", "test")}
    assert counts["train"] == 30 and all(15 < counts[split] < 45 for split in ("val", "test"))
    again = chosen_by(htl, "--by", "pie", "--top", 0.3, "--mark", "rare", rows=rows[::-1])[0]
    assert marked == {name for name, line in again.items() if line["meta"]["rare"] == "yes"}


def test_a_mark_overwrites_no_metadata(htl):
    """A field of meta with other values than yes and no is not overwritten."""
    code, out, err = htl("resample", "--where", "site=face", "--mark", "site", stdin=joined_lines(SITES))
    assert (code, out) == (65, b"")
    assert err == "htl resample: the rows have a field 'site' already, such as 'face'; choose another name for --mark\n"


def test_what_to_annotate_next(htl):
    """--unlabelled writes the hardest training rows without a box, and nothing else."""
    pool = [{"id": f"u{i}", "split": "train", "size": [9, 9], "hardness": {"pruned_disagreement": i / 10}} for i in range(6)]
    rows, message = chosen_by(
        htl,
        "--mode",
        "select",
        "--unlabelled",
        "--by",
        "pruned_disagreement",
        "--count",
        2,
        rows=[*ROWS, *pool[::-1], row("v", "val"), row("t", "test")],
    )
    assert list(rows) == ["u5", "u4"]
    assert message == "htl resample: 2 of 6 training rows are hard by pruned_disagreement; 2 rows of 18 go on\n"
    code, _, err = htl("resample", "--mode", "select", "--unlabelled", "--by", "loss", stdin=joined_lines(pool))
    assert (code, err) == (65, "htl resample: 6 rows have no hardness 'loss' (the first: 'u0'); these rows have pruned_disagreement\n")
    code, _, err = htl("resample", "--mode", "select", "--unlabelled", "--by", "pruned_disagreement", stdin=joined_lines(ROWS))
    assert (code, err) == (65, "htl resample: no row of split train without a box\n")
