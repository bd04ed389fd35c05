"""Readers of files that may be hostile, as functions of bytes: each returns or raises an HtlError, soon and in little memory.

`test_fuzz.py` calls them with the mutations of Hypothesis, `atheris_fuzz.py` with those of libFuzzer.
"""

import io
import os
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np

FRAME = (8, 6)  # H, W
FOLDER = Path(tempfile.mkdtemp(prefix="htl-fuzz-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))


def placed(data: bytes, suffix: str) -> Path:
    """A file of these bytes."""
    path = FOLDER / f"case{suffix}"
    path.write_bytes(data)
    return path


def rows(data: bytes) -> None:
    """Rows, and the functions of rows that every command may call."""
    from htltools.formats.predictions.boxes_csv import BoxesCsv
    from htltools.formats.rows.fields import cell, condition, field, known_fields
    from htltools.formats.rows.jsonlines import compact_json
    from htltools.formats.rows.stream import RowReader, check_groups
    from htltools.formats.rows.stream_checksum import check_stream_checksum
    from htltools.formats.tables.coco_export import coco_dataset
    from htltools.formats.tables.csv_export import csv_lines

    for partial in (False, True):
        read = list(RowReader(io.BytesIO(data), partial=partial))
    check_groups(read)
    older = condition("age>=60")
    for row in read:
        older(row)
        assert all(isinstance(cell(field(row, name)), str) for name in known_fields(row))
        compact_json(row)
    list(csv_lines(read, None))
    BoxesCsv("pruned_disagreement", refer=True).of(read)
    compact_json(coco_dataset(read))
    check_stream_checksum(io.BytesIO(data), "rows")


def parquet(data: bytes) -> None:
    """Rows as Parquet: all of them, and those that a query chooses."""
    from htltools.commands.view.parquet import selected_in_parquet
    from htltools.commands.view.selection import Query
    from htltools.formats.sources.open_rows import open_rows

    path = placed(data if data.startswith(b"PAR1") else b"PAR1" + data, ".parquet")
    query = Query("train", ["age>=40"], "loss", None)
    selected_in_parquet(path, query, 2)
    list(open_rows(path))


def checkpoint(data: bytes) -> None:
    """A checkpoint, without building its net: what kind of file it is, and what is in it."""
    from htltools.commands.view.model import checkpoint_facts, text_of
    from htltools.formats.models.checkpoint import Checkpoint
    from htltools.formats.models.file_kind import kind_of_file

    path = placed(with_checksum(data), ".h5")
    kind_of_file(path)
    assert all(isinstance(text_of(value), str) for _, value in checkpoint_facts(Checkpoint.load(path)))


def with_checksum(data: bytes) -> bytes:
    """The file with a checksum that holds, so that what lies behind it is read."""
    from htltools.formats.store.checksummed_hdf5 import seal

    file = io.BytesIO(data)
    seal(file)
    return file.getvalue()


def torch_weights(data: bytes) -> None:
    """Weights that torch.save wrote."""
    from htltools.formats.models.torch_weights import read_state_dict

    read_state_dict(placed(data, ".pt"))


def localizer(data: bytes) -> None:
    """A checkpoint, and the net that it describes."""
    import torch

    from htltools.core.nets.state_arrays import from_weights
    from htltools.formats.models.checkpoint import Checkpoint

    made = Checkpoint.load(placed(with_checksum(data), ".h5"))
    boxes = from_weights(made.architecture, made.weights)(torch.zeros(1, *made.preprocessing["size"], dtype=torch.uint8))
    assert boxes.shape == (1, 4)


def shard(data: bytes) -> None:
    """A shard: its rows, and their images and masks."""
    from htltools.formats.rows.jsonlines import joined_lines
    from htltools.formats.rows.stream import RowReader
    from htltools.formats.store.masked_images import lesion_masks
    from htltools.formats.store.shard import Images, read_digests, read_shard

    path = placed(data, ".h5")
    stored = list(RowReader(io.BytesIO(joined_lines(read_shard(path)[0]))))
    read_digests(path)
    if stored:
        Images(stored).batch(np.arange(len(stored)))
        lesion_masks(stored)


def image(data: bytes) -> None:
    """An image, and the same as a mask."""
    from htltools.errors import DataError
    from htltools.formats.images.image import read_image
    from htltools.formats.images.mask import read_mask

    path = placed(data, ".png")
    with suppress(DataError):
        assert read_mask(path).labels.ndim == 2
    assert read_image(path, FRAME)[0].shape == (*FRAME, 3)


def dicom(data: bytes) -> None:
    """A DICOM file: its header, its image, its mask and its references."""
    from htltools.errors import DataError
    from htltools.formats.dicom.deidentified_tags import deidentified_header
    from htltools.formats.dicom.render import read_dicom, read_dicom_mask
    from htltools.formats.dicom.segmentation import Segmentations

    path = placed(data, ".dcm")
    for reading in (deidentified_header, Segmentations().add):
        with suppress(DataError):
            reading(str(path), b"k" * 16)
    with suppress(DataError):
        assert read_dicom_mask(path).labels.ndim == 2
    for window in ("auto", "percentile"):
        assert read_dicom(path, FRAME, 1, window)[0].shape == (*FRAME, 3)


def coco(data: bytes) -> None:
    """COCO annotations, results and data sets."""
    from htltools.errors import DataError
    from htltools.formats.sources.names import ImageNames
    from htltools.formats.tables.coco import read_coco
    from htltools.formats.tables.coco_results import read_data_set, read_results

    path = placed(data, ".json")
    with suppress(DataError):
        ImageNames(["/s/a/1.png", "/s/b.png"], ["a/1.png", "b.png"]).match(read_coco(path).facts)
    with suppress(DataError):
        read_data_set(path)
    read_results(path)


def label_studio(data: bytes) -> None:
    """An export of Label Studio."""
    annotation_file(data, ".json")


def cvat(data: bytes) -> None:
    """An export of CVAT."""
    annotation_file(data, ".xml")


def voc(data: bytes) -> None:
    """An annotation of Pascal VOC."""
    annotation_file(data, ".xml")


def yolo(data: bytes) -> None:
    """The data.yaml of YOLO, and a label file after an empty line."""
    from htltools.errors import DataError
    from htltools.formats.tables.yolo import read_yolo

    settings, _, lines = data.partition(b"\n\n")
    path = placed(settings, ".yaml")
    (FOLDER / "yolo/labels").mkdir(parents=True, exist_ok=True)
    (FOLDER / "yolo/labels/a.txt").write_bytes(lines)
    with suppress(DataError):
        assert len(read_yolo(FOLDER / "yolo", two_images()).facts) <= 1
    (FOLDER / "yolo/labels/a.txt").write_bytes(lines)
    read_yolo(FOLDER / "yolo", two_images(), path)


def annotation_file(data: bytes, suffix: str) -> None:
    """An annotation file of any kind."""
    from htltools.formats.sources.annotation_files import read_annotations

    images = two_images()
    images.match(read_annotations(placed(data, suffix), images).facts)


def two_images():
    """Images that seeds name."""
    from htltools.formats.sources.names import ImageNames

    return ImageNames(["/s/a/1.png", "/s/b.png"], ["a/1.png", "b.png"])


def ids(data: bytes) -> None:
    """A list of ids."""
    from htltools.formats.rows.id_lists import read_ids

    listed = read_ids(placed(data, ".list"))
    assert all(isinstance(own, str) and own for own in listed.marks) and listed.ids == set(listed.marks)


def corrections(data: bytes) -> None:
    """A review that comes back, and what becomes of the rows that it names: their boxes lie in their images."""
    from htltools.commands.shared.corrections import read_corrections, with_corrections
    from htltools.formats.rows.row import Row
    from htltools.formats.rows.validation import check_row

    rows = [Row(id="a", size=[64, 48], boxes=[[1.0, 2.0, 30.0, 40.0]], label="nv"), Row(id="b", size=[64, 48])]
    review = read_corrections(placed(data, ".json"), ["a", "b"], ["/s/a/1.png", "/s/b.png"])
    for row in with_corrections(rows, review, {}):
        check_row(row, "row")


def table(data: bytes) -> None:
    """A table of images."""
    from htltools.formats.tables.csv_table import read_table

    read_table(placed(data, ".csv"))


def onnx(data: bytes) -> None:
    """An ONNX file, and its checksum."""
    from htltools.formats.models.onnx import OUTPUT, OnnxModel, check_onnx_checksum

    path = placed(data, ".onnx")
    OnnxModel(path, "cpu", 1).predict(np.zeros((2, *FRAME, 3), np.uint8), {OUTPUT: (4,)})
    check_onnx_checksum(path)


TARGETS = {
    each.__name__: each
    for each in (
        rows,
        parquet,
        checkpoint,
        torch_weights,
        localizer,
        shard,
        image,
        dicom,
        coco,
        label_studio,
        cvat,
        voc,
        yolo,
        table,
        onnx,
        ids,
        corrections,
    )
}


@cache
def seeds(name: str) -> tuple[bytes, ...]:
    """Valid files for a target to start from."""
    return tuple(SEEDS[name]())


def torch_weights_seeds():
    """State dicts, alone and beside other things."""
    import torch

    weights = {"conv.weight": torch.arange(12.0).reshape(3, 4), "norm.running_mean": torch.zeros(3), "count": torch.tensor(7)}
    for found in weights, {"epoch": 3, "state_dict": {name: each.half() for name, each in weights.items()}}:
        out = io.BytesIO()
        torch.save(found, out)
        yield out.getvalue()


def row_seeds():
    """Streams of rows."""
    from htltools.formats.rows.jsonlines import joined_lines
    from htltools.formats.rows.provenance import Run
    from htltools.formats.rows.stream import RowWriter

    out = io.BytesIO()
    fields = {"group": "g", "split": "train", "store": "/no/00000.h5", "index": 3, "label": "nv", "weight": 1.5, "repeat": 0, "frame": 2}
    fields |= {
        "meta": {"age": 45, "sex": "male"},
        "hardness": {"pruned_disagreement": 0.3},
        "predicted": {"dense": [0, 0, 9.5, 9]},
        "pseudo": False,
    }
    with RowWriter(Run("view", {}), [{"run": "r"}], out=out) as writer:
        writer.write(
            [{"id": "a", "size": [600, 450], "boxes": [[180.0, 7.0, 508.0, 419.0]], **fields}, {"id": "é", "size": [9, 9], "boxes": []}]
        )
    yield out.getvalue()
    yield joined_lines([{"id": "x"}, {"htl": "model", "role": "dense", "path": "m.h5", "sha256": "0"}, {"id": "y", "extra": [None, {}]}])


def checkpoint_seeds():
    """Checkpoints of the compact net: dense, sparse, and by maps."""
    import torch

    from htltools.core.nets.factory import build
    from htltools.core.nets.localizer import NORMALISATION
    from htltools.core.nets.state_arrays import weights_of
    from htltools.formats.models.checkpoint import Checkpoint

    pruning = {"method": "l1", "asked": 0.5, "sparsity": 0.5, "recover": "bn", "val_iou": 0.5, "dense_val_iou": 0.5, "dense_sha256": ""}
    for task, side, sparse in (("box", 16, False), ("box", 16, True), ("class_map", 64, False)):
        torch.manual_seed(0)
        architecture = {
            "task": task,
            "name": "compact",
            "size": [side, side, 3],
            **({"classes": ["a", "b"]} if task == "class_map" else {}),
        }
        weights = {name: array * (np.abs(array) > 0.05) if sparse else array for name, array in weights_of(build(architecture)).items()}
        preprocessing = {"size": architecture["size"], **NORMALISATION}
        made = Checkpoint(
            weights, architecture, preprocessing, {"val_iou": 0.5}, pruning if sparse else None, [{"epoch": 1}], [{"run": "r"}]
        )
        made.save(FOLDER / "seed.h5")
        yield (FOLDER / "seed.h5").read_bytes()


def small_checkpoint_seeds():
    """Checkpoints of two layers, so that mutations meet the structures of HDF5."""
    from htltools.formats.models.checkpoint import Checkpoint

    draw = np.random.default_rng(0)
    weights = {f"net.{i}.weight": draw.normal(size=(8, 4, 3, 3)).astype(np.float32) * (draw.random((8, 4, 3, 3)) < 0.3) for i in range(3)}
    weights |= {"net.0.num_batches_tracked": np.array(7), "empty": np.zeros((0, 3), np.float32)}
    architecture = {"task": "box", "name": "compact", "size": [32, 32, 3]}
    Checkpoint(weights, architecture, {"size": [32, 32, 3]}, {"val_iou": 0.5}, None, [{"epoch": 1}], [{"run": "r"}]).save(
        FOLDER / "seed.h5"
    )
    yield (FOLDER / "seed.h5").read_bytes()


def shard_seeds():
    """A shard with masks."""
    from htltools.formats.store.shard import write_shard

    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (3, *FRAME, 3), np.uint8)
    samples = [{"id": f"s{i}", "index": i, "size": [60, 80], "boxes": [[1.0, 2.0, 30.0, 40.0]]} for i in range(3)]
    write_shard(FOLDER / "seed.h5", images, images[..., 0], samples, [{"id": "x", "reason": "r"}], plan="p", history=[{"run": "r"}])
    yield (FOLDER / "seed.h5").read_bytes()


def image_seeds():
    """An image in every format that is read, and several modes."""
    from PIL import Image

    draw = np.random.default_rng(0)
    colours = Image.fromarray(draw.integers(0, 256, (20, 24, 3), np.uint8))
    kinds = [("JPEG", "RGB", {}), ("JPEG", "RGB", {"progressive": True}), ("JPEG", "CMYK", {}), ("JPEG", "L", {}), ("JPEG2000", "RGB", {})]
    kinds += [("PNG", mode, {}) for mode in ("RGB", "RGBA", "P", "L", "1", "LA", "I;16")]
    kinds += [("TIFF", "RGB", {"compression": how}) for how in (None, "tiff_lzw", "jpeg", "tiff_deflate", "packbits")]
    kinds += [("TIFF", "F", {}), ("TIFF", "1", {"compression": "group4"}), ("GIF", "P", {}), ("BMP", "RGB", {}), ("BMP", "P", {})]
    kinds += [("WEBP", "RGB", {}), ("WEBP", "RGBA", {"lossless": True}), ("PPM", "RGB", {}), ("PPM", "L", {})]
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind, mode, how in kinds:
        out = io.BytesIO()
        how = how | ({"exif": exif} if kind in ("JPEG", "PNG", "WEBP") else {})
        image = Image.fromarray(draw.integers(0, 65536, (20, 24), np.uint16)) if mode == "I;16" else colours.convert(mode)
        image.save(out, kind, **how)
        yield out.getvalue()


def dicom_seeds():
    """DICOM files of several transfer syntaxes and kinds, and the small ones among the real samples, where this machine has them."""
    from PIL import Image
    from pydicom import Dataset, uid
    from pydicom.dataset import FileMetaDataset
    from pydicom.encaps import encapsulate

    def saved(values, syntax, data=None, **tags):
        header = Dataset()
        header.file_meta = FileMetaDataset()
        header.file_meta.TransferSyntaxUID = syntax
        header.SOPClassUID = header.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
        header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
        header.PatientID, header.PatientAge = "Secret", "045Y"
        header.Rows, header.Columns = values.shape[:2]
        header.SamplesPerPixel, header.PhotometricInterpretation = (3, "RGB") if values.ndim == 3 else (1, "MONOCHROME1")
        header.PlanarConfiguration = 0
        header.BitsAllocated = header.BitsStored = values.dtype.itemsize * 8
        header.HighBit, header.PixelRepresentation = header.BitsStored - 1, 0
        for name, value in tags.items():
            setattr(header, name, value)
        header.PixelData = values.tobytes() if data is None else encapsulate([data])
        header["PixelData"].VR = "OB" if header.BitsAllocated == 8 else "OW"
        out = io.BytesIO()
        header.save_as(out, enforce_file_format=True)
        return out.getvalue()

    draw = np.random.default_rng(0)
    grey, deep, colours = (
        draw.integers(0, top, (16, 12, *rest), kind) for top, rest, kind in ((256, (), "u1"), (4096, (), "u2"), (256, (3,), "u1"))
    )
    window = {"WindowCenter": [40, 50], "WindowWidth": [400, 350], "RescaleSlope": 2, "RescaleIntercept": -1024}
    yield saved(deep, uid.ExplicitVRLittleEndian, **window)
    yield saved(grey, uid.ImplicitVRLittleEndian)
    yield saved(colours, uid.ExplicitVRLittleEndian)
    yield saved(deep, uid.DeflatedExplicitVRLittleEndian)
    for kind, syntax in (("JPEG", uid.JPEGBaseline8Bit), ("JPEG2000", uid.JPEG2000Lossless)):
        out = io.BytesIO()
        Image.fromarray(grey).save(out, kind, **({"no_jp2": True} if kind == "JPEG2000" else {}))
        yield saved(grey, syntax, out.getvalue())
    samples = Path(__file__).resolve().parents[3] / "shared/data/dicom-samples/files"
    yield from (path.read_bytes() for path in sorted(samples.rglob("*")) if path.is_file() and path.stat().st_size < 60_000)


def coco_seeds():
    """A data set, and results."""
    yield (
        b'{"images":[{"id":1,"file_name":"a/1.png","width":600,"height":450,"group":"g","meta":{"age":3}}],"categories":[{"id":1,"name":"nv"}],'
        b'"annotations":[{"id":1,"image_id":1,"category_id":1,"bbox":[1,2.5,30,40],"iscrowd":0}]}'
    )
    yield (
        b'{"images":[{"id":1,"file_name":"b.png","width":30,"height":20}],"categories":[{"id":1,"name":"nv"}],"annotations":[{"image_id":1,"bbox":'
        b'null,"segmentation":[[1,1,9,1,9,9.5]]},{"image_id":1,"segmentation":{"size":[20,30],"counts":[100,5,495]}},'
        b'{"image_id":1,"bbox":[1,2,3,4],"segmentation":{"size":[20,30],"counts":"T35f0O1O"}}]}'
    )
    yield (
        b'[{"image_id":"12","category_id":1,"bbox":[1,2,3,4],"score":0.5},'
        b'{"image_id":"a/b.png","category_id":1,"bbox":[0,0,1,1],"score":1}]'
    )


def label_studio_seeds():
    """Regions of several kinds, and the short form."""
    yield (
        b'[{"id":1,"data":{"image":"/data/upload/1/ab12cd34-b.png"},"annotations":[{"result":[{"original_width":100,"original_height":80,"value":'
        b'{"x":20,"y":18.75,"width":40,"height":37.5,"rotation":30,"rectanglelabels":["nv"]}},{"value":{"points":[[1,2],[3,4],[5,1]],"polygonlabels":'
        b'["nv"]}},{"value":{"x":9,"y":9,"radiusX":4,"radiusY":3}},{"value":{"choices":["mel"]}}],"was_cancelled":false}]}]'
    )
    yield (
        b'[{"image":"b.png","id":1,"annotation_id":3,"lead_time":1.5,'
        b'"label":[{"x":1,"y":2,"width":4,"height":3,"original_width":9,"original_height":9}]}]'
    )


def cvat_seeds():
    """Shapes of all kinds."""
    yield (
        b'<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version>'
        b'<image id="0" name="a/1.png" subset="Train" width="100" height="80">'
        b'<box label="nv" xtl="20.00" ytl="15.00" xbr="60.00" ybr="45.00" rotation="30.0"/><polygon label="nv" points="20,15;60,15;60,45"/>'
        b'<mask label="nv" rle="1, 2, 3" left="20" top="15" width="3" height="2"/>'
        b'<ellipse label="a" cx="40" cy="30" rx="20" ry="15"/></image></annotations>'
    )


def voc_seeds():
    """Boxes and a polygon."""
    yield (
        b"<annotation><filename>b.png</filename><source><database>The VOC2007 Database</database></source>"
        b"<size><width>100</width><height>80</height>"
        b"</size><object><name>nv</name><bndbox><xmin>21</xmin><ymin>16</ymin><xmax>60</xmax><ymax>45</ymax></bndbox></object>"
        b"<object><name>mel</name>"
        b"<polygon><x1>1</x1><y1>1</y1><x2>9</x2><y2>1</y2><x3>9</x3><y3>8</y3></polygon></object></annotation>"
    )


def yolo_seeds():
    """Settings, and lines of boxes and polygons."""
    yield (
        b"path: .\ntrain: images/train\nval: [images/val, val.txt]\nnames:\n  0: nv\n  1: mel\n\n"
        b"0 0.4 0.375 0.4 0.375\n1 .1 .1 .2 .1 .2 .2\n"
    )
    yield b"names: [nv, &a mel, *a]\nkpt_shape: [1, 3]\n\n0 0.4 0.375 0.4 0.375 .1 .1 2\n"


def table_seeds():
    """Tables."""
    yield b"image_id,lesion_id,split,dx,x0,y0,x1,y1,age\na.jpg,l1,train,nv,1,2,30,40,45\nb.jpg,l2,test,mel,,,,,\n"
    yield '\ufeffname;x;y;w;h;note\n1;1;2;3;4;"a;b"\n'.encode()


def onnx_seeds():
    """A localizer that predicts the mean of the image."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    from htltools.formats.models.onnx import INPUT, OUTPUT, write_metadata

    nodes = [
        helper.make_node("Cast", [INPUT], ["x"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["x", "axes"], ["m"], keepdims=0),
        helper.make_node("MatMul", ["m", "w"], [OUTPUT]),
    ]
    numbers = [numpy_helper.from_array(np.array([1, 2]), "axes"), numpy_helper.from_array(np.ones((3, 4), np.float32), "w")]
    images = helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["N", 8, 6, 3])
    boxes = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["N", 4])
    graph = helper.make_graph(nodes, "g", [images], [boxes], numbers)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), FOLDER / "seed.onnx")
    write_metadata(FOLDER / "seed.onnx", {"htl.task": "box", "htl.model": "0"})
    yield (FOLDER / "seed.onnx").read_bytes()


def parquet_seeds():
    """Rows with all that makes a column of its own, and few."""
    from htltools.formats.parquet.parquet_export import write_parquet
    from htltools.formats.rows.row import Row

    whole = {"id": "a", "group": "g", "split": "train", "size": [4, 4], "boxes": [[0.0, 0.0, 2.0, 2.0]], "meta": {"age": 45, "sex": "male"}}
    rows = [Row(whole | {"id": name, "hardness": {"loss": 0.5}, "own": own}) for name, own in (("a", 1), ("b", "x"), ("c", {"d": []}))]
    for chosen in rows, [Row(id="a")]:
        write_parquet(FOLDER / "seed.parquet", chosen, {"history": [], "models": {}})
        yield (FOLDER / "seed.parquet").read_bytes()


def id_seeds():
    """Lists in each form."""
    yield b"a\nb/c.png\r\n\n"
    yield b'id,mark\r\na,wrong\r\n"b,c",keep\r\n'
    yield b'{"htl":"begin","by":"x"}\n{"id":"a","mark":"wrong"}\n{"id":"b"}\n'


SEEDS = {
    "ids": id_seeds,
    "corrections": lambda: (*coco_seeds(), *label_studio_seeds()),
    "parquet": parquet_seeds,
    "rows": row_seeds,
    "checkpoint": small_checkpoint_seeds,
    "torch_weights": torch_weights_seeds,
    "localizer": checkpoint_seeds,
    "shard": shard_seeds,
    "image": image_seeds,
    "dicom": dicom_seeds,
    "coco": coco_seeds,
    "label_studio": label_studio_seeds,
    "cvat": cvat_seeds,
    "voc": voc_seeds,
    "yolo": yolo_seeds,
    "table": table_seeds,
    "onnx": onnx_seeds,
}
