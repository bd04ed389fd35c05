"""What the folders of images say of splits, classes and patients."""


def facts_of(findings, *names):
    """Some facts of each image, by its id."""
    return {c.id: tuple(getattr(c.facts, name) for name in names) for c in findings.candidates}


def test_splits_and_classes(folder, candidates_of):
    """train/NORMAL and the like: the first is the split, the second the class."""
    names = [f"{split}/{label}/{i}.png" for split in ("train", "valid", "Test") for label in ("NORMAL", "PNEUMONIA") for i in range(2)]
    findings = candidates_of(folder(*names))
    facts = facts_of(findings, "split", "label")
    assert facts["valid/NORMAL/1"] == ("val", "NORMAL") and facts["Test/PNEUMONIA/0"] == ("test", "PNEUMONIA")
    assert findings.roles == {"splits": "folders train, valid, Test", "labels": "folders NORMAL, PNEUMONIA"}


def test_one_split_is_none(folder, candidates_of):
    """A single folder called train does not put all images into it."""
    assert facts_of(candidates_of(folder("train/a.png", "train/b.png")), "split") == {"train/a": (None,), "train/b": (None,)}


def test_sources_as_splits(folder, candidates_of):
    """Sources called train and test are splits, and images of one name in both have ids of their own."""
    root = folder("train/a.png", "test/a.png", "test/b.png")
    assert facts_of(candidates_of(root / "train", root / "test"), "split") == {"b": ("test",), "train/a": ("train",), "test/a": ("test",)}


def test_splits_in_published_names(folder, candidates_of):
    """The folders of ISIC 2017 say the split in their midst."""
    names = ["ISIC-2017_Training_Data/a.jpg", "ISIC-2017_Validation_Data/b.jpg", "ISIC-2017_Test_v2_Data/c.jpg"]
    assert [c.facts.split for c in candidates_of(folder(*names)).candidates] == ["test", "train", "val"]


def test_the_table_decides(folder, candidates_of):
    """What a table says of splits and labels stands; folders do not fill its gaps."""
    root = folder("train/x/a.png", "test/y/a.png", "test/y/b.png", "train/x/c.png", metadata="id,split,label\ntrain/x/a,test,nv\n")
    facts = facts_of(candidates_of(root), "split", "label")
    assert facts["train/x/a"] == ("test", "nv") and facts["test/y/b"] == (None, None)


def test_patients(folder, candidates_of):
    """CheXpert and MIMIC-CXR have the patient and the study in the path."""
    root = folder("train/patient00001/study1/view1_frontal.jpg", "valid/patient00002/study1/view1_frontal.jpg")
    findings = candidates_of(root)
    assert [(c.facts.split, c.facts.group, c.facts.meta) for c in findings.candidates] == [
        ("train", "patient00001", {"study": "study1"}),
        ("val", "patient00002", {"study": "study1"}),
    ]
    assert findings.roles["groups"] == "folders such as patient00001"
    folder("mimic/p10/p10000032/s50414267/u1.jpg", "mimic/p11/p11000033/s50414268/u2.jpg")
    assert [c.facts.group for c in candidates_of(root / "mimic").candidates] == ["p10000032", "p11000033"]


def test_folders_that_are_no_classes(folder, candidates_of):
    """Folders of sessions, one image each, or beside images of none, are no classes."""
    for names in (
        ["s01/a.png", "s01/b.png", "s02/c.png", "s02/d.png"],
        ["x/a.png", "y/b.png"],
        ["x/a.png", "x/b.png", "y/c.png", "d.png"],
    ):
        root = folder(*(f"{len(names)}{names[0][0]}/{name}" for name in names)) / f"{len(names)}{names[0][0]}"
        assert {c.facts.label for c in candidates_of(root).candidates} == {None}


def test_folders_of_dicom_are_not_told(tmp_path, candidates_of):
    """Folders of DICOM may be names of patients: they do not become labels or groups."""
    for name in ("Meier", "Schmidt"):
        (tmp_path / name).mkdir()
        for i in range(2):
            (tmp_path / name / f"{i}.dcm").write_bytes(b"\0" * 128 + b"DICM")
    findings = candidates_of(tmp_path)
    assert {(c.facts.label, c.facts.group) for c in findings.candidates} == {(None, None)} and not findings.roles
