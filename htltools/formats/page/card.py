"""A model card: Markdown with a head of metadata as model hubs read it. No text of the data becomes markup."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment

from htltools.formats.files.atomic import replacing
from htltools.formats.page.html import own_file

MARKUP = re.compile(r"([\\`*_{}\[\]<>|#$~])")


def write_card(path: Path, facts: Mapping[str, Any]) -> None:
    """Write the card of `card.md` with these facts, whole or not at all.

    Raises: CannotCreate, StorageError.
    """
    environment = Environment(autoescape=False, keep_trailing_newline=True)
    environment.filters |= {"md": markdown_text, "one_line": one_line, "json": lambda value: json.dumps(value, allow_nan=False)}
    text = environment.from_string(own_file("card.md")).render(**facts)
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "replace"))


def markdown_text(value: Any) -> str:
    """A value as text within a line of Markdown, whose letters are only themselves.

    >>> print(markdown_text("a|b\\n<script>"))
    a\\|b \\<script\\>
    """
    return MARKUP.sub(r"\\\1", one_line(value))


def one_line(value: Any) -> str:
    """A value in one line."""
    return re.sub(r"\s+", " ", str(value)).strip()
