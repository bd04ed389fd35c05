"""Pages of HTML."""

import json
import re
import shutil
import subprocess

import pytest

from htltools.formats.page import html

HOSTILE = "</script><b onclick='x'>&amp; {{ 7 * 7 }} \u2028"


def test_text_is_escaped_everywhere():
    """No part of a page lets text through as markup."""
    for part in (
        html.paragraph(HOSTILE),
        html.paragraph(HOSTILE, "note"),
        html.heading(HOSTILE),
        html.table([HOSTILE], [[HOSTILE]]),
        html.figure("<svg></svg>", HOSTILE),
        html.folded(HOSTILE, html.plain(HOSTILE)),
        html.items([HOSTILE], "finding"),
    ):
        assert "<b" not in part and "</script" not in part and "&lt;/script&gt;" in part


def test_markup_stays_markup():
    """Parts and the drawings in them are not escaped once more."""
    assert html.figures(html.figure("<svg><path/></svg>", "a")) == (
        '<div class="figures"><figure role="img" aria-label="a"><svg><path/></svg><figcaption>a</figcaption></figure></div>'
    )
    assert "<tr><td>1</td><td>2</td></tr>\n<tr><td>3</td><td>4</td></tr>" in html.table(["a", "b"], [["1", "2"], ["3", "4"]])


def test_page(tmp_path):
    """Headings lead to their sections, text is escaped, and the data cannot end their script and read back as they were."""
    data = {HOSTILE: [HOSTILE, 1.5, None], "b": 1, "a": 2}
    lead = html.items([HOSTILE, "two"], "finding")
    html.write_page(
        tmp_path / "p.html", HOSTILE, lead, {HOSTILE: [html.paragraph("one"), html.paragraph("two")], "Gallery": [html.gallery()]}, data
    )
    text = (tmp_path / "p.html").read_text("utf-8")
    assert "<b" not in text.replace("<body>", "").replace("<button", "") and text.count("</script>") == 2
    assert '<ul class="finding"><li>&lt;/script&gt;' in text and "<li>two</li></ul>\n<nav>" in text
    assert '<nav><a href="#part-1">&lt;/script&gt;' in text and '<a href="#part-2">Gallery</a></nav>' in text
    assert '</h2><p>one</p>\n<p>two</p></section>\n<section id="part-2"><h2>Gallery</h2><noscript>' in text
    written = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)[1]
    assert not set("<>&\u2028") & set(written)
    assert json.loads(written) == data and list(json.loads(written)) == list(data)


def test_page_is_whole_or_not_there(tmp_path):
    """The size of a page is given, and one that cannot be written leaves nothing behind."""
    size = html.write_page(tmp_path / "p.html", HOSTILE, html.items([], ""), {HOSTILE: [html.gallery()]}, {})
    assert (tmp_path / "p.html").stat().st_size == size
    with pytest.raises(ValueError):
        html.write_page(tmp_path / "q.html", "t", html.items([], ""), {}, {"a": float("nan")})
    assert [path.name for path in tmp_path.iterdir()] == ["p.html"]


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_script_parses(tmp_path):
    """The script of the page is valid JavaScript."""
    (tmp_path / "report.js").write_text("".join(map(html.own_file, html.SCRIPTS)))
    done = subprocess.run(["node", "--check", tmp_path / "report.js"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
