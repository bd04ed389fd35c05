"""What a file is that is no rows, by its first bytes, for a person who named it where rows are expected."""

from pathlib import Path

HDF5, BLOCK = b"\x89HDF\r\n\x1a\n", 512  # the signature, which may stand behind a block of the user
PARQUET = b"PAR1"
IMAGES = {
    "JPEG": (b"\xff\xd8\xff",),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "TIFF": (b"II*\0", b"MM\0*"),
    "GIF": (b"GIF87a", b"GIF89a"),
    "JPEG 2000": (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"),
    "PNM": (b"P5\n", b"P6\n", b"P5 ", b"P6 "),
}
MODEL = "htl view tells what is in it, and other commands take it with --model"
CHECKPOINT, ONNX = "a checkpoint", "an ONNX file"
FOREIGN = "an HDF5 file that htl did not write", "name a file of rows, a store, or - for stdin"
HDF5_KINDS = {
    "htl-checkpoint": (CHECKPOINT, MODEL),
    "htl-store": ("a shard of a store", "name the folder that it lies in"),
    "htl-resume": ("the state of a training", "htl train goes on from it when it is called as before"),
}


def is_parquet(path: Path) -> bool:
    """Whether a file is Parquet, by its first bytes: it may hold rows."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(PARQUET)) == PARQUET


def kind_of_file(path: Path) -> tuple[str, str] | None:
    """What a file is, in words, and what to do with it; None where it may be rows, or is no regular file.

    No library is needed for what is text.

    Raises: DataError where it is an HDF5 file of htl, and damaged.
    """
    if not path.is_file():
        return None
    with path.open("rb") as file:
        start = file.read(BLOCK + len(HDF5))
    if HDF5 in (start[: len(HDF5)], start[BLOCK:]):
        from htltools.formats.store.checksummed_hdf5 import carries_checksum, check_hdf5_checksum
        from htltools.formats.store.safe_hdf5 import kind_of_hdf5

        if carries_checksum(path):
            check_hdf5_checksum(path)  # before HDF5 opens it, which damaged files can bring down
        return HDF5_KINDS.get(kind_of_hdf5(path) or "", FOREIGN)
    if start[128:132] == b"DICM":
        return "a DICOM image", "htl prepare and htl predict take images"
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "a WebP image", "htl prepare and htl predict take images"
    for name, signatures in IMAGES.items():
        if start.startswith(signatures):
            return f"a {name} image", "htl prepare and htl predict take images"
    if start[:1] == b"\x08":
        from htltools.formats.models.onnx import is_onnx

        return (ONNX, MODEL) if is_onnx(path) else None
    return None
