"""Tables as people have them: spellings of columns, groups over several columns, words for missing values, published headings."""

import pytest

from htltools.errors import DataError
from htltools.formats.sources.names import ImageNames
from htltools.formats.tables.csv_table import Columns, read_table, read_tables


@pytest.fixture
def table(tmp_path):
    """Write a table and read it."""

    def read(text, images=(), encoding="utf-8", **asked):
        path = tmp_path / "t.csv"
        path.write_bytes(text.encode(encoding))
        return read_table(path, Columns(**asked), ImageNames(list(images)) if images else None)

    return read


def groups(annotations):
    """The groups by name of the image."""
    return {name: facts.group for name, facts in annotations.facts.items()}


@pytest.mark.parametrize(
    "name",
    ["PatientID", "Patient ID", "patientId", "patient", "Patient_ID", "subject_id", "Subject", "case_id", "StudyInstanceUID", "lesion_id"],
)
def test_columns_of_groups(table, name):
    """Patients, subjects, cases, studies and lesions are groups, however the column is spelled."""
    assert groups(table(f"Image,{name}\na,1\nb,1\nc,2\n")) == {"a": "1", "b": "1", "c": "2"}


def test_groups_are_connected_by_any_column(table):
    """A partly empty column of patients beside one of lesions: images that share either are one group, in any order of the lines."""
    lines = ["a,P1,L1", "b,,L1", "c,P1,L2", "d,,L2", "e,,L3", "f,P2,L4", "g,,"]
    for order in lines, lines[::-1]:
        annotations = table("\n".join(["image,patient_id,lesion_id", *order]))
        assert groups(annotations) == {"a": "P1", "b": "P1", "c": "P1", "d": "P1", "e": "L3", "f": "P2", "g": None}
        assert annotations.roles["groups"] == "columns patient_id, lesion_id"
    joined = table("image,patient_id,lesion_id\na,P1,L1\nb,P2,L1\n")
    assert groups(joined) == {"a": "P1", "b": "P1"} and "join several values of patient_id" in joined.doubts[0]


def test_lesions_numbered_within_patients(table):
    """A column whose values stand with many patients is numbered within them, and does not join them; that is said."""
    annotations = table("image,patient_id,lesion_id\n" + "".join(f"i{k},P{k // 2},{k % 2}\n" for k in range(12)))
    assert len(set(groups(annotations).values())) == 6
    assert "lesion_id of" in annotations.doubts[0] and "is not joined to the groups" in annotations.doubts[0]


def test_groups_asked_for(table):
    """--group-column takes several, and none; a likely column is named where there is none."""
    text = "image,who,lesion_id\na,1,x\nb,1,y\nc,2,z\n"
    assert groups(table(text, group="who,lesion_id")) == {"a": "1", "b": "1", "c": "2"}
    assert set(groups(table(text, group="none")).values()) == {None}
    assert "--group-column may name one: PatNr" in table("image,PatNr\na,1\nb,1\nc,2\n").notes[0]


@pytest.mark.parametrize("word", ["NA", "None", "null", "n/a", "-", "unknown", "NaN", "gone"])
def test_words_for_missing_values(table, word):
    """Words for missing values are no patient, no box, and do not turn ages into text; --missing adds others."""
    text = f"image,patient_id,age,x0,y0,x1,y1\na,{word},{word},1,2,3,4\nb,{word},50,{word},{word},{word},{word}\nc,P1,60,1,2,3,4\n"
    annotations = table(text, missing=["gone"])
    assert groups(annotations) == {"a": None, "b": None, "c": "P1"}
    assert [facts.meta for facts in annotations.facts.values()] == [{}, {"age": 50}, {"age": 60}]
    assert annotations.facts["b"].boxes is None
    assert f"2 {word} in patient_id" in annotations.notes[0]


def test_split_words(table):
    """Usual words are splits; others are metadata and doubted; --split-map says what they mean, --split-column none that there are none."""
    assert [facts.split for facts in table("id,subset\na,Validate\nb,TRAINING\nc,\n").facts.values()] == ["val", "train", None]
    text = "id,subset\na,clinic A\nb,clinic B\n"
    annotations = table(text)
    assert annotations.facts["a"].split is None and annotations.facts["a"].meta == {"subset": "clinic A"}
    assert "--split-map 'clinic A=val'" in annotations.doubts[0]
    mapped = table(text, split_words={"clinic A": "val", "clinic B": None})
    assert [facts.split for facts in mapped.facts.values()] == ["val", None] and not mapped.doubts
    assert table(text, split="none").doubts == []
    with pytest.raises(DataError, match="the split 'clinic A' is none of train, val, test"):
        table(text, split="subset")


def test_the_column_of_names(table):
    """A running number is no name where another column has the files; with images the column is taken that fits them."""
    assert list(table("id,filepath\n1,a/x.png\n2,a/y.png\n").facts) == ["a/x.png", "a/y.png"]
    images = ["/s/1.png", "/s/2.png", "/s/3.png"]
    assert list(table("id,img\n1,2.png\n2,1.png\n", images).facts) == ["2.png", "1.png"]
    assert list(table("image_id,scan\n77,1.png\n78,2.png\n", images).facts) == ["1.png", "2.png"]
    assert list(table("name,patientId\nJo,1\nAnn,2\n", images).facts) == ["1", "2"]


def test_leading_zeros_lost(table):
    """Names whose leading zeros a spreadsheet dropped are found again, and that is doubted."""
    annotations = table("image,age\n1,40\n12,50\n", ["/s/001.png", "/s/012.png"])
    assert list(annotations.facts) == ["001", "012"] and "1 is read as 001" in annotations.doubts[0]


def test_lines_without_a_name(table):
    """A line without a name is left out, with its number."""
    annotations = table("id,age\na,3\n,3\n")
    assert list(annotations.facts) == ["a"] and annotations.left_out[0]["id"] == "line 3"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("first", ["", "sep=;\n", '"sep=;"\r\n', "\n\n"])
def test_text_of_spreadsheets(table, encoding, first):
    """Encodings, the line sep=, blank lines and decimal commas of spreadsheets."""
    text = first + "image;x0;y0;x1;y1;Größe;note\na;20,5;15;60,25;45;1,5;a, b\nb;;;;;2;c\n"
    facts = table(text, encoding=encoding).facts
    assert facts["a"].boxes == [[20.5, 15, 60.25, 45]] and facts["a"].meta == {"Größe": 1.5, "note": "a, b"}
    assert facts["b"].meta == {"Größe": 2, "note": "c"}


def test_ages_and_sexes(table):
    """Ages with units are years, and sexes have one word; what is no age stays text."""
    facts = table("image,PatientAge,Sex,image_age\na,051Y,m,x\nb,6m,Female,y\nc,7,F,z\n").facts
    assert [own.meta["PatientAge"] for own in facts.values()] == [51, 0.5, 7]
    assert [own.meta["Sex"] for own in facts.values()] == ["male", "female", "female"]


def test_several_tables(tmp_path):
    """Boxes in one table, patients in another by image, ages in a third by patient: all are one."""
    boxes, entries, people = (tmp_path / f"{name}.csv" for name in ("boxes", "entries", "people"))
    boxes.write_text('Image Index,Finding Label,"Bbox [x","y","w","h]",,,\na.png,Mass,1,2,3,4,,,\na.png,Nodule,5,5,2,2,,,\n')
    head = "Image Index,Finding Labels,Patient ID,OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],\n"
    entries.write_text(head + "a.png,Mass|Nodule,1,90,80,.1,.1,\nb.png,No Finding,1,90,80,.1,.1,\nc.png,Mass,2,90,80,.1,.1,\n")
    people.write_text("patient_id,age\n1.0,57\n2.0,60\n3.0,4\n")
    for order in [boxes, entries, people], [people, entries, boxes]:
        annotations = read_tables(order, Columns(), ImageNames(["/s/a.png", "/s/b.png", "/s/c.png"]))
        a, b, c = (annotations.facts[f"{name}.png"] for name in "abc")
        assert (a.boxes, a.labels, a.frame) == ([[1, 2, 4, 6], [5, 5, 7, 7]], ["Mass", "Nodule"], (90, 80))
        assert (b.boxes, c.boxes) == ([], None)
        assert (a.group, b.group, c.group) == ("1", "1", "2") and [own.meta["age"] for own in (a, b, c)] == [57, 57, 60]
    people.write_text("patient_id,age\n1,57\n1,60\n")
    with pytest.raises(DataError, match="people.csv, line 3: 1 stands twice as patient_id"):
        read_tables([boxes, entries, people], Columns(), ImageNames(["/s/a.png"]))
    people.write_text("who,age\n1,57\n")
    with pytest.raises(DataError, match="has no column of image names, and shares no column"):
        read_tables([boxes, people], Columns(), ImageNames(["/s/a.png"]))


def test_spellings_of_one_image(tmp_path):
    """Two tables may spell the name of an image differently."""
    (tmp_path / "a.csv").write_text("image,x0,y0,x1,y1\na.png,1,2,3,4\n")
    (tmp_path / "b.csv").write_text("dicom_id,subject_id\na,7\n")
    facts = read_tables([tmp_path / "a.csv", tmp_path / "b.csv"], Columns(), ImageNames(["/s/a.png"])).facts
    assert list(facts) == ["a.png"] and (facts["a.png"].group, facts["a.png"].boxes) == ("7", [[1, 2, 3, 4]])


@pytest.mark.parametrize("alike", [True, False])
def test_work_grows_with_the_lines(table, calls, alike):
    """Four times the lines, of one image or of as many, take four times the work; seconds: tests/benchmarks/tables_bench.py."""

    def read(lines):
        images = 1 if alike else lines
        rows = (f"i{k % images},{'ab'[k % 2]},{k % images},{k},{k},{k + 9},{k + 9}\n" for k in range(lines))
        text = "image,label,patient,x0,y0,x1,y1\n" + "".join(rows)
        assert len(table(text, [f"/s/i{k}.png" for k in range(images)]).facts) == images

    assert calls(read, 8000) < 4.5 * calls(read, 2000)
