"""`htl report`: the page as a browser shows it, where there is one, and as text."""

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from htltools.formats.rows.jsonlines import joined_lines, split_lines

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="chromium is not installed")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--enable-logging=stderr", "--virtual-time-budget=5000",
    "--dump-dom",
]  # fmt: skip
EVIL = '<img src=x onerror="document.title=1">'
SCRIPT = "</script><script>document.title=2</script>$x^2$ & \u2028"


def browsed(page, address: str, folder) -> str:
    """The page after its script ran, as the browser holds it."""
    done = subprocess.run(
        [BROWSER, *FLAGS, f"--user-data-dir={folder}", f"file://{page}#{address}"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "CONSOLE" not in done.stderr, done.stderr
    assert not re.search(r"<html[^>]* data-error", done.stdout) and re.search(r"<html[^>]* data-ready", done.stdout)
    return done.stdout


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
    """The page holds history, metrics with intervals, curves, subgroups, hardness, reliability and images."""
    parts = sections_of(page)
    assert list(parts) == [
        "What was run", "Metrics", "Subgroups", "Training and pruning", "Hardness", "Doubt", "Reliability over seeds", "Gallery",
    ]  # fmt: skip
    assert "htl" in parts["What was run"] and "dense.h5" in parts["What was run"]
    assert re.search(r"<td>iou_mean</td><td>0\.\d{3} \[0\.\d{3}, 0\.\d{3}\]</td>", parts["Metrics"])
    assert "say nothing of other training seeds" in parts["Metrics"]
    assert "also measures smallness" in parts["Hardness"]
    assert [parts[name].count("<svg") for name in ("Subgroups", "Training and pruning", "Hardness")] == [1, 1, 5]
    assert "--model" in parts["Reliability over seeds"]


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
    assert text.count("</script>") == 2
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
    assert not re.search(r"<img src=.?x", dom) and "<title>htl report</title>" in dom
    assert dom.count('<rect class="annotated"') == dom.count('<rect class="pruned"') == len(by_score)

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
    """With --group-by a table of odds ratios stands beside the subgroups, as evaluate --hard gives them."""
    flags = "--split", "train", "--group-by", "sex,site"
    assert htl("report", scored, *flags, "--gallery", 3, "-q", "-o", tmp_path / "r.html")[0] == 0
    subgroups = sections_of(tmp_path / "r.html")["Subgroups"]
    _, table = subgroups.split("<h3>Who is hard</h3>")
    assert re.findall("<th>(.*?)</th>", table) == ["subgroup", "n", "hard", "by pruned_loss", "adjusted", "by loss", "by random"]
    lines = split_lines(htl("evaluate", scored, "--hard", "pruned_loss", "--top", 0.1, *flags)[1])
    female = next(line for line in lines if line["subgroup"] == {"sex": "female"})
    assert f"<td>sex female</td><td>{female['n']}</td><td>{female['hard']}</td><td>{female['value']:.2f} [" in table
    assert htl("report", scored, "--gallery", 3, "-q", "-o", tmp_path / "p.html", "--no-meta")[0] == 0
    assert "Who is hard" not in (tmp_path / "p.html").read_text()


def test_rows_without_a_held_out_split(htl, scored, tmp_path):
    """Where nothing can be measured the page says so, and shows the rest."""
    rows = [row for row in split_lines(scored.read_bytes()) if row.get("split") != "test"]
    assert htl("report", "-q", "-o", tmp_path / "r.html", stdin=joined_lines(rows))[0] == 0
    assert "nothing to measure" in sections_of(tmp_path / "r.html")["Metrics"]


@pytest.mark.parametrize(
    "args, code, said",
    [
        (["--split", "dev"], 2, "--split takes train, val, test, not 'dev'"),
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
