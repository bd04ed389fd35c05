"""A page of HTML that needs nothing but itself: no network, and no text of the data that becomes markup."""

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from htltools.formats.files.atomic import replacing
from htltools.formats.rows.jsonlines import compact_json

# in JSON these stand for themselves; a browser that looks for the end of the script does not see them
HARMLESS = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def write_page(path: Path, title: str, sections: dict[str, list[str]], data: dict[str, Any]) -> int:
    """Write a page of sections, parts of HTML by heading, and the data of its gallery; whole or not at all. Its size in bytes.

    Nothing but its own script may run on it, and nothing may be fetched: its content security policy says so.
    """
    script = own_file("report.js")
    names = {heading: f"part-{number}" for number, heading in enumerate(sections, 1)}
    parts = [
        f'<section id="{names[heading]}"><h2>{escape(heading)}</h2>' + "\n".join(body) + "</section>" for heading, body in sections.items()
    ]
    page = (
        Template(own_file("report.html"))
        .substitute(
            title=escape(title),
            digest="sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            style=own_file("report.css"),
            contents=" ".join(f'<a href="#{name}">{escape(heading)}</a>' for heading, name in names.items()),
            body="\n".join(parts),
            data=script_json(data),
            script=script,
        )
        .encode("utf-8", "replace")
    )
    with replacing(path) as temporary:
        temporary.write_bytes(page)
    return len(page)


def own_file(name: str) -> str:
    """A file that lies beside this module."""
    return (files("htltools.formats.page") / name).read_text("utf-8")


def script_json(value: Any) -> str:
    """The value as JSON that may stand in a <script>."""
    return compact_json(value).decode().translate(str.maketrans(HARMLESS))


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph of plain text; `kind` is a class of the style."""
    return (f'<p class="{kind}">' if kind else "<p>") + escape(text) + "</p>"


def heading(text: str) -> str:
    """A heading within a section."""
    return f"<h3>{escape(text)}</h3>"


def table(headings: Sequence[str], lines: Sequence[Sequence[str]], kind: str = "numbers") -> str:
    """A table of plain text."""
    head = "".join(f"<th>{escape(text)}</th>" for text in headings)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>" for line in lines)
    return f'<div class="scroll"><table class="{kind}"><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>'


def figure(svg: str, caption: str) -> str:
    """A figure, SVG that is markup already, with a caption, which is also what a screen reader says."""
    return f'<figure role="img" aria-label="{escape(caption)}">{svg}<figcaption>{escape(caption)}</figcaption></figure>'


def figures(*each: str) -> str:
    """Figures side by side, where there is room."""
    return f'<div class="figures">{"".join(each)}</div>'


def folded(title: str, text: str) -> str:
    """Plain text that shows on demand."""
    return f"<details><summary>{escape(title)}</summary><pre>{escape(text)}</pre></details>"


def gallery() -> str:
    """Where the script puts its images."""
    return (
        '<noscript><p>The gallery needs JavaScript, of this page alone.</p></noscript>\n<form id="choose" autocomplete="off"></form>\n'
        '<p class="note" id="count" aria-live="polite"></p>\n<div id="cards"></div>\n'
        '<p id="more" hidden><button type="button">show all</button></p>'
    )
