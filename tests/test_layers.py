"""The layers: dependencies point one way, and each library has its place."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "htltools"
FILES = sorted(PACKAGE.rglob("*.py"))

# what a layer may import of htltools; `version` is htltools/__init__.py itself
MAY_IMPORT = {
    "errors": set(),
    "console": set(),
    "core": {"core", "errors"},
    "formats": {"formats", "errors", "version"},
    "launching": {"console", "errors", "formats"},
    "interruption": set(),
    "options": {"console", "errors", "formats", "launching"},
    "commands": {"commands", "core", "formats", "options", "console", "errors", "version"},
    "cli": {"commands", "formats", "console", "interruption", "errors", "version"},
    "__main__": {"cli"},
    "__init__": set(),
}
BELONGS_TO = {
    "typer": {"cli", "options", "commands"},
    "rich": {"cli", "options", "console", "commands"},
    "h5py": {"formats"},
    "cv2": {"formats"},
    "simplejpeg": {"formats"},
    "pydicom": {"formats"},
    "onnx": {"formats"},
    "onnxruntime": {"formats"},
    "pydantic": {"formats"},
    "matplotlib": {"core"},
}
NAMES_TO_AVOID = {"utils", "helpers", "manager", "base"}


def layer_of(path: Path) -> str:
    """The layer that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path, *, at_start: bool = False) -> set[str]:
    """The modules that a file imports; `at_start`: those outside of functions only."""
    tree = ast.parse(path.read_text())
    inner = {id(node) for outer in ast.walk(tree) if isinstance(outer, (ast.FunctionDef, ast.AsyncFunctionDef)) for node in ast.walk(outer)}
    found: set[str] = set()
    for node in ast.walk(tree):
        if at_start and id(node) in inner:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} if node.module == "htltools" else {node.module}
    return found


def layers_imported(path: Path) -> set[str]:
    """The layers of htltools that a file imports."""
    parts = [name.split(".") for name in imported(path) if name.split(".")[0] == "htltools"]
    return {part[1] if len(part) > 1 and not part[1].startswith("__") else "version" for part in parts}


def test_reads_what_it_should():
    """The check itself sees imports: a rule that sees nothing would hold for everything."""
    assert len(FILES) > 30
    assert "core" in layers_imported(PACKAGE / "commands" / "_scoring.py")
    assert "htltools.formats.rows.schema" in imported(PACKAGE / "formats" / "store.py")
    assert {layer_of(path) for path in FILES} == set(MAY_IMPORT)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_dependencies_point_one_way(path):
    """cli -> commands -> core, formats -> errors; core and formats never meet."""
    assert layers_imported(path) <= MAY_IMPORT[layer_of(path)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_libraries_have_their_place(path):
    """Files are read in formats, flags in commands; so either can be replaced in one place."""
    roots = {name.split(".")[0] for name in imported(path)}
    misplaced = {name for name, layers in BELONGS_TO.items() if name in roots and layer_of(path) not in layers}
    assert not misplaced


@pytest.mark.parametrize(
    "path",
    [p for p in FILES if layer_of(p) in ("cli", "options", "console", "errors", "formats")],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_torch_waits(path):
    """No torch before a command needs it: neither at the start of the shell, nor to read rows."""
    assert not {name.split(".")[0] for name in imported(path, at_start=True)} & {"torch", "torchvision", "onnxruntime"}


@pytest.mark.parametrize("path", [p for p in FILES if p.parent.name == "commands" and not p.name.startswith("_")], ids=lambda p: p.name)
def test_commands_import_inside(path):
    """A command's module imports only the shell; the rest waits until the command runs."""
    allowed = {"options", "console", "errors", "__version__"}
    at_start = {name.split(".")[1] for name in imported(path, at_start=True) if name.startswith("htltools.")}
    assert at_start <= allowed


def test_names():
    """Modules are called for what they hold."""
    assert not {path.stem for path in FILES} & NAMES_TO_AVOID
