"""`htl report`: the page as a browser shows it, where there is one, and as text."""

import html
import json
import re

import numpy as np
import pytest

from htltools.core.figures.outlines import COLOURS
from htltools.formats.rows.jsonlines import joined_lines, split_lines
from tests.browser import browsed, needs_browser

EVIL = '<img src=x onerror="document.title=1">'
SCRIPT = "</script><script>document.title=2</script>$x^2$ & \u2028"


def shown(dom: str) -> list[str]:
    """The names of the cards on the page, in order."""
    return [html.unescape(name) for name in re.findall(r"<h4>(.*?)</h4>", dom)]


def data_of(page) -> dict:
    """What the page's script reads."""
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.S)[1])


def sections_of(page) -> dict[str, str]:
    """The parts of the page by heading."""
    return dict(re.findall(r"<section[^>]*><h2>(.*?)</h2>(.*?)</section>", page.read_text(), re.S))


@pytest.fixture(scope="module")
def hostile(scored):
    """The scored rows, where a name, a value and a field of the data try to become markup."""
    rows = split_lines(scored.read_bytes())
    for number, row in enumerate(row for row in rows if "id" in row):
        row["meta"] |= {"comment": [EVIL, SCRIPT][number % 2], EVIL: number % 3}
        row["id"] += EVIL
    return joined_lines(rows)


@pytest.fixture(scope="module")
def page(htl, hostile, pruned, tmp_path_factory):
    """A report of hostile rows, with a second model."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    code, out, err = htl("report", "--attended", pruned, "--gallery", 40, "-o", path, "-q", stdin=hostile)
    assert (code, out, err) == (0, b"", "")
    return path


def test_every_part_is_there(page):
    """The page holds metrics with intervals, curves, subgroups, hardness, history and images, and nothing on what it has no data for."""
    parts = sections_of(page)
    assert list(parts) == [
        "Who is hard", "Metrics", "Subgroups", "Doubt", "Hardness", "Training and pruning", "What was run", "Gallery",
    ]  # fmt: skip
    assert "htl" in parts["What was run"] and "dense.h5" in parts["What was run"]
    assert re.search(r"<td>iou_mean</td><td>0\.\d{3} \[0\.\d{3}, 0\.\d{3}\]</td>", parts["Metrics"])
    assert "say nothing of other training seeds" in parts["Metrics"]
    assert "also measures smallness" in parts["Hardness"]
    assert [parts[name].count("<svg") for name in ("Doubt", "Training and pruning", "Hardness")] == [1, 1, 5]
    assert "samples in a hexagon" in parts["Hardness"]
    assert re.search(r"<td>pruned_disagreement</td><td>0\.\d{3} \[0\.\d{3}, 0\.\d{3}\]</td>", parts["Doubt"])


def test_what_has_no_data_is_said_and_not_shown(htl, scored, tmp_path):
    """A part without data is absent from the page, and stderr says why."""
    code, _, err = htl("report", scored, "--no-meta", "--gallery", 3, "-o", tmp_path / "r.html")
    assert code == 0
    assert not {"Who is hard", "Subgroups", "Reliability over seeds"} & set(sections_of(tmp_path / "r.html"))
    said = next(line for line in err.splitlines() if "not on the page" in line)
    assert "Who is hard (there are no fields to group by); Subgroups (there are no fields to group by); Reliability over seeds (" in said


def test_metrics_are_those_of_evaluate(htl, page, phantom, dense, pruned):
    """The table gives the numbers and intervals that `evaluate` gives."""
    lines = split_lines(htl("evaluate", phantom.rows, "--model", pruned, "--baseline", dense)[1])
    by_metric = {line["metric"]: line for line in lines}
    mean, delta = by_metric["iou_mean"], by_metric["iou_mean.delta"]
    line = re.search(r"<tr><td>iou_mean</td>.*?</tr>", sections_of(page)["Metrics"])[0]
    numbers = [float(text) for text in re.findall(r"[-+]?\d\.\d{3}", line)]
    wanted = [each[key] for each in (mean, delta) for key in ("value", "low", "high")]
    assert np.allclose(numbers[3:9], wanted, atol=0.0015)  # rows hold boxes to a hundredth of a pixel


def test_nothing_is_fetched(page):
    """The page names no address but those of XML, forbids all others, and runs no script but its own."""
    text = page.read_text()
    assert set(re.findall(r"https?://[^\"' )<]+", text)) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-" in text
    assert not re.search(r"<link|<script src|@import|url\((?!#)", text)
    assert "innerHTML" not in text


def test_text_of_the_data_is_no_markup(page):
    """What a table says of a patient stays text, in tables, figures and data alike."""
    text = page.read_text()
    assert EVIL not in text and EVIL in html.unescape(text)
    assert text.count("</script>") == 3
    assert data_of(page)["samples"][0]["about"][-2][1] in (EVIL, SCRIPT.replace("\u2028", " "))


def test_gallery_holds_the_extremes(page, scored):
    """The hardest of each split, the suspects, gains and losses are there, with boxes, scores and metadata of each."""
    data = data_of(page)
    rows = [row for row in split_lines(scored.read_bytes()) if "id" in row]
    assert len(data["samples"]) == 40
    assert {"hardest", "suspects"} <= set(data["sections"]) and {"gains", "losses"} & set(data["sections"])
    for split in ("train", "val", "test"):
        hardest = max((row for row in rows if row["split"] == split), key=lambda row: row["hardness"]["pruned_loss"])
        sample = next(sample for sample in data["samples"] if sample["id"] == hardest["id"] + EVIL)
        assert "hardest" in sample["sections"]
        assert sample["scores"]["pruned_loss"] == round(hardest["hardness"]["pruned_loss"], 4)
        assert np.allclose(sample["boxes"]["annotated"], np.clip(np.divide(hardest["boxes"][0], hardest["size"] * 2), 0, 1), atol=1e-4)
        assert ["split", split] in sample["about"]
    assert all(sample["image"].startswith("data:image/webp;base64,") for sample in data["samples"])


@needs_browser
def test_page_in_a_browser(page, tmp_path):
    """A browser shows the hardest first, filters and sorts as the address says, and turns no text of the data into markup."""
    samples = data_of(page)["samples"]
    by_score = sorted((s for s in samples if "hardest" in s["sections"]), key=lambda s: -s["scores"]["pruned_loss"])
    dom = browsed(page, "", tmp_path)
    assert shown(dom) == [sample["id"] for sample in by_score]
    assert not re.search(r"<img src=.?x", dom) and "<title>Hard-to-learn samples of store</title>" in dom
    assert dom.count('<rect class="annotated"') == dom.count('<rect class="pruned"') == len(by_score) + 1  # one in the key
    assert ">sorted by pruned_loss: box loss of the pruned model, 0 or more; higher is harder</p>" in dom

    wanted = sorted((s for s in samples if s["levels"]["sex"] == "female"), key=lambda s: s["scores"]["pruned_disagreement"])
    dom = browsed(page, "sort=pruned_disagreement&order=asc&sex=female", tmp_path)
    assert 0 < len(wanted) < len(samples)
    assert shown(dom) == [sample["id"] for sample in wanted]
    assert f"{len(wanted)} of {len(samples)} images" in dom


def test_without_meta_and_history(htl, hostile, tmp_path):
    """With --no-meta no metadata, label or group is on the page, and with --no-history the same call writes the same bytes."""
    pages = []
    for name in "ab":
        args = "report", "--no-meta", "--no-history", "--gallery", 9, "-q", "-o", tmp_path / name
        assert htl(*args, stdin=hostile)[0] == 0
        pages.append((tmp_path / name).read_bytes())
    assert pages[0] == pages[1]
    data = data_of(tmp_path / "a")
    assert {key for sample in data["samples"] for key, _ in sample["about"]} == {"split"}
    assert [each["name"] for each in data["filters"]] == ["split"]
    assert b"female" not in pages[0] and b"comment" not in pages[0]


def test_several_models_are_scored_and_compared(htl, phantom, dense, pruned, copy_of, tmp_path):
    """Models on the command line score the rows, and two of a role show how reliable each column is: alike ones are."""
    other = copy_of(pruned, tmp_path / "other.h5", dense)
    models = "--model", dense, "--pruned", pruned, "--pruned", other
    code, _, err = htl(
        "report", phantom.rows, *models, "--by", "pruned_disagreement", "--group-by", "sex", "--gallery", 5, "-o", tmp_path / "r.html"
    )
    assert code == 0, err
    assert err.splitlines()[-1].startswith(f"htl report: {tmp_path}/r.html: 80 samples, 5 images, ")
    assert "gap" not in err  # the page shows none, and none is computed
    assert "<td>pruned_disagreement</td><td>1.000</td>" in sections_of(tmp_path / "r.html")["Reliability over seeds"]


def test_a_model_of_maps_is_measured_as_such(htl, phantom, by_map, copy_of, tmp_path):
    """The page of a model of class maps has its own metrics, which evaluate gives."""
    models = "--model", by_map, "--pruned", copy_of(by_map, tmp_path / "p.h5")
    code, _, err = htl("report", phantom.rows, *models, "--gallery", 3, "-o", tmp_path / "r.html")
    assert code == 0, err
    lines = split_lines(htl("evaluate", phantom.rows, "--model", by_map)[1])
    by_metric = {line["metric"]: line["value"] for line in lines}
    for name in ("maxboxacc_v2", "maxboxacc_v2_oracle", "pxap"):
        assert f"<td>{name}</td><td>{by_metric[name]:.3f}</td>" in sections_of(tmp_path / "r.html")["Metrics"]


def test_who_is_hard(htl, scored, tmp_path):
    """A forest plot and a table of odds ratios, as evaluate --hard gives them; levels of few samples are on demand, and not drawn."""
    flags = "--split", "train", "--group-by", "sex,site"
    assert htl("report", scored, *flags, "--gallery", 3, "-q", "-o", tmp_path / "r.html")[0] == 0
    part = sections_of(tmp_path / "r.html")["Who is hard"]
    lines = split_lines(htl("evaluate", scored, "--hard", "pruned_loss", "--top", 0.1, *flags)[1])
    by_level = {" ".join(*line["subgroup"].items()): line for line in lines if line["column"] == "pruned_loss"}
    table, few = part.split("<details>")
    for name, line in by_level.items():
        count = f"{line['n']} few" if line["n"] < 30 else line["n"]
        assert f"<td>{name}</td><td>{count}</td><td>{line['hard']}</td><td>{line['value']:.2f}" in (few if line["few"] else table)
        assert (f"{name} ({line['n']})</text>" in table) is not line["few"]
    headings = ["subgroup", "n", "hard", "by pruned_loss", "adjusted", "by loss, adjusted", "by random, adjusted"]
    assert re.findall("<th>(.*?)</th>", table) == re.findall("<th>(.*?)</th>", few) == headings
    assert {line["few"] for line in by_level.values()} == {True, False}


def finding_of(page) -> list[str]:
    """The sentences at the top of the page."""
    return [
        html.unescape(text) for text in re.findall("<li>(.*?)</li>", re.search('<ul class="finding">(.*?)</ul>', page.read_text(), re.S)[1])
    ]


def test_the_finding_comes_first(htl, page, phantom, dense, pruned, scored, tmp_path):
    """Three sentences with figures: how good the model is, who is hard, and the verdict of evaluate; or what tells failures."""
    good, who, change = finding_of(page)
    lines = {line["metric"]: line for line in split_lines(htl("evaluate", phantom.rows, "--model", dense)[1])}
    assert re.match(r"On the \d+ samples of \d+ groups of split test the dense model has a mean IoU of 0\.\d{3} \[0\.\d{3}, ", good)
    assert float(re.search(r"mean IoU of (0\.\d{3})", good)[1]) == pytest.approx(lines["iou_mean"]["value"], abs=0.0015)
    assert who == "No subgroup of split test has 30 samples: they are too few to tell who is hard by pruned_loss."
    assert re.match(r"With attention, iou_mean differs by [+-]0\.\d{4}, \[.*\] over groups: ", change)
    assert htl("report", scored, "--no-meta", "--gallery", 3, "-q", "-o", tmp_path / "r.html")[0] == 0
    _, doubt = finding_of(tmp_path / "r.html")
    assert re.search(r"he 80 % least doubtful by \S+ have a mean IoU of 0\.\d{3} \[", doubt)


def test_who_stands_out_is_named(htl, scored, tmp_path):
    """A subgroup that is hard far more often than others is in the finding, with its odds ratio of pencil and paper and the controls."""
    rows = [row for row in split_lines(scored.read_bytes()) if row.get("split") == "train"] * 4
    hard = round(0.1 * len(rows))
    rows = [
        row | {"id": f"r{i}", "group": f"g{i}", "hardness": row["hardness"] | {"pruned_loss": 1 - i / 1000}, "meta": {"ward": "west"}}
        for i, row in enumerate(rows)
    ]
    for row in [*rows[: hard - 6], *rows[-(46 - hard) :]]:  # 40 of which all but 6 of the hard ones
        row["meta"]["ward"] = "east"
    assert htl("report", "--split", "train", "--gallery", 3, "-q", "-o", tmp_path / "r.html", stdin=joined_lines(rows))[0] == 0
    assert finding_of(tmp_path / "r.html")[0].endswith("miss (IoU below 0.1): it was fitted to these samples, no held-out figure.")
    ratio = (hard - 6) * (len(rows) - 46) / ((46 - hard) * 6)
    who = finding_of(tmp_path / "r.html")[1]
    assert who.startswith(
        f"{hard - 6} of the 40 samples of ward east are among the hardest 10% by pruned_loss, an odds ratio of {ratio:.2f} ["
    )
    assert re.search(r"\], \d+\.\d\d by loss and \d+\.\d\d by random; at equal area, border contact and label ", who)


def test_sort_keys_are_explained_and_filters_in_order(htl, scored, tmp_path):
    """Every column that images can be sorted by has a meaning, and levels stand in the order of their numbers, `unknown` last."""
    rows = [row for row in split_lines(scored.read_bytes()) if "id" in row]
    rows = [row | {"meta": {"age": 9 * (i % 14) or None, "grade": f"T{i % 12}"}} for i, row in enumerate(rows)]
    assert htl("report", "-q", "--no-history", "-o", tmp_path / "r.html", stdin=joined_lines(rows))[0] == 0
    data = data_of(tmp_path / "r.html")
    assert set(data["meanings"]) == set(data["columns"]) and "IoU dense" in data["meanings"]
    assert "`" not in str(data["meanings"])
    levels = {each["name"]: each["levels"] for each in data["filters"]}
    assert levels["age"] == ["0-19", "20-39", "40-59", "60-79", "80-99", "100-119", "unknown"]
    assert levels["grade"] == [f"T{i}" for i in range(12)]
    assert levels["split"] == ["train", "val", "test"]


def test_colours_are_those_of_the_sheet(page):
    """Boxes have the same colours on the page, the sheet and the terminal, and the key stays in print."""
    style = re.search("<style>(.*?)</style>", page.read_text(), re.S)[1]
    for role, colour in COLOURS.items():
        assert re.search(rf"^\.{role} {{ stroke: #{bytes(colour).hex()};", style, re.M)
    printed = style[style.index("@media print") :]
    assert "form label:not(.switch)" in printed and not re.search(r"form,|form \{ display: none", printed)


def test_rows_without_a_held_out_split(htl, scored, tmp_path):
    """Where nothing can be measured the page says so first, and shows the rest."""
    rows = [row for row in split_lines(scored.read_bytes()) if row.get("split") != "test"]
    assert htl("report", "-q", "-o", tmp_path / "r.html", stdin=joined_lines(rows))[0] == 0
    assert "nothing to measure" in finding_of(tmp_path / "r.html")[0]
    assert "Metrics" not in sections_of(tmp_path / "r.html")


@pytest.mark.parametrize(
    "args, code, said",
    [
        (["--split", "fit"], 2, "--split takes train, val, test, not 'fit'"),
        (["--by", "drft"], 2, "--by knows no column 'drft'; it knows pruned_disagreement, pruned_shift"),
        (["--by", "grand"], 65, "rows have no hardness 'grand'"),
        (["--group-by", "sx"], 65, "no row has a field 'sx' to group by"),
        (["--attended", "nowhere.h5"], 66, "nowhere.h5 is not there"),
    ],
)
def test_wrong_flags(htl, scored, tmp_path, args, code, said):
    """What is wrong is said in one line, and nothing is written."""
    exit_code, out, err = htl("report", scored, "-o", tmp_path / "r.html", *args)
    assert (exit_code, out) == (code, b"") and said in err and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(htl, scored, tmp_path):
    """A page that exists is replaced only with --force."""
    (tmp_path / "r.html").write_text("mine")
    assert htl("report", scored, "-o", tmp_path / "r.html")[0] == 73
    assert (tmp_path / "r.html").read_text() == "mine"


def test_unscored_rows_need_models(htl, phantom, tmp_path):
    """Rows without scores and without models are refused with the remedy."""
    rows = joined_lines(phantom.samples)
    code, _, err = htl("report", "-o", tmp_path / "r.html", stdin=rows)
    assert (code, err) == (66, "htl report: no dense model in stdin or --model; did a filter drop the notes? See htl-stream(5)\n")
