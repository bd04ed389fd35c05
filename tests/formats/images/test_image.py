"""Images and masks of many kinds come out as uint8 RGB in the frame asked for."""

import struct

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from htltools.errors import DataError
from htltools.formats.images.image import read_image, read_turned_image, squashed_mask
from htltools.formats.images.mask import read_mask

FRAME = 8, 12  # H, W


def halves(width=24, height=16):
    """An image whose left half is red and whose right half is blue."""
    array = np.zeros((height, width, 3), np.uint8)
    array[:, : width // 2, 0] = array[:, width // 2 :, 2] = 255
    return Image.fromarray(array)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "bmp", "webp", "gif", "ppm"])
def test_formats(tmp_path, suffix):
    """JPEG, PNG, TIFF, BMP, WebP and others are read alike."""
    path = tmp_path / f"a.{suffix}"
    halves().save(path)
    pixels, size = read_image(path, FRAME)
    assert pixels.shape == (*FRAME, 3) and pixels.dtype == np.uint8 and size == (24, 16)
    assert pixels[4, 1, 0] > 150 > 100 > pixels[4, 1, 2] and pixels[4, -2, 2] > 150


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
def test_modes(tmp_path, mode):
    """Whatever the mode of a pixels, dark stays dark and bright stays bright."""
    ramp = np.zeros((16, 24), np.uint8)
    ramp[:, 12:] = 255
    image = Image.fromarray(ramp)
    if mode in ("I;16", "I"):
        image = Image.fromarray(ramp.astype({"I;16": np.uint16, "I": np.int32}[mode]) * 16)
    elif mode != "L":
        image = image.convert(mode)
    path = tmp_path / "a.tif"
    image.save(path)
    pixels, _ = read_image(path, FRAME)
    assert pixels[:, :4].max() < 5 and pixels[:, -4:].min() > 250


@pytest.mark.parametrize(("highest", "white"), [(255, 255), (1023, 1023), (3000, 4095), (4096, 16383), (40000, 65535)])
def test_sixteen_bits(tmp_path, highest, white):
    """A 16-bit image is scaled by the smallest depth of 8, 10, 12, 14 and 16 bits that holds it, and says so."""
    path = tmp_path / "a.png"
    Image.fromarray(np.full((16, 24), highest, np.uint16)).save(path)
    image = read_turned_image(path, FRAME)
    assert (image.pixels == round(highest / white * 255)).all() and image.rendering == f"range 0 to {white}"


@pytest.mark.parametrize(
    ("dtype", "usual", "odd"), [(np.uint16, 600, 5000), (np.uint16, 255, 65535), (np.int16, -500, 30000), (np.float32, 0.5, 1.5)]
)
def test_one_pixel_decides_nothing(tmp_path, dtype, usual, odd):
    """A single pixel that is brighter, or below 0, changes only what lies around it."""
    values = np.linspace(0, usual, 64 * 64).reshape(64, 64).astype(dtype)
    Image.fromarray(values).save(tmp_path / "plain.tif")
    for stray in odd, (-1 if dtype != np.uint16 else 0):
        values[0, 0] = stray
        Image.fromarray(values).save(tmp_path / "odd.tif")
        plain, changed = (read_image(tmp_path / f"{name}.tif", (64, 64))[0].astype(int) for name in ("plain", "odd"))
        assert np.abs(plain - changed)[2:, 2:].max() <= 1


def test_pages(tmp_path):
    """The first page of several is read, and that is doubted; previews in a JPEG are no pages."""
    first, other = halves(), halves().transpose(Image.Transpose.ROTATE_180)
    for name, options in {"a.tif": {}, "a.gif": {}, "a.webp": {"lossless": True}, "a.mpo": {"format": "MPO"}}.items():
        first.save(tmp_path / name, save_all=True, append_images=[other], **options)
        image = read_turned_image(tmp_path / name, FRAME)
        assert image.pixels[4, 1, 0] > 150 > image.pixels[4, 1, 2]
        assert [kind for kind, _ in image.doubts] == ([] if name == "a.mpo" else ["an image of several pages"])


def test_floats(tmp_path):
    """Floats in [0, 1] are scaled by 1; values that are not finite are refused."""
    path = tmp_path / "a.tif"
    Image.fromarray(np.full((16, 24), 0.5, np.float32)).save(path)
    assert (read_image(path, FRAME)[0] == 128).all()
    Image.fromarray(np.full((16, 24), np.nan, np.float32)).save(path)
    with pytest.raises(DataError, match="not finite"):
        read_image(path, FRAME)


def write_tiff(path, values, photometric=1, sample_format=1):
    """Write values [h, w] as a TIFF of one strip, with the tags that Pillow does not write."""
    height, width = values.shape
    tags = {
        **{256: width, 257: height, 258: values.dtype.itemsize * 8, 259: 1, 262: photometric},
        **{273: 8, 277: 1, 278: height, 279: values.nbytes, 339: sample_format},
    }
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    start = struct.pack("<2sHI", b"II", 42, 8 + values.nbytes)
    path.write_bytes(start + values.astype(values.dtype.newbyteorder("<")).tobytes() + struct.pack("<H", len(tags)) + entries + bytes(4))


WHITE, BLACK = 0, 1  # photometric interpretations: what 0 means
UNSIGNED, SIGNED, FLOATS = 1, 2, 3  # sample formats


@pytest.mark.parametrize(
    ("dtype", "photometric", "sample_format", "dark", "light", "shown"),
    [
        (np.uint8, BLACK, UNSIGNED, 50, 250, (50, 250)),
        (np.uint8, WHITE, UNSIGNED, 205, 5, (50, 250)),
        (np.int8, BLACK, SIGNED, -100, 100, (0, 255)),
        (np.uint16, BLACK, UNSIGNED, 50 * 257, 250 * 257, (50, 250)),
        (np.uint16, WHITE, UNSIGNED, 205 * 257, 5 * 257, (50, 250)),
        (np.int16, BLACK, SIGNED, -850, 150, (0, 255)),
        (np.int32, BLACK, SIGNED, -850, 150, (0, 255)),
        (np.int32, BLACK, SIGNED, 0, 4095, (0, 255)),
        (np.uint32, BLACK, UNSIGNED, 0, 2**32 - 1, (0, 255)),
        (np.float32, BLACK, FLOATS, 0.2, 0.8, (51, 204)),
        (np.float32, WHITE, FLOATS, 0.8, 0.2, (51, 204)),
        (np.float32, BLACK, FLOATS, -850.5, 149.5, (0, 255)),
        (np.float32, BLACK, FLOATS, -0.5, 0.5, (0, 255)),
    ],
)
def test_black_and_white_of_tiff(tmp_path, dtype, photometric, sample_format, dark, light, shown):
    """Whatever numbers a TIFF holds, with a sign or not, and whether 0 is black or white, dark is dark and nothing below 0 is lost."""
    values = np.full((16, 24), dark, dtype)
    values[:, 12:] = light
    write_tiff(tmp_path / "a.tif", values, photometric, sample_format)
    pixels, _ = read_image(tmp_path / "a.tif", (16, 24))
    assert (pixels[0, 0, 0], pixels[0, -1, 0]) == shown


def test_a_middle_grey_between_signs(tmp_path):
    """With a sign, the lowest value is black, the highest white, and the others are in proportion, as for DICOM without a window."""
    values = np.full((16, 24), -850, np.int16)
    values[:8], values[8:, 12:] = -350, 150
    write_tiff(tmp_path / "a.tif", values, BLACK, SIGNED)
    assert read_image(tmp_path / "a.tif", (16, 24))[0][0, 0].tolist() == [128, 128, 128]


def test_transparency_is_black(tmp_path):
    """Transparent parts are black, in RGBA as in a palette."""
    clear = Image.new("RGBA", (24, 16), (255, 255, 255, 0))
    clear.save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", FRAME)[0].max() == 0
    palette = Image.new("P", (24, 16), 1)
    palette.putpalette([0, 0, 0, 255, 255, 255])
    palette.save(tmp_path / "p.png", transparency=1)
    assert read_image(tmp_path / "p.png", FRAME)[0].max() == 0


def stored_as(array, orientation):
    """What a file of that orientation holds for an array that stands upright."""
    inverse = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transposition that undoes each orientation
    image = Image.fromarray(array)
    return image.transpose(Image.Transpose(inverse[orientation])) if orientation in inverse else image


def save_turned(path, array, orientation, **options):
    """Save an array that stands upright as a file that must be turned."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    how = {"tiffinfo": {0x0112: orientation}} if path.suffix == ".tif" else {"exif": exif.tobytes()}
    stored_as(array, orientation).save(path, **how, **options)


KINDS_TO_TURN = {
    "jpg": {"quality": 95, "subsampling": 0},
    "png": {},
    "webp": {"lossless": True},
    "tif": {},
    "lzw.tif": {"compression": "tiff_lzw"},
    "strips.tif": {"strip_size": 200},
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("kind", "mode"),
    [(kind, mode) for kind in KINDS_TO_TURN for mode in ("rgb", "grey", "deep") if mode != "deep" or kind not in ("jpg", "webp")],
)
def test_orientation(tmp_path, kind, mode, orientation):
    """An image is turned once, as its orientation says, and so is a mask: in every format, grey, deep and in colour."""
    upright = np.zeros((32, 48), np.uint16 if mode == "deep" else np.uint8)
    upright[:16, :24] = 250  # in the upper left
    upright[16:, :24] = 90  # in the lower left
    save_turned(tmp_path / f"a.{kind}", np.dstack([upright] * 3) if mode == "rgb" else upright, orientation, **KINDS_TO_TURN[kind])
    image = read_turned_image(tmp_path / f"a.{kind}", (32, 48))
    pixels = image.pixels
    assert image.size == (48, 32) and image.orientation == orientation and image.doubts == ()
    assert np.abs(pixels[..., 0].astype(int) - upright).max() <= (25 if kind == "jpg" else 1)
    objects = read_mask(tmp_path / f"a.{kind}", () if kind == "jpg" else (250,) if mode != "rgb" else (0xFAFAFA, 250))
    assert (objects.labels > 0)[:16, :24].all() and not (objects.labels > 0)[16:, 24:].any()
    assert objects.labels.shape == (32, 48) and objects.orientation == orientation


def test_large_jpeg_is_decoded_small(tmp_path):
    """A large JPEG keeps its original size in the row, though it is decoded no larger than needed."""
    halves(1600, 1200).save(tmp_path / "a.jpg")
    pixels, size = read_image(tmp_path / "a.jpg", FRAME)
    assert size == (1600, 1200) and pixels[4, 2, 0] > 240


def photo(width, height):
    """An image like a photograph: shading, fine grain, and a sharp edge."""
    y, x = np.mgrid[:height, :width] / height
    grain = np.random.default_rng(0).normal(0, 6, (height, width, 1))
    disc = ((x - 0.6) ** 2 + (y - 0.5) ** 2 < 0.06)[..., None] * np.array([90, 110, 60])
    colours = np.stack([200 + 40 * x, 160 + 30 * y, 140 + 20 * x * y], -1)
    return Image.fromarray(np.clip(colours + grain - disc, 0, 255).astype(np.uint8))


KINDS = {
    "plain": {},
    "progressive": {"progressive": True},
    "fine": {"subsampling": 0},
    "rgb": {"keep_rgb": True},
    "grey": {"mode": "L"},
    "cmyk": {"mode": "CMYK"},
}


@pytest.mark.parametrize("frame", [(256, 256), (96, 96), (64, 200), (600, 900)], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_jpegs_are_within_the_error_of_resampling(tmp_path, kind, frame):
    """However a JPEG is coded, and however much smaller it is decoded, the result is close to the bilinear filter of all its pixels."""
    options = dict(KINDS[kind])
    image = photo(600, 450).convert(options.pop("mode", "RGB"))
    image.save(tmp_path / "a.jpg", quality=90, **options)
    with Image.open(tmp_path / "a.jpg") as whole:
        expected = np.asarray(whole.convert("RGB").resize(frame[::-1], Image.Resampling.BILINEAR), int)
    difference = np.abs(read_image(tmp_path / "a.jpg", frame)[0] - expected)
    assert difference.mean() < 1.5 and difference.max() < 40


def test_a_faulty_jpeg_is_read_as_pillow_reads_it(tmp_path):
    """A JPEG that libjpeg only warns about, here of bytes between its parts, is read all the same."""
    photo(600, 450).save(tmp_path / "a.jpg", quality=90, restart_marker_rows=4)
    data = (tmp_path / "a.jpg").read_bytes()
    restart = data.index(b"\xff\xd1", 2000)
    (tmp_path / "b.jpg").write_bytes(data[:restart] + b"\x00" * 7 + data[restart:])
    with pytest.raises(ValueError, match="[Cc]orrupt|extraneous"):
        simplejpeg.decode_jpeg((tmp_path / "b.jpg").read_bytes())
    whole, faulty = (read_image(tmp_path / name, (256, 256))[0].astype(int) for name in ("a.jpg", "b.jpg"))
    assert np.abs(whole - faulty).mean() < 2


def test_first_page(tmp_path):
    """Of several pages the first counts."""
    halves().save(tmp_path / "a.tif", save_all=True, append_images=[Image.new("RGB", (5, 5))])
    assert read_image(tmp_path / "a.tif", FRAME)[1] == (24, 16)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_damaged_files(tmp_path, suffix):
    """A file cut short or filled with something else is refused in a few words that name no path."""
    path = tmp_path / f"secret.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(DataError) as cut:
        read_image(path, FRAME)
    assert "secret" not in str(cut.value) and len(str(cut.value)) < 80
    path.write_bytes(b"no image at all")
    with pytest.raises(DataError, match="no image in a known format"):
        read_image(path, FRAME)
    path.unlink()
    with pytest.raises(DataError, match="no such file"):
        read_image(path, FRAME)


def test_truncated_jpeg_says_so(tmp_path):
    """A truncated JPEG has a reason of its own."""
    path = tmp_path / "a.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(DataError, match="^the file is cut short$"):
        read_image(path, FRAME)


def test_decompression_bomb(tmp_path, monkeypatch):
    """An image of absurdly many pixels is refused before it is decoded."""
    halves().save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match="million pixels"):
        read_image(tmp_path / "a.png", FRAME)


def test_squashed_mask():
    """A pixel of a squashed mask is lesion where at least half of it was."""
    lesion_mask = np.zeros((8, 8), bool)
    lesion_mask[:3, :4] = True
    assert squashed_mask(lesion_mask, (2, 2)).tolist() == [[255, 0], [0, 0]]
    assert squashed_mask(~lesion_mask, (2, 2)).tolist() == [[0, 255], [255, 255]]
