"""A page of HTML that needs nothing but itself: no network, and no text of the data that becomes markup.

Text is escaped wherever it meets markup; what is markup already is of type Markup.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from htltools.formats.files.atomic import replacing

STYLES = "report.css", "marks.css"
SCRIPTS = "large.js", "marks.js", "report.js"  # what each defines, the next may use


def write_page(
    path: Path,
    title: str,
    lead: Markup,
    sections: Mapping[str, Sequence[Markup]],
    data: dict[str, Any],
    more: Mapping[str, Any] | None = None,
) -> int:
    """Write a page of a lead, sections, parts by heading, and the data of its gallery; whole or not at all. Its size in bytes.

    more: further data by name, which the script reads only once it needs them.

    Nothing but its own script may run on it, and nothing may be fetched: its content security policy says so.

    Raises: CannotCreate, StorageError; ValueError where the data hold NaN or Infinity.
    """
    environment = Environment(autoescape=True, keep_trailing_newline=True, trim_blocks=True)
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    style, script = ("".join(map(own_file, names)) for names in (STYLES, SCRIPTS))
    digest = "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    template = environment.from_string(own_file("report.html"))
    all_data = {"data": data} | dict(more or {})
    text = template.render(
        title=title, lead=lead, sections=sections, data=all_data, style=Markup(style), script=Markup(script), digest=digest
    )
    page = text.encode("utf-8", "replace")
    with replacing(path) as temporary:
        temporary.write_bytes(page)
    return len(page)


def own_file(name: str) -> str:
    """A text file that lies beside this module."""
    return (files("htltools.formats.page") / name).read_text("utf-8")


def paragraph(text: str, kind: str = "") -> Markup:
    """A paragraph of plain text; `kind` is a class of the style."""
    return (Markup('<p class="{0}">{1}</p>') if kind else Markup("<p>{1}</p>")).format(kind, text)


def heading(text: str) -> Markup:
    """A heading within a section."""
    return Markup("<h3>{}</h3>").format(text)


def table(headings: Sequence[str], lines: Sequence[Sequence[str]], kind: str = "numbers") -> Markup:
    """A table of plain text; `kind` is a class of the style."""
    head = Markup("").join(Markup("<th>{}</th>").format(text) for text in headings)
    rows = [Markup("<tr>{}</tr>").format(Markup("").join(Markup("<td>{}</td>").format(text) for text in line)) for line in lines]
    return Markup('<div class="scroll"><table class="{}"><thead><tr>{}</tr></thead><tbody>\n{}\n</tbody></table></div>').format(
        kind, head, Markup("\n").join(rows)
    )


def figure(svg: str, caption: str) -> Markup:
    """A figure, SVG that is markup already, with a caption, which a screen reader reads as well."""
    return Markup('<figure role="img" aria-label="{1}">{0}<figcaption>{1}</figcaption></figure>').format(Markup(svg), caption)


def figures(*each: Markup) -> Markup:
    """Figures side by side, where there is room."""
    return Markup('<div class="figures">{}</div>').format(Markup("").join(each))


def items(texts: Sequence[str], kind: str) -> Markup:
    """A list of plain texts; `kind` is a class of the style."""
    return Markup('<ul class="{}">{}</ul>').format(kind, Markup("").join(Markup("<li>{}</li>").format(text) for text in texts))


def plain(text: str) -> Markup:
    """Plain text with its line breaks."""
    return Markup("<pre>{}</pre>").format(text)


def folded(title: str, part: Markup) -> Markup:
    """A part that shows on demand."""
    return Markup("<details><summary>{}</summary>{}</details>").format(title, part)


def gallery() -> Markup:
    """The place where the script puts its images."""
    return Markup(
        '<noscript><p>The gallery needs JavaScript, of this page alone.</p></noscript>\n<form id="choose" autocomplete="off"></form>\n'
        '<p class="note" id="count" aria-live="polite"></p>\n<p class="note" id="meaning"></p>\n<div id="cards"></div>\n'
        '<p id="more" hidden><button type="button">show all</button></p>'
    )
