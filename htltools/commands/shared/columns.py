"""Names of hardness columns, as users write them."""

from collections.abc import Collection

from htltools.errors import UsageError


def column_named(text: str, known: Collection[str], flag: str = "--by") -> str:
    """The column of that name, or the only one that begins like it.

    Raises: UsageError where there is none, or several.

    >>> column_named("pruned_d", ["pruned_disagreement", "pruned_loss", "loss"])
    'pruned_disagreement'
    """
    if text in known:
        return text
    candidates = [name for name in known if text and name.startswith(text)]
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise UsageError(f"{flag} {text} may be {' or '.join(candidates)}", "write more of the name")
    raise UsageError(f"{flag} knows no column {text!r}", f"it knows {', '.join(known)}")
