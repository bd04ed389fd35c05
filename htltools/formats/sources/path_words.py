"""What names of folders and files say: that they hold images or masks, and of which split, class or patient."""

import os
import re
from functools import lru_cache

from htltools.formats.sources.names import stem_of
from htltools.formats.tables.facts import SPLIT_WORDS

IMAGES = frozenset({"images", "image", "imgs", "img", "jpegimages", "pictures", "original", "originals"})  # whole names of folders
IMAGE_WORDS = IMAGES | {"input", "inputs", "data"}
MASKS = frozenset(
    {
        *("masks", "mask", "groundtruth", "groundtruths", "ground truth", "ground truths", "gt", "gts", "segmentation", "segmentations"),
        *("seg", "segs", "labels", "label", "annotations", "annotation", "lesion masks", "binary masks", "manual"),
    }
)
MASK_WORDS = frozenset({"masks", "mask", "groundtruth", "groundtruths", "gt", "segmentation", "segmentations", "seg", "lesion", "lesions"})
NEITHER = frozenset({"data", "set", "dataset", "images", "image", "imgs", "img", "input", "inputs"})  # may stand after the word of a split

SEPARATOR = r"[_\-. ]*[_\-. ]"
MASK_ENDING = re.compile(
    rf"(?P<base>.+?){SEPARATOR}(masks?|segmentation|seg|segm|lesion|gt|ground[_ ]?truth|label|annotation)({SEPARATOR}?\(?\d+\)?)?", re.I
)
MASK_BEGINNING = re.compile(rf"(masks?|segmentation|seg|gt|label){SEPARATOR}?(?P<base>\d.*|(?<=[_\-. ]).+)", re.I)
IMAGE_ENDING = re.compile(rf"(?P<base>.+?){SEPARATOR}(image|img|original|orig|input|rgb)", re.I)
IMAGE_BEGINNING = re.compile(rf"(image|img|im|original|orig){SEPARATOR}?(?P<base>\d.*|(?<=[_\-. ]).+)", re.I)
MASK_ALONE = re.compile(r"(masks?|segmentation|seg|gt|ground[_ ]?truth|label|lesion)([_\-. ]*\d+)?", re.I)
UNUSED_ENDING = re.compile(rf"(?P<base>.+?){SEPARATOR}superpixels", re.I)  # ISIC 2017 has them among its images

PATIENT = re.compile(r"((patient|subject|patid|subj|case|pat|pt)[-_ ]?|sub-)[a-z]{0,4}\d+", re.I)
MIMIC = re.compile(r"p(\d{2})\d{6}")
STUDY = re.compile(r"study[-_ ]?\d+|s\d{8}", re.I)


def words_of(name: str) -> list[str]:
    """The words of a name, in small letters.

    >>> words_of("ISIC2018_Task1-2_Training_Input"), words_of("Ground Truth")
    (['isic2018', 'task1', '2', 'training', 'input'], ['ground', 'truth'])
    """
    return [word for word in re.split(r"[\W_]+", name.lower()) if word]


@lru_cache(2**14)
def is_image_folder(name: str) -> bool:
    """Whether a folder is one of images by its whole name.

    >>> is_image_folder("JPEGImages"), is_image_folder("HAM10000_images_part_1")
    (True, False)
    """
    return " ".join(words_of(name)) in IMAGES


@lru_cache(2**14)
def is_mask_folder(name: str) -> bool:
    """Whether a folder is one of masks by its whole name.

    >>> is_mask_folder("Ground Truth"), is_mask_folder("masks_v7")
    (True, False)
    """
    return " ".join(words_of(name)) in MASKS


@lru_cache(2**14)
def mentions_images(name: str) -> bool:
    """Whether a folder's name has a word of images in it.

    >>> mentions_images("HAM10000_images_part_1"), mentions_images("IMD003_lesion")
    (True, False)
    """
    return not IMAGE_WORDS.isdisjoint(words_of(name))


@lru_cache(2**14)
def mentions_masks(name: str) -> bool:
    """Whether a folder's name has a word of masks in it.

    >>> mentions_masks("ISIC2018_Task1_Training_GroundTruth"), mentions_masks("IMD003_roi")
    (True, False)
    """
    words = words_of(name)
    return not MASK_WORDS.isdisjoint(words) or "ground truth" in " ".join(words)


@lru_cache(2**14)
def without_kind(name: str) -> str:
    """What stays of a folder's name without the words of images and masks, so that `train_images` and `train_masks` are the same.

    >>> without_kind("train_images"), without_kind("masks"), without_kind("ISIC_1")
    ('train', '', 'ISIC_1')
    """
    if is_mask_folder(name) or not (mentions_images(name) or mentions_masks(name)):
        return "" if is_mask_folder(name) else name
    return " ".join(word for word in words_of(name) if word not in IMAGE_WORDS | MASK_WORDS | {"ground", "truth"})


def split_of_folder(name: str) -> str | None:
    """The split that a folder's name says: its last word, but for words that say that it is a folder of images.

    >>> [split_of_folder(name) for name in ("valid", "ISIC-2017_Test_v2_Data", "stage1_train", "testing room 3")]
    ['val', 'test', 'train', None]
    """
    words = words_of(name)
    while words and (words[-1] in NEITHER or re.fullmatch(r"v\d+", words[-1])):
        words.pop()
    return SPLIT_WORDS.get(words[-1]) if words else None


def patient_of(folders: list[str]) -> str | None:
    """The patient that the folders of a path name, as in CheXpert, MIMIC-CXR or BIDS.

    >>> patient_of(["train", "patient00001", "study1"]), patient_of(["p10", "p10000032", "s50414267"]), patient_of(["benign"])
    ('patient00001', 'p10000032', None)
    """
    for above, name in zip(["", *folders], folders):
        mimic = MIMIC.fullmatch(name)
        if PATIENT.fullmatch(name) or (mimic and above == f"p{mimic[1]}"):
            return name
    return None


def study_of(folders: list[str]) -> str | None:
    """The study that the folders of a path name.

    >>> study_of(["p10", "p10000032", "s50414267"])
    's50414267'
    """
    return next((name for name in folders if STUDY.fullmatch(name)), None)


def mask_bases(stem: str) -> list[str]:
    """What the image of a mask may be called, the likeliest first.

    >>> mask_bases("a_mask_1"), mask_bases("mask_001"), mask_bases("a")
    (['a_mask_1', 'a'], ['mask_001', '001'], ['a'])
    """
    matches = MASK_ENDING.fullmatch(stem), MASK_BEGINNING.fullmatch(stem)
    return [stem, *(match["base"] for match in matches if match)]


def image_base(name: str) -> str:
    """The stem of an image without words that say that it is one.

    >>> image_base("image_001.png"), image_base("a_img.png"), image_base("b.png")
    ('001', 'a', 'b')
    """
    stem = stem_of(name)
    match = IMAGE_ENDING.fullmatch(stem) or IMAGE_BEGINNING.fullmatch(stem)
    return match["base"] if match else stem


@lru_cache(2**14)
def neutral_folder(folder: str) -> str:
    """A relative folder without the words of images and masks, with / at the end."""
    return "/".join([*filter(None, map(without_kind, folder.split(os.sep))), ""])


def neutral_path(path: str) -> str:
    """A relative path without suffix and without the words of images and masks: of an image that of its mask.

    >>> neutral_path("train/images/a.png"), neutral_path("train_masks/a.png")
    ('train/a', 'train/a')
    """
    folder, name = os.path.split(path)
    return neutral_folder(folder) + stem_of(name)


def neutral_bases(path: str) -> list[str]:
    """What `neutral_path` may give for the image of a mask, the likeliest first.

    >>> neutral_bases("train/masks/a_mask.png")
    ['train/a_mask', 'train/a']
    """
    folder, name = os.path.split(path)
    return [neutral_folder(folder) + base for base in mask_bases(stem_of(name))]


def image_names(path: str) -> list[str]:
    """The neutral paths of an image, as it is and without words such as image_.

    >>> image_names("images/image_1.png")
    ['image_1', '1']
    """
    folder, name = os.path.split(path)
    return list(dict.fromkeys([neutral_path(path), neutral_folder(folder) + image_base(name)]))
