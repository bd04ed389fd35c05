"""The layers: dependencies point one way, and each library has its place."""

import ast
from collections import Counter
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "htltools"
FILES = sorted(PACKAGE.rglob("*.py"))

# what a layer may import of htltools; `__init__` is htltools/__init__.py itself
MAY_IMPORT = {
    "__init__": set(),
    "__main__": {"cli"},
    "cli": {"commands", "formats", "commandline", "console", "interruption", "errors", "synonyms", "__init__"},
    "api": {"tasks", "core", "formats", "errors"},
    "commands": {"commands", "tasks", "core", "formats", "options", "console", "processes", "errors", "__init__"},
    "options": {"formats", "launching", "processes", "console", "errors", "config"},
    "commandline": {"console", "errors", "synonyms"},
    "launching": {"formats", "console", "errors"},
    "interruption": set(),
    "tasks": {"tasks", "core", "formats", "errors"},
    "core": {"core", "processes", "errors"},
    "formats": {"formats", "errors", "__init__"},
    "console": set(),
    "synonyms": set(),
    "config": {"errors"},
    "processes": set(),
    "errors": set(),
}
# the rooms of a layer: each may import itself and those before it
ROOMS = {
    "core": (
        "geometry", "runtime", "nets", "pruning", "hardness", "sampling", "training", "statistics", "figures", "synthetic", "data_checks",
    ),
    "formats": (
        "files", "remote", "rows", "parquet", "images", "store", "models", "dicom", "csv", "tables", "predictions", "sources", "page",
    ),
    "commands": (
        "shared", "prepare", "train", "look", "prune", "score", "predict", "join", "resample", "evaluate", "export", "report", "view",
    ),
}  # fmt: skip
SHARED_BY_COMMANDS = {
    "report": {"shared", "evaluate", "score"},
    "export": {"shared", "evaluate"},
    "predict": {"shared", "prepare", "score"},
}  # of other rooms; elsewhere `shared` alone
BELONGS_TO = {
    "typer": {"cli", "commandline", "options", "commands"},
    "rich": {"console", "commands"},
    "h5py": {"formats.store"},
    "mlcroissant": {"formats.store"},
    "duckdb": {"formats.parquet"},
    "filelock": {"formats.files", "formats.remote"},
    "fsspec": {"formats.remote"},
    "cv2": {"formats.images"},
    "simplejpeg": {"formats.images"},
    "pydicom": {"formats.dicom"},
    "onnx": {"formats.models"},
    "onnxruntime": {"formats.models"},
    "pydantic": {"formats.rows"},
    "jinja2": {"formats.page"},
    "matplotlib": {"core.figures"},
    "statsmodels": {"core.statistics"},
    "pycocotools": {"core.statistics", "formats.images", "formats.tables"},
    "yaml": {"formats.tables"},
    "defusedxml": {"formats.tables"},
    "torch_pruning": {"core.pruning"},
    "ray": {"commands.shared"},
    "pyarrow": {"commands.shared"},
}
OF_NETS = {"htltools.commands.score.gradient_columns"}  # imported where gradients are asked for
SHELL = {"htltools.options", "htltools.console", "htltools.errors", "htltools.processes", "htltools"}
NAMES_TO_AVOID = {"utils", "helpers", "manager", "base"}
MOST_LINES, MOST_MODULES = 250, 15


def name_of(path: Path) -> str:
    """The dotted name of a module, as imports say it."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in FILES}


def room_of(name: str) -> tuple[str, str]:
    """The layer and the room of a module; a module that lies in a layer itself is a room of its own."""
    _, layer, room, *_ = *name.split("."), "__init__", "__init__"
    return layer, room


@cache
def imported(path: Path, at_start: bool = False) -> frozenset[str]:
    """The modules and names that a file imports, dotted; `at_start`: those outside of functions only."""
    tree = ast.parse(path.read_text())
    later = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or is_for_types(node)]
    inner = {id(node) for outer in later for node in ast.walk(outer)}
    names: set[str] = set()
    for node in ast.walk(tree):
        if at_start and id(node) in inner:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def is_for_types(node: ast.AST) -> bool:
    """Whether a node is what only a type checker sees."""
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def modules_imported(path: Path, at_start: bool = False) -> set[str]:
    """The modules of htltools that a file imports, or imports names of."""
    names = (name for name in imported(path, at_start) if name.split(".")[0] == "htltools")
    return {name if name in MODULES else name.rpartition(".")[0] for name in names}


def libraries(path: Path, at_start: bool = False) -> set[str]:
    """The packages that a file imports, by their first names."""
    return {name.split(".")[0] for name in imported(path, at_start)}


def offences(check, names=MODULES) -> dict[str, set[str]]:
    """What `check(name, path)` finds of each module; those without are left out."""
    return {name: offence for name in names if (offence := check(name, MODULES[name]))}


def test_reads_what_it_should():
    """The check itself sees imports: a rule that sees nothing would hold for everything."""
    assert len(FILES) > 100
    assert "htltools.core.nets.localizer" in modules_imported(PACKAGE / "core/nets/mask_localizer.py")
    assert "htltools.formats.store.safe_hdf5" in modules_imported(PACKAGE / "formats/store/shard.py")
    assert {room_of(name)[0] for name in MODULES} == set(MAY_IMPORT)
    for layer, rooms in ROOMS.items():
        assert {room_of(name)[1] for name in MODULES if room_of(name)[0] == layer} == {*rooms, "__init__"}


def test_layers_point_one_way():
    """cli -> commands -> tasks -> core, formats -> errors; core and formats never meet."""

    def forbidden(name, path):
        return {room_of(other)[0] for other in modules_imported(path)} - MAY_IMPORT[room_of(name)[0]]

    assert offences(forbidden) == {}


def test_rooms_point_one_way():
    """In core and formats a room imports itself and those before it; a command itself and `shared`, some others too."""

    def forbidden(name, path):
        layer, room = room_of(name)
        if layer == "commands":
            allowed = set() if room == "shared" else SHARED_BY_COMMANDS.get(room, {"shared"})
        else:
            allowed = set(ROOMS[layer][: ROOMS[layer].index(room)])
        return {there for of, there in map(room_of, modules_imported(path)) if of == layer} - allowed - {room}

    assert offences(forbidden, [name for name in MODULES if room_of(name)[1] in ROOMS.get(room_of(name)[0], ())]) == {}


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """The groups of nodes from each of which arrows lead to all others of the group, largest first.

    Raises: AssertionError where a node is drawn to itself: a module that imports itself.
    """
    reached: dict[str, set[str]] = {}
    for start in arrows:
        assert start not in arrows[start], f"{start} imports itself"
        reached[start], ahead = set(), [start]
        while ahead:
            new = arrows[ahead.pop()] - reached[start]
            reached[start] |= new
            ahead += new
    groups = {frozenset(there for there in reached[start] if start in reached[there]) for start in arrows}
    return sorted((sorted(group) for group in groups if group), key=len, reverse=True)


def test_circles_are_seen():
    """The check of circles finds one of three modules, and none in a tree."""
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_circles():
    """No module needs itself by way of others, also not inside of functions or for annotations: each can be read by itself."""
    assert circles({name: modules_imported(path) for name, path in MODULES.items()}) == []


def test_what_is_private_stays_so():
    """No module imports or reaches a name of another that begins with an underscore."""

    def private(name, path):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        ours = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "htltools"]
        names = {alias.name for node in ours for alias in node.names}
        reached = {node.attr for node in nodes if isinstance(node, ast.Attribute) and getattr(node.value, "id", None) in names}
        return {other for other in names | reached if other.startswith("_") and not other.endswith("__")}

    assert offences(private) == {}


def test_libraries_have_their_place():
    """Each library that does one thing is used in one room; so it can be replaced there."""

    def misplaced(name, path):
        layer, room = room_of(name)
        return {library for library in libraries(path) if not {layer, f"{layer}.{room}"} & BELONGS_TO.get(library, {layer})}

    assert offences(misplaced) == {}


def test_torch_waits():
    """No torch before a command needs it: neither at the start of the shell, nor to read rows."""
    early = [name for name in MODULES if room_of(name)[0] not in ("core", "tasks", "commands")]
    assert offences(lambda name, path: libraries(path, at_start=True) & {"torch", "torchvision", "onnxruntime"}, early) == {}


def test_light_commands_do_without_torch():
    """What a light installation runs imports torch inside of functions alone, by way of whatever modules: see tests/test_light.py."""
    rooms = {"prepare", "view", "resample", "score", "predict", "evaluate", "shared"}
    ahead = [name for name in MODULES if room_of(name)[0] == "commands" and room_of(name)[1] in rooms and name not in OF_NETS]
    reached = {name: [name] for name in ahead}  # by which modules
    while ahead:
        name = ahead.pop()
        for other in modules_imported(MODULES[name], at_start=True) - reached.keys():
            reached[other] = [*reached[name], other]
            ahead.append(other)
    with_torch = {name: libraries(MODULES[name], at_start=True) & {"torch", "torchvision", "torch_pruning"} for name in reached}
    assert {" -> ".join(reached[name]): own for name, own in with_torch.items() if own} == {}
    assert len(reached) > 100


def test_commands_import_inside():
    """A command's module imports only the shell at its start; the rest waits until the command runs."""
    commands = [name for name in MODULES if name.endswith(".command")]
    assert len(commands) == 12
    assert offences(lambda name, path: modules_imported(path, at_start=True) - SHELL, commands) == {}


def test_names():
    """Modules are called for what they hold, and none is private."""
    stems = {path.stem for path in FILES} - {"__init__", "__main__"}
    assert not stems & NAMES_TO_AVOID
    assert not [stem for stem in stems if stem.startswith("_")]


def test_rooms_are_small():
    """A room has few enough modules to be seen at a glance."""
    counts = Counter(path.parent.relative_to(PACKAGE) for path in FILES if path.stem != "__init__")
    assert {str(room): count for room, count in counts.items() if count > MOST_MODULES} == {}


def test_files_are_short():
    """A file can be read at one sitting."""
    lines = {name: len(path.read_text().splitlines()) for name, path in MODULES.items()}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}
