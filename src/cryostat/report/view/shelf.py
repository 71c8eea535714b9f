"""What is to be seen: reports, slides and datasets, each under a short name of its own."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, count
from pathlib import Path
from typing import Generic, TypeVar

import pandas as pd

from cryostat.cells.dataset import CellDataset, dataset_names, load_dataset
from cryostat.core.errors import InputError, SettingError
from cryostat.core.home import Home
from cryostat.report.site.pages import page_file
from cryostat.report.view.cells import CellsSource, SlideCells, read_slide_cells
from cryostat.report.view.choosing import all_runs, choose_runs
from cryostat.report.view.fields import FieldSource
from cryostat.report.view.models import Model, datasets_of, models_of, runs_by_dataset, usable_runs
from cryostat.report.view.predicted import field_facts
from cryostat.report.view.slides import ENDINGS, Slide, open_slide
from cryostat.report.view.tiles import Pyramid
from cryostat.results.records import RunRecord

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
        cells: What the layers show, where it can be asked for.
    """

    title: str
    pyramid: Pyramid
    mpp: float | None
    facts: Sequence[tuple[str, str]] = ()
    layers: Sequence[Layer] = ()
    key: Sequence[tuple[str, str, int]] = ()
    cells: Sequence[SlideCells] = ()


@dataclass(frozen=True)
class Shelf:
    """What a server shows, by the name that stands in its addresses.

    Attributes:
        reports: Folders of reports.
        slides: Files of slides.
        datasets: Imported datasets.
        models: Name of a dataset to the models whose predictions are laid over it.
        scenes: Name of a slide to its scene, of those that were opened with cells over them.
        left_out: What is not shown although it was asked for all, and why, a sentence each.
    """

    reports: Mapping[str, Path] = field(default_factory=dict)
    slides: Mapping[str, Path] = field(default_factory=dict)
    datasets: Mapping[str, CellDataset] = field(default_factory=dict)
    models: Mapping[str, Sequence[Model]] = field(default_factory=dict)
    scenes: Mapping[str, Scene] = field(default_factory=dict)
    left_out: Sequence[str] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "_open", _Opened[Scene]())
        object.__setattr__(self, "_nuclei", _Opened[bytes]())

    def slide(self, name: str) -> Scene:
        """A slide, opened.

        Raises:
            SettingError: There is none of that name.
            InputError: It cannot be read.
        """
        path = _known(self.slides, name, "slide")
        if name in self.scenes:
            return self.scenes[name]
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

    def nuclei(self, name: str, fov: str) -> bytes:
        """The nuclei of a field as JSON, see `field_facts`.

        Raises:
            InputError: Its files cannot be read.
        """
        kept: _Opened[bytes] = self.__dict__["_nuclei"]
        dataset = self.datasets[name]
        return kept.get(f"{name}/{fov}", lambda: json.dumps(field_facts(dataset, fov), separators=(",", ":")).encode())

    def _once(self, key: str, make: Callable[[], Scene]) -> Scene:
        opened: _Opened[Scene] = self.__dict__["_open"]
        return opened.get(key, make)


class _Opened(Generic[T]):
    """The things that were asked for last."""

    def __init__(self) -> None:
        self._things: dict[str, T] = {}
        self._lock = threading.Lock()

    def get(self, key: str, make: Callable[[], T]) -> T:
        with self._lock:
            thing = self._things.pop(key, None) or make()
            self._things[key] = thing
            for oldest in list(self._things)[:-OPEN]:
                del self._things[oldest]
            return thing


def _known(things: Mapping[str, T], name: str, kind: str) -> T:
    if name not in things:
        raise SettingError(f"no {kind} {name!r} is shown here", remedy="Go back to the start page")
    return things[name]


def _slide_scene(slide: Slide) -> Scene:
    return Scene(slide.path.name, Pyramid(slide.source), slide.mpp, slide.facts)


def slide_with_cells(path: Path, files: Sequence[Path]) -> Scene:
    """A slide with the cells of some GeoJSON files over it, those of the first shown.

    Raises:
        InputError: The slide or a file cannot be read, or no cell of a file lies on the slide.
    """
    slide = open_slide(path)
    scene = _slide_scene(slide)
    layers: list[Layer] = []
    counts: dict[tuple[str, str], int] = {}
    facts, cells = list(scene.facts), []
    for number, file in enumerate(files, 1):
        found, told = read_slide_cells(file, slide.source.size)
        title = f"{file.stem}: " if len(files) > 1 else ""
        layers.append(Layer(f"cells{number}", f"{title}Outlines", _drawn(found), shown=number == 1))
        layers.append(Layer(f"cells{number}filled", f"{title}Filled", _drawn(found, filled=True)))
        for key in found.keys:
            counts[key.name, key.colour] = counts.get((key.name, key.colour), 0) + key.count
        facts += [(f"{title}{name}", text) for name, text in told]
        cells.append(found)
    named = [(name, colour, count) for (name, colour), count in counts.items()]
    return replace(scene, layers=layers, facts=facts, key=named, cells=cells)


def _drawn(cells: SlideCells, *, filled: bool = False) -> Pyramid:
    return Pyramid(CellsSource(cells, filled=filled), "png")


def field_scene(dataset: CellDataset, fov: str) -> Scene:
    """A field, and what is known of it; its nuclei come apart.

    Raises:
        InputError: Its files cannot be read.
    """
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
    return Scene(fov, Pyramid(source), mpp, facts)


@dataclass(frozen=True)
class Overlays:
    """What shall lie over the things that are shown.

    Attributes:
        runs: Names of runs whose predictions lie over the fields of their dataset.
        every_run: Take all finished runs of the datasets that are shown.
        cells: GeoJSON files whose cells lie over the slide.
    """

    runs: Sequence[str] = ()
    every_run: bool = False
    cells: Sequence[Path] = ()


def shelve(targets: Iterable[str], home: Home, overlays: Overlays | None = None) -> Shelf:
    """What some words of a user name.

    A folder with an `index.html` is a report; with it come the imported datasets that it has pages of. A file is a
    slide; a folder of slides is all of them. Any other word is a dataset by name or path. Without a word: the datasets
    of the runs that are named, else the report in the folder `report`, else all imported datasets.

    Args:
        targets: The words.
        home: Where datasets and runs are.
        overlays: What shall lie over them.

    Raises:
        InputError: A folder holds nothing to be seen, or something to lie over it cannot be read.
        SettingError: There is no such thing, or nothing at all, or nothing that overlays could lie over.
        IdentityError: A run is of a dataset that has changed since.
    """
    asked = overlays or Overlays()
    records = choose_runs(asked.runs, home)
    words = list(targets) or datasets_of(records) or _default(home)
    found: dict[str, Path | CellDataset] = {}
    for word in words:
        for thing in _things(word, home):
            found[_free(thing.folder.name if isinstance(thing, CellDataset) else thing.name, found)] = thing
    paths = {name: thing for name, thing in found.items() if isinstance(thing, Path)}
    slides = {name: path for name, path in paths.items() if not path.is_dir()}
    datasets = {name: thing for name, thing in found.items() if isinstance(thing, CellDataset)}
    models, left_out = _models(datasets, records, home, every=asked.every_run)
    return Shelf(
        {name: path for name, path in paths.items() if path.is_dir()},
        slides,
        datasets,
        models,
        _with_cells(slides, asked.cells),
        left_out,
    )


def _default(home: Home) -> list[str]:
    words = [REPORT] if is_report(Path(REPORT)) else dataset_names(home)
    if not words:
        raise SettingError(
            "there is nothing to view: no folder report here, and no imported dataset in the home folder",
            where=home.root,
            remedy="Name a report's folder, a slide or a dataset, or write a report with: cryostat report -o report",
        )
    return words


def _with_cells(slides: Mapping[str, Path], files: Sequence[Path]) -> dict[str, Scene]:
    if not files:
        return {}
    if len(slides) != 1:
        raise SettingError(
            f"cells can lie over one slide, and {len(slides)} are shown",
            remedy="Name the slide that they are of: cryostat view slide.svs --cells cells.geojson",
        )
    return {name: slide_with_cells(path, files) for name, path in slides.items()}


def _models(
    datasets: Mapping[str, CellDataset], named: Sequence[RunRecord], home: Home, *, every: bool
) -> tuple[dict[str, Sequence[Model]], list[str]]:
    """The models of each dataset, and which runs are left out where all were asked for."""
    chosen = runs_by_dataset(datasets, named)
    left_out: list[str] = []
    if every:
        if not datasets:
            raise SettingError(
                "no dataset is shown that runs could lie over", remedy="Name one: cryostat view DATASET --all-runs"
            )
        everything = all_runs(home)
        usual, left_out = usable_runs(datasets, everything.records)
        left_out += [f"run {broken.folder.name!r}: {broken.reason}." for broken in everything.broken]
        for name, records in usual.items():
            known = {record.run_id for record in chosen.get(name, ())}
            chosen[name] = [*chosen.get(name, ()), *(one for one in records if one.run_id not in known)]
    models: dict[str, Sequence[Model]] = {
        name: models_of(datasets[name], records, ranked=every) for name, records in chosen.items()
    }
    for one in (one for found in models.values() for one in found if not every):
        one.check()
    return models, left_out


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
