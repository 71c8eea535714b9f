"""The runs of one dataset, encoder and mode: what they cost together, and what keeps them from starting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cryostat.cells.dataset import CellDataset
from cryostat.cells.heads import head_card
from cryostat.cells.planning.costs import (
    Job,
    Passes,
    encoder_work,
    heads_work,
    job,
    map_bytes,
    stored_layers,
    training_passes,
)
from cryostat.cells.planning.encoders import UNKNOWN, KnownEncoder, known_encoder
from cryostat.cells.planning.machines import Machine, Work
from cryostat.cells.planning.obstacles import (
    Tissue,
    missing_packages,
    of_head_weights,
    parts,
    untrainable,
)
from cryostat.cells.planning.stored import Inventory
from cryostat.cells.protocols import Protocol, load_protocol
from cryostat.cells.runs.spec import RunSpec, expand_split
from cryostat.cells.tiling import CellTiles, tiles_for
from cryostat.core.errors import CryostatError
from cryostat.core.home import Home
from cryostat.encoders.card import EncoderCard
from cryostat.runs.obstacles import Obstacle


@dataclass(frozen=True)
class Cost:
    """What runs cost, at most; None where something that it depends on is unknown.

    Attributes:
        tiles: Tiles of the whole dataset.
        exact: Whether the sizes of its fields and parts are known; otherwise tiles and passes are about right.
        passes: Tiles that have yet to pass the encoder.
        layers: Layers kept in the store.
        views: Views of each tile kept there; 0 where nothing is stored.
        bytes: Of the features in the store once complete.
        stored: Of these, bytes that are there already.
        to_write: Bytes that these runs will write; fewer than are missing where runs before them write some.
        work: Operations of encoder and heads.
    """

    tiles: int | None = None
    exact: bool = True
    passes: int | None = None
    layers: tuple[str, ...] = ()
    views: int = 0
    bytes: int | None = None
    stored: int = 0
    to_write: int = 0
    work: Work | None = None


@dataclass(frozen=True)
class Row:
    """The runs of one dataset, encoder and mode.

    Attributes:
        dataset: Its name.
        encoder: Its name.
        mode: How they are trained.
        heads: Their heads.
        runs: How many there are.
        done: How many of them are finished already, about: told by their settings.
        cost: Of the others.
        obstacles: What keeps the others from starting.
    """

    dataset: str
    encoder: str
    mode: str
    heads: tuple[str, ...]
    runs: int
    done: int
    cost: Cost
    obstacles: tuple[Obstacle, ...]


class Planner:
    """Plans the runs of a study, in their order.

    Args:
        home: Where everything lives.
        here: This machine; built-in encoders are timed on it.
        tissues: The datasets of the study by name.
    """

    def __init__(self, home: Home, here: Machine, tissues: Mapping[str, Tissue]) -> None:
        self.here, self.tissues, self.inventory = here, tissues, Inventory(home)
        self._tiles: dict[tuple[object, ...], CellTiles] = {}
        self._once: dict[tuple[str, int], Work | None] = {}

    def expand(self, dataset: str, split: str) -> list[str]:
        """The splits that a name stands for; one that is not there stands for itself."""
        found = self.tissues[dataset].dataset
        try:
            return expand_split(found, split) if found else [split]
        except CryostatError:
            return [split]

    def row(self, specs: Sequence[RunSpec]) -> Row:
        """Plan runs that share dataset, encoder and mode."""
        spec, encoder = specs[0], known_encoder(specs[0])
        ahead = [one for one in specs if not self.inventory.has(one, encoder.label)]
        obstacles = [*self.tissues[spec.dataset].obstacles, *encoder.obstacles, *_of_training(specs, encoder)]
        cost = self._cost(ahead or specs, encoder, obstacles, finished=not ahead)
        return Row(
            dataset=spec.dataset,
            encoder=spec.encoder,
            mode=str(spec.resolved_mode()),
            heads=tuple(dict.fromkeys(one.head for one in specs)),
            runs=len(specs),
            done=len(specs) - len(ahead),
            cost=cost,
            obstacles=tuple(dict.fromkeys(obstacles)) if ahead else (),
        )

    def _cost(
        self, specs: Sequence[RunSpec], encoder: KnownEncoder, obstacles: list[Obstacle], *, finished: bool
    ) -> Cost:
        """The cost of some runs; what it finds in their way joins the obstacles."""
        tissue, mode = self.tissues[specs[0].dataset], specs[0].resolved_mode()
        if tissue.dataset is None:
            return Cost()
        rules, card = load_protocol(specs[0].protocol).at(specs[0].mpp), encoder.card or UNKNOWN
        tiles = self._tiles_of(tissue.dataset, rules, card)
        jobs, found = _jobs(specs, tissue, tiles, rules)
        obstacles += found
        layers = stored_layers(jobs, card)
        views, size = mode.views if layers else 0, map_bytes(card, tiles.tile_size)
        held = self.inventory.look(tiles, encoder.stored_as, layers, views)
        cost = Cost(
            tiles=len(tiles.index()),
            exact=tissue.exact and not found,
            passes=0,
            layers=layers,
            views=views,
            bytes=len(tiles.index()) * views * len(layers) * size if encoder.card else None,
            stored=held.stored * size,
            work=Work(),
        )
        if finished:
            return cost
        passes = Passes(looking=held.passes) + training_passes(jobs)
        work = self._work(jobs, passes, encoder, tiles, obstacles)
        self.inventory.promise(tiles, encoder.stored_as, layers, views)
        return replace(cost, passes=passes.total, to_write=held.maps * size, work=work)

    def _work(
        self, jobs: Sequence[Job], passes: Passes, encoder: KnownEncoder, tiles: CellTiles, obstacles: list[Obstacle]
    ) -> Work | None:
        """Work of encoder and heads; None where the encoder is unknown or a head cannot be built."""
        key = (encoder.name, tiles.tile_size)
        if key not in self._once:
            self._once[key] = encoder.work(tiles.tile_size, self.here)
        once = self._once[key]
        if once is None or encoder.card is None or not jobs:
            return None
        logits = len(tiles.dataset.classes) + int(tiles.protocol.training.background_logit)
        try:
            heads = heads_work(jobs, encoder.card, tiles.tile_size, logits)
        except ModuleNotFoundError:
            return None  # Which package is missing, the obstacles of training say.
        except CryostatError as error:
            obstacles.append(Obstacle.of(error))
            return None
        return encoder_work(passes, once, jobs[0].mode) + heads

    def _tiles_of(self, dataset: CellDataset, rules: Protocol, card: EncoderCard) -> CellTiles:
        geometry = (card.input_size, card.patch_size, card.flexible_size)
        key = (dataset.folder, rules.name, rules.tiling.mpp, *geometry)
        if key not in self._tiles:
            self._tiles[key] = tiles_for(dataset, rules, card)
        return self._tiles[key]


def _of_training(specs: Sequence[RunSpec], encoder: KnownEncoder) -> list[Obstacle]:
    """What keeps heads from being trained in their mode."""
    mode = specs[0].resolved_mode()
    pixels = any(head_card(spec.head).reads == "pixels" for spec in specs)
    packages = missing_packages([mode.kind, *(["hovernext"] if pixels else [])])
    return [*packages, *untrainable(encoder.recipe, encoder.name, mode)]


def _jobs(
    specs: Sequence[RunSpec], tissue: Tissue, tiles: CellTiles, rules: Protocol
) -> tuple[list[Job], list[Obstacle]]:
    """Runs with the sizes of their parts, and what is wrong with their splits and settings."""
    splits = {name: parts(tissue, name, rules) for name in dict.fromkeys(spec.split for spec in specs)}
    jobs, obstacles = list[Job](), [obstacle for _, found in splits.values() for obstacle in found]
    for spec in specs:
        try:
            jobs.append(job(spec, splits[spec.split][0], tiles))
            obstacles += of_head_weights(jobs[-1].settings)
        except CryostatError as error:
            obstacles.append(Obstacle.of(error))
    return jobs, list(dict.fromkeys(obstacles))
