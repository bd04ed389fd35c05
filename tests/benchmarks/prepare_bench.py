"""`prepare`: decode and squash against a plain Pillow loop, one core each; the command with two processes against one."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measuring import alternating, show
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2]))  # this checkout, installed or not
from htltools.formats.images import jpeg
from htltools.formats.images.image import read_image

ROOT = Path(__file__).parents[2]
FRAME = 256, 256
KINDS = {"JPEG 600x450 to 256": ((600, 450), 24), "JPEG 4000x3000 to 256": ((4000, 3000), 3)}  # size, how many
FILTERS = {"Pillow, bilinear": Image.Resampling.BILINEAR, "Pillow, bicubic (its default)": Image.Resampling.BICUBIC}


def photo(seed: int, size: tuple[int, int]) -> Image.Image:
    """An image with the spectrum of photographs: detail of every scale, each half as strong as the one twice as coarse."""
    rng = np.random.default_rng(seed)
    total = np.full((size[1], size[0], 3), 128, np.float32)
    for level in range(2, 10):
        cells = rng.integers(0, 256, (2**level, 2**level, 3), np.uint8)
        layer = Image.fromarray(cells).resize(size, Image.Resampling.BICUBIC)
        total += (np.asarray(layer, np.float32) - 128) * 1.5 / 2 ** (level - 2)
    return Image.fromarray(np.clip(total, 0, 255).astype(np.uint8))


def saved(folder: Path, size: tuple[int, int], count: int) -> list[Path]:
    """Photos of one size as JPEG files, quality 90, 4:2:0."""
    paths = [folder / f"{size[0]}-{i}.jpg" for i in range(count)]
    for i, path in enumerate(paths):
        photo(i, size).save(path, quality=90, subsampling="4:2:0")
    return paths


def ours(path: Path) -> np.ndarray:
    """The image as `prepare` stores it."""
    return read_image(path, FRAME)[0]


def plain(path: Path, how: Image.Resampling) -> np.ndarray:
    """The image as a plain loop would make it."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize(FRAME[::-1], how))


def over(paths: list[Path], decode: Callable[[Path], Any]) -> Callable[[], Any]:
    """Decode them all."""
    return lambda: [decode(path) for path in paths]


def by_processes(folder: Path, count: int, repeats: int) -> dict:
    """The whole command on so many files of 600 x 450, with `-j 2` and with `-j 1`: what the second core brings; needs two idle ones."""
    (folder / "images").mkdir()
    paths = saved(folder, (600, 450), min(count, 50))
    for place in range(count):
        (folder / "images" / f"{place:06d}.jpg").hardlink_to(paths[place % len(paths)])

    def prepared(jobs: int) -> Callable[[], Any]:
        flags = "-o", folder / "store", "--size", FRAME[0], "-j", jobs, "--keep-unlabelled", "--force", "-q"
        words = map(str, (sys.executable, "-m", "htltools", "prepare", folder / "images", *flags))
        whole = [*words]

        def run() -> None:
            shutil.rmtree(folder / "store", ignore_errors=True)  # shards that stand are not made again
            subprocess.run(whole, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)

        return run

    mine, others, *ratio = alternating(prepared(2), prepared(1), repeats)
    speeds = {"ours": count / mine, "theirs": count / others, "unit": "images/s"}
    what = {"what": f"prepare -j 2, {count:,} JPEG of 600x450 to 256", "peer": "prepare -j 1"}
    return what | speeds | dict(zip(("ratio", "low", "high"), ratio, strict=True))


def rows(quick: bool = False) -> list[dict]:
    """Images per second of each, and their ratio."""
    jpeg.use_one_thread()
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for what, (size, count) in KINDS.items():
            paths = saved(Path(folder), size, count)
            for peer, how in FILTERS.items():
                theirs = over(paths, lambda path, how=how: plain(path, how))
                over(paths, ours)()  # the first call imports
                mine, others, *ratio = alternating(over(paths, ours), theirs, 5 if quick else 21)
                speeds = {"ours": count / mine, "theirs": count / others, "unit": "images/s"}
                lines.append({"what": what, "peer": peer} | speeds | dict(zip(("ratio", "low", "high"), ratio, strict=True)))
        lines.append(by_processes(Path(folder), *((100, 1) if quick else (4000, 5))))
    return lines


def differences() -> list[str]:
    """By how many grey levels the images differ, and two filters of Pillow for comparison."""
    lines = []
    bilinear, bicubic = ((lambda path, how=how: plain(path, how)) for how in FILTERS.values())
    with tempfile.TemporaryDirectory() as folder:
        for what, (size, count) in KINDS.items():
            paths = saved(Path(folder), size, count)
            for name, a, b in (("htl and bilinear", ours, bilinear), ("bicubic and bilinear", bicubic, bilinear)):
                gap = np.abs(np.stack([a(path) for path in paths]).astype(int) - np.stack([b(path) for path in paths]))
                lines.append(f"{what}: {name} differ by {gap.mean():.2f} grey levels on average, {gap.max()} at most")
    return lines


if __name__ == "__main__":
    show(rows(quick="--quick" in sys.argv))
    print(*differences(), sep="\n")
