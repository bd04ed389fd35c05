"""XML files of annotation tools, read without entities."""

from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml import ElementTree

from htltools.errors import DataError, MissingInput


def parsed_xml(path: Path) -> Element:
    """The root of an XML file.

    Raises: MissingInput; DataError where it is none, or declares entities.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except FileNotFoundError:
        raise MissingInput(f"the annotations {path} are not there") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from None
    except (ParseError, ValueError, LookupError, RecursionError) as error:
        raise DataError(f"{path} is no XML ({' '.join(str(error).split())[:200] or type(error).__name__})") from None
    if root is None:
        raise DataError(f"{path} is no XML (it is empty)")
    return root


def text_of(element: Element, path: str) -> str | None:
    """The text of a child, without blanks around it; None where there is none."""
    return (element.findtext(path) or "").strip() or None
