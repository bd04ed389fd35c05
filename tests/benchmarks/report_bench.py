"""`report` with a gallery of 2,000 images, as a process, against the least that such a page takes: all images in one file of HTML."""

import base64
import io
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measuring import alternating, show
from PIL import Image

ROOT = Path(__file__).parents[2]
HTL = sys.executable, "-m", "htltools"
IMAGES = 2000


def made_rows(folder: Path, count: int) -> Path:
    """Scored rows of so many phantoms, with the two models of a short training."""
    rows, trained, cut, scored = (folder / f"{name}.jsonl" for name in ("rows", "trained", "cut", "scored"))
    run("prepare", "--phantom", count, "-o", folder / "store", "--splits", "0.5,0.1,0.4", to=rows)
    run("train", rows, "--arch", "compact", "--attend", "none", "--epochs", 1, "-o", folder / "dense.h5", to=trained)
    run("prune", trained, "--sparsity", 0.5, "-o", folder / "pruned.h5", to=cut)
    run("score", cut, to=scored)
    return scored


def run(*words: object, to: Path | None = None) -> None:
    """A command of htl, its stdout to a file."""
    done = subprocess.run([*HTL, *map(str, words), "-q"], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    if to:
        to.write_bytes(done.stdout)


def plain_page(images: list[Any], page: Path) -> None:
    """Each image as JPEG inside one file of HTML: no metrics, no boxes, nothing to sort by."""
    with page.open("w") as out:
        for image in images:
            data = io.BytesIO()
            Image.fromarray(image).save(data, "JPEG", quality=85)
            out.write(f'<img src="data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}">\n')


def page_of(scored: Path, gallery: int, page: Path) -> Callable[[], None]:
    """`report` of the rows, with so many images in its gallery."""
    return lambda: run("report", scored, "--gallery", gallery, "--split", "train", "-o", page, "--force")


def rows(quick: bool = False) -> list[dict[str, Any]]:
    """Seconds of a page: beside the plain page, and beside the page with a gallery a tenth as large, which says what an image costs."""
    count, repeats = (60, 1) if quick else (IMAGES, 3)
    sys.path.insert(0, str(ROOT))
    from htltools import api

    table = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scored = made_rows(folder, count)
        images = list(api.read_images(api.read_rows(scored)))
        peers: dict[str, Callable[[], None]] = {
            "a plain page of JPEG by Pillow": lambda: plain_page(images, folder / "plain.html"),
            "the page with a tenth of them": page_of(scored, count // 10, folder / "tenth.html"),
        }
        for peer, theirs in peers.items():
            mine, others, ratio, low, high = alternating(page_of(scored, count, folder / "page.html"), theirs, repeats)
            what = f"report, gallery of {count:,} images of 96 px"
            table.append(
                {"what": what, "peer": peer, "ours": mine, "theirs": others, "unit": "s", "ratio": ratio, "low": low, "high": high}
            )
    return table


if __name__ == "__main__":
    show(rows("--quick" in sys.argv))
