"""Folders as people and published data sets have them: which files are images, which are masks, and of which image."""

import pytest

from htltools.errors import MissingInput

LAYOUTS = {
    "capitals": (["Images/a.png", "Masks/a.png"], {"a": ["Masks/a.png"]}),
    "image and mask": (["image/a.png", "mask/a.png"], {"a": ["mask/a.png"]}),
    "imgs": (["imgs/a.png", "GT/a.tif"], {"a": ["GT/a.tif"]}),
    "ground truth": (["Original/a.png", "Ground Truth/a.png"], {"a": ["Ground Truth/a.png"]}),
    "folder twice": (["images/images/a.png", "masks/masks/a.png"], {"images/a": ["masks/masks/a.png"]}),
    "endings": (
        ["a.png", "a_mask.png", "a_mask_1.png", "b.png", "b_Segmentation.png", "c.png"],
        {"a": ["a_mask.png", "a_mask_1.png"], "b": ["b_Segmentation.png"], "c": []},
    ),
    "numbers": (["image_1.png", "mask_1.png", "image_2.png", "mask_2.png"], {"image_1": ["mask_1.png"], "image_2": ["mask_2.png"]}),
    "numbers in folders": (["images/img1.png", "masks/mask1.png"], {"img1": ["masks/mask1.png"]}),
    "several": (
        ["images/a.png", "masks/a_mask.png", "masks/a.png", "masks/a_2.png"],
        {"a": ["masks/a.png", "masks/a_2.png", "masks/a_mask.png"]},
    ),
    "series": (["images/p1.png", "images/p1_2.png", "masks/p1_3.png"], {"p1": [], "p1_2": []}),
    "a folder each": (
        ["n0/images/n0.png", "n0/masks/x.png", "n0/masks/y.png", "n1/images/n1.png", "n1/masks/z.png"],
        {"n0/images/n0": ["n0/masks/x.png", "n0/masks/y.png"], "n1/images/n1": ["n1/masks/z.png"]},
    ),
    "a folder each, with words": (
        ["c1/photo.png", "c1/mask.png", "c2/photo.png", "c2/mask.png"],
        {"c1/photo": ["c1/mask.png"], "c2/photo": ["c2/mask.png"]},
    ),
    "PH2": (
        [f"IMD{i}/IMD{i}_{end}" for i in (2, 3) for end in (f"Dermoscopic_Image/IMD{i}.bmp", f"lesion/IMD{i}_lesion.bmp", "roi/R1.bmp")],
        {f"IMD{i}/IMD{i}_Dermoscopic_Image/IMD{i}": [f"IMD{i}/IMD{i}_lesion/IMD{i}_lesion.bmp"] for i in (2, 3)},
    ),
    "ISIC 2018": (
        ["ISIC2018_Task1-2_Training_Input/I_1.jpg", "ISIC2018_Task1_Training_GroundTruth/I_1_segmentation.png",
         *(f"ISIC2018_Task2_Training_GroundTruth_v3/I_1_attribute_{name}.png" for name in ("globules", "streaks"))],
        {"ISIC2018_Task1-2_Training_Input/I_1": ["ISIC2018_Task1_Training_GroundTruth/I_1_segmentation.png"]},
    ),
    "ISIC 2017": (
        ["ISIC-2017_Training_Data/I_1.jpg", "ISIC-2017_Training_Data/I_1_superpixels.png",
         "ISIC-2017_Training_Part1_GroundTruth/I_1_segmentation.png"],
        {"ISIC-2017_Training_Data/I_1": ["ISIC-2017_Training_Part1_GroundTruth/I_1_segmentation.png"]},
    ),
    "HAM10000": (
        ["HAM10000_images_part_1/I_1.jpg", "HAM10000_images_part_2/I_2.jpg",
         *(f"HAM10000_segmentations_lesion_tschandl/I_{i}_segmentation.png" for i in (1, 2))],
        {f"HAM10000_images_part_{i}/I_{i}": [f"HAM10000_segmentations_lesion_tschandl/I_{i}_segmentation.png"] for i in (1, 2)},
    ),
    "Carvana": (["train/a.jpg", "train_masks/a_mask.gif"], {"train/a": ["train_masks/a_mask.gif"]}),
    "splits of both": (
        ["train/images/a.png", "train/masks/a.png", "test/images/a.png", "test/masks/a.png"],
        {"train/images/a": ["train/masks/a.png"], "test/images/a": ["test/masks/a.png"]},
    ),
    "splits within": (
        ["images/train/a.png", "masks/train/a.png", "images/val/a.png", "masks/val/a.png"],
        {"train/a": ["masks/train/a.png"], "val/a": ["masks/val/a.png"]},
    ),
    "splits in names": (
        ["train_images/a.png", "train_masks/a.png", "val_images/a.png", "val_masks/a.png"],
        {"train_images/a": ["train_masks/a.png"], "val_images/a": ["val_masks/a.png"]},
    ),
    "classes that sound alike": (["mask/1.png", "no_mask/1.png"], {"mask/1": [], "no_mask/1": []}),
    "masks of two lungs": (["images/a.png", "masks/left/a.png", "masks/right/a.png"], {"a": ["masks/left/a.png", "masks/right/a.png"]}),
}  # fmt: skip


@pytest.mark.parametrize("files, masks", LAYOUTS.values(), ids=LAYOUTS)
def test_layouts(masks_in, files, masks):
    """Each image has its masks, and no mask is an image."""
    found, findings = masks_in(*files)
    assert found == masks
    assert all(set(own).isdisjoint(found) for own in masks.values())


def test_masks_without_image(masks_in):
    """Masks without an image, and images without a mask, are listed."""
    _, findings = masks_in("images/a.png", "images/b.png", "masks/a.png", "masks/other.png")
    assert [path.rpartition("/")[2] for path in findings.masks_without_image] == ["other.png"]
    assert findings.images_without_mask == ["b"]


def test_ambiguous_mask(masks_in):
    """Where a mask fits two images, neither has it, and both are left out with the reason."""
    found, findings = masks_in("p/x/a.png", "p/y/a.png", "p/b.png", "m/a.png", "m/b.png", source="p", masks="m")
    assert found == {"b": ["m/b.png"]}
    assert {(skip["id"], skip["reason"]) for skip in findings.skips} == {(name, "the mask a.png fits 2 images") for name in ("x/a", "y/a")}


def test_mask_of_an_image_that_is_not_there(masks_in):
    """A mask does not go to an image of the same name in another split."""
    found, findings = masks_in("images/train/b.png", "images/val/a.png", "masks/train/a.png", "masks/train/b.png")
    assert found == {"train/b": ["masks/train/b.png"], "val/a": []}
    assert len(findings.masks_without_image) == 1


@pytest.mark.parametrize("masks", [".", "benign"])
def test_masks_named_among_the_images(masks_in, masks):
    """An image is never its own mask, where --masks names the folder of the images."""
    found, _ = masks_in("benign/b (1).png", "benign/b (1)_mask.png", "benign/b (1)_mask_1.png", masks=masks)
    assert found == {"benign/b (1)": ["benign/b (1)_mask.png", "benign/b (1)_mask_1.png"]}


def test_masks_by_suffix(masks_in):
    """Where --masks names the folder of the images, a PNG beside a JPEG of its name is its mask."""
    assert masks_in("a.jpg", "a.png", "b.jpg", "b.png", masks=".")[0] == {"a": ["a.png"], "b": ["b.png"]}


def test_no_masks_among_the_images(masks_in):
    """--masks that names a folder of images alone is an error."""
    with pytest.raises(MissingInput, match="its files are the images"):
        masks_in("a.png", "b.png", masks=".")


def test_masks_in_a_folder_below(masks_in):
    """A folder of masks below the source is known by --masks alone, whatever it is called."""
    assert masks_in("a.png", "drawn/a.png", masks="drawn")[0] == {"a": ["drawn/a.png"]}


def test_attributes_as_masks(masks_in):
    """--masks joins the several files of an image, as the attributes of ISIC 2018 task 2."""
    found, findings = masks_in("i/I_1.jpg", *(f"m/I_1_attribute_{name}.png" for name in ("globules", "streaks")), source="i", masks="m")
    assert found == {"I_1": ["m/I_1_attribute_globules.png", "m/I_1_attribute_streaks.png"]} and findings.several_masks == 1


def test_images_alone(masks_in):
    """A source that is a folder of images alone has the masks and the table that lie beside it; images named one by one likewise."""
    found, findings = masks_in("data/images/a.png", "data/masks/a.png", source="data/images")
    assert [mask.rpartition("data/")[2] for mask in found["a"]] == ["masks/a.png"] and "masks are those of" in findings.notes[0]


def test_masks_of_others_beside(masks_in):
    """Masks that lie beside the source and fit no image of it are another data set's."""
    found, findings = masks_in("images/a.png", "masks/b.png", source="images")
    assert found == {"a": []} and not findings.labelled and not findings.masks_without_image


def test_unused_folders_are_counted(masks_in):
    """Images in other folders than those of images and masks are counted."""
    _, findings = masks_in("images/a.png", "masks/a.png", "old/a.png", "a.png")
    assert {key.rpartition("/")[2]: count for key, count in findings.unused_files.items()} == {"old": 1, "": 1}
