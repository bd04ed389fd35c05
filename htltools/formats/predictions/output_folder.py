"""A folder of one file for each sample, named by its id."""

from pathlib import Path, PurePosixPath

from htltools.errors import CannotCreate, DataError

LONGEST = 200  # bytes of a name, for which a file system has room with any suffix


class OutputFolder:
    """A folder with a file for each sample; an id with slashes names a file in folders below.

    Raises: CannotCreate where it holds something already, unless `force`, or cannot be made.
    """

    def __init__(self, folder: Path, suffix: str, *, force: bool):
        self.folder, self.suffix = folder, suffix
        try:
            if not force and folder.exists() and any(folder.iterdir()):
                raise CannotCreate(f"{folder} holds something already", "replace it with --force, or name another folder")
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CannotCreate(f"cannot create the folder {folder} ({(error.strerror or str(error)).lower()})") from None

    def path_of(self, name: str) -> Path:
        """The path of the file of a sample, whose folder is there then.

        Raises: DataError where the id leads out of the folder, or is no name of a file; CannotCreate.
        """
        parts = PurePosixPath(name).parts
        if not parts or {"/", "..", "."} & {*parts} or "\0" in name or "\\" in name or max(len(part.encode()) for part in parts) > LONGEST:
            raise DataError(f"the id {name[:LONGEST]!r} cannot be the name of a file in {self.folder}", "give the sample another id")
        path = self.folder.joinpath(*parts)
        path = path.with_name(path.name + self.suffix)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CannotCreate(f"cannot create the folder {path.parent} ({(error.strerror or str(error)).lower()})") from None
        return path
