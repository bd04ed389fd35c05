"""Folders to be read as sources."""

import pytest
from PIL import Image

from htltools.formats.sources.folders import Naming, find_candidates


@pytest.fixture
def folder(tmp_path):
    """Fill a folder with small images, no two the same, and with texts such as t="id,label\\n" for t.csv."""

    def fill(*names, **texts):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (4, 4)).save(path, Image.registered_extensions().get(path.suffix.lower(), "PNG"))
            with path.open("ab") as file:
                file.write(name.encode("utf-8", "surrogateescape"))
        for name, text in texts.items():
            (tmp_path / f"{name}.csv").write_text(text)
        return tmp_path

    return fill


@pytest.fixture
def candidates_of():
    """The candidates of sources, and what was noticed on the way."""

    def found(*sources, listed=(), **naming):
        return find_candidates([str(source) for source in sources], listed, Naming(**naming))

    return found


@pytest.fixture
def masks_in(folder, candidates_of):
    """The mask files of each image by id, as paths relative to the folder, of a source with these files."""

    def masks(*names, source=".", **naming):
        root = folder(*names)
        findings = candidates_of(root / source, **{name: root / value for name, value in naming.items()})
        return {c.id: [str(mask).removeprefix(f"{root}/") for mask in c.masks] for c in findings.candidates}, findings

    return masks
