"""Metadata of DICOM images without names: an allow-list of tags, and keyed hashes in place of identifiers."""

import hashlib
import hmac
import math
import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from htltools.errors import CannotCreate, DataError, MissingInput
from htltools.formats.dicom.file import check_declared, frame_count, header_of, reading

SEGMENTATIONS = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"  # and of a label map
TAGS = [
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "PatientID"),  # these only as keyed hashes
    *("PatientAge", "PatientSex", "ViewPosition", "BodyPartExamined", "Modality", "BurnedInAnnotation"),
    *("PixelSpacing", "ImagerPixelSpacing", "SharedFunctionalGroupsSequence", "ImagePositionPatient"),
    *("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "NumberOfFrames", "PhotometricInterpretation"),
]
WORDS = {"ViewPosition": "view", "BodyPartExamined": "body_part", "Modality": "modality"}
SEXES = {"m": "male", "f": "female", "o": "other"} | {word: word for word in ("male", "female", "other")}
AGE = re.compile(r"(\d{1,3}(?:\.\d+)?) ?([DWMY]?)", re.IGNORECASE)  # three digits and a capital by the standard, but not in all files
YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1}
CODE = re.compile(r"[A-Z0-9 _]{1,16}")  # the characters of a code string; anything else is free text in the wrong place
HEX = 24  # digits of a hash: 96 bits


@dataclass(slots=True)
class DeidentifiedHeader:
    """The part of the header of a DICOM file that is kept."""

    instance: str  # keyed hash of the SOPInstanceUID
    series: str | None  # keyed hash
    group: str  # keyed hash of the patient, of the study where there is none, or of the file
    frames: int
    syntax: Any  # pydicom's UID
    meta: dict[str, Any]
    segmentation: bool
    position: tuple[float, ...] | None  # of the first pixel, in mm


def deidentified_header(path: str, key: bytes) -> DeidentifiedHeader:
    """The header of a file, without a name or number of the patient.

    Raises: DataError with a short reason where it is no DICOM image.
    """
    with reading("its header cannot be read"):
        header = header_of(path, TAGS)
        check_declared(path, header)
        uids = [text_of(header, name) for name in ("SOPInstanceUID", "SeriesInstanceUID", "PatientID", "StudyInstanceUID")]
        instance, series, patient, study = uids
        instance = keyed_hash(key, "instance", instance) if instance else keyed_hash(key, "file", content_digest(path))
        group = keyed_hash(key, "patient", patient) if patient else keyed_hash(key, "study", study) if study else instance
        return DeidentifiedHeader(
            instance,
            keyed_hash(key, "series", series) if series else None,
            group,
            frame_count(header),
            header.file_meta.TransferSyntaxUID,
            meta_of(header),
            header.get("SOPClassUID") in SEGMENTATIONS,
            numbers_of(header.get("ImagePositionPatient")),
        )


def meta_of(header: Any) -> dict[str, Any]:
    """The tags of the allow-list, as `meta` of a row: age in years, sex, view, body_part, modality, pixel_spacing in mm, burned_in."""
    meta: dict[str, Any] = {}
    if age := AGE.fullmatch(text_of(header, "PatientAge")):
        years = round(float(age[1]) * YEARS[age[2].upper() or "Y"], 2)
        meta["age"] = int(years) if years.is_integer() and age[2].upper() in ("", "Y") else years
    if sex := SEXES.get(text_of(header, "PatientSex").lower()):
        meta["sex"] = sex
    for tag, name in WORDS.items():
        if CODE.fullmatch(text_of(header, tag)):
            meta[name] = text_of(header, tag)
    groups = header.get("SharedFunctionalGroupsSequence") or [{}]
    measures = groups[0].get("PixelMeasuresSequence") or [{}]
    spacing = numbers_of(header.get("PixelSpacing") or measures[0].get("PixelSpacing") or header.get("ImagerPixelSpacing"))
    if spacing and len(spacing) == 2:
        meta["pixel_spacing"] = list(spacing)
    if (burned := text_of(header, "BurnedInAnnotation")) in ("YES", "NO"):
        meta["burned_in"] = burned == "YES"
    return meta


def text_of(header: Any, name: str) -> str:
    """A tag as text; "" where it is absent, or not a single text."""
    try:
        value = header.get(name)
    except Exception:  # pydicom raises nearly anything on a bad value, and may quote it
        return ""
    return value.strip() if isinstance(value, str) else ""


def numbers_of(values: Sequence[Any] | None) -> tuple[float, ...] | None:
    """The numbers of a tag, in mm, rounded to a thousandth; None where there are none, or one is infinite."""
    try:
        numbers = tuple(round(float(value), 3) for value in values or ())
    except (TypeError, ValueError, OverflowError):
        return None
    return numbers if numbers and all(map(math.isfinite, numbers)) else None


def content_digest(path: str) -> str:
    """The sha256 of a file, which stands for its UID where it has none."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def keyed_hash(key: bytes, kind: str, text: str) -> str:
    """A name that only the holder of the key can link to the text: HMAC-SHA256, its first 24 hexadecimal digits.

    >>> keyed_hash(b"k" * 16, "patient", "P1") == keyed_hash(b"k" * 16, "patient", "P1") != keyed_hash(b"l" * 16, "patient", "P1")
    True
    """
    return hmac.new(key, f"{kind}:{text}".encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()[:HEX]


def read_key(path: Path) -> bytes:
    """The key that a file holds.

    Raises: MissingInput; DataError where it is shorter than 16 bytes.
    """
    try:
        key = path.read_bytes().strip()
    except FileNotFoundError:
        raise MissingInput(f"the key {path} is not there", f"make one: (umask 077; openssl rand -hex 32 > {path})") from None
    if len(key) < 16:
        raise DataError(f"the key {path} is shorter than 16 bytes", "make one: openssl rand -hex 32")
    return key


def new_key(path: Path) -> bytes:
    """Write a new random key to a file that only its owner can read.

    Raises: CannotCreate.
    """
    key = secrets.token_hex(32).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(key + b"\n")
    except OSError as error:
        raise CannotCreate(f"cannot create the key {path} ({str(error.strerror).lower()})") from None
    return key
