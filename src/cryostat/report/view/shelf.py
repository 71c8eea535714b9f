"""What is to be seen: reports, slides and datasets, each under a short name of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import TypeVar

import pandas as pd

from cryostat.cells.dataset import CellDataset, dataset_names, load_dataset
from cryostat.cells.drawing import class_colors
from cryostat.core.errors import InputError, SettingError
from cryostat.core.home import Home
from cryostat.report.site.pages import page_file
from cryostat.report.view.fields import FieldSource, NucleiSource
from cryostat.report.view.slides import ENDINGS, Slide, open_slide
from cryostat.report.view.tiles import Pyramid

OPEN = 24
"""Pictures that are held open at a time."""

REPORT = "report"
"""Folder that is shown where none is named."""

T = TypeVar("T")


@dataclass(frozen=True)
class Layer:
    """Something that can lie over a picture: its short name, its words, its tiles, and whether it is on at first."""

    name: str
    title: str
    pyramid: Pyramid
    shown: bool = False


@dataclass(frozen=True)
class Scene:
    """A picture to zoom into.

    Attributes:
        title: Its name.
        pyramid: Its tiles.
        mpp: µm per pixel; None where unknown.
        facts: What is known of it, in words.
        layers: What can lie over it.
        key: Name, colour and count of each class.
    """

    title: str
    pyramid: Pyramid
    mpp: float | None
    facts: Sequence[tuple[str, str]] = ()
    layers: Sequence[Layer] = ()
    key: Sequence[tuple[str, str, int]] = ()


@dataclass(frozen=True)
class Shelf:
    """What a server shows, by the name that stands in its addresses.

    Attributes:
        reports: Folders of reports.
        slides: Files of slides.
        datasets: Imported datasets.
    """

    reports: Mapping[str, Path] = field(default_factory=dict)
    slides: Mapping[str, Path] = field(default_factory=dict)
    datasets: Mapping[str, CellDataset] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_open", _Opened())

    def slide(self, name: str) -> Scene:
        """A slide, opened.

        Raises:
            SettingError: There is none of that name.
            InputError: It cannot be read.
        """
        path = _known(self.slides, name, "slide")
        return self._once(f"slide/{name}", lambda: _slide_scene(open_slide(path)))

    def field(self, name: str, fov: str) -> Scene:
        """A field of a dataset, with its nuclei.

        Raises:
            SettingError: There is no such dataset or field.
            InputError: Its files cannot be read.
        """
        dataset = _known(self.datasets, name, "dataset")
        if fov not in dataset.fovs.index:
            raise SettingError(f"dataset {name!r} has no field of view {fov!r}", remedy="Choose one of its list")
        return self._once(f"field/{name}/{fov}", lambda: field_scene(dataset, fov))

    def _once(self, key: str, make: Callable[[], Scene]) -> Scene:
        opened: _Opened = self.__dict__["_open"]
        return opened.get(key, make)


class _Opened:
    """The scenes that were asked for last."""

    def __init__(self) -> None:
        self._scenes: dict[str, Scene] = {}
        self._lock = threading.Lock()

    def get(self, key: str, make: Callable[[], Scene]) -> Scene:
        with self._lock:
            scene = self._scenes.pop(key, None) or make()
            self._scenes[key] = scene
            for oldest in list(self._scenes)[:-OPEN]:
                del self._scenes[oldest]
            return scene


def _known(things: Mapping[str, T], name: str, kind: str) -> T:
    if name not in things:
        raise SettingError(f"no {kind} {name!r} is shown here", remedy="Go back to the start page")
    return things[name]


def _slide_scene(slide: Slide) -> Scene:
    return Scene(slide.path.name, Pyramid(slide.source), slide.mpp, slide.facts)


def field_scene(dataset: CellDataset, fov: str) -> Scene:
    """A field with its nuclei as outlines, and filled.

    Raises:
        InputError: Its files cannot be read.
    """
    layers = [
        Layer("outlines", "Outlines", Pyramid(NucleiSource(dataset, fov), "png"), shown=True),
        Layer("filled", "Filled", Pyramid(NucleiSource(dataset, fov, filled=True), "png")),
    ]
    counts = dataset.cells_of(fov)["class_id"].value_counts()
    colours = class_colors(dataset)
    named = [(c.name, colours[c.id], int(counts.get(c.id, 0))) for c in dataset.classes]
    unnamed = [("no class", colours[0], int(counts[0]))] if counts.get(0, 0) else []
    source = FieldSource(dataset, fov)
    width, height = source.size
    mpp = dataset.mpp(fov)
    row = dataset.fovs.loc[fov]
    facts = [("Size", f"{width:,} × {height:,} px"), ("Scale", f"{mpp:.3g} µm per pixel")]
    facts += [
        (word, str(row[name]))
        for word, name in (("Patient", "patient_id"), ("Site", "site"))
        if not pd.isna(row.get(name))
    ]
    facts.append(("Nuclei", f"{len(dataset.cells_of(fov)):,}"))
    return Scene(fov, Pyramid(source), mpp, facts, layers, [*named, *unnamed])


def shelve(targets: Iterable[str], home: Home) -> Shelf:
    """What some words of a user name.

    A folder with an `index.html` is a report; with it come the imported datasets that it has pages of. A file is a
    slide; a folder of slides is all of them. Any other word is a dataset by name or path. Without a word: the report
    in the folder `report`, else all imported datasets.

    Raises:
        InputError: A folder holds nothing to be seen.
        SettingError: There is no such thing, or nothing at all.
    """
    words = list(targets) or ([REPORT] if is_report(Path(REPORT)) else dataset_names(home))
    if not words:
        raise SettingError(
            "there is nothing to view: no folder report here, and no imported dataset in the home folder",
            where=home.root,
            remedy="Name a report's folder, a slide or a dataset, or write a report with: cryostat report -o report",
        )
    found: dict[str, Path | CellDataset] = {}
    for word in words:
        for thing in _things(word, home):
            found[_free(thing.folder.name if isinstance(thing, CellDataset) else thing.name, found)] = thing
    paths = {name: thing for name, thing in found.items() if isinstance(thing, Path)}
    return Shelf(
        {name: path for name, path in paths.items() if path.is_dir()},
        {name: path for name, path in paths.items() if not path.is_dir()},
        {name: thing for name, thing in found.items() if isinstance(thing, CellDataset)},
    )


def is_report(folder: Path) -> bool:
    """Whether a folder can be served as a report."""
    return (folder / "index.html").is_file()


def _things(word: str, home: Home) -> Iterator[Path | CellDataset]:
    path = Path(word).expanduser()
    if (path / "dataset.toml").exists():
        yield CellDataset(path.resolve())
    elif is_report(path):
        yield path.resolve()
        yield from (load_dataset(name, home) for name in dataset_names(home) if _has_page(path, name))
    elif path.is_file():
        yield path.resolve()
    elif path.is_dir() and word not in dataset_names(home):
        yield from _slides_in(path)
    elif path.suffix.lower() in ENDINGS or len(path.parts) > 1:
        raise InputError("does not exist", where=path, remedy="Check the path")
    else:
        yield load_dataset(word, home)


def _has_page(report: Path, dataset: str) -> bool:
    return any((report / page_file(kind, dataset)).is_file() for kind in ("dataset", "gallery"))


def _slides_in(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.resolve().iterdir() if path.suffix.lower() in ENDINGS and path.is_file())
    if not files:
        raise InputError(
            "holds neither a report (index.html), nor a dataset (dataset.toml), nor slides",
            where=folder,
            remedy=f"Name another folder; slides end in {', '.join(ENDINGS[:5])} …",
        )
    return files


def _free(name: str, taken: Container[str]) -> str:
    """The name, with a number where another thing has it."""
    return next(one for one in chain([name], (f"{name} ({i})" for i in count(2))) if one not in taken)
