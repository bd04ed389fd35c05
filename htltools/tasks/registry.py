"""All tasks by name. A further task is one module beside these and one entry here."""

from htltools.errors import DataError
from htltools.tasks.box import Box
from htltools.tasks.class_map import ClassMap
from htltools.tasks.detect import Detect
from htltools.tasks.mask import Mask
from htltools.tasks.task import Task

TASKS: dict[str, Task] = {task.name: task for task in (Box(), Mask(), Detect(), ClassMap())}


def task_named(name: str, where: object) -> Task:
    """The task of that name.

    Raises: DataError naming the file that asks for it, where there is none.
    """
    if name not in TASKS:
        raise DataError(f"{where} is a model of the task {name!r}, and known are {', '.join(TASKS)}", "upgrade htl")
    return TASKS[name]
