"""What tests of several commands start from."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

SIZE = [32, 32, 3]

# id, group, split, boxes in images of 200 x 100, meta
SAMPLES = [
    ("t0", "g0", "test", [[50.0, 25.0, 150.0, 75.0]], {"sex": "male", "age": 30}),
    ("t1", "g0", "test", [[50.0, 25.0, 110.0, 75.0]], {"sex": "male", "age": 45}),
    ("t2", "g1", "test", [[50.0, 25.0, 70.0, 75.0]], {"sex": "female", "age": 44}),
    ("t3", "g2", "test", [[160.0, 80.0, 190.0, 95.0]], {"sex": None, "age": 70}),
    ("t4", "g3", "test", None, {}),
    ("t5", "g4", "test", [], {}),
    ("a0", "g5", "train", [[50.0, 25.0, 150.0, 75.0]], {"sex": "male"}),
    ("v0", "g6", "val", None, {}),
]


def save_fixed(path, box):
    """Write a checkpoint of a compact net that predicts one box, whatever the image: shares of the sides [4]."""
    import torch

    from htltools.core.nets.factory import architecture, build
    from htltools.core.nets.localizer import NORMALISATION
    from htltools.core.nets.state_arrays import weights_of
    from htltools.formats.models.checkpoint import Checkpoint

    torch.manual_seed(0)
    weights = weights_of(build(architecture("compact", SIZE)))
    head = max(name for name in weights if name.endswith(".bias")).removesuffix("bias")
    weights[f"{head}weight"] *= 0
    stretched = (np.array(box) + 0.1) / 1.2
    weights[f"{head}bias"] = np.log(stretched / (1 - stretched)).astype(np.float32)
    Checkpoint(weights, architecture("compact", SIZE), {"size": SIZE, **NORMALISATION}, history=[{"run": "made by hand"}]).save(path)


@pytest.fixture(scope="session")
def fixed(tmp_path_factory):
    """A store of eight images of noise, their rows (`rows`, and `file` with them), and two models that always predict one box.

    `half` predicts the middle half of the image, `left` the left half of that.
    """
    from htltools.formats.rows.jsonlines import joined_lines
    from htltools.formats.store.shard import read_shard, write_shard

    folder = tmp_path_factory.mktemp("fixed")
    rows = []
    for index, (name, group, split, boxes, meta) in enumerate(SAMPLES):
        row = {"id": name, "group": group, "split": split, "index": index, "size": [200, 100], "boxes": boxes, "meta": meta}
        rows.append({key: value for key, value in row.items() if value is not None})
    noise = np.random.default_rng(0).integers(0, 256, (len(rows), *SIZE), np.uint8)
    write_shard(folder / "00000.h5", noise, None, rows, [], plan="by hand", history=[])
    rows = read_shard(folder / "00000.h5")[0]
    (folder / "rows.jsonl").write_bytes(joined_lines(rows))
    save_fixed(folder / "half.h5", [0.25, 0.25, 0.75, 0.75])
    save_fixed(folder / "left.h5", [0.25, 0.25, 0.5, 0.75])
    return SimpleNamespace(folder=folder, rows=rows, file=folder / "rows.jsonl", half=folder / "half.h5", left=folder / "left.h5")


@pytest.fixture
def terminal(tmp_path, on_terminal):
    """`terminal("htl view rows.jsonl", TERM="xterm")` gives what a line of bash in `tmp_path` shows on a terminal of 80 columns."""
    return lambda line, **variables: on_terminal(line, tmp_path, **variables)


@pytest.fixture(scope="session")
def save_image():
    """`save_image(path, array=None, size=(40, 20), **options)` saves an array, or noise of a (width, height), as an image."""

    def save(path, array=None, size=(40, 20), **options):
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
        Image.fromarray(noise if array is None else array).save(path, **options)

    return save


@pytest.fixture
def study(tmp_path, save_image):
    """Three images of 40 x 20 with masks of twice that frame, and a table."""
    lesion_mask = np.zeros((40, 80), np.uint8)
    lesion_mask[10:30, 20:50] = 255
    for name in "abc":
        save_image(tmp_path / f"study/images/{name}.png")
        save_image(tmp_path / f"study/masks/{name}.png", lesion_mask)
    (tmp_path / "study/metadata.csv").write_text(
        "image_id,patient_id,dx,age,site,split\na,P1,nv,45.0,,train\nb,P2,mel,60,back,test\nc,P1,nv,,,train\n"
    )
    return tmp_path / "study"
