"""What `score` and `evaluate` propose as the next step: commands that work when they are pasted."""

import shlex
import shutil

import pytest

from htltools.commands.shared.next_steps import subgroup_flags
from htltools.formats.rows.jsonlines import joined_lines
from htltools.formats.rows.row import Row
from htltools.formats.sources.open_rows import read_rows


def steps(shown: str) -> list[str]:
    """The commands that a terminal shows as the next steps."""
    return [line.strip() for line in shown.partition(" next:\n")[2].splitlines() if line.startswith("  htl ")]


@pytest.fixture
def places(tmp_path, phantom, dense, pruned, scored):
    """A folder with a space in its name that holds rows, scored rows and both models."""
    folder = tmp_path / "my data"
    folder.mkdir()
    for path in phantom.rows, dense, pruned, scored:
        shutil.copy(path, folder)
    return folder


def test_after_score(terminal, places):
    """Rows in a file can be looked at next, and asked who is hard; the name of the file is that of the shell."""
    shown = terminal("cd 'my data'; htl score rows.jsonl --model dense.h5 --pruned pruned.h5 > 'my scored.jsonl'")
    assert steps(shown) == [
        "htl view 'my scored.jsonl' --split train --sort pruned_loss --thumbnails auto   # look at the hardest",
        "htl evaluate 'my scored.jsonl' --split train --hard pruned_loss   # who are they?",
    ]
    for step in steps(shown):
        assert "Error" not in terminal(f"cd 'my data'; {step}")


@pytest.mark.parametrize("line", ["-q", "| wc -l", "2> log; cat log"])
def test_no_steps_where_nobody_reads_them(terminal, scored, line):
    """With -q, in a pipe, whose next command is the next step, and where stderr is a file, no step is proposed."""
    assert "next" not in terminal(f"htl evaluate {scored} --split train --hard pruned_disagreement --group-by sex {line}")


def test_rows_that_scroll_by_are_kept_nowhere(terminal, places):
    """Where the rows go to the terminal, the step is to keep them in a file."""
    shown = terminal("cd 'my data'; head -4 scored.jsonl | htl score --partial --model dense.h5 --pruned pruned.h5")
    assert steps(shown) == ["htl score ... > scored.jsonl   # these rows are kept nowhere"]


def test_after_evaluate(terminal, places):
    """After a comparison of one pair of models come another seed, and subgroups."""
    shown = terminal("cd 'my data'; htl evaluate scored.jsonl --split val --model dense.h5 --against pruned.h5")
    again, whom = steps(shown)
    flags = "--model dense.h5 --model OTHER --baseline pruned.h5 --baseline OTHER --split val"
    assert again.startswith(f"htl evaluate scored.jsonl {flags}   # with a second pair")
    assert whom.startswith("htl evaluate scored.jsonl --model dense.h5 --split val --group-by ")
    assert "subgroup" in terminal(f"cd 'my data'; {whom}")


def test_after_evaluate_of_unscored_rows(terminal, places):
    """Once subgroups are known, the samples themselves come next."""
    shown = terminal("cd 'my data'; htl evaluate --model dense.h5 --group-by sex < rows.jsonl > metrics.jsonl")
    assert steps(shown)[-1] == "htl prune rows.jsonl --model dense.h5 -o pruned.h5 | htl score > scored.jsonl   # which samples are hard?"


def test_after_who_is_hard(terminal, scored, dense, tmp_path):
    """The subgroup that is most surely hard more often is the one to look at, and the command shows just that one. Then come suspects, or,
    where the model of the rows looks once, a training of one that looks again.
    """
    rows = [row for row in read_rows(scored)[0] if row.split == "train"]
    for i, row in enumerate(rows):
        hard = i % 4 == 0
        row |= {
            "meta": {"clinic": "o'b" if hard or i == 1 else "rest"},
            "hardness": row.hardness | {"pruned_loss": float(hard) + i / 100},
        }
    (tmp_path / "rows.jsonl").write_bytes(joined_lines(rows))
    shown = terminal("htl evaluate rows.jsonl --split train --hard pruned_loss --top 0.2")
    assert "clinic o'b" in shown and "…" not in shown  # the table has room for names
    look, suspects = steps(shown)
    chosen = shlex.quote("clinic=o'b")
    assert look.startswith(f"htl view rows.jsonl --split train --where {chosen} --sort pruned_loss --thumbnails auto   # ")
    assert suspects == "htl view rows.jsonl --split train --sort suspect --thumbnails auto   # hard, or annotated wrongly?"
    assert "o'b" in terminal(look)
    (tmp_path / "named.jsonl").write_bytes(joined_lines([{"htl": "model", "role": "dense", "path": str(dense)}, *rows]))
    attend = steps(terminal("htl evaluate named.jsonl --split train --hard pruned_loss --top 0.2"))[-1]
    assert attend == "htl train named.jsonl --arch compact -o attended.h5   # attend: a model that looks again"


def test_a_subgroup_is_named_only_where_its_name_chooses_it():
    """A band of numbers is two comparisons; `unknown`, and names that are comparisons themselves, give no flags."""
    rows = [Row(id="a", meta={"age": 43, "sex": None, "x=y": "1", "ward": "1 b"}), Row(id="b", meta={"age": 70})]
    assert subgroup_flags({"age": "40-59"}, rows, 1) == "--where 'age>=40' --where 'age<60'"
    assert subgroup_flags({"age": "40-59"}, rows, 2) is None
    assert subgroup_flags({"sex": "unknown"}, rows, 2) is None
    assert subgroup_flags({"x=y": "1"}, rows, 1) is None
    assert subgroup_flags({"ward": "1 b", "age": "43"}, rows, 1) == "--where 'ward=1 b' --where age=43"
