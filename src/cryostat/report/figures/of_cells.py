"""Figures of finished runs of cells: which there are, and the tables that they are drawn from."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from cryostat.core.errors import InputError
from cryostat.core.files import safe_name
from cryostat.encoders.catalogue import read_recipe, shipped
from cryostat.report.figures.classes import classes_figure, confusion_figure
from cryostat.report.figures.heads import SUPERVISED, heads_figure
from cryostat.report.figures.of_embeddings import embedding_drawings
from cryostat.report.figures.of_ladders import ladder_drawings
from cryostat.report.figures.ranking import differences_figure, ranking_figure
from cryostat.report.figures.scaling import efficiency_figure, scaling_figure
from cryostat.report.figures.shift import shift_figure
from cryostat.report.figures.study import Drawing
from cryostat.report.figures.style import DOUBTFUL, HEADS
from cryostat.results.leaderboard import Row, measured_rows, on_same_nuclei, rank_rows
from cryostat.results.pairing import ShiftedRow, pairs
from cryostat.results.records import CELLS, BrokenRun, RunRecord
from cryostat.results.shift import shift
from cryostat.results.tables import LABELS, summarise

BASE = "base"
"""The split that others of a dataset are shifts from."""

MOST_SERIES, MOST_RANKED, MOST_PANELS = 3, 24, 4
"""Models in one figure of classes, rows of a ranking, datasets side by side."""

FEWEST_SIZES = 3
"""Encoders of known size below which scores are not drawn against it."""

LEVEL = 0.05
"""Of a test."""

ELSEWHERE = "external"
"""The head of predictions that were made elsewhere."""

PLAIN_MODES = ("", "cached", "supervised", "None")
"""Ways of training that go without saying."""


def cell_drawings(records: Iterable[RunRecord], *, maps: bool = False) -> tuple[list[Drawing], tuple[BrokenRun, ...]]:
    """The figures that runs of cells allow, with maps of nuclei if asked for, and the runs that could not be read."""
    by_id = {record.run_id: record for record in records if record.benchmark == CELLS}
    frame, broken = summarise(by_id.values())
    found, unreadable = measured_rows(frame, by_id)
    rows = newest(found.values(), by_id)
    whole = [row for row in rows if row.facts["fraction"] in (1, None) or _unknown(row.facts["fraction"])]
    drawn = [d for block in _in_blocks(whole) for d in _of_block(block)]
    drawn += [*_across(whole), *_shifts(whole), *_efficiencies(rows)]
    ladders, unclimbed = ladder_drawings(by_id.values())
    maps_of = embedding_drawings(whole, by_id) if maps else ()
    return [*drawn, *ladders, *maps_of], tuple(dict.fromkeys((*broken, *unreadable, *unclimbed)))


def _unknown(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _in_blocks(rows: Iterable[Row]) -> list[list[Row]]:
    """Rows of one dataset, split and protocol; models that were fitted elsewhere stand with those of all fields."""
    blocks: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        blocks.setdefault(tuple(str(row.facts[name]) for name in ("dataset", "split", "protocol")), []).append(row)
    return list(blocks.values())


def newest(rows: Iterable[Row], records: Mapping[str, RunRecord]) -> list[Row]:
    """Of rows that share all labels and differ in code or settings, the one that was run last."""
    latest: dict[tuple[str, ...], tuple[str, Row]] = {}
    for row in rows:
        key = tuple(str(row.facts[name]) for name in LABELS)
        made = max(records[run].created for run in row.facts["runs"])
        if row.facts["complete"] and (key not in latest or made > latest[key][0]):
            latest[key] = (made, row)
    return [row for _, row in latest.values()]


def head_name(row: Row) -> str:
    """The head, and how it was trained where that is not from cached features."""
    mode = str(row.facts["mode"])
    return f"{row.facts['head']}" if mode in PLAIN_MODES else f"{row.facts['head']} ({mode})"


def model_name(row: Row) -> str:
    """Encoder and head as a figure names them."""
    encoder = str(row.facts["encoder"])
    return head_name(row) if encoder in (SUPERVISED, "None", "nan") else f"{encoder} · {head_name(row)}"


def _of_block(block: Sequence[Row]) -> Iterator[Drawing]:
    """Figures of one dataset, split and protocol; rows on other nuclei than most are left out."""
    rows = sorted(on_same_nuclei(block), key=lambda row: -_value(row))
    rows = [row for row in rows if not math.isnan(_value(row))]
    if not rows:
        return
    name, title = file_name(rows[0]), f"{rows[0].facts['dataset']}, {rows[0].facts['split']}"
    if len(rows) > 1:
        yield Drawing(f"{name}-ranking", partial(_ranking, rows[:MOST_RANKED], title))
        yield Drawing(f"{name}-differences", partial(_differences, rows[:MOST_RANKED], title))
    yield Drawing(f"{name}-classes", partial(_classes, rows[:MOST_SERIES], title))
    yield Drawing(f"{name}-confusion", partial(_confusion, rows[0], title))


def file_name(row: Row) -> str:
    """Dataset, split and protocol as part of a file's name."""
    return safe_name("-".join(str(row.facts[part]) for part in ("dataset", "split", "protocol")))


def _value(row: Row) -> float:
    return row.intervals.macro_f1.value


def _interval(row: Row) -> dict[str, float]:
    macro = row.intervals.macro_f1
    return {"value": macro.value, "low": macro.low, "high": macro.high}


def sampled(rows: Sequence[Row]) -> str:
    """What the intervals of rows are, and n."""
    found = rows[0].intervals
    seeds = sorted({row.intervals.seeds for row in rows})
    many = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    trained = "one seed" if seeds == [1] else f"means over {many} seeds"
    if math.isnan(found.macro_f1.low):
        return f"{found.cells:,} nuclei of one {found.kind}: no interval; {trained}."
    told = f"from {found.clusters:,} {_plural(found.kind)} resampled; {found.cells:,} nuclei; {trained}."
    if not found.doubt:
        return f"95 % intervals {told}"
    return f"95 % intervals{DOUBTFUL} {told} {DOUBTFUL} {found.doubt.capitalize()}: likely too narrow."


def _plural(kind: str) -> str:
    return " or ".join(f"{part}s" for part in kind.split(" or "))


def _ranking(rows: Sequence[Row], title: str) -> Any:
    rank_rows(rows)
    table = pd.DataFrame(
        {"label": model_name(row), "rank": row.rank, "kind": head_name(row), "doubtful": bool(row.intervals.doubt)}
        | _interval(row)
        for row in rows
    )
    note = f"Points: macro F1; bars: {sampled(rows)}"
    shared = " Models of one rank cannot be told apart from its first (Holm-adjusted p ≥ 0.05)."
    return ranking_figure(table, title=title, note=note + (shared if table["rank"].notna().any() else ""))


def _differences(rows: Sequence[Row], title: str) -> Any:
    found = pairs(rows)
    table = pd.DataFrame(
        {
            "first": model_name(pair.first),
            "second": model_name(pair.second),
            **_difference(pair.comparison.macro_f1.difference),
            "p": pair.adjusted,
        }
        for pair in found
    )
    about = found[0].comparison
    note = (
        f"Paired on the same {about.cells:,} nuclei; 95 % intervals from {about.clusters:,} {_plural(about.kind)} "
        f"resampled; p from exchanging them, Holm-adjusted over {len(found)} "
        f"{'pairs' if len(found) > 1 else 'pair'}. Filled: the interval excludes\u00a00."
    )
    return differences_figure(table, title=f"{title}: against the best", note=note)


def _difference(estimate: Any) -> dict[str, float]:
    return {"difference": estimate.value, "low": estimate.low, "high": estimate.high}


def _classes(rows: Sequence[Row], title: str) -> Any:
    table = pd.DataFrame(
        {
            "class": c.name,
            "support": c.support,
            "clusters": c.clusters,
            "series": model_name(row),
            "value": c.f1.value,
            "low": c.f1.low,
            "high": c.f1.high,
            "doubtful": c.doubtful and not row.intervals.doubt,
        }
        for row in rows
        for c in row.intervals.classes
        if c.support
    )
    which = f"The best {len(rows)} models. " if len(rows) == MOST_SERIES else ""
    return classes_figure(table, title=f"{title}: cell types", note=f"{which}Points: F1; bars: {sampled(rows)}")


def _confusion(row: Row, title: str) -> Any:
    counts = row.evidence.confusions.sum((0, 1))
    names = ["background", *row.evidence.names.values()]
    shown = np.flatnonzero(counts.sum(0) + counts.sum(1))
    counts = counts[np.ix_(shown, shown)] / row.evidence.seeds
    note = "Each row in percent of its true cells; what is less than half a percent is left empty."
    seeds = f" Mean of {row.evidence.seeds} seeds." if row.evidence.seeds > 1 else ""
    return confusion_figure(counts, [names[i] for i in shown], title=f"{title}: {model_name(row)}", note=note + seeds)


def _across(rows: Sequence[Row]) -> Iterator[Drawing]:
    """Figures over several datasets: heads side by side, and the size of encoders."""
    protocols: dict[str, list[Row]] = {}
    for row in rows:
        protocols.setdefault(str(row.facts["protocol"]), []).append(row)
    for protocol, own in protocols.items():
        with_heads = [row for block in _in_blocks(own) for row in _with_several_heads(block)]
        blocks = _in_blocks(with_heads)
        for start in range(0, len(blocks), MOST_PANELS):
            shown = blocks[start : start + MOST_PANELS]
            number = f"-{start // MOST_PANELS + 1}" if len(blocks) > MOST_PANELS else ""
            yield Drawing(safe_name(f"{protocol}-heads{number}"), partial(_heads, shown))
        sized = [table for block in _in_blocks(own) if (table := sizes(block)) is not None]
        if sized:
            yield Drawing(safe_name(f"{protocol}-scaling"), partial(_scaling, sized))


def _with_several_heads(block: Sequence[Row]) -> list[Row]:
    ours = [row for row in on_same_nuclei(block) if row.facts["head"] != ELSEWHERE]
    frozen = [row for row in ours if row.facts["encoder"] != SUPERVISED]
    heads: dict[str, set[str]] = {}
    for row in frozen:
        heads.setdefault(str(row.facts["encoder"]), set()).add(head_name(row))
    return ours if any(len(found) > 1 for found in heads.values()) else []


def _heads(blocks: Sequence[Sequence[Row]]) -> Any:
    table = pd.DataFrame(
        {"dataset": _panel(row), "encoder": str(row.facts["encoder"]), "head": head_name(row), **_interval(row)}
        for block in blocks
        for row in block
    )
    told = (
        sampled(blocks[0])
        if len(blocks) == 1
        else "; ".join(f"{_panel(b[0])}: {sampled(b)[:-1]}" for b in blocks) + "."
    )
    title = f"{_panel(blocks[0][0])}: heads" if len(blocks) == 1 else "Heads on every encoder"
    note = f"Points: macro F1; bars: {told} gain: the largest head less the smallest."
    return heads_figure(table, title=title, note=note)


def _panel(row: Row) -> str:
    return f"{row.facts['dataset']}, {row.facts['split']}"


def sizes(block: Sequence[Row]) -> pd.DataFrame | None:
    """Scores and sizes of the encoders of a block, with the largest head that most of them have; None for too few."""
    cards = {str(row.facts["encoder"]): size_of(str(row.facts["encoder"])) for row in block}
    known = [row for row in on_same_nuclei(block) if cards[str(row.facts["encoder"])]]
    counts = {
        head: len({str(r.facts["encoder"]) for r in known if head_name(r) == head}) for head in map(head_name, known)
    }
    if not counts or max(counts.values()) < FEWEST_SIZES:
        return None
    most = max(counts.values())
    head = max((h for h in counts if counts[h] == most), key=lambda h: HEADS.index(h) if h in HEADS else -1)
    chosen = [row for row in known if head_name(row) == head]
    table = pd.DataFrame(
        {
            "dataset": _panel(row),
            "encoder": str(row.facts["encoder"]),
            **_interval(row),
            **cards[str(row.facts["encoder"])],
        }
        for row in chosen
    )
    return table.assign(head=head, note=sampled(chosen))


def size_of(encoder: str) -> dict[str, float]:
    """Parameters of an encoder that ships with us, and the slides that its card says it was trained on."""
    path = shipped().get(encoder)
    if path is None:
        return {}
    card = read_recipe(path).card
    slides = slides_of(card.training_data)
    found = {"parameters": card.parameters, "slides": slides}
    return {name: float(value) for name, value in found.items() if value}


def slides_of(training_data: str) -> float | None:
    """Slides that the words of a card speak of: `3.1 million H&E and IHC slides`, `58,000 slides`."""
    found = re.search(r"([\d.,]*\d)( million)? (?:(?!tiles\b|of\b)[\w&]+ ){0,4}?slides", training_data)
    if found is None:
        return None
    return float(found[1].replace(",", "")) * (1e6 if found[2] else 1)


def _scaling(tables: Sequence[pd.DataFrame]) -> Any:
    table = pd.concat(tables, ignore_index=True)
    heads = ", ".join(f"{t['dataset'].iloc[0]}: {t['head'].iloc[0]}, {t['note'].iloc[0][:-1]}" for t in tables)
    return scaling_figure(table, title="Size of the encoder", note=f"Points: macro F1; bars: {heads}.")


def _shifts(rows: Sequence[Row]) -> Iterator[Drawing]:
    """From the base split of a dataset to each of its others."""
    splits = dict.fromkeys(
        (str(row.facts["dataset"]), str(row.facts["protocol"]), str(row.facts["split"])) for row in rows
    )
    for dataset, protocol, split in splits:
        if split == BASE or (dataset, protocol, BASE) not in splits:
            continue
        own = [r for r in rows if (str(r.facts["dataset"]), str(r.facts["protocol"])) == (dataset, protocol)]
        both = [(one, two) for one in own for two in own if _shifted(one, two, split)]
        if both:
            name = safe_name(f"{dataset}-{BASE}-to-{split}-{protocol}-shift")
            yield Drawing(name, partial(_shift, both, f"{dataset}: from {BASE} to {split}", split))


def _shifted(one: Row, two: Row, split: str) -> bool:
    return (one.facts["split"], two.facts["split"]) == (BASE, split) and model_name(one) == model_name(two)


def _shift(both: Sequence[tuple[Row, Row]], title: str, split: str) -> Any:
    found = [ShiftedRow(one, two, shift(one.evidence, two.evidence)) for one, two in both]
    found.sort(key=lambda row: -row.shift.macro_f1.base)
    models = pd.DataFrame({"series": model_name(row.base), **_change(row.shift.macro_f1)} for row in found)
    best = found[0]
    classes = pd.DataFrame({"class": score.name, **_change(score)} for score in best.shift.classes)
    one, two = best.shift.clusters
    kinds = _plural(best.shift.kind)
    note = (
        f"Brackets: 95 % intervals of the change, {one:,} and {two:,} {kinds} resampled. By class: "
        f"{model_name(best.base)}. "
        f"{best.base.intervals.cells:,} nuclei in {BASE}, {best.shifted.intervals.cells:,} in {split}."
    )
    return shift_figure(models, classes, names=(BASE, split), title=title, note=note)


def _change(score: Any) -> dict[str, float]:
    return {"base": score.base, "shifted": score.shifted, "low": score.change.low, "high": score.change.high}


def _efficiencies(rows: Sequence[Row]) -> Iterator[Drawing]:
    """Of each dataset, split and protocol with models at two shares of the training fields, or more."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        if not _unknown(row.facts["fraction"]) and row.facts["fraction"] is not None:
            groups.setdefault(tuple(str(row.facts[n]) for n in ("dataset", "split", "protocol")), []).append(row)
    for group in groups.values():
        shares: dict[str, set[float]] = {}
        for row in group:
            shares.setdefault(model_name(row), set()).add(float(row.facts["fraction"]))
        several = [row for row in group if len(shares[model_name(row)]) > 1]
        if several:
            yield Drawing(f"{file_name(several[0])}-efficiency", partial(_efficiency, several))


def _efficiency(rows: Sequence[Row]) -> Any:
    table = pd.DataFrame(
        {"dataset": _panel(r), "series": model_name(r), "fraction": float(r.facts["fraction"]), **_interval(r)}
        for r in rows
    )
    if table.empty:
        raise InputError("has no row", where="table of data efficiency", remedy="Run several fractions")
    note = f"Points: macro F1; bars: {sampled(rows)}"
    return efficiency_figure(table, title=f"{_panel(rows[0])}: data efficiency", note=note)
