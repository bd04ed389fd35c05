"""`--config FILE.toml`: flags of commands from a file, below what the command line and the environment say."""

import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from htltools.errors import DataError, MissingInput, UsageError

NEVER = "config", "help", "force"  # flags that a file cannot give


@dataclass
class ConfigFile:
    """A file of flags: the value of each parameter of a command, by its name, and the keys that only other commands have."""

    path: Path
    values: dict[str, Any] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return str(self.path)


def read_config(
    path: Path, command: str, params: Collection[Any], flags_of: Callable[[str], set[str]], names: Collection[str]
) -> ConfigFile:
    """The flags of a command in a TOML file: keys above all sections, which hold for every command, and below those of its own section.

    Keys are long flags without their hyphens at the front; lists are for flags that may be repeated, and for those that take A,B.
    params: those of the command; names: all commands; flags_of: the keys that one of these has.

    Raises: MissingInput, DataError where the file is no TOML; UsageError for an unknown section or key, which names the nearest, and for
    a value of a wrong kind.
    """
    document = parsed(path)
    config, options = ConfigFile(path), options_by_key(params)
    sections = {name: value for name, value in document.items() if isinstance(value, dict)}
    for name in sections:
        if name not in names:
            raise UsageError(f"{path}: there is no command {name!r}{nearest(name, names)}", "sections are named for commands")
    for name, value in document.items():
        key = name.replace("_", "-")
        if name in sections:
            continue
        if key in options:
            config.values[options[key].name] = option_value(path, name, value, options[key])
            continue
        every = {flag for other in names for flag in flags_of(other)}
        if key == "force":
            raise UsageError(f"{path}: --force has to be given on the command line, each time")
        if key not in every:
            raise UsageError(f"{path}: no command has a flag --{key}{nearest(key, [*options, *every])}")
        config.left_out.append(name)
    for name, value in sections.get(command, {}).items():
        key = name.replace("_", "-")
        if key not in options:
            raise UsageError(f"{path}: {command} has no flag --{key}{nearest(key, options)}", f"see htl {command} --help")
        config.values[options[key].name] = option_value(path, name, value, options[key])
    return config


def parsed(path: Path) -> dict[str, Any]:
    """A TOML file.

    Raises: MissingInput, DataError.
    """
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except (FileNotFoundError, IsADirectoryError):
        raise MissingInput(f"{path} is not there", "name a TOML file with --config") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no TOML ({error})", "write lines such as epochs = 40, in sections such as [train]") from None


def options_by_key(params: Collection[Any]) -> dict[str, Any]:
    """The options of a command that a file may give, by their keys."""
    named = [(flag.removeprefix("--"), param) for param in params if param.param_type_name == "option" for flag in param.opts]
    return {key: param for key, param in named if not key.startswith("-") and key not in NEVER}


def option_value(path: Path, name: str, value: Any, param: Any) -> Any:
    """A value of TOML as the command line would have given it.

    Raises: UsageError where it is of another kind.
    """
    plain = isinstance(value, (str, int, float)) and not isinstance(value, bool)
    if param.is_flag:
        if not isinstance(value, bool):
            raise UsageError(f"{path}: {name} is true or false, not {value!r}")
        return value
    if isinstance(value, list) and all(isinstance(each, (str, int, float)) for each in value):
        return [str(each) for each in value] if param.multiple or param.nargs != 1 else ",".join(map(str, value))
    if not plain:
        raise UsageError(f"{path}: {name} takes a number, a text or a list of them, not {value!r}")
    return [str(value)] if param.multiple else str(value)


def nearest(word: str, known: Collection[str] | Mapping[str, Any]) -> str:
    """A question for the nearest of the known words; empty where none is near."""
    near = get_close_matches(word, list(known), 1)
    return f" (did you mean {near[0]}?)" if near else ""
