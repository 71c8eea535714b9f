"""The audit of an imported dataset: what is there, whether it fits together, and whether it is what it should be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from cryostat.cells.audit.counting import class_findings, count_rows
from cryostat.cells.audit.duplicates import Duplicate, find_duplicates
from cryostat.cells.audit.fields import Look, field_findings, look_at, orientation_finding, size_findings
from cryostat.cells.audit.parts import part_findings
from cryostat.cells.audit.report import AuditReport, CountRow, Finding, Severity, places, worst_first
from cryostat.cells.audit.truth import formats, tile_supports, truth_findings
from cryostat.cells.dataset import CellDataset, Split
from cryostat.cells.splits.grouping import values
from cryostat.core.errors import SettingError
from cryostat.core.progress import track

__all__ = ["AuditReport", "CountRow", "Duplicate", "Finding", "Severity", "audit", "find_duplicates", "tile_supports"]


def audit(dataset: CellDataset, *, known_as: str | None = None) -> AuditReport:
    """Check a dataset: counts, known truth, splits, duplicates, masks, images, sizes.

    Args:
        dataset: The dataset.
        known_as: Format whose published counts it should meet; by default the format that has the dataset's name.

    Raises:
        SettingError: Nothing is known of the format `known_as`.
    """
    if known_as is not None and known_as not in formats():
        raise SettingError(
            f"no counts are known of a format {known_as!r}", remedy=f"Choose one of: {', '.join(sorted(formats()))}"
        )
    splits = [dataset.split(name) for name in dataset.split_names()]
    looks = [look_at(dataset, fov) for fov in track(list(dataset.fovs.index), f"Looking at {dataset.name}")]
    rows = list(count_rows(dataset, splits))
    findings = [
        *field_findings(looks),
        *orientation_finding(looks),
        *size_findings(dataset),
        *class_findings(dataset, rows),
        *part_findings(dataset, splits),
        *_duplicate_findings(looks, splits),
        *_excluded(dataset),
    ]
    if all(look.whole for look in looks):
        findings += truth_findings(dataset, splits, known_as or dataset.name)
    return AuditReport(
        dataset.name,
        dataset.identity,
        len({value for value in values(dataset.fovs, "patient").values() if value is not None}),
        len({value for value in values(dataset.fovs, "site").values() if value is not None}),
        worst_first(findings),
        tuple(rows),
    )


def _duplicate_findings(looks: Sequence[Look], splits: Sequence[Split]) -> Iterator[Finding]:
    seen = {look.fov_id: look.thumbnail for look in looks if look.thumbnail is not None}
    pairs = find_duplicates(list(seen), list(seen.values()))
    for split in splits:
        across = [pair for pair in pairs if _across(split, pair)]
        if across:
            yield Finding(
                "error",
                "same tissue in two parts",
                f"pairs of fields with the same tissue in different parts of split {split.name!r}: {len(across)}",
                places([f"{_say(pair)}, {split.parts[pair.first]}/{split.parts[pair.second]}" for pair in across]),
                "Remove one of each pair, or put both into one part",
            )
    harmless = [pair for pair in pairs if not any(_across(split, pair) for split in splits)]
    if harmless:
        yield Finding(
            "note",
            "same tissue twice",
            f"pairs of fields with the same tissue, in no split across parts: {len(harmless)}",
            places([_say(pair) for pair in harmless]),
        )


def _across(split: Split, pair: Duplicate) -> bool:
    first, second = split.parts.get(pair.first), split.parts.get(pair.second)
    return first is not None and second is not None and first != second


def _say(pair: Duplicate) -> str:
    turned = ", turned or mirrored" if pair.turned else ""
    return f"{pair.first} = {pair.second} ({pair.overlap:.0%} of the area{turned})"


def _excluded(dataset: CellDataset) -> Iterator[Finding]:
    path = dataset.folder / "excluded.parquet"
    if not path.exists():
        return
    table = pd.read_parquet(path)
    yield Finding(
        "warning",
        "excluded fields",
        f"fields of the source left out at import: {len(table)}",
        places([f"{row.fov_id} ({row.reason})" for row in table.itertuples()]),
        "Mend these files and import again, or say in your report that they are missing",
    )
