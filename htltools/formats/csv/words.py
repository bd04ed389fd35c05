"""Words of a table that mean something to `prepare`: splits, and lines that say there is no object."""

from collections import Counter
from collections.abc import Mapping, Sequence
from shlex import quote

from htltools.errors import DataError
from htltools.formats.csv.column_names import LABELS, known, plain, plain_names
from htltools.formats.csv.roles import Columns, check_columns
from htltools.formats.csv.text import Table

NO_OBJECT = {*("no finding", "no findings", "nofinding", "normal", "healthy", "negative", "no lesion", "no object", "no abnormality")}
NUMBERED = ("target", "0"), ("has_lesion", "0"), ("has_mask", "0"), ("class_id", "14")  # 14: No finding of VinDr-CXR
NAMED = 4  # words that a message names


def splits_of(
    table: Table, column: str, asked: Columns, words: Mapping[str, str], rows: Sequence[int]
) -> tuple[list[str | None] | None, list[str]]:
    """The split of each row, and doubts. None where a column that nobody asked for holds other words than splits.

    Raises: DataError where some words, or those of a column asked for, are no splits.
    """
    splits: dict[str, str | None] = {**words, **{word.casefold(): split for word, split in asked.split_words.items()}, "": None}
    cells = [cell.casefold() for cell in table.cells[column]]
    unknown = sorted({table.cells[column][row] for row in rows if cells[row] not in splits})
    if unknown:
        named = ", ".join(map(repr, unknown[:NAMED])) + (", ..." if unknown[NAMED:] else "")
        hint = f"--split-map {quote(f'{unknown[0]}=val')} says what a word means, --split-column none that there are no splits"
        if asked.split == column or any(cells[row] and cells[row] in splits for row in rows):
            row = next(row for row in rows if cells[row] not in splits)
            raise DataError(f"{table.place(row)}: the split {table.cells[column][row]!r} is none of train, val, test", hint)
        return None, [f"{column} of {table.name} holds no splits but {named}, and is kept as metadata: {hint}"]
    return [splits.get(cell) for cell in cells], []


def empty_rows(table: Table, asked: Columns, has_box: str | None, boxed: Sequence[bool], rows: Sequence[int]) -> tuple[set[int], list[str]]:
    """The rows that say their image holds no object, and notes: by the words asked for, by the column `has_box`, or by usual words that
    no row with a box has.

    Raises: DataError where a column asked for is missing, or a word of it stands with a box.
    """
    if asked.empty_when:
        check_columns(table, [column for column, _ in asked.empty_when])
        rules = list(asked.empty_when)
    elif has_box:
        rules = [(has_box, "0")]
    else:
        columns = plain_names(table.header)
        numbered = [(columns[plain(name)], word) for name, word in NUMBERED if plain(name) in columns]
        named = [(name, word) for name in known(columns, LABELS) for word in sorted(plain_words(table, name) & NO_OBJECT)]
        rules = named or numbered
    empty: set[int] = set()
    counts: Counter[str] = Counter()
    for column, word in rules:
        own = [row for row in rows if same_word(table.cells[column][row], word)]
        marked = [row for row in own if boxed[row]]
        others = any(boxed[row] for row in rows)
        if marked and asked.empty_when:
            raise DataError(f"{table.place(marked[0])}: {column} is {word}, which --empty-when calls empty, and there is a box")
        if own and not marked and (others or asked.empty_when or has_box):
            empty |= set(own)
            counts[f"{column}={word}"] = len(own)
    return empty, [f"lines of {table.name} with {rule} hold no object: {count}" for rule, count in counts.items()]


def plain_words(table: Table, column: str) -> set[str]:
    """The words of a column in lower case, with blanks for underscores."""
    return {cell.casefold().replace("_", " ") for cell in set(table.cells[column])}


def same_word(cell: str, word: str) -> bool:
    """Whether a cell holds a word, in any case of letters, or its number in another spelling.

    >>> same_word("0.0", "0"), same_word("No_Finding", "no finding"), same_word("", "0")
    (True, True, False)
    """
    if cell.casefold().replace("_", " ") == word.casefold().replace("_", " "):
        return True
    try:
        return float(cell) == float(word)
    except ValueError:
        return False
