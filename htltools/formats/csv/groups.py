"""Groups that columns of patients, studies and lesions make together."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from htltools.formats.csv.column_names import has_role

MOST_PER_VALUE = 3  # values of the first column that one of a further column may join: more, and it is numbered within them


def connected_groups(
    images: Sequence[int], columns: Mapping[str, Sequence[str]], count: int, source: str
) -> tuple[list[str | None], list[str], list[str]]:
    """The group of each of `count` images: the connected components of images that share a value in any of the columns.

    images: of each of N rows its image. columns: N values each, "" where one is missing, the one that names groups first. A group is
    named by its least value of the first column that it has one of. Also the columns that were joined, and doubts.

    >>> connected_groups([0, 1, 2, 3], {"patient": ["P1", "", "P2", ""], "lesion": ["L1", "L1", "L2", "L3"]}, 4, "m.csv")
    (['P1', 'P1', 'P2', 'L3'], ['patient', 'lesion'], [])
    """
    doubts: list[str] = []
    names = [name for name, values in columns.items() if any(values)]
    for name in names[1:]:
        within = values_joined(columns[names[0]], columns[name])
        if within > MOST_PER_VALUE:
            names.remove(name)
            doubts.append(f"{name} of {source} is not joined to the groups: one value of it stands with {within} of {names[0]}")
    if not names:
        return [None] * count, [], doubts
    if len(names) == 1:
        given = set(zip(images, columns[names[0]], strict=True))
        own = {image: value for image, value in given if value}
        if len(own) == sum(bool(value) for _, value in given):  # no image has two values
            return [own.get(image) for image in range(count)], names, doubts
    edges = list(dict.fromkeys((image, (name, value)) for name in names for image, value in zip(images, columns[name]) if value))
    labels = components(edges, count)
    members: dict[int, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for image, (name, value) in edges:
        members[labels[image]][name].add(value)
    called = {label: next((name, min(values[name])) for name in names if name in values) for label, values in members.items()}
    repeated = Counter(value for _, value in called.values())
    words = {label: value if repeated[value] == 1 or name == names[0] else f"{name} {value}" for label, (name, value) in called.items()}
    joined = [sorted(values[names[0]]) for values in members.values() if len(values[names[0]]) > 1]
    if joined:
        by = f", connected by {' and '.join(names[1:])} or one image" if names[1:] else ", connected by one image"
        doubts.append(f"{len(joined)} groups of {source} join several values of {names[0]}{by}: {', '.join(min(joined)[:4])}")
    return [words.get(label) for label in labels], names, doubts


def values_joined(first: Sequence[str], other: Sequence[str]) -> int:
    """The most values of the first column that stand with one of the other."""
    beside: dict[str, set[str]] = defaultdict(set)
    for one, two in zip(first, other, strict=True):
        if one and two:
            beside[two].add(one)
    return max(map(len, beside.values()), default=0)


def components(edges: Sequence[tuple[int, tuple[str, str]]], count: int) -> list[int]:
    """The number of the component of each of `count` images, where edges (image, value) connect them."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    numbers = {value: count + i for i, value in enumerate(dict.fromkeys(value for _, value in edges))}
    size = count + len(numbers)
    rows, values = [image for image, _ in edges], [numbers[value] for _, value in edges]
    graph = coo_array(([1] * len(edges), (rows, values)), (size, size))
    return connected_components(graph, directed=False)[1][:count].tolist()


def likely_groups(columns: Mapping[str, Sequence[str]], images: int) -> list[str]:
    """Columns that may name groups: words that several images share, and many, and whose heading speaks of an id or a number.

    >>> likely_groups({"patnr": ["1", "1", "2"], "sex": ["f", "f", "f"], "age": ["1", "2", "3"]}, 3)
    ['patnr']
    """
    heads = ("id", "nr", "no", "num", "number", "pat", "code", "uid", "key")
    named = [name for name in columns if name.casefold().endswith(heads) or name.casefold().startswith(("pat", "subj"))]
    return [name for name in named if not has_role(name) and 1 < len(set(columns[name]) - {""}) < images]
