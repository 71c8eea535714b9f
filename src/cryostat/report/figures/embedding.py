"""Where nuclei lie among each other in the features of an encoder: a map that tells which belong together."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Mapping, Sequence
from colorsys import hls_to_rgb
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.neighbors import NearestNeighbors

from cryostat.core.errors import InputError, MissingExtraError, SettingError
from cryostat.core.figures import GREY, PALE
from cryostat.report.figures.style import COLOURS, DOUBLE, SMALL, canvas, styled, widest

MOST: Mapping[str, int] = {"UMAP": 20_000, "t-SNE": 5_000}
"""Nuclei that are drawn at most; scikit-learn's t-SNE is slower by far."""

MOST_SIDE = 72.0
"""Of a panel, mm."""

FEWEST = 20
"""Nuclei below which there is no map."""

COMPONENTS, NEIGHBOURS, DISTANCE, PERPLEXITY = 50, 15, 0.1, 30
"""Principal components that are kept; UMAP's neighbours and least distance; t-SNE's perplexity."""

MOST_ACROSS, HEADING, LINE, MARK_ROOM = 3, 7.0, 2.9, 7.0
"""Panels side by side; room above a panel, of a line of its legend, and of a legend's marker and margins, mm."""

MORE_COLOURS = ("#8c510a", "#7f7f7f", "#e7298a", "#66a61e", "#01665e", "#b2182b", "#b3a300", "#9e9ac8", "#1b3a6b")
"""For groups beyond the colours that all figures share."""

GOLDEN = (5**0.5 - 1) / 2

CELLS = 60
"""Bins along a side of the map, by which the densest place of a group is found."""


@dataclass(frozen=True)
class Colouring:
    """One panel: what each nucleus is painted by.

    Attributes:
        title: Above the panel: `cell type`.
        values: (n,) name of the group of each nucleus; None or NaN where it is not known.
        groups: Names in the order of the legend; by default from frequent to rare.
        colours: Group to colour; by default the figures' own.
        named: The groups stand in a legend; without, each colour is one of so many.
        mixing: Tell how many neighbours are of the same group, and number the groups on the map; without, later
            groups lie over earlier ones.
        one: What a group is called where none is named: `patient`.
    """

    title: str
    values: Sequence[str | None]
    groups: Sequence[str] = ()
    colours: Mapping[str, str] = field(default_factory=dict)
    named: bool = True
    mixing: bool = True
    one: str = "group"


@styled
def embedding_map(
    vectors: ArrayLike,
    labels: Sequence[Colouring],
    *,
    title: str = "",
    note: str = "",
    method: str | None = None,
    most: int | None = None,
    seed: int = 0,
    width: float = DOUBLE,
) -> Figure:
    """Nuclei in two dimensions by UMAP, once for each way of colouring them.

    Features are standardised and reduced to 50 principal components. Beside each panel stands which share of a
    nucleus' 15 nearest neighbours, in those components and not on the map, is of its own group, and which would be by
    chance: distances on such a map mean little by themselves.

    Args:
        vectors: (n, C) features.
        labels: A panel each.
        title: Above the figure.
        note: Below it, after what the map is.
        method: `UMAP` or `t-SNE`; by default UMAP where umap-learn (extra `maps`) is installed.
        most: Nuclei that are drawn at most, chosen at random; by default 20,000 (UMAP) or 5,000 (t-SNE).
        seed: Of the choice and the map.
        width: mm.

    Raises:
        InputError: The features are no table, not finite or fewer than 20, or labels are of another length.
        SettingError: There is no such method, or nothing to colour by.
        MissingExtraError: UMAP is asked for and not installed.
    """
    features = _checked(vectors, labels)
    method = _method(method)
    chosen = _choice(len(features), most or MOST[method], seed)
    reduced = _reduced(features[chosen], seed)
    places = _placed(reduced, method, seed)
    near = _neighbours(reduced)
    told = _about(method, len(chosen), len(features), reduced.shape[1], seed)
    panels = [_Panel.of(one, chosen, near) for one in labels]
    columns = len(labels) if len(labels) <= MOST_ACROSS else 2
    side = min(width / columns - 4, MOST_SIDE)
    lines = [panels[start : start + columns] for start in range(0, len(panels), columns)]
    height = sum(side + HEADING + max(panel.key_height(side) for panel in line) for line in lines)
    figure = canvas(width, height, title=title, note=f"{told} {note}".strip(), alt=_alt(title, told, panels))
    grid = figure.subplots(len(lines), columns, squeeze=False).ravel()
    for axes, panel in zip(grid, panels, strict=False):
        _draw(axes, places, panel, seed, side)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    return figure


def _checked(vectors: ArrayLike, labels: Sequence[Colouring]) -> NDArray[np.float32]:
    features = np.asarray(vectors, np.float32)
    if features.ndim != 2 or len(features) < FEWEST or not np.isfinite(features).all():
        raise InputError(
            f"has features of shape {features.shape}"
            + ("" if features.ndim != 2 or len(features) < FEWEST else " that are not all finite"),
            where="map of nuclei",
            remedy=f"Give finite features (n, C) of at least {FEWEST} nuclei",
        )
    if not labels:
        raise SettingError("a map of nuclei has nothing to be coloured by", remedy="Give at least one Colouring")
    for one in labels:
        if len(one.values) != len(features):
            raise InputError(
                f"names the group of {len(one.values)} nuclei, there are features of {len(features)}",
                where=f"map of nuclei, {one.title}",
                remedy="Give one name a nucleus",
            )
    return features


def _method(asked: str | None) -> str:
    here = importlib.util.find_spec("umap") is not None
    if asked is None:
        return "UMAP" if here else "t-SNE"
    if asked not in MOST:
        raise SettingError(f"no map is made by {asked!r}", remedy=f"Choose of: {', '.join(MOST)}")
    if asked == "UMAP" and not here:
        raise MissingExtraError("umap-learn", extra="maps", purpose="A UMAP")
    return asked


def _choice(count: int, most: int, seed: int) -> NDArray[np.int64]:
    """Ascending places of the nuclei that are drawn."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, most, replace=False))


def _reduced(features: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """(n, ≤ 50) principal components of standardised features."""
    spread = features.std(0)
    kept = features[:, spread > 0]
    if not kept.shape[1]:
        raise InputError("has the same features for all nuclei", where="map of nuclei", remedy="Choose another layer")
    standard = (kept - kept.mean(0)) / spread[spread > 0]
    reduced: NDArray[np.float32] = PCA(min(COMPONENTS, *standard.shape), random_state=seed).fit_transform(standard)
    return reduced


def _placed(reduced: NDArray[np.float32], method: str, seed: int) -> NDArray[np.float32]:
    """(n, 2) places on the map."""
    count = len(reduced)
    if method == "t-SNE":
        maker = TSNE(perplexity=min(PERPLEXITY, (count - 1) / 3), init="pca", random_state=seed)
        return np.asarray(maker.fit_transform(reduced), np.float32)
    from umap import UMAP

    maker = UMAP(n_neighbors=min(NEIGHBOURS, count - 1), min_dist=DISTANCE, random_state=seed, n_jobs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on threads, and on points that stand apart
        places = np.asarray(maker.fit_transform(reduced), np.float32)
    if not np.isfinite(places).all():  # nuclei whose features are another's do not connect
        places = np.where(np.isfinite(places), places, np.nanmedian(places, axis=0))
    return places


def _neighbours(reduced: NDArray[np.float32]) -> NDArray[np.int64]:
    """(n, ≤ 15) nearest others of each."""
    count = min(NEIGHBOURS, len(reduced) - 1)
    found: NDArray[np.int64] = NearestNeighbors(n_neighbors=count).fit(reduced).kneighbors(return_distance=False)
    return found


@dataclass(frozen=True)
class _Panel:
    about: Colouring
    groups: tuple[str, ...]
    which: NDArray[np.int64]  # (n,) place in groups, −1 where not known
    same: float  # share of the nearest that is of the same group; NaN where it is not told
    chance: float

    @classmethod
    def of(cls, about: Colouring, chosen: NDArray[np.int64], near: NDArray[np.int64]) -> _Panel:
        values = [about.values[i] for i in chosen]
        known = [value for value in values if isinstance(value, str)]
        counts = {name: known.count(name) for name in dict.fromkeys(known)}
        groups = [g for g in about.groups if g in counts]
        groups += sorted((g for g in counts if g not in groups), key=lambda g: (-counts[g], g))
        number = {group: i for i, group in enumerate(groups)}
        which = np.array([number.get(value, -1) if isinstance(value, str) else -1 for value in values], np.int64)
        return cls(about, tuple(groups), which, *(_mixing(which, near) if about.mixing else (np.nan, np.nan)))

    def colour(self, group: int) -> str:
        if not self.about.named:
            return _one_of_many(group)
        palette = (*COLOURS, *MORE_COLOURS)
        return self.about.colours.get(self.groups[group], palette[group % len(palette)])

    def share(self, group: int) -> float:
        return float((self.which == group).sum() / max(1, (self.which >= 0).sum()))

    @property
    def entries(self) -> list[tuple[str, str]]:
        """Lines of the legend: text and colour."""
        if not self.about.named:
            return [(f"each colour one of {len(self.groups):,} {self.about.one}s", "none")]
        numbers = [f"{i + 1}  " if self.about.mixing else "" for i in range(len(self.groups))]
        texts = [f"{numbers[i]}{name}  {self.share(i):.0%}".replace("%", " %") for i, name in enumerate(self.groups)]
        shown = [(text, self.colour(i)) for i, text in enumerate(texts)]
        return [*shown, ("not known", PALE)] if (self.which < 0).any() else shown

    def key_columns(self, side: float) -> int:
        """Of the legend below a panel `side` mm wide."""
        room = widest([text for text, _ in self.entries], SMALL) + MARK_ROOM
        return max(1, min(len(self.entries), int(side / room)))

    def key_height(self, side: float) -> float:
        """Of the legend, mm."""
        return 2 + LINE * -(-len(self.entries) // self.key_columns(side))

    @property
    def told(self) -> str:
        if np.isnan(self.same):
            return ""
        return f"neighbours alike: {self.same:.0%}, by chance {self.chance:.0%}".replace("%", " %")


def _one_of_many(group: int) -> str:
    """A colour of its own for each of any number of groups; neighbours in number are far apart in hue."""
    return to_hex(hls_to_rgb(group * GOLDEN % 1, (0.32, 0.5, 0.64)[group % 3], 0.7))


def _mixing(which: NDArray[np.int64], near: NDArray[np.int64]) -> tuple[float, float]:
    """Share of pairs of neighbours of one group, and of any two nuclei."""
    known = (which[:, None] >= 0) & (which[near] >= 0)
    if not known.any():
        return np.nan, np.nan
    shares = np.bincount(which[which >= 0]) / (which >= 0).sum()
    return float((which[:, None] == which[near])[known].mean()), float((shares**2).sum())


def _about(method: str, drawn: int, count: int, components: int, seed: int) -> str:
    some = f"{drawn:,} of {count:,} nuclei, chosen at random" if drawn < count else f"all {count:,} nuclei"
    how = f"{NEIGHBOURS} neighbours" if method == "UMAP" else f"perplexity {PERPLEXITY}{_excuse()}"
    return (
        f"{method} of {some} (seed {seed}): features standardised, {components} principal components, {how}. "
        f"Neighbours alike: share of a nucleus’ {NEIGHBOURS} nearest in those components that is of its group."
    )


def _excuse() -> str:
    return "" if importlib.util.find_spec("umap") else " (umap-learn is not installed)"


def _draw(axes: Axes, places: NDArray[np.float32], panel: _Panel, seed: int, side: float) -> None:
    size = float(np.clip(5000 / len(places), 0.35, 7))
    palette = np.array([panel.colour(i) for i in range(len(panel.groups))] + [PALE])
    order = np.random.default_rng(seed).permutation(len(places))  # none lies on top as a whole
    above = panel.which[order] >= 0 if panel.about.mixing else panel.which[order]
    order = order[np.argsort(above, kind="stable")]
    axes.scatter(
        places[order, 0],
        places[order, 1],
        s=size,
        c=palette[panel.which[order]],
        linewidths=0,
        alpha=0.75,
        rasterized=True,
    )
    axes.set(xticks=[], yticks=[], aspect="equal", anchor="W", **_limits(places))
    axes.spines[:].set(visible=True, color=PALE)
    axes.set_title(panel.about.title, loc="left", fontweight="bold", pad=9)
    axes.annotate(
        panel.told, (0, 1), (0, 2), xycoords="axes fraction", textcoords="offset points", size=SMALL, color=GREY
    )
    if panel.about.named and panel.about.mixing:
        _number(axes, places, panel)
    _key(axes, panel, side)


def _limits(places: NDArray[np.float32]) -> dict[str, tuple[float, float]]:
    """A square around all but a few: a small island far away would leave no room for the rest."""
    low, high = np.quantile(places, [0.002, 0.998], axis=0)
    middle, reach = (low + high) / 2, float((high - low).max()) * 0.55
    return {name: (m - reach, m + reach) for name, m in zip(("xlim", "ylim"), middle.tolist(), strict=True)}


def _number(axes: Axes, places: NDArray[np.float32], panel: _Panel) -> None:
    """The number of each group where it is densest, away from the others' numbers."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    taken: list[tuple[float, float]] = []
    for group in range(len(panel.groups)):
        own = places[panel.which == group]
        density, xs, ys = np.histogram2d(own[:, 0], own[:, 1], bins=CELLS, range=[(left, right), (low, high)])
        place = _densest(gaussian_filter(density, 1.5), taken)
        taken.append(place)
        x, y = (ends[0] + (at + 0.5) * (ends[1] - ends[0]) for ends, at in zip((xs, ys), place, strict=True))
        halo = [withStroke(linewidth=2.2, foreground="white")]
        axes.text(x, y, f"{group + 1}", size=SMALL, weight="bold", ha="center", va="center", path_effects=halo)


def _densest(density: NDArray[np.float64], taken: Sequence[tuple[float, float]]) -> tuple[int, int]:
    free = density.copy()
    rows, columns = np.ogrid[:CELLS, :CELLS]
    for x, y in taken:
        free[(abs(rows - x) < CELLS / 12) & (abs(columns - y) < CELLS / 12)] = -1
    at = int(free.argmax())
    return at // CELLS, at % CELLS


def _key(axes: Axes, panel: _Panel, side: float) -> None:
    shown = panel.entries
    marks = [Line2D([], [], linestyle="none", marker="o", markersize=3.6, color=colour) for _, colour in shown]
    axes.legend(
        marks,
        [text for text, _ in shown],
        loc="upper left",
        bbox_to_anchor=(0, -0.005),
        ncols=panel.key_columns(side),
        frameon=False,
        fontsize=SMALL,
        handlelength=0.6 if panel.about.named else 0,
        handletextpad=0.4,
        columnspacing=1.0,
        borderpad=0.1,
        borderaxespad=0.3,
        labelspacing=0.25,
    )


def _alt(title: str, told: str, panels: Sequence[_Panel]) -> str:
    parts = [
        f"by {panel.about.title} ({len(panel.groups)} groups{'; ' if panel.told else ''}{panel.told})"
        for panel in panels
    ]
    return f"Map of nuclei{f', {title}' if title else ''}: {'; '.join(parts)}. {told}"
