"""The scripts of the repository, and the commands in the README."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml
from PIL import Image

from htltools.cli import COMMANDS, HELP, app

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = "bin", ".ci", "examples", "docs"
SCRIPTS = sorted(path for name in FOLDERS for path in (ROOT / name).iterdir() if path.is_file() and path.suffix not in (".png", ".css"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_run_as_they_are(script):
    """Every script can be executed and says by its first line what runs it."""
    assert script.read_text().startswith("#!/usr/bin/env ")
    assert os.access(script, os.X_OK)


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shell_scripts_are_clean():
    """shellcheck reports nothing about the shell scripts."""
    shell = [str(path) for path in SCRIPTS if "bash" in path.read_text().splitlines()[0]]
    assert len(shell) >= 6
    checked = subprocess.run(["shellcheck", *shell], capture_output=True, text=True)
    assert (checked.returncode, checked.stdout) == (0, "")


def live_flags(name: str) -> set[str]:
    """The flags of a command."""
    command = typer.main.get_command(app).get_command(None, name)
    params = command.get_params(typer.Context(command, help_option_names=HELP["help_option_names"]))
    return {flag for param in params for flag in [*param.opts, *param.secondary_opts]}


def is_gnu_parallel() -> bool:
    """Whether `parallel` is GNU's, not another program of that name."""
    return bool(shutil.which("parallel")) and b"GNU" in subprocess.run(["parallel", "--version"], capture_output=True).stdout


@pytest.fixture
def images(tmp_path, shell, dense, pruned):
    """48 image files with a table, in `images`, and the models that the examples would train, in `out`."""
    assert shell(f"{sys.executable} {ROOT}/examples/phantom_files.py images 48").returncode == 0
    (tmp_path / "out").mkdir()
    for path in dense, pruned:
        shutil.copy(path, tmp_path / "out")
    return tmp_path / "images"


@pytest.mark.skipif(not is_gnu_parallel(), reason="GNU parallel is not installed")
def test_parts_by_gnu_parallel_come_to_the_same(shell, images, examples):
    """The example with GNU parallel prepares and scores in parts, and reports that ids, splits and hardness are those of one call."""
    ran = shell(f"PARTS=3 SIZE=32 {examples}/parallel.sh out images")
    assert ran.returncode == 0, ran.stderr
    assert all(" predicts the same for all " in line for line in ran.stderr.splitlines()), "the small models are no good, and nothing else"
    assert re.fullmatch(r"48 samples, the same ids and splits; hardness differs by 0\.0000\d\d at most\n", ran.stdout)
    assert len(list((images.parent / "out").glob("scored.?.jsonl"))) == 3


def test_an_array_of_three_tasks_comes_to_the_same(shell, images, examples):
    """The Slurm example, run as an array of three, scores every image once; its rows are those of the same script as a single task."""
    script = f"{examples}/slurm_array.sh"
    array = f"seq 3 | SLURM_ARRAY_TASK_COUNT=3 xargs -P 2 -I{{}} env SLURM_ARRAY_TASK_ID={{}} {script}"
    assert shell(f"cp -r out one && {array} prepare images out", SIZE=32).returncode == 0
    assert len(list((images.parent / "out").glob("store.*"))) == 3
    assert shell(f"{script} train out && {array} score out").returncode == 0
    joined = shell(f"{script} join out")
    assert (joined.returncode, joined.stderr) == (0, "htl join: 48 rows of 3 parts\n")
    assert shell(f"{script} prepare images one && {script} train one && {script} score one && {script} join one", SIZE=32).returncode == 0
    same = shell(f"{examples}/same_scores.sh one/scored.jsonl out/scored.jsonl")
    assert (same.returncode, same.stdout[:37]) == (0, "48 samples, the same ids and splits; ")
    again = shell(f"rm out/scored.2.jsonl && {script} join out")
    assert (again.returncode, "missing: 2/3" in again.stderr) == (65, True)
    assert shell(f"SLURM_ARRAY_TASK_ID=2 SLURM_ARRAY_TASK_COUNT=1 PARTS=3 {script} score out && {script} join out").returncode == 0


def test_an_indexed_job_scores_every_row_once(shell, served, phantom, dense, pruned, tmp_path):
    """The pods of the Kubernetes example, run here one after the other as it would run them, score every row once."""
    job = yaml.safe_load((ROOT / "examples/kubernetes/score.yaml").read_text())
    spec, pod = job["spec"], job["spec"]["template"]["spec"]["containers"][0]
    variables = {each["name"]: each["value"] for each in pod["env"]}
    assert (job["kind"], spec["completionMode"], variables["PARTS"]) == ("Job", "Indexed", str(spec["completions"]))
    assert pod["volumeMounts"][0]["mountPath"] == variables["DATA"]
    for path in phantom.rows, dense, pruned:
        shutil.copy(path, tmp_path)
    for index in range(3):
        environment = served | variables | {"PARTS": "3", "DATA": str(tmp_path), "JOB_COMPLETION_INDEX": str(index)}
        subprocess.run([*pod["command"], *pod["args"]], env=environment, check=True, capture_output=True)
    joined = shell("htl join scored.*.jsonl | htl view --to tsv --columns pruned_loss | wc -l", PATH=served["PATH"])
    assert (joined.returncode, joined.stdout.strip()) == (0, "81")


def test_the_ray_job_predicts(served, dense, tmp_path):
    """The job of the Ray example predicts for the images of its volume, which all pods mount where it works; here without a cluster."""
    spec = yaml.safe_load((ROOT / "examples/kubernetes/ray.yaml").read_text())["spec"]
    pods = [group["template"]["spec"] for group in (spec["rayClusterSpec"]["headGroupSpec"], *spec["rayClusterSpec"]["workerGroupSpecs"])]
    mounted = {mount["mountPath"] for pod in pods for container in pod["containers"] for mount in container["volumeMounts"]}
    assert mounted == {*yaml.safe_load(spec["runtimeEnvYAML"])["env_vars"].values()}
    assert len({container["image"] for pod in pods for container in pod["containers"]}) == 1
    (tmp_path / "images").mkdir()
    Image.new("RGB", (40, 20)).save(tmp_path / "images" / "a.png")
    shutil.copy(dense, tmp_path / "model.h5")
    line = spec["entrypoint"].replace(" --ray auto", "")
    assert line != spec["entrypoint"]
    subprocess.run(["bash", "-c", line], env=served | {"DATA": str(tmp_path)}, check=True, capture_output=True)
    assert [json.loads(row)["id"] for row in (tmp_path / "predicted.jsonl").read_text().splitlines() if row.startswith('{"id"')] == ["a"]


def test_same_scores_reports_a_difference(shell, scored, examples, tmp_path):
    """The comparison of the examples fails where a score, a split or an id differs, and where there is nothing to compare."""
    rows = [json.loads(line) for line in scored.read_text().splitlines() if line.startswith('{"id"')]
    changes = {
        "order": rows[::-1],
        "score": [
            rows[0] | {"hardness": rows[0]["hardness"] | {"pruned_disagreement": rows[0]["hardness"]["pruned_disagreement"] + 0.001}},
            *rows[1:],
        ],
        "split": [rows[0] | {"split": "test" if rows[0]["split"] != "test" else "val"}, *rows[1:]],
        "fewer": rows[1:],
    }
    for name, changed in changes.items():
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in changed))
    codes = [shell(f"{examples}/same_scores.sh {scored} {name}").returncode for name in changes]
    assert codes == [0, 1, 1, 1]


def shell_blocks(text: str) -> list[str]:
    """The lines of a document in Markdown that are to be pasted into a shell, without comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)
    return [re.sub(r"\s+#.*$", "", line) for block in blocks for line in block.splitlines()]


def test_the_readme_leads_to_every_command():
    """The README is short, links the page of every command, and each of its links is there."""
    text = (ROOT / "README.md").read_text()
    links = re.findall(r"\]\((?!http)([^)#]+)\)", text)
    assert {f"man/htl-{name}.1" for name in COMMANDS} <= set(links)
    assert [link for link in links if not (ROOT / link).exists()] == []
    assert len(text.splitlines()) <= 120


@pytest.mark.parametrize("name", ["README.md", "EVIDENCE.md"])
def test_commands_in_documents_are_as_they_are_called(name):
    """Every flag that a document gives to a command exists, and every script that it names is there."""
    text = (ROOT / name).read_text()
    pasted = [*shell_blocks(text), *re.findall(r"`(htl [^`]*|(?:bin|examples|docs)/[^`]*)`", text)]
    for command, rest in (found for line in pasted for found in re.findall(r"htl (\w+)([^|]*)", line)):
        assert command in (*COMMANDS, "help"), command
        flags = set(re.findall(r"(?<=\s)--[a-z-]+", rest))
        assert flags <= (live_flags(command) if command in COMMANDS else set()), (command, flags)
    scripts = {script for line in pasted for script in re.findall(r"(?:^|\s)((?:bin|examples|docs)/[\w./]+)", line)}
    assert scripts and [script for script in scripts if not (ROOT / script).exists()] == []


@pytest.mark.slow
def test_the_picture_is_made_by_the_commands_of_the_readme(tmp_path, served):
    """docs/hardest.sh runs the lines that the README shows, and draws the hardest samples."""
    script = (ROOT / "docs" / "hardest.sh").read_text()
    for line in shell_blocks((ROOT / "README.md").read_text()):
        if line.startswith("htl prepare --phantom"):
            assert f"\n  {line}\n" in script
        if line.startswith("htl view"):
            assert line.partition(" --limit")[0] in script
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "hardest.sh", tmp_path / "docs")
    (tmp_path / "bin").symlink_to(served["PATH"].split(os.pathsep)[0])
    small = {"HTL_PREPARE_SIZE": "32", "PYTHON": sys.executable}
    smaller = script.replace("--phantom 600", "--phantom 80").replace("--epochs 12", "--epochs 2 --batch-size 16 --arch compact")
    (tmp_path / "docs" / "hardest.sh").write_text(smaller)
    done = subprocess.run([tmp_path / "docs" / "hardest.sh", "work"], cwd=tmp_path, env=served | small, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("id\tpruned_loss\tloss\tplanted\n") and len(done.stdout.splitlines()) == 13
    with Image.open(tmp_path / "docs" / "hardest.png") as picture:
        assert picture.size == Image.open(ROOT / "docs" / "hardest.png").size


@pytest.mark.slow
def test_the_evidence_runs_and_is_printed(shell, phantom):
    """The scripts of the evidence train every arm of a setting, do not run again what exists, and print its differences."""
    evidence = f"{sys.executable} {ROOT}/examples/evidence"
    how = {"EPOCHS": 1, "COUNT": 20, "SEEDS": "0 1", "JOBS": 2}
    ran = shell(f"{evidence}/runs.py {phantom.rows} runs.jsonl work wrong", **how)
    assert (ran.returncode, "Traceback" in ran.stderr) == (0, False), ran.stderr
    lines = shell("cat runs.jsonl").stdout.splitlines()
    arms = [(line["protocol"], line["seed"], line["arm"]) for line in map(json.loads, lines)]
    assert len(arms) == len(set(arms)) == 2 * 5
    assert shell(f"{evidence}/runs.py {phantom.rows} runs.jsonl work wrong", **how).returncode == 0
    assert shell("cat runs.jsonl").stdout.splitlines() == lines
    tables = shell(f"{evidence}/tables.py runs.jsonl val")
    assert tables.returncode == 0
    assert re.search(r"\nwrong 20%, val: arm minus noisy\narm\tseeds\tiou_mean\t", tables.stdout)
    assert re.search(r"\ndrop:suspect\t2\t[+-]0\.\d{4} \[[+-]0\.\d{4}, [+-]0\.\d{4}\]\t", tables.stdout)
    assert shell(f"{evidence}/runs.py {phantom.rows} runs.jsonl work nothing").returncode == 1


def test_the_demo_tells_several_objects_by_rows_alone(htl, tmp_path):
    """What the notes of a stream say of labels does not make bin/demo train a net for several objects: rows do."""
    pattern = re.search(r"grep -q '([^']*\"labels\":)'", (ROOT / "bin" / "demo").read_text())[1]
    code, rows, err = htl("prepare", "--phantom", 8, "--size", 32, "-o", tmp_path / "store", "-q")
    assert code == 0 and b'"labels":' in rows.splitlines()[0], err
    found = [re.search(pattern, line) for line in (*rows.decode().splitlines(), '{"id":"a","boxes":[[0,0,1,1]],"labels":["lung"]}')]
    assert [bool(each) for each in found] == [False] * (len(found) - 1) + [True]
