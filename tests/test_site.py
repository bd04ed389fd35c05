"""bin/site: the manual as web pages."""

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "bin" / "site"


def run_site(*words: object, **environment: str):
    """Run bin/site as a program."""
    return subprocess.run([sys.executable, SITE, *words], capture_output=True, text=True, env=os.environ | environment)


class Page(HTMLParser):
    """The links, the ids and the text of a page; elements that are not closed in their order are an error."""

    VOID = {"meta", "link", "br", "img", "hr"}

    def __init__(self, path: Path):
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.links += [found[name] for name in ("href", "src") if found.get(name)]
        self.ids |= {found["id"]} if found.get("id") else set()
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site of this checkout."""
    if not shutil.which("mandoc"):
        pytest.skip("mandoc is not installed")
    out = tmp_path_factory.mktemp("site") / "out"
    done = run_site(out)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return out


def test_every_page_is_there_and_in_the_index(site):
    """Each page of the manual is a page of the site, and the index links it with what it is about."""
    pages = {f"{path.name}.html" for path in (ROOT / "man").iterdir()}
    assert {path.name for path in site.glob("*.html")} == pages | {"index.html"}
    assert pages <= set(Page(site / "index.html").links)
    assert "train a localizer on the rows of the training split" in (site / "index.html").read_text()


def test_links_lead_somewhere(site):
    """Every link is to a page, a file or a place of this site: nothing is fetched from elsewhere, and no script runs."""
    pages = {path.name: Page(path) for path in site.glob("*.html")}
    for name, page in pages.items():
        assert page.open == [], name
        for link in page.links:
            target, _, place = link.partition("#")
            assert (site / (target or name)).is_file(), (name, link)
            assert not place or place in pages[target or name].ids, (name, link)
        assert "<script" not in (site / name).read_text()


def test_examples_can_be_copied(site):
    """An example on a page is the text that the manual has, from the first column on."""
    text = (site / "htl-view.1.html").read_text()
    assert re.search(r"<pre>htl view --check phantom dense\.h5 pruned\.h5 scored\.jsonl</pre>", text)


def test_refused(tmp_path):
    """A folder that holds something is left alone; without mandoc it says how to install it."""
    (tmp_path / "mine").write_text("x")
    done = run_site(tmp_path)
    if shutil.which("mandoc"):
        assert (done.returncode, done.stderr) == (73, f"site: {tmp_path} exists and is not empty; name a new folder\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine"]
    done = run_site(tmp_path / "new", PATH="")
    assert (done.returncode, done.stderr.partition(";")[0]) == (69, "site: mandoc is not installed")
    assert run_site().returncode == 2
