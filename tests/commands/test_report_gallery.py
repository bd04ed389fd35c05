"""The gallery of `htl report`: originals on a click, marks by button and key, lists of ids and commands to go on with."""

import base64
import html
import io
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from htltools.formats.rows.jsonlines import joined_lines, split_lines
from tests.browser import browsed, needs_browser

SIZE = 300, 200


@pytest.fixture(scope="module")
def rows(htl, save_image, tmp_path_factory):
    """Twelve images of a folder as scored rows; the harder, the higher the number in their name. The last has no original any more."""
    folder = tmp_path_factory.mktemp("originals")
    lines = ["image_id,split,x0,y0,x1,y1"]
    for i in range(12):
        save_image(folder / f"study/images/{i:02}.png", size=SIZE)
        lines.append(f"{i:02},{'train' if i % 2 else 'test'},{30 + i},40,{90 + i},80")
    (folder / "study/metadata.csv").write_text("\n".join(lines))
    code, out, err = htl("prepare", folder / "study", "-o", folder / "store", "--size", 32)
    assert code == 0, err
    (folder / "study/images/11.png").unlink()
    made = [line for line in split_lines(out) if "id" in line]
    for i, row in enumerate(made):
        box = row["boxes"][0]
        row |= {"hardness": {"pruned_loss": i}, "predicted": {"dense": box, "pruned": [0, 0, *box[2:]]}}
        row["hardness"] |= {"suspect": 5 - i} if i < 2 else {}
    (folder / "scored.jsonl").write_bytes(joined_lines(made))
    return folder / "scored.jsonl"


@pytest.fixture(scope="module")
def page(htl, rows):
    """A report of them with eight images: path, and what it said."""
    path = rows.parent / "report.html"
    code, _, err = htl("report", rows, "--gallery", 8, "--large", 240, "-o", path)
    assert code == 0, err
    return path, err


def json_of(page, name: str):
    """The data of a page by name."""
    return json.loads(re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page.read_text(), re.S)[1])


def decoded(uri: str) -> np.ndarray:
    """The pixels of a data URI."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def acted(page, folder, script: str, address: str = "") -> dict:
    """What a script of the test leaves in `result`, after it ran on the page as a person would act on it. Only for the test the page
    lets a script of others run."""
    text = page.read_text()
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    act = """<script>
    const result = {}, find = query => document.querySelector(query), cardNamed = id => cardOf.get(id);
    const press = (key, at) => at.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
    (async () => {%s; document.documentElement.dataset.result = JSON.stringify(result); })()
      .catch(error => { document.documentElement.dataset.error = error.stack; });
    </script>"""
    (folder / "acted.html").write_text(text.replace("</body>", act % script + "</body>"))
    tag = re.search(r"<html[^>]*>", browsed(folder / "acted.html", address, folder / "browser"))[0]
    return json.loads(html.unescape(re.search(r'data-result="(.*?)"', tag)[1]))


def test_hardest_are_half_and_ranks_are_told(page):
    """Half of the room is for the hardest, none of the others is called so, and each tells its place in its split."""
    data = json_of(page[0], "data")
    assert len(data["samples"]) == 8
    hardest = [sample["id"] for sample in data["samples"] if "hardest" in sample["sections"]]
    assert sorted(hardest) == ["08", "09", "10", "11"]
    others = [sample for sample in data["samples"] if not sample["sections"]]
    assert len(others) == 2 and all(set(sample["ranks"]) == {"hardest"} for sample in others)
    assert {s["id"]: s["ranks"]["suspects"] for s in data["samples"] if "suspects" in s["sections"]} == {
        "00": "1 of 1 in test",
        "01": "1 of 1 in train",
    }
    ranks = {sample["id"]: sample["ranks"]["hardest"] for sample in data["samples"]}
    assert (ranks["11"], ranks["10"], ranks["08"]) == ("1 of 6 in train", "1 of 6 in test", "2 of 6 in test")


def test_originals_are_on_the_page(page):
    """Each image whose file is there comes larger than the store has it, in its own proportions; a missing one is said."""
    path, said = page
    samples, originals = json_of(path, "data")["samples"], json_of(path, "originals")
    assert len(originals) == len(samples)
    for sample, original in zip(samples, originals):
        if sample["id"] == "11":
            assert original is None
            continue
        assert sample["file"] == f"images/{sample['id']}.png"
        assert decoded(original["image"]).shape == (160, 240, 3) and original["window"] == [0, 0, 1, 1]
    assert "no original of 1 of 8 images, such as 11: its file is not there; --originals DIR says where they lie now" in said


def test_a_crop_shows_every_pixel(htl, rows, tmp_path):
    """--crop takes the window around the boxes out of the original, here at its own resolution; --large 0 takes no original."""
    assert htl("report", rows, "--gallery", 2, "--crop", 1.5, "-q", "-o", tmp_path / "r.html")[0] == 0
    samples, originals = json_of(tmp_path / "r.html", "data")["samples"], json_of(tmp_path / "r.html", "originals")
    sample, original = next(pair for pair in zip(samples, originals) if pair[1])
    _, _, x1, y1 = np.array(sample["boxes"]["annotated"][0]) * (SIZE * 2)  # the pruned box begins at 0, 0
    assert np.allclose(np.array(original["window"]) * (SIZE * 2), [0, 0, 1.5 * x1, 1.5 * y1], atol=0.1)
    left, top, right, bottom = np.round(np.array(original["window"]) * (SIZE * 2)).astype(int)
    shown = decoded(original["image"]).astype(float)
    assert shown.shape == (bottom - top, right - left, 3)
    assert htl("report", rows, "--gallery", 2, "--large", 0, "-q", "-o", tmp_path / "s.html")[0] == 0
    assert json_of(tmp_path / "s.html", "originals") == [None, None]


def test_moved_and_changed_originals(htl, rows, tmp_path):
    """--originals says where the images lie now; one that is of another size by now is not shown as the original."""
    study = tmp_path / "moved"
    shutil.copytree(rows.parent / "study", study)
    shutil.copy(study / "images/10.png", study / "images/11.png")
    Image.open(study / "images/10.png").resize((30, 20)).save(study / "images/10.png")
    code, _, err = htl("report", rows, "--gallery", 4, "--originals", study, "-o", tmp_path / "r.html")
    assert code == 0 and "no original of 1 of 4 images, such as 10: it is 30x20 now, and was 300x200" in err
    samples, originals = json_of(tmp_path / "r.html", "data")["samples"], json_of(tmp_path / "r.html", "originals")
    by_id = {sample["id"]: original for sample, original in zip(samples, originals)}
    assert by_id["10"] is None and by_id["11"] is not None


def test_no_meta_names_no_file(htl, rows, tmp_path):
    """The path of a file may tell what meta does: without it no path is on the page."""
    assert htl("report", rows, "--gallery", 2, "--no-meta", "--no-history", "-q", "-o", tmp_path / "r.html")[0] == 0
    assert "images/" not in (tmp_path / "r.html").read_text()


@needs_browser
def test_marks(page, tmp_path):
    """Buttons and keys mark, a second time takes a mark away, a mark of a selected image is for all that are, and all of them are still
    there when the page is opened again."""
    result = acted(page[0], tmp_path, """
      cardNamed("11").querySelector("[data-mark=wrong]").click();
      press("k", cardNamed("10"));
      press("w", cardNamed("09")); press("w", cardNamed("09"));
      cardNamed("08").querySelector("input").click(); press("x", cardNamed("09")); press("u", cardNamed("08"));
      result.marks = Object.fromEntries(marks);
      result.tally = find(".tally").textContent;
      result.shown = [...cards.children].map(each => [each.getAttribute("aria-label"), each.dataset.mark ?? ""]);
      result.pressed = [...cardNamed("11").querySelectorAll("button")].map(each => each.getAttribute("aria-pressed"));
      controls.get("mark").value = "unsure"; choose();
      result.filtered = [...cards.children].map(each => each.getAttribute("aria-label"));
      marks.clear(); readMarks(); result.read = Object.fromEntries(marks);
    """)  # fmt: skip
    wanted = {"11": "wrong", "10": "keep", "08": "unsure", "09": "unsure"}
    assert result["marks"] == result["read"] == wanted
    assert result["tally"] == "1 wrong · 1 keep · 2 unsure · 2 selected"
    assert {name: mark for name, mark in result["shown"] if mark} == wanted
    assert result["pressed"][:3] == ["true", "false", "false"]
    assert sorted(result["filtered"]) == ["08", "09"]


@needs_browser
def test_ids_and_commands(htl, page, rows, tmp_path):
    """What is saved is what --ids and --not-ids read, and the command names this file and the rows of the report."""
    result = acted(page[0], tmp_path, """
      for (const id of ["11", "10"]) press("w", cardNamed(id));
      press("k", cardNamed("08"));
      const links = [];
      HTMLAnchorElement.prototype.click = function () { links.push([this.download, this.href]); };
      const saving = [...document.querySelectorAll("#marks button")].filter(each => /download/.test(each.textContent));
      for (const each of saving) each.click();
      panel.which.value = "all"; panel.which.dispatchEvent(new Event("change"));
      saving[0].click();
      result.saved = await Promise.all(links.map(async ([name, href]) => [name, await (await fetch(href)).text()]));
      result.commands = [];
      for (const own of panel.what.options) { panel.what.value = own.value; showMarks(); result.commands.push(panel.command.textContent); }
    """)  # fmt: skip
    (csv_name, csv_text), (json_name, json_text), (all_name, all_text) = result["saved"]
    assert (csv_name, json_name, all_name) == ("htl-wrong.csv", "htl-wrong.jsonl", "htl-all.csv")
    assert csv_text == "id,mark\r\n11,wrong\r\n10,wrong\r\n"
    assert json_text == '{"id":"11","mark":"wrong"}\n{"id":"10","mark":"wrong"}\n'
    assert all_text == "id,mark\r\n11,wrong\r\n10,wrong\r\n08,keep\r\n"
    assert result["commands"] == [
        f"htl train {rows} --not-ids htl-all.csv -o without.h5 > /dev/null",
        f"htl view {rows} --not-ids htl-all.csv > without.jsonl",
        f"htl view {rows} --ids htl-all.csv > only.jsonl",
        f"htl view {rows} --ids htl-all.csv --to coco:review.json --copy-images review",
    ]
    (tmp_path / json_name).write_text(json_text, newline="")
    left = htl("view", rows, "--not-ids", tmp_path / json_name, "--no-notes")[1]
    assert [row["id"] for row in split_lines(left)] == [f"{i:02}" for i in range(10)]


@needs_browser
def test_large(page, tmp_path):
    """A click, or Enter, opens the original with its boxes; arrows go on in the order of the page; marks work there too; what has no
    original says so."""
    result = acted(page[0], tmp_path, """
      const first = cards.children[1];
      first.querySelector(".frame").click();
      const look = () => ({title: find("#large h3").textContent, original: /^data:image.webp/.test(find("#large img").src)
        && find("#large img").src === originalOf(large.sample)?.image, boxes: document.querySelectorAll("#large rect:not(.shade)").length,
        note: find("#large .note").textContent});
      result.open = [first.getAttribute("aria-label"), look()];
      press("b", find("#large")); result.bare = look().boxes; press("b", find("#large"));
      press("ArrowLeft", find("#large")); result.previous = [cards.children[0].getAttribute("aria-label"), look()];
      press("ArrowLeft", find("#large")); result.end = look().title;
      press("w", find("#large")); result.marks = Object.fromEntries(marks);
      result.pressed = find("#large [data-mark=wrong]").getAttribute("aria-pressed");
      large.dialog.close(); await new Promise(done => setTimeout(done, 100));
      result.focused = document.activeElement.getAttribute("aria-label");
      press("ArrowRight", document.activeElement); result.moved = document.activeElement.getAttribute("aria-label");
      press("Enter", document.activeElement); result.reopened = look().title;
    """, "show=hardest")  # fmt: skip
    opened, view = result["open"]
    assert view["title"] == opened == "10" and view["original"] and view["boxes"] == 3 and "original of 300x200 pixels" in view["note"]
    assert result["bare"] == 0
    previous, view = result["previous"]
    assert previous == view["title"] == "11" and not view["original"] and "no original" in view["note"]
    assert result["end"] == "11" and result["marks"] == {"11": "wrong"} and result["pressed"] == "true"
    assert (result["focused"], result["moved"], result["reopened"]) == ("11", "10", "10")
