"""`--config FILE.toml`: flags of commands from a file."""

import json

import pytest

from htltools.formats.rows.jsonlines import joined_lines, split_lines

ROWS = joined_lines([{"id": f"r{i}", "split": "train" if i < 6 else "val", "meta": {"age": 10 * i}} for i in range(9)])


@pytest.fixture
def view(htl, tmp_path):
    """`view(text, *flags)` gives code, ids and stderr of a view of nine rows with a file of that text."""

    def run(text, *flags):
        (tmp_path / "c.toml").write_text(text)
        code, out, err = htl("view", "--config", tmp_path / "c.toml", *flags, stdin=ROWS)
        return code, [row["id"] for row in split_lines(out) if "id" in row], err.replace(f"{tmp_path}/", "")

    return run


def test_keys_and_sections(view):
    """Keys above the sections hold for every command, those of its section before them, and the command line before both."""
    text = 'limit = 1\nsplit = "train"\n[view]\nlimit = 2\nwhere = ["age>10", "age<50"]\n[train]\nepochs = 3\n'
    assert view(text) == (0, ["r2", "r3"], "")
    assert view(text, "--limit", 3) == (0, ["r2", "r3", "r4"], "")
    assert view(text, "--where", "age=50") == (0, ["r5"], "")


def test_the_environment_is_before_the_file(view, monkeypatch):
    """A variable takes precedence over the file, and HTL_CONFIG names one for all commands."""
    monkeypatch.setenv("HTL_VIEW_LIMIT", "1")
    assert view("[view]\nlimit = 2")[1] == ["r0"]


def test_a_file_for_all_commands(htl, tmp_path, monkeypatch):
    """HTL_CONFIG is --config; a switch takes true, and a list stands for A,B."""
    (tmp_path / "c.toml").write_text('[view]\ncolumns = ["id", "age"]\nto = "tsv"\nlimit = 1\nno_notes = true\n')
    monkeypatch.setenv("HTL_CONFIG", str(tmp_path / "c.toml"))
    assert htl("view", stdin=ROWS)[:2] == (0, b"id\tage\nr0\t0\n")


def test_switches(view, htl, tmp_path):
    """A switch with two forms takes true or false."""
    (tmp_path / "c.toml").write_text("history = false")
    code, out, _ = htl("view", "--config", tmp_path / "c.toml", stdin=ROWS)
    assert code == 0 and "history" not in json.loads(out.splitlines()[0])


@pytest.mark.parametrize(
    "text, said",
    [
        ("epocs = 3", "c.toml: no command has a flag --epocs (did you mean epochs?)"),
        ("[view]\nlimt = 3", "c.toml: view has no flag --limt (did you mean limit?); see htl view --help"),
        ("[veiw]\nlimit = 3", "c.toml: there is no command 'veiw' (did you mean view?); sections are named for commands"),
        (
            "[view]\nlimit = 'many'",
            "c.toml: Invalid value for '--limit': Input should be a valid integer, unable to parse string as an integer",
        ),
        ("summary = 1", "c.toml: summary is true or false, not 1"),
        ("limit = true", "c.toml: limit takes a number, a text or a list of them, not True"),
        ("force = true", "c.toml: --force has to be given on the command line, each time"),
    ],
)
def test_what_is_wrong_in_a_file(view, text, said):
    """An unknown key or section names the nearest, and a wrong value the file: one line, 2."""
    assert view(text) == (2, [], f"htl view: {said}\n")


def test_files_that_are_none(htl, tmp_path):
    """A file that is not there is 66, one that is no TOML 65 with its line."""
    assert htl("view", "--config", tmp_path / "no.toml", stdin=ROWS)[0] == 66
    (tmp_path / "c.toml").write_text("limit 3")
    code, _, err = htl("view", "--config", tmp_path / "c.toml", stdin=ROWS)
    assert (code, "c.toml is no TOML (Expected '='" in err, "line 1" in err, err.count("\n")) == (65, True, True, 1)


def test_keys_of_other_commands_are_named(view):
    """A key above the sections that only other commands have is left out, and stderr says so."""
    assert view("batch-size = 3\nepochs = 2\nlimit = 1") == (
        0,
        ["r0"],
        "htl view: c.toml: left out, as only other commands have them: batch-size, epochs\n",
    )


def test_history_has_the_values_and_the_file(htl, tmp_path):
    """The history of an output has what the file said, and its name; a required flag may stand in the file."""
    text = f'seed = 5\n[prepare]\nphantom = 3\nsize = 8\njobs = 1\nout = "{tmp_path}/store"\n'
    (tmp_path / "c.toml").write_text(text)
    code, out, err = htl("prepare", "-q", "--config", tmp_path / "c.toml")
    assert code == 0, err
    parameters = json.loads(out.splitlines()[0])["history"][-1]["parameters"]
    assert (parameters["seed"], parameters["phantom"], parameters["size"]) == (5, 3, "8")
    assert parameters["config"] == str(tmp_path / "c.toml")
