"""DICOM images: the values of every kind of file, and the order in which they become light."""

import io

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, convert_color_space, pixel_array
from pydicom.sequence import Sequence
from pydicom.uid import (
    MPEG4HP41,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from htltools.errors import DataError, UsageError
from htltools.formats.dicom.file import frame_count, frame_values, header_of, is_decodable, is_dicom
from htltools.formats.dicom.render import read_dicom, read_dicom_mask
from htltools.formats.dicom.windowing import checked_window

ELSEWHERE = {  # samples that pydicom itself does not decode, and what holds the same pixels
    "liver_deflate.dcm": "liver.dcm",
    "liver_rle.dcm": "liver.dcm",
    "liver_nonbyte_aligned_deflate.dcm": "liver_nonbyte_aligned_j2k.dcm",
    "liver_nonbyte_aligned_rle.dcm": "liver_nonbyte_aligned_j2k.dcm",
}
RAMP = np.arange(256, dtype=np.uint16).reshape(16, 16) * 16  # 0 to 4080


@pytest.fixture(scope="module")
def samples(shared_data):
    """The sample files by name."""
    return {path.name: path for path in sorted((shared_data / "dicom-samples/files").iterdir())}


def whole(path, **options):
    """The frames of a file as pydicom's own handlers give them, [frames, h, w] or [frames, h, w, 3]."""
    dataset = pydicom.dcmread(path, force=True)
    if not dataset.file_meta.get("TransferSyntaxUID"):
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    values = pixel_array(dataset, **options)
    return values if frame_count(dataset) > 1 else values[None]


def read(path, **options):
    """The grey levels of a 16 x 16 file, [16, 16]."""
    return read_dicom(path, (16, 16), **options)[0][..., 0].astype(int)


@pytest.mark.filterwarnings("ignore")
def test_values_of_all_samples(samples):
    """Each value of each frame of each sample file is what pydicom's own handlers give, big-endian or compressed or not."""
    compared = 0
    for name, path in samples.items():
        expected = whole(samples[ELSEWHERE.get(name, name)])
        header = header_of(path)
        assert frame_count(header) == len(expected)
        for i, frame in enumerate(expected):
            assert np.array_equal(frame_values(path, header, i + 1), frame), name
            compared += 1
    assert (len(samples), compared) == (45, 101)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("plugin", ["gdcm", "pylibjpeg"])
def test_decoders_agree(samples, plugin):
    """The decoders of the extra `dicom` give the same values of the same lossless file."""
    for name in "693_J2KR.dcm", "explicit_VR-UN.dcm", "emri_small_jpeg_2k_lossless.dcm":
        expected = whole(samples[name], decoding_plugin=plugin)
        assert np.array_equal(frame_values(samples[name], header_of(samples[name])), expected[0])


@pytest.mark.filterwarnings("ignore")
def test_images_of_all_samples(samples):
    """In its own size each sample is the standard's chain, step by step on whole arrays, but for rounding."""
    for name, path in samples.items():
        dataset = pydicom.dcmread(path, force=True)
        image, size, rendering, *_ = read_dicom(path, (dataset.Rows, dataset.Columns))
        assert size == (dataset.Columns, dataset.Rows)
        values = whole(samples[ELSEWHERE.get(name, name)])[0]
        if rendering == "colour" and dataset.PhotometricInterpretation != "PALETTE COLOR":
            expected = values / (2**dataset.BitsStored - 1)
        elif rendering == "colour":
            twin = samples[name.replace("_expb", "").replace("_big", "")]  # pydicom does not turn a big-endian palette
            expected = apply_color_lut(values, pydicom.dcmread(twin, force=True)).astype(float)
            expected /= 255 if expected.max() < 256 else 65535
        elif "ModalityLUTSequence" in dataset or rendering.startswith("LUT"):
            expected = apply_voi_lut(apply_modality_lut(values, dataset), dataset).astype(float)
            expected /= 65535 if expected.max() > 255 else 255
        elif "WindowCenter" in dataset and rendering.startswith("window"):
            expected = apply_voi_lut(apply_modality_lut(values, dataset), dataset)
            expected = (expected - expected.min()) / (expected.max() - expected.min())
        elif name == "eCT_Supplemental.dcm":
            assert rendering == "window 49/102"  # of the frame, after its rescale by 1 and -1024
            expected = np.clip((values - 1024.0 - 48.5) / 101 + 0.5, 0, 1)
        else:
            expected = (values - values.min()) / (float(values.max()) - values.min())
        expected = expected if expected.ndim == 3 else expected[..., None]
        assert np.abs(image - expected * 255).max() <= 0.51, name


@pytest.mark.filterwarnings("ignore")
def test_samples_and_their_twins(samples):
    """An image is the same whether its file is big-endian, RLE or JPEG-LS, and nearly so after lossy JPEG 2000."""
    for twins in (
        ("OBXXXX1A_2frame.dcm", "OBXXXX1A_expb_2frame.dcm", "OBXXXX1A_rle_2frame.dcm"),
        ("emri_small.dcm", "emri_small_big_endian.dcm", "emri_small_jpeg_2k_lossless.dcm", "emri_small_jpeg_ls_lossless.dcm"),
        ("SC_rgb.dcm", "SC_rgb_16bit.dcm", "SC_rgb_32bit.dcm", "SC_rgb_expb.dcm"),
        ("gdcm-US-ALOKA-16.dcm", "gdcm-US-ALOKA-16_big.dcm"),
    ):
        images = [read_dicom(samples[name], (64, 64))[0] for name in twins]
        assert all(np.array_equal(images[0], other) for other in images[1:]), twins
    for one, other in (("US1_UNCR.dcm", "US1_J2KI.dcm"), ("MR2_UNCR.dcm", "MR2_J2KI.dcm")):
        difference = np.abs(read_dicom(samples[one], (64, 64))[0] - read_dicom(samples[other], (64, 64))[0].astype(int))
        assert difference.mean() < 1


def test_monochrome1_is_inverted_last(tmp_path, save_dicom):
    """The window is applied to the values as they are, and what is light there is dark in MONOCHROME1."""
    window = {"WindowCenter": 1000, "WindowWidth": 1000}
    save_dicom(tmp_path / "2.dcm", RAMP, **window)
    save_dicom(tmp_path / "1.dcm", RAMP, PhotometricInterpretation="MONOCHROME1", **window)
    assert (read(tmp_path / "1.dcm") + read(tmp_path / "2.dcm") == 255).all()
    assert read_dicom(tmp_path / "1.dcm", (16, 16))[2] == "window 1000/1000, inverted"


@pytest.mark.parametrize("bits", [12, 16])
def test_windows(tmp_path, save_dicom, bits):
    """A window is scaled by its own range, whatever the depth; each of several can be asked for, as can any other, or percentiles."""
    tags = {"WindowCenter": [1000, 2000], "WindowWidth": [1001, 401], "BitsStored": bits, "HighBit": bits - 1}
    save_dicom(tmp_path / "a.dcm", RAMP, RescaleSlope=2, RescaleIntercept=-1000, RescaleType="HU", **tags)
    shades = RAMP.astype(float) * 2 - 1000

    def light(center, width):
        return np.clip((shades - (center - 0.5)) / (width - 1) + 0.5, 0, 1) * 255

    for window, expected in (("auto", light(1000, 1001)), ("1", light(2000, 401)), ("-20/300.5", light(-20, 300.5))):
        assert np.abs(read(tmp_path / "a.dcm", window=window) - expected).max() <= 0.51
    low, high = np.percentile(shades, (1, 99))
    assert np.abs(read(tmp_path / "a.dcm", window="percentile") - np.clip((shades - low) / (high - low), 0, 1) * 255).max() <= 0.51
    with pytest.raises(DataError, match="^it has no window 2$"):
        read(tmp_path / "a.dcm", window="2")


@pytest.mark.parametrize("window", ["wide", "40", "40/400", "-600/1500.5", "percentile", "auto", "40/0", "40/-3", "a/b", "1.5", ""])
def test_what_a_window_may_be(window):
    """--window is auto, percentile, a number, or a centre and a width of 1 or more."""
    if window in ("wide", "40/0", "40/-3", "a/b", "1.5", ""):
        with pytest.raises(UsageError):
            checked_window(window)
    else:
        assert checked_window(window) == window


def test_without_a_window(tmp_path, save_dicom):
    """Deep values without a window span black to white, padding aside; 8 bits are taken as they are; a useless window is passed over."""
    deep = RAMP.astype(np.int16)
    deep[0] = -2000
    save_dicom(tmp_path / "a.dcm", deep, PixelPaddingValue=-2000, WindowCenter=0, WindowWidth=0)
    expected = np.clip((deep - 256.0) / (4080 - 256), 0, 1) * 255
    assert np.abs(read(tmp_path / "a.dcm") - expected).max() <= 0.51
    save_dicom(tmp_path / "b.dcm", (RAMP // 32).astype(np.uint8))
    assert (read(tmp_path / "b.dcm") == RAMP // 32).all()
    save_dicom(tmp_path / "c.dcm", np.full((16, 16), 700, np.uint16))
    assert (read(tmp_path / "c.dcm") == 0).all()


def test_incomplete_rescale(tmp_path, save_dicom):
    """An intercept without a slope is applied; a slope of 0, which would leave one value, is taken for 1, and the rendering says so."""
    window = {"WindowCenter": 1000, "WindowWidth": 2001}
    save_dicom(tmp_path / "whole.dcm", RAMP, RescaleSlope=1, RescaleIntercept=-1024, **window)
    save_dicom(tmp_path / "alone.dcm", RAMP, RescaleIntercept=-1024, **window)
    save_dicom(tmp_path / "zero.dcm", RAMP, RescaleSlope=0, RescaleIntercept=-1024, **window)
    for name, note in (("alone", ""), ("zero", ", slope 0 taken for 1")):
        assert (read(tmp_path / f"{name}.dcm") == read(tmp_path / "whole.dcm")).all()
        assert read_dicom(tmp_path / f"{name}.dcm", (16, 16))[2] == f"window 1000/2001{note}"


@pytest.mark.parametrize("syntax", [ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless, JPEG2000Lossless], ids=lambda uid: uid.name)
def test_overlays_above_the_stored_bits(tmp_path, save_dicom, syntax):
    """Bits above those of the pixels, which hold overlays, change nothing, however the pixels are coded."""
    values = np.tile(RAMP, (4, 4))
    overlaid = values | (np.arange(64) % 3 == 0).astype(np.uint16) << 13
    save_dicom(tmp_path / "plain.dcm", values, BitsStored=12, HighBit=11)
    whole = save_dicom(tmp_path / "a.dcm", overlaid, BitsStored=12, HighBit=11)
    if syntax.is_compressed:
        whole.compress(syntax)
        whole.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    else:
        save_dicom(tmp_path / "a.dcm", overlaid, BitsStored=12, HighBit=11, syntax=syntax)
    assert (read(tmp_path / "a.dcm") == read(tmp_path / "plain.dcm")).all()


def doubts(path):
    """The kinds of doubts of a file."""
    return [kind for kind, _ in read_dicom(path, (16, 16)).doubts]


def test_bits_above_the_stored_ones_are_doubted(tmp_path, save_dicom):
    """Values of more bits than BitsStored are doubted, also with a sign; overlays that are declared, and signs, are not."""
    values = np.tile(RAMP, (4, 4))
    save_dicom(tmp_path / "a.dcm", values, BitsStored=8, HighBit=7)
    assert doubts(tmp_path / "a.dcm") == ["DICOM values of more bits than the header says"]
    save_dicom(tmp_path / "b.dcm", values, BitsStored=12, HighBit=11)
    save_dicom(tmp_path / "c.dcm", values.astype(np.int16) - 2000, BitsStored=12, HighBit=11)
    overlaid = save_dicom(tmp_path / "d.dcm", values | 0x2000, BitsStored=12, HighBit=11)
    assert doubts(tmp_path / "d.dcm") != []
    overlaid.add_new(0x60000102, "US", 13)
    overlaid.save_as(tmp_path / "d.dcm", enforce_file_format=True)
    assert doubts(tmp_path / "b.dcm") == doubts(tmp_path / "c.dcm") == doubts(tmp_path / "d.dcm") == []


def test_a_sign_that_is_not_declared_is_doubted(tmp_path, save_dicom):
    """Values below 0 in a file that declares none are doubted; values of the whole range, and a padding, are not."""
    signed = RAMP.astype(np.int16) - 1024
    save_dicom(tmp_path / "a.dcm", signed.view(np.uint16))
    assert doubts(tmp_path / "a.dcm") == ["DICOM values with a sign that the header does not say"]
    padded = RAMP.copy()
    padded[:2] = 65535
    for name, values in {"signed": signed, "plain": RAMP, "wide": RAMP * 16, "padded": padded}.items():
        save_dicom(tmp_path / f"{name}.dcm", values)
        assert doubts(tmp_path / f"{name}.dcm") == []


def table(first, entries, depth):
    """A sequence of one LUT."""
    item = pydicom.Dataset()
    item.LUTDescriptor, item.LUTData = [len(entries), first, depth], [int(entry) for entry in entries]
    item["LUTDescriptor"].VR = item["LUTData"].VR = "US"
    return Sequence([item])


def test_tables(tmp_path, save_dicom):
    """A VOI LUT is scaled by the bits that its entries need, whatever it declares; a modality LUT of 12 bits comes before it."""
    squares = np.arange(4096) ** 2 // 4096
    for depth in 12, 16:
        save_dicom(tmp_path / "a.dcm", RAMP, VOILUTSequence=table(0, squares, depth), WindowCenter=5, WindowWidth=5)
        assert np.abs(read(tmp_path / "a.dcm") - squares[RAMP] / 4095 * 255).max() <= 0.51
    save_dicom(tmp_path / "b.dcm", RAMP, ModalityLUTSequence=table(0, np.arange(4096)[::-1], 12), WindowCenter=2048, WindowWidth=4096)
    assert np.abs(read(tmp_path / "b.dcm") - (4095 - RAMP) / 4095 * 255).max() <= 0.51


def test_a_long_palette_of_bytes(tmp_path, save_dicom):
    """A palette of more than 256 entries of 8 bits is not mixed up."""
    tags = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour, entries in {"Red": np.arange(4096) // 16, "Green": np.zeros(4096), "Blue": 255 - np.arange(4096) // 16}.items():
        tags[f"{colour}PaletteColorLookupTableDescriptor"] = [4096, 0, 8]
        tags[f"{colour}PaletteColorLookupTableData"] = entries.astype(np.uint8).tobytes()
    save_dicom(tmp_path / "a.dcm", RAMP, **tags)
    image = read_dicom(tmp_path / "a.dcm", (16, 16))[0]
    assert (image[..., 0] == RAMP // 16).all() and (image[..., 1] == 0).all() and (image[..., 2] == 255 - RAMP // 16).all()


def test_a_palette_of_bytes_in_words(tmp_path, save_dicom):
    """Entries of 8 bits in a palette of 16 are as bright as they are in one of 8."""
    tags = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour in ("Red", "Green", "Blue"):
        tags[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        tags[f"{colour}PaletteColorLookupTableData"] = np.arange(256, dtype="<u2").tobytes()
    save_dicom(tmp_path / "a.dcm", (RAMP // 16).astype(np.uint8), **tags)
    assert (read(tmp_path / "a.dcm") == RAMP // 16).all()


def bare_jpeg(image, **options):
    """A JPEG without the markers in which encoders tell its colours."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=95, **options)
    data, place = out.getvalue(), 2
    kept = data[:2]
    while data[place + 1] != 0xDA:
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        kept += data[place:end] if data[place + 1] not in (0xE0, 0xEE) else b""
        place = end
    return kept + data[place:]


@pytest.mark.parametrize("options", [{"subsampling": 2}, {"subsampling": 0}, {"keep_rgb": True}], ids=str)
@pytest.mark.parametrize("kind", ["RGB", "YBR_FULL_422"])
def test_jpeg_under_a_wrong_header(tmp_path, save_dicom, options, kind):
    """A JPEG has the colours that it was coded with, whatever the header says, also where neither has a marker."""
    pixels = np.full((64, 64, 3), 75, np.uint8)
    pixels[20:40, 16:48] = 210, 140, 90
    data = encapsulate([bare_jpeg(Image.fromarray(pixels), **options)])
    save_dicom(tmp_path / "a.dcm", pixels, syntax=JPEGBaseline8Bit, data=data, PhotometricInterpretation=kind)
    assert np.abs(read_dicom(tmp_path / "a.dcm", (64, 64))[0][[30, 5], [30, 5]].astype(int) - [[210, 140, 90], [75, 75, 75]]).max() <= 3


def test_colours(tmp_path, save_dicom):
    """YBR becomes RGB, also from JPEG; a colour space of the past is refused."""
    colours = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    save_dicom(tmp_path / "a.dcm", colours, PhotometricInterpretation="YBR_FULL")
    assert np.array_equal(read_dicom(tmp_path / "a.dcm", (16, 16))[0], convert_color_space(colours, "YBR_FULL", "RGB"))
    save_dicom(tmp_path / "b.dcm", colours, PhotometricInterpretation="YBR_PARTIAL_420")
    with pytest.raises(DataError, match="not supported .YBR_PARTIAL_420.$"):
        read_dicom(tmp_path / "b.dcm", (16, 16))


def test_jpeg(tmp_path, save_dicom):
    """JPEG with subsampled colours, as endoscopes and ultrasound write it, is decoded as Pillow does it, but for a few levels."""
    from io import BytesIO

    from PIL import Image

    y, x = np.mgrid[:16, :16]
    colours = np.stack([x * 12, y * 12, 200 - x * 6], -1).astype(np.uint8)
    coded = BytesIO()
    Image.fromarray(colours).save(coded, "JPEG", quality=95, subsampling="4:2:2")
    options = {"syntax": JPEGBaseline8Bit, "data": encapsulate([coded.getvalue()]), "PhotometricInterpretation": "YBR_FULL_422"}
    save_dicom(tmp_path / "a.dcm", colours, **options)
    expected = np.asarray(Image.open(coded).convert("RGB"), int)
    assert np.abs(read_dicom(tmp_path / "a.dcm", (16, 16))[0] - expected).max() <= 4


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_codings(tmp_path, save_dicom, syntax):
    """Implicit, big-endian and deflated files hold the same image."""
    save_dicom(tmp_path / "a.dcm", RAMP, syntax=syntax)
    header = header_of(tmp_path / "a.dcm")
    assert header.file_meta.TransferSyntaxUID == syntax and np.array_equal(frame_values(tmp_path / "a.dcm", header), RAMP)


def test_without_preamble_and_transfer_syntax(tmp_path, save_dicom):
    """A file without preamble, or without anything before its dataset, is known by how it starts, and read."""
    save_dicom(tmp_path / "a.dcm", RAMP)
    data = (tmp_path / "a.dcm").read_bytes()
    (tmp_path / "no_preamble").write_bytes(data[132:])
    dataset = data.index(b"\x08\x00\x16\x00UI")
    (tmp_path / "bare").write_bytes(data[dataset:])
    for name in "no_preamble", "bare":
        assert is_dicom(str(tmp_path / name)) and np.array_equal(read(tmp_path / name), read(tmp_path / "a.dcm"))
    (tmp_path / "notes").write_text("no image, and no DICOM either")
    assert not is_dicom(str(tmp_path / "notes")) and not is_dicom(str(tmp_path / "gone")) and is_dicom("x/GONE.DCM")


def test_frames_have_tables_of_their_own(tmp_path, save_dicom):
    """In an enhanced multi-frame file each frame has its own rescale and window; a frame that is not there is refused."""

    def groups(slope, center):
        groups, values, voi = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
        values.RescaleSlope, values.RescaleIntercept, values.RescaleType = slope, 0, "US"
        voi.WindowCenter, voi.WindowWidth = center, 1001
        groups.PixelValueTransformationSequence, groups.FrameVOILUTSequence = Sequence([values]), Sequence([voi])
        return groups

    frames = np.stack([RAMP, RAMP])
    save_dicom(tmp_path / "a.dcm", frames, frames=2, PerFrameFunctionalGroupsSequence=Sequence([groups(1, 1000), groups(2, 4000)]))
    for number, (slope, center) in enumerate([(1, 1000), (2, 4000)], 1):
        expected = np.clip((RAMP * slope - (center - 0.5)) / 1000 + 0.5, 0, 1) * 255
        assert np.abs(read(tmp_path / "a.dcm", number=number) - expected).max() <= 0.51
    with pytest.raises(DataError, match="^it has no frame 3$"):
        read(tmp_path / "a.dcm", number=3)


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"Rows": 5000, "Columns": 5000}, "the file is cut short"),
        ({"NumberOfFrames": 2**31 - 1}, "the file is cut short"),
        ({"Rows": 65535, "Columns": 65535}, "more than 178 million pixels"),
        ({"SamplesPerPixel": 4}, "4 samples of 16 bits are not supported"),
        ({"Rows": 0}, "it holds no image (Secondary Capture Image Storage)"),
    ],
)
def test_declared_sizes(tmp_path, save_dicom, tags, reason):
    """A header is compared with its file before anything is allocated."""
    save_dicom(tmp_path / "a.dcm", RAMP, **tags)
    with pytest.raises(DataError) as refused:
        read(tmp_path / "a.dcm")
    assert str(refused.value) == reason


def test_bombs(tmp_path, save_dicom, monkeypatch):
    """A deflated file that unpacks to too much is refused before pydicom unpacks it; so are more frames than a file has room for."""
    save_dicom(tmp_path / "a.dcm", np.zeros((1000, 1000), np.uint16), syntax=DeflatedExplicitVRLittleEndian)
    monkeypatch.setattr("htltools.formats.dicom.file.DEFLATED_BYTES", 2**20)
    with pytest.raises(DataError, match="^it unpacks to more than 1 MiB$"):
        read(tmp_path / "a.dcm")
    save_dicom(tmp_path / "b.dcm", RAMP, syntax=JPEGBaseline8Bit, data=encapsulate([b"\0" * 40]), NumberOfFrames=10**9)
    with pytest.raises(DataError, match="^it declares 1000000000 frames, more than it has room for$"):
        read(tmp_path / "b.dcm")


def test_damaged_files_are_refused_without_a_word_of_them(tmp_path, save_dicom, capfd, caplog):
    """Whatever byte is wrong, a file is read, or refused in a few words that name no patient; nothing is printed."""
    save_dicom(tmp_path / "a.dcm", RAMP, PatientName="Secret^Name", PatientID="Secret", WindowCenter=5, WindowWidth=6)
    data = bytearray((tmp_path / "a.dcm").read_bytes())
    draw = np.random.default_rng(0)
    refused = 0
    for trial in range(300):
        spoilt = bytearray(data)
        for place in draw.integers(132, 1000, 3):
            spoilt[place] = draw.integers(256)
        if trial % 3 == 0:
            spoilt = spoilt[: draw.integers(len(spoilt))]
        (tmp_path / "b.dcm").write_bytes(spoilt)
        try:
            read(tmp_path / "b.dcm")
        except DataError as error:
            refused += 1
            assert "Secret" not in str(error) and len(str(error)) < 100
    assert refused > 50 and "Secret" not in caplog.text and capfd.readouterr() == ("", "")


def test_what_can_be_decoded():
    """Videos have no decoder that htl could use."""
    assert is_decodable(JPEGBaseline8Bit) and is_decodable(ImplicitVRLittleEndian) and is_decodable(MPEG4HP41) is None


def test_a_mask_in_a_image(tmp_path, save_dicom):
    """Pixels brighter than half of the maximum of a DICOM image are its mask."""
    values = np.zeros((16, 16), np.uint8)
    values[2:5, 3:9], values[0] = 200, 100
    save_dicom(tmp_path / "a.dcm", values)
    assert np.array_equal(read_dicom_mask(tmp_path / "a.dcm").labels, values == 200)
