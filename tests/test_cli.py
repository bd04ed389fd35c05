"""The command line: exit codes, errors and what a terminal sees."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import typer

from htltools import cli, commandline, errors, options, synonyms
from htltools.formats.rows.jsonlines import joined_lines

ROOT = Path(__file__).resolve().parents[1]
ROWS = joined_lines([{"id": f"r{i}", "split": "train"} for i in range(3)])


def process(*args, **how):
    """A real htl."""
    return subprocess.Popen([ROOT / "bin" / "htl", *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how)


def all_errors(kind=errors.HtlError):
    """The classes of errors.py."""
    yield kind
    for below in kind.__subclasses__():
        yield from all_errors(below)


def test_the_commands_are_these(htl):
    """The commands, in the order of a session: the same in the help of the program as here. So are the groups of their flags."""
    groups = "Data", "Table", "Boxes and splits", "Model", "Training", "Attention", "Runtime", "Output", "Rarely needed"
    assert groups == commandline.PANELS
    assert tuple(cli.COMMANDS) == (
        "prepare", "train", "look", "prune", "score", "predict", "join", "resample", "evaluate", "export", "report", "view",
    )  # fmt: skip
    code, out, _ = htl("--help")
    assert code == 0
    assert re.findall(r"^  (\w+)  ", out.decode().split("Commands:")[1], re.MULTILINE) == list(cli.COMMANDS)


def test_the_tree_of_errors_is_the_drawn_one():
    """Each exit code stands for one kind of failure, and the drawing at the top of errors.py is true."""
    codes = {kind.__name__: kind.exit_code for kind in all_errors()}
    drawn = dict(
        line.replace("├── ", "").replace("└── ", "").split()[:2]
        for line in errors.__doc__.splitlines()[2:]
        if line[:3] in ("Htl", "├──", "└──")
    )
    assert {name: int(code) for name, code in drawn.items()} == codes
    assert codes == {
        "HtlError": 1, "UsageError": 2, "NotMet": 3, "DataError": 65, "MissingInput": 66, "DeviceMissing": 69, "CannotCreate": 73,
        "StorageError": 74, "TryAgain": 75, "ClosedPipe": 141,
    }  # fmt: skip


def test_no_command_shows_the_help(htl):
    """htl alone shows its help on stderr and ends with 2."""
    code, out, err = htl()
    assert (code, out) == (2, b"")
    assert err.startswith("Usage: htl [OPTIONS] COMMAND [ARGS]...")


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_its_help(htl, command):
    """--help and -h print help on stdout and exit with 0; it has an example."""
    code, out, _ = htl(command, "--help")
    assert code == 0
    assert out.decode().startswith(f"Usage: htl {command} ")
    assert f"htl {command}" in out.decode().split("Data:")[0].split("\n", 1)[1]
    assert htl(command, "-h")[1] == out


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_lists_flags_in_groups(htl, command):
    """The help of a command has its flags in groups of known names and order, each in one; only what all commands share is in Other."""
    text = htl(command, "--help")[1].decode()
    titles = re.findall(r"^(\w[\w ]+):$", text, re.MULTILINE)
    assert titles == [title for title in ("Arguments", *commandline.PANELS, "Other") if title in titles]
    assert re.findall(r"^  (-.*?)(?:  |$)", text.split("\nOther:\n")[1], re.MULTILINE) == [
        "--config FILE.toml",
        "-q, --quiet",
        "-v, --verbose",
        "--debug",
        "-h, --help",
    ]
    assert len({line.find(re.split(r"  +", line.strip())[1]) for line in text.splitlines() if re.match(r"  -.*\S  ", line)}) == 1, (
        "one column"
    )


def test_no_flag_is_of_a_type_of_python(htl):
    """What a flag takes is N, X, NAME or FILE, or more exact, and never a type; rare flags are known ones of some command."""
    texts = [htl(command, "--help")[1].decode() for command in cli.COMMANDS]
    assert not [line for text in texts for line in text.splitlines() if re.search(r"<(int|float|str|path|list|text)\b", line)]
    every = {word for name in cli.COMMANDS for word in own_words(name)}
    assert {words.split()[-1] for words in commandline.RARE} <= every


def test_environment_is_told_once(htl):
    """`htl --help` gives the rule for environment variables, and names all that hold for every command; no other help speaks of them."""
    flags = [kind.__metadata__[0] for kind in vars(options).values() if hasattr(kind, "__metadata__")]
    shared = {flag.envvar for flag in flags if getattr(flag, "envvar", None)}
    assert set(re.findall(r"HTL_\w+", htl("--help")[1].decode())) == {*shared, "HTL_COMMAND_FLAG", "HTL_TRAIN_EPOCHS"}
    assert not [command for command in cli.COMMANDS if b"HTL_" in htl(command, "--help")[1]]


@pytest.mark.parametrize(
    "command, theirs, ours",
    [
        ("evaluate", "--weights", "--weights is called --model here"),
        ("train", "--weights", "--weights is called --init here"),
        ("train", "--model", "--model is called --arch here"),
        ("prepare", "--imgsz", "--imgsz is called --size here"),
        ("train", "--imgsz", "--imgsz is what htl prepare --size does"),
        ("train", "--lr0=1", "--lr0 is called --lr here"),
        ("train", "--learning_rate", "--learning_rate is called --lr here"),
        ("train", "--cos-lr", "--cos-lr is called --lr-scheduler cosine here"),
        ("train", "--optimizer", "there is no --optimizer: the optimizer is AdamW"),
        ("train", "-num_gpus", "-num_gpus is called --nproc-per-node here"),
        ("train", "-epochs", "-epochs is called --epochs here"),
        ("train", "--data", "--data is the argument ROWS here"),
        ("predict", "--source", "--source is the argument SOURCE here"),
        ("score", "--bs", "--bs is called --batch-size here"),
        ("prune", "--batch_size", "--batch_size is called --batch-size here"),
        ("view", "--coco-out", "--coco-out is called --to coco:FILE here"),
        ("view", "--images", "--images is called --thumbnails here"),
        ("report", "--images", "--images is called --gallery here"),
        ("export", "--int8", "--int8 is called --quantize here"),
        ("resample", "--label-issues", "--label-issues is called --drop-by suspect here"),
    ],
)
def test_flags_of_other_tools(htl, command, theirs, ours):
    """A flag as other tools call it is refused with the name that it has here, in one line."""
    assert htl(command, theirs, "1") == (2, b"", f"htl {command}: {ours}; see htl {command} --help\n")


@pytest.mark.parametrize(
    "args, said",
    [
        (["compare", "a.h5"], "htl: there is no command 'compare': use htl evaluate --baseline; see htl --help\n"),
        (["find_label_issues"], "htl: there is no command 'find_label_issues': use htl score; see htl --help\n"),
        (["val", "--model", "m.h5"], "htl: there is no command 'val': use htl evaluate; see htl --help\n"),
        (["train", "rows", "epochs=3"], "htl train: flags are written --name value: --epochs 3; see htl train --help\n"),
        (["train", "data=rows", "imgsz=96"], "htl train: --data is the argument ROWS here; see htl train --help\n"),
    ],
)
def test_commands_of_other_tools(htl, args, said):
    """A command, or an argument, as other tools have it is refused with our word for it."""
    assert htl(*args) == (2, b"", said)


def own_words(name):
    """The flags of a command, and the names of its arguments."""
    command = typer.main.get_command(cli.app).get_command(None, name)
    return {word for param in command.params for word in (*param.opts, *param.secondary_opts, str(param.metavar))}


def test_synonyms_are_no_flags():
    """What is called otherwise elsewhere has its name here in some command, no command takes both, and no word has two answers."""
    flags = {name: own_words(name) for name in cli.COMMANDS}
    for ours, theirs in synonyms.FLAGS.items():
        having = [name for name in cli.COMMANDS if ours.split()[0] in flags[name]]
        assert having, ours
        assert not [name for name in having if set(theirs.split()) & flags[name]], ours
    for name, own in flags.items():
        words = [word for ours, theirs in synonyms.FLAGS.items() if ours.split()[0] in own for word in theirs.split()]
        assert len(words) == len(set(words)), (name, [word for word in set(words) if words.count(word) > 1])
    for ours in synonyms.ELSEWHERE:
        _, command, *flag = ours.split()
        assert set(flag[:1]) <= flags[command], ours
    commands = [word for theirs in synonyms.COMMANDS.values() for word in theirs.split()]
    assert len(commands) == len(set(commands)) and not set(commands) & set(cli.COMMANDS)
    for ours in synonyms.COMMANDS:
        command, *flag = ours.split()
        assert command == "help" or set(flag[:1]) <= flags[command], ours
    every = [word for table in (synonyms.FLAGS, synonyms.ELSEWHERE) for theirs in table.values() for word in theirs.split()]
    assert all(word == synonyms.dashed(word) for word in [*every, *(word for words in synonyms.NOTES for word in words.split())])


@pytest.mark.parametrize(
    "args, hint",
    [
        (["view", "--limt", "3"], "No such option: --limt"),
        (["view", "--limt", "3"], "--limit"),
        (["veiw"], "view"),
        (["view", "--limit", "many"], "Input should be a valid integer"),
        (["train"], "Missing option '-o'"),
        (["prune", "-o", "x.h5", "--method", "l2"], "'layer-l1'"),
        (["view", "a.jsonl", "b.jsonl"], "unexpected extra argument"),
    ],
)
def test_wrong_flags_end_with_2_and_a_hint(htl, args, hint):
    """A wrong flag, command or value is 2, says what was meant, and shows no traceback."""
    code, out, err = htl(*args)
    assert (code, out) == (2, b"")
    assert hint in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "code, args, stdin, said",
    [
        (66, ["view", "nowhere.jsonl"], b"", "htl view: nowhere.jsonl is not there; name a file of rows, a store, or - for stdin\n"),
        (
            65,
            ["view"],
            b"{]\n",
            "htl view: stdin, line 1 is no JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1))\n",
        ),
        (65, ["resample"], b"", "htl resample: no rows in stdin; did the command before fail, or a filter drop them all?\n"),
        (2, ["train", "-o", "m.h5", "--device", "gpu"], ROWS, "htl train: a device is auto, cpu, cuda or cuda:N, not 'gpu'\n"),
        (73, ["train", "-o", "/nowhere/m.h5"], ROWS, "htl train: the folder /nowhere is not there; create it first\n"),
        (66, ["score", "--model", "no.h5", "--pruned", "no.h5"], ROWS, "htl score: no.h5 is not there\n"),
    ],
)
def test_errors_are_one_line_and_a_code(htl, tmp_path, monkeypatch, code, args, stdin, said):
    """An error is one line on stderr, the cause and then the remedy, nothing on stdout, and its exit code."""
    monkeypatch.chdir(tmp_path)
    assert htl(*args, stdin=stdin) == (code, b"", said)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_where_there_is_none(htl, tmp_path):
    """--device cuda without CUDA is 69, with the remedy."""
    assert htl("train", "-o", tmp_path / "m.h5", "--device", "cuda", stdin=ROWS) == (
        69,
        b"",
        "htl train: no CUDA device can be used here; use cpu or auto\n",
    )


def test_traceback_only_with_debug(htl):
    """--debug shows where an error arose, above the line that tells it."""
    code, _, err = htl("view", "nowhere.jsonl", "--debug")
    assert code == 66
    assert err.startswith("Traceback (most recent call last)")
    assert err.splitlines()[-1].startswith("htl view: nowhere.jsonl is not there")


@pytest.mark.parametrize(
    "error, code, said",
    [
        (KeyError("x"), 1, "unexpected KeyError: 'x'; run again with --debug to see where"),
        (MemoryError(), 75, "out of memory; try a smaller --batch-size or --size"),
        (torch.OutOfMemoryError("CUDA"), 75, "the device is out of memory; try a smaller --batch-size"),
        (OSError(28, "No space left on device", "x.h5"), 74, "No space left on device (x.h5)"),
        (PermissionError(13, "Permission denied", "x.h5"), 73, "Permission denied (x.h5)"),
    ],
)
def test_what_nobody_foresaw_is_one_line_as_well(htl, monkeypatch, error, code, said):
    """Whatever goes wrong inside, the user sees one line with what to do, and a code that tells it apart."""

    def fail(*args, **how):
        raise error

    monkeypatch.setattr("htltools.options.rows_expected", fail)
    assert htl("view", stdin=ROWS) == (code, b"", f"htl view: {said}\n")


def test_control_characters_of_the_data_never_reach_stderr(htl):
    """An id that would steer the terminal is harmless in an error, which stays one line."""
    row = {"id": "\x1b[31mred\n\x07", "size": [9, 9], "boxes": [[5, 0, 5, 1]]}
    code, _, err = htl("view", stdin=joined_lines([row]))
    assert code == 65
    assert err.count("\n") == 1
    assert err[:-1].isprintable()


@pytest.mark.parametrize("args", [["view"], ["resample"], ["train", "-o", "m.h5"], ["score", "-"], ["evaluate"]])
def test_a_terminal_as_stdin_is_not_waited_for(args, tmp_path):
    """Where rows are expected and stdin is a terminal: a short help, 2, and no hang."""
    master, slave = pty.openpty()
    try:
        running = process(*args, stdin=slave, cwd=tmp_path)
        out, err = running.communicate(timeout=60)
    finally:
        os.close(master)
        os.close(slave)
    assert (running.returncode, out) == (2, b"")
    assert err.decode() == (
        f"Usage: htl {args[0]} [OPTIONS] [ROWS]\nhtl {args[0]}: no rows: pipe them in or name a file; see htl {args[0]} --help\n"
    )


def test_a_table_on_a_terminal_and_rows_in_a_pipe(tmp_path):
    """The same command shows a person a table, and gives a program rows, without escape codes and with NO_COLOR obeyed."""
    (tmp_path / "rows.jsonl").write_bytes(ROWS)
    piped = process("view", tmp_path / "rows.jsonl")
    out, err = piped.communicate()
    assert [json.loads(line)["id"] for line in out.splitlines()[1:-1]] == ["r0", "r1", "r2"]
    assert b"\x1b" not in out + err
    master, slave = pty.openpty()
    seen = subprocess.Popen(
        [ROOT / "bin" / "htl", "view", tmp_path / "rows.jsonl"],
        stdout=slave,
        env=os.environ | {"NO_COLOR": "1", "TERM": "xterm"},
    )
    seen.wait(timeout=60)
    os.close(slave)
    shown = os.read(master, 10000).decode()
    os.close(master)
    assert "split" in shown
    assert "{" not in shown
    assert "\x1b[3" not in shown


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_end_it_silently(number, code):
    """SIGTERM is 143 and Ctrl-C is 130, without a traceback."""
    running = process("view", stdin=subprocess.PIPE)
    running.stdin.write(ROWS)
    running.stdin.flush()
    time.sleep(1.5)
    running.send_signal(number)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out, err) == (code, b"", b"")


SWALLOWS = """
import signal, sys, time
from htltools import cli
from htltools.formats.sources import open_rows
class Dying:
    def __del__(self):
        signal.raise_signal(int(sys.argv[1]))
def slow(*args, **how):
    Dying()
    time.sleep(float(sys.argv[2]))
    return []
open_rows.open_rows = slow
raise SystemExit(cli.main(["view", "rows"]))
"""


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_are_not_swallowed(number, code):
    """A signal that comes while Python takes an object apart, where its exception is only printed, ends the command all the same."""
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", SWALLOWS, str(int(number)), "240"], cwd=ROOT, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (code, b"", b"")
    assert time.monotonic() - begun < 200


def test_version_names_what_matters(htl):
    """--version prints htl's version and those that results depend on, one per line."""
    code, out, _ = htl("--version")
    assert code == 0
    versions = dict(line.split(" ", 1) for line in out.decode().splitlines())
    assert {"htl", "python", "torch", "torchvision", "numpy", "h5py", "onnx"} <= versions.keys()
    assert versions["torch"].split("+")[0] == torch.__version__.split("+")[0]


def test_environment_mirrors_flags(htl, monkeypatch):
    """HTL_QUIET is -q, HTL_PARTIAL is --partial, HTL_VIEW_LIMIT is --limit of view."""
    cut = b'{"htl":"begin","schema":1,"by":"a"}\n' + ROWS
    assert htl("view", stdin=cut)[0] == 65
    monkeypatch.setenv("HTL_PARTIAL", "1")
    assert htl("view", stdin=cut)[0] == 0
    monkeypatch.setenv("HTL_VIEW_LIMIT", "1")
    assert htl("view", stdin=cut)[1].count(b'"id"') == 1


def test_no_variable_overwrites(htl, monkeypatch, tmp_path):
    """--force has to be said each time: a variable that was left behind destroys nothing."""
    monkeypatch.setenv("HTL_PREPARE_FORCE", "1")
    monkeypatch.setenv("HTL_FORCE", "1")
    command = "prepare", "--phantom", "3", "--size", "8", "-j", "1", "-o", tmp_path, "--seed"
    assert htl(*command, "0")[0] == 0
    assert htl(*command, "1")[0] == 73


@pytest.mark.parametrize("command, said", [("evaluate", "htl evaluate: stopped; the same command starts anew\n"), ("view", "")])
def test_ctrl_c_tells_how_to_go_on(htl, monkeypatch, command, said):
    """A measurement that is interrupted says that it starts anew, unless -q; a filter in a pipe says nothing."""

    def fail(*args, **how):
        raise KeyboardInterrupt

    monkeypatch.setattr("htltools.options.rows_expected", fail)
    assert htl(command, "-", stdin=b"") == (130, b"", said)
    assert htl(command, "-", "-q", stdin=b"") == (130, b"", "")


def test_a_signal_that_c_makes_an_error_of_is_that_signal(htl, monkeypatch):
    """Where C turns a Ctrl-C during a callback into a SystemError, the command ends as interrupted, and says nothing."""
    from htltools import interruption

    def fail(*args, **how):
        interruption.received.append(signal.SIGINT)
        raise SystemError("returned a result with an exception set")

    monkeypatch.setattr("htltools.options.rows_expected", fail)
    assert htl("view", "-", stdin=b"") == (130, b"", "")
