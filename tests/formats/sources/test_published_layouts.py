"""Published data sets as they are delivered, in miniature: the one command that the manual gives for each reads them right."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from htltools.formats.rows.jsonlines import split_lines

BOX = [20.0, 15.0, 60.0, 45.0]
SIZE = (100, 80)
MANUAL = Path(__file__).parents[3] / "man/htl-prepare.1"


class Folder:
    """Writes images with a lesion at BOX, masks and texts below a folder."""

    def __init__(self, root):
        self.root, self.draw = root, np.random.default_rng(0)

    def place(self, name):
        """The path of a file, in a folder that is there."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def images(self, *names):
        """Images of noise, no two the same."""
        for name in names:
            pixels = self.draw.integers(60, 90, (SIZE[1], SIZE[0], 3), np.uint8)
            pixels[15:45, 20:60] = 210, 140, 90
            Image.fromarray(pixels).save(self.place(name))

    def mask(self, name, box=(20, 15, 60, 45)):
        """A mask of one lesion, or of none."""
        pixels = np.zeros(SIZE[::-1], np.uint8)
        if box:
            pixels[box[1] : box[3], box[0] : box[2]] = 255
        Image.fromarray(pixels).save(self.place(name))

    def text(self, name, *lines):
        """A text file."""
        self.place(name).write_text("\n".join(lines) + "\n")

    def dicom(self, name, patient):
        """A grey DICOM image."""
        from pydicom import Dataset, uid
        from pydicom.dataset import FileMetaDataset

        header = Dataset()
        header.file_meta = FileMetaDataset()
        header.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
        header.SOPClassUID = header.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
        header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = uid.generate_uid(entropy_srcs=[name])
        header.PatientID, header.Modality = patient, "CR"
        header.Rows, header.Columns, header.SamplesPerPixel, header.PhotometricInterpretation = *SIZE[::-1], 1, "MONOCHROME2"
        header.BitsAllocated = header.BitsStored = 8
        header.HighBit, header.PixelRepresentation = 7, 0
        header.PixelData = self.draw.integers(0, 255, SIZE[::-1], np.uint8).tobytes()
        header["PixelData"].VR = "OB"
        header.save_as(self.place(name), enforce_file_format=True)


def isic_2017(folder):
    """Folders of three splits, with superpixels among the images."""
    for part, name in (("Training", "1"), ("Validation", "2"), ("Test_v2", "3")):
        folder.images(f"isic2017/ISIC-2017_{part}_Data/ISIC_{name}.jpg", f"isic2017/ISIC-2017_{part}_Data/ISIC_{name}_superpixels.png")
        folder.mask(f"isic2017/ISIC-2017_{part}_Part1_GroundTruth/ISIC_{name}_segmentation.png")
    return {f"ISIC_{i}": {"boxes": [BOX], "split": split} for i, split in enumerate(("train", "val", "test"), 1)}


def isic_2018_task_1(folder):
    """Folders of images and masks, with a licence."""
    folder.text("isic2018/ISIC2018_Task1-2_Training_Input/LICENSE.txt", "CC")
    for part, name in (("Training", "1"), ("Validation", "2")):
        folder.images(f"isic2018/ISIC2018_Task1-2_{part}_Input/ISIC_{name}.jpg")
        folder.mask(f"isic2018/ISIC2018_Task1_{part}_GroundTruth/ISIC_{name}_segmentation.png")
    return {"ISIC_1": {"boxes": [BOX], "split": "train"}, "ISIC_2": {"boxes": [BOX], "split": "val"}}


def isic_2018_task_2(folder):
    """A mask for each attribute of an image, empty where it is absent."""
    folder.images("ISIC2018_Task1-2_Training_Input/ISIC_1.jpg")
    for kind, box in {"globules": (20, 15, 30, 25), "streaks": (50, 35, 60, 45), "milia_like_cyst": None}.items():
        folder.mask(f"ISIC2018_Task2_Training_GroundTruth_v3/ISIC_1_attribute_{kind}.png", box)
    return {"ISIC_1": {"boxes": [[20, 15, 30, 25], [50, 35, 60, 45]]}}


def isic_archive(folder):
    """Images and a table, without boxes."""
    folder.images("ISIC-images/ISIC_1.jpg", "ISIC-images/ISIC_2.jpg")
    folder.text("ISIC-images/metadata.csv", "isic_id,attribution,age_approx,diagnosis_1,patient_id,sex", "ISIC_1,A,45,Benign,IP_1,male",
                "ISIC_2,A,50,Malignant,IP_1,male")  # fmt: skip
    return {"ISIC_1": {"group": "IP_1"}, "ISIC_2": {"group": "IP_1"}}


def ham10000(folder):
    """Two folders of images, one of masks, and a table."""
    rows = ["lesion_id,image_id,dx,dx_type,age,sex,localization"]
    for i in (1, 2, 3):
        folder.images(f"ham10000/HAM10000_images_part_{1 + i // 3}/ISIC_{i}.jpg")
        folder.mask(f"ham10000/HAM10000_segmentations_lesion_tschandl/ISIC_{i}_segmentation.png")
        rows.append(f"HAM_{i // 2},ISIC_{i},nv,histo,45.0,male,back")
    folder.text("ham10000/HAM10000_metadata.csv", *rows)
    return {f"ISIC_{i}": {"boxes": [BOX], "group": f"HAM_{i // 2}", "label": "nv"} for i in (1, 2, 3)}


def ph2(folder):
    """A folder for each image, with its lesion and its regions."""
    for i in (2, 3):
        folder.images(f"PH2Dataset/IMD00{i}/IMD00{i}_Dermoscopic_Image/IMD00{i}.bmp")
        folder.mask(f"PH2Dataset/IMD00{i}/IMD00{i}_lesion/IMD00{i}_lesion.bmp")
        folder.mask(f"PH2Dataset/IMD00{i}/IMD00{i}_roi/IMD00{i}_R1_Label3.bmp", (1, 1, 9, 9))
    return {f"IMD00{i}": {"boxes": [BOX]} for i in (2, 3)}


def busi(folder):
    """Masks beside images, several for some, in a folder for each class."""
    top = "Dataset_BUSI_with_GT"
    folder.images(*(f"{top}/{kind}/{kind} ({i}).png" for kind in ("benign", "malignant", "normal") for i in (1, 2)))
    for i in (1, 2):
        folder.mask(f"{top}/benign/benign ({i})_mask.png", (20, 15, 30, 25))
        folder.mask(f"{top}/benign/benign ({i})_mask_1.png", (50, 35, 60, 45))
        folder.mask(f"{top}/malignant/malignant ({i})_mask.png")
        folder.mask(f"{top}/normal/normal ({i})_mask.png", None)
    benign, malignant = ({"boxes": boxes, "label": kind} for boxes, kind in
                         (([[20, 15, 30, 25], [50, 35, 60, 45]], "benign"), ([BOX], "malignant")))  # fmt: skip
    return {f"{name} ({i})": own for i in (1, 2) for name, own in (("benign", benign), ("malignant", malignant))}


def rsna(folder):
    """DICOM, and a table with several lines for an image."""
    folder.dicom("stage_2_train_images/a.dcm", "a")
    folder.dicom("stage_2_train_images/b.dcm", "b")
    folder.text("stage_2_train_labels.csv", "patientId,x,y,width,height,Target", "a,20.0,15.0,40.0,30.0,1", "a,70,5,20,10,1", "b,,,,,0")
    return [[], [BOX, [70, 5, 90, 15]]]


def vindr(folder):
    """A table of three readers, with lines that say that there is nothing."""
    folder.images("train/a.png", "train/b.png")
    rows = [f"a,Cardiomegaly,3,R{i},20,15,60,45" for i in (8, 9, 10)] + [f"b,No finding,14,R{i},,,," for i in (8, 9, 10)]
    folder.text("train.csv", "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max", *rows)
    return {"a": {"boxes": [BOX], "label": "Cardiomegaly"}, "b": {"boxes": []}}


def nih(folder):
    """A box in one cell, and patients in another table."""
    folder.images("images_001/images/00000001_000.png", "images_001/images/00000001_001.png", "images_002/images/00000002_000.png")
    folder.text("BBox_List_2017.csv", "Image Index,Finding Label,Bbox [x,y,w,h],,,", *(
        f"{name}.png,Mass,20.0,15.0,40.0,30.0,,," for name in ("00000001_000", "00000001_001", "00000002_000")
    ))  # fmt: skip
    folder.text("Data_Entry_2017.csv", "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender", *(
        f"{name}.png,Mass,0,{patient},58,M" for name, patient in (("00000001_000", 1), ("00000001_001", 1), ("00000002_000", 2))
    ))  # fmt: skip
    return {name: {"boxes": [BOX], "group": str(int(name[:8]))} for name in ("00000001_000", "00000001_001", "00000002_000")}


def chexpert(folder):
    """Patients in the paths."""
    names = [
        "train/patient00001/study1/view1_frontal.jpg",
        "train/patient00001/study2/view1_frontal.jpg",
        "valid/patient00002/study1/view1_frontal.jpg",
    ]
    folder.images(*(f"CheXpert-v1.0-small/{name}" for name in names))
    return {name[:-4]: {"group": name.split("/")[1], "split": "val" if "valid" in name else "train"} for name in names}


def mimic(folder):
    """Patients in the paths, and a table of splits."""
    folder.images("files/p10/p10000032/s50414267/u1.jpg", "files/p10/p10000032/s53189527/u2.jpg", "files/p11/p11000001/s5/u3.jpg")
    rows = ["u1,50414267,10000032,train", "u2,53189527,10000032,train", "u3,5,11000001,validate"]
    folder.text("mimic-cxr-2.0.0-split.csv", "dicom_id,study_id,subject_id,split", *rows)
    return {name: {"group": group, "split": split} for name, group, split in
            (("u1", "10000032", "train"), ("u2", "10000032", "train"), ("u3", "11000001", "val"))}  # fmt: skip


def dsb_2018(folder):
    """A folder for each image, with a mask for each nucleus."""
    for name in ("n1", "n2"):
        folder.images(f"stage1_train/{name}/images/{name}.png")
        folder.mask(f"stage1_train/{name}/masks/x{name}.png", (20, 15, 30, 25))
        folder.mask(f"stage1_train/{name}/masks/y{name}.png", (50, 35, 60, 45))
    return {name: {"boxes": [[20, 15, 30, 25], [50, 35, 60, 45]]} for name in ("n1", "n2")}


def yolo(folder):
    """Boxes, polygons and an empty file."""
    folder.text("dataset/data.yaml", "path: .", "train: images/train", "val: images/val", "names:", "  0: nv", "  1: mel")
    folder.images("dataset/images/train/a.jpg", "dataset/images/train/b.jpg", "dataset/images/val/c.jpg")
    folder.text("dataset/labels/train/a.txt", "0 0.4 0.375 0.4 0.375")
    folder.text("dataset/labels/train/b.txt", "")
    folder.text("dataset/labels/val/c.txt", "1 0.2 0.1875 0.6 0.1875 0.6 0.5625 0.2 0.5625")
    first, third = ({"boxes": [BOX], "labels": [name], "split": split} for name, split in (("nv", "train"), ("mel", "val")))
    return {"a": first, "b": {"boxes": [], "split": "train"}, "c": third}


def pascal_voc(folder):
    """Corners from 1, and lists of splits."""
    for i in (1, 2):
        folder.images(f"VOC2012/JPEGImages/00000{i}.jpg")
        folder.mask(f"VOC2012/SegmentationClass/00000{i}.png")
        corners = "<xmin>21</xmin><ymin>16</ymin><xmax>60</xmax><ymax>45</ymax>"
        inner = f"<filename>00000{i}.jpg</filename><object><name>nv</name><bndbox>{corners}</bndbox></object>"
        folder.text(f"VOC2012/Annotations/00000{i}.xml", f"<annotation>{inner}</annotation>")
    folder.text("VOC2012/ImageSets/Main/train.txt", "000001")
    folder.text("VOC2012/ImageSets/Main/val.txt", "000002")
    return {"000001": {"boxes": [BOX], "label": "nv", "split": "train"}, "000002": {"boxes": [BOX], "label": "nv", "split": "val"}}


def coco_of(*names, outline=None):
    """A COCO data set, with the box or the outline of each image."""
    object_of = {"segmentation": outline} if outline else {"bbox": [20, 15, 40, 30]}
    images = [{"id": i, "file_name": name, "width": 100, "height": 80} for i, name in enumerate(names)]
    annotations = [{"id": i, "image_id": i, "category_id": 1, "iscrowd": 0} | object_of for i in range(len(names))]
    return json.dumps({"images": images, "annotations": annotations, "categories": [{"id": 0, "name": "nvs"}, {"id": 1, "name": "nv"}]})


def roboflow(folder):
    """A file of COCO in the folder of each split."""
    for split in ("train", "valid", "test"):
        folder.images(f"roboflow/{split}/{split}_png.rf.0a.jpg")
        folder.text(f"roboflow/{split}/_annotations.coco.json", coco_of(f"{split}_png.rf.0a.jpg"))
    splits = {"train": "train", "valid": "val", "test": "test"}
    return {f"{name}_png.rf.0a": {"boxes": [BOX], "label": "nv", "split": split} for name, split in splits.items()}


def coco_polygons(folder):
    """Outlines without boxes."""
    folder.images("images/a.png", "images/b.png")
    folder.text("annotations.json", coco_of("a.png", "b.png", outline=[[20, 15, 60, 15, 60, 45, 20, 45]]))
    return {name: {"boxes": [BOX], "label": "nv"} for name in "ab"}


def label_studio(folder):
    """A JSON export of an uploaded image."""
    folder.images("images/a.png")
    region = {"original_width": 100, "original_height": 80, "type": "rectanglelabels"}
    region["value"] = {"x": 20, "y": 18.75, "width": 40, "height": 37.5, "rotation": 0, "rectanglelabels": ["nv"]}
    folder.text(
        "export.json", json.dumps([{"id": 1, "data": {"image": "/data/upload/1/ab12cd34-a.png"}, "annotations": [{"result": [region]}]}])
    )
    return {"a": {"boxes": [BOX], "label": "nv"}}


def cvat(folder):
    """An XML export."""
    folder.images("images/a.png", "images/b.png")
    folder.text("annotations.xml", '<annotations><version>1.1</version><image id="0" name="a.png" width="100" height="80">'
                '<box label="nv" xtl="20.0" ytl="15.0" xbr="60.0" ybr="45.0"/></image>'
                '<image id="1" name="b.png" width="100" height="80"/></annotations>')  # fmt: skip
    return {"a": {"boxes": [BOX], "label": "nv"}, "b": {"boxes": []}}


LAYOUTS = {
    isic_2017: "htl prepare isic2017 -o store",
    isic_2018_task_1: "htl prepare isic2018 -o store",
    isic_2018_task_2: "htl prepare ISIC2018_Task1-2_Training_Input --masks ISIC2018_Task2_Training_GroundTruth_v3 -o store",
    isic_archive: "htl prepare ISIC-images -o store",
    ham10000: "htl prepare ham10000 -o store",
    ph2: "htl prepare PH2Dataset -o store",
    busi: "htl prepare Dataset_BUSI_with_GT -o store",
    rsna: "htl prepare stage_2_train_images --table stage_2_train_labels.csv -o store",
    vindr: "htl prepare train --table train.csv -o store",
    nih: "htl prepare images_001 images_002 --table BBox_List_2017.csv --table Data_Entry_2017.csv -o store",
    chexpert: "htl prepare CheXpert-v1.0-small -o store",
    mimic: "htl prepare files --table mimic-cxr-2.0.0-split.csv -o store",
    dsb_2018: "htl prepare stage1_train -o store",
    yolo: "htl prepare dataset -o store",
    pascal_voc: "htl prepare VOC2012 -o store",
    roboflow: "htl prepare roboflow -o store",
    coco_polygons: "htl prepare images --annotations annotations.json -o store",
    label_studio: "htl prepare images --annotations export.json -o store",
    cvat: "htl prepare images --annotations annotations.xml -o store",
}


@pytest.mark.parametrize("made, command", LAYOUTS.items(), ids=[made.__name__ for made in LAYOUTS])
def test_layouts(htl, tmp_path, monkeypatch, made, command):
    """One command gives each image its boxes, label, split and group; no mask and no other file becomes an image."""
    monkeypatch.chdir(tmp_path)
    expected = made(Folder(tmp_path))
    code, out, err = htl(*command.split()[1:], "-j", 1, "--size", 32)
    assert code == 0, err
    rows = [line for line in split_lines(out) if "id" in line]
    if isinstance(expected, list):  # ids are hashes
        assert sorted(row.get("boxes") for row in rows) == expected
        return
    by_end = {end: [row for row in rows if f"/{row['id']}".endswith(f"/{end}")] for end in expected}
    assert {end: len(own) for end, own in by_end.items()} == dict.fromkeys(expected, 1) and len(rows) - len(expected) <= 2 * (made is busi)
    for end, fields in expected.items():
        (row,) = by_end[end]
        row["boxes"] = [[round(edge, 2) for edge in box] for box in row.get("boxes") or []]
        assert {name: row.get(name) for name in fields} == fields


def test_the_manual_has_these_commands():
    """The table of published data sets in htl-prepare(1) gives the commands that are tested here."""
    section = re.search(r"\.Ss Published data sets\n(.*?)\n\.S[sh] ", MANUAL.read_text(), re.DOTALL)
    told = [line.removeprefix(".Dl ").replace("\\-", "-") for line in section[1].splitlines() if line.startswith(".Dl ")]
    assert set(told) == set(LAYOUTS.values())
