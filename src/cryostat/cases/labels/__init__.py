"""Labels: what a task asks, and what each patient's label allows.

A task is flat (the values of a column) or a reading of a hierarchy, an editable TOML file:

    name = "my-tumours"
    levels = ["family", "type"]            # coarse to fine; one table each
    [family]
    glioma = {}
    [type]
    astrocytoma = { parent = "glioma", count = 12, synonyms = ["astro"] }
    oligodendroglioma = { parent = "glioma" }
    [partial]                              # values that leave several labels open
    "mixed glioma" = ["astrocytoma", "oligodendroglioma"]

A name with others below it ("glioma") is a partial label too: any of them.
"""

from cryostat.cases.labels.hierarchy import Hierarchy, Node, hierarchy_names, load_hierarchy
from cryostat.cases.labels.reading import preset_about, preset_names, read_task, resolve
from cryostat.cases.labels.targets import targets
from cryostat.cases.labels.task import Targets, Task

__all__ = [
    "Hierarchy",
    "Node",
    "Targets",
    "Task",
    "hierarchy_names",
    "load_hierarchy",
    "preset_about",
    "preset_names",
    "read_task",
    "resolve",
    "targets",
]
