"""Pages of HTML."""

import json

from htltools.formats.page import html

EVIL = "</script><b onclick='x'>&amp; \u2028"


def test_text_is_escaped_everywhere():
    """No part of a page lets text through as markup."""
    for part in (
        html.paragraph(EVIL),
        html.heading(EVIL),
        html.table([EVIL], [[EVIL]]),
        html.figure("<svg></svg>", EVIL),
        html.folded(EVIL, EVIL),
    ):
        assert "<b" not in part and "</script" not in part and "&lt;/script&gt;" in part


def test_data_survives_its_script():
    """Data within a script holds nothing that could end it, and reads back as it was."""
    written = html.script_json({EVIL: [EVIL, 1.5, None]})
    assert not set("<>&\u2028") & set(written)
    assert json.loads(written) == {EVIL: [EVIL, 1.5, None]}


def test_page_is_whole_or_not_there(tmp_path):
    """A page that cannot be written leaves nothing behind."""
    size = html.write_page(tmp_path / "p.html", EVIL, {EVIL: [html.gallery()]}, {})
    assert (tmp_path / "p.html").stat().st_size == size
    assert [path.name for path in tmp_path.iterdir()] == ["p.html"]
