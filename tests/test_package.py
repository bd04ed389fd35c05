"""What surrounds the code: the package's metadata, its recipe and its container, which are not built by the tests."""

import os
import re
import shutil
import subprocess
import tomllib

import pytest
import yaml

from htltools import __version__
from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONDA_NAMES = {
    "duckdb": "python-duckdb",
    "matplotlib": "matplotlib-base",
    "opencv-python-headless": "py-opencv",
    "torch": "pytorch",
    "onnxruntime-gpu": "onnxruntime",
}


def without_markers(requirements):
    """Requirements as conda writes them, without what holds for some platforms alone."""
    for each in requirements:
        name, version = re.match(r"([\w-]+)(.*)", each.partition(";")[0].strip()).groups()
        yield f"{CONDA_NAMES.get(name, name)} {version}"


def test_readme_of_the_index_has_no_dead_links():
    """On a package index, where there is no checkout, links of the README into the checkout are its words and a path."""
    text = (ROOT / "README.md").read_text()
    for rule in PROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]:
        text = re.sub(rule["pattern"], rule["replacement"], text)
    targets = re.findall(r"\]\(([^)]*)\)", text)
    assert targets
    assert not [target for target in targets if not target.startswith(("https://", "#"))]
    assert re.search(r"CONTRIBUTING \(`CONTRIBUTING.md`\)", text)


def test_citation_is_of_this_version():
    """CITATION.cff has the version and the licence of the package, and the preprint's DOI."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["version"], citation["license"]) == (__version__, PROJECT["project"]["license"])
    assert citation["references"][0]["identifiers"][0] == {
        "type": "doi", "value": "10.48550/arXiv.2212.02675", "description": "preprint"
    }  # fmt: skip


def test_groups_follow_the_extras():
    """The groups of the tests decode the DICOM files, and work on the clusters, that the extras do."""
    for name in ("dicom", "ray"):
        assert PROJECT["dependency-groups"][name] == PROJECT["project"]["optional-dependencies"][name]


def test_recipe_has_the_dependencies():
    """Both conda packages together need what the wheel needs, in the same versions, but for torch-pruning; the light one has no torch."""
    recipe = yaml.safe_load((ROOT / "conda" / "recipe.yaml").read_text())
    assert recipe["context"]["version"] == __version__
    core, whole = ([each for each in output["requirements"]["run"] if "{{" not in each] for output in recipe["outputs"])
    wanted = set(without_markers(PROJECT["project"]["dependencies"]))
    assert {*core, *whole} - {"python >=3.11"} == {each for each in wanted if not each.startswith("torch-pruning")}
    assert set(whole) == {each for each in wanted if each.startswith(("pytorch ", "torchvision ", "onnxscript "))}


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
@pytest.mark.parametrize(("variant", "torch", "runtime"), [("cpu", True, True), ("cuda", False, False), ("light", False, True)])
def test_container_installs_one_onnxruntime(tmp_path, variant, torch, runtime):
    """The container's command installs by variant; CPU builds of torch come first, so that no CUDA comes after them."""
    text = (ROOT / "Containerfile").read_text().replace("\\\n", " ")
    command = next(line.removeprefix("RUN ") for line in text.splitlines() if line.startswith("RUN case"))
    (tmp_path / "pip").write_text('#!/bin/sh\necho "pip $*"\n')
    (tmp_path / "pip").chmod(0o755)
    environment = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "VARIANT": variant, "TORCH_CPU": "https://torch.example"}
    done = subprocess.run(["sh", "-euc", command], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    calls = done.stdout.splitlines()
    assert ("--index-url https://torch.example torch torchvision" in calls[0]) == torch
    assert any("-r requirements-light.txt" in call for call in calls) == runtime
    assert calls[-1] == ("pip install --no-deps ." if runtime else "pip install .[dicom]")
    wrong = subprocess.run(["sh", "-euc", command], capture_output=True, text=True, env=environment | {"VARIANT": "gpu"})
    assert (wrong.returncode, wrong.stdout) == (2, "") and "VARIANT is cpu, cuda or light, not gpu" in wrong.stderr


def test_container_is_not_root_and_has_what_it_copies():
    """The last user of the container is a number other than root's, and the build's context holds every file that it copies."""
    text = (ROOT / "Containerfile").read_text()
    assert re.findall(r"^USER (\d+)$", text, re.M)[-1] != "0"
    sources = [word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.M) for word in line.split()]
    kept = re.findall(r"^!(\S+)$", (ROOT / ".containerignore").read_text(), re.M)
    assert sorted(sources) == sorted(kept)
    assert all((ROOT / source).exists() for source in sources)
    assert (ROOT / ".dockerignore").read_text() == (ROOT / ".containerignore").read_text()
