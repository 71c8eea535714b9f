"""What the `cryostat data` commands print."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cryostat.cli.tables import wide_console

if TYPE_CHECKING:
    from cryostat.cells.audit import AuditReport, CountRow
    from cryostat.cells.building import BuildReport
    from cryostat.cells.dataset import CellDataset, Split

STYLE = {"error": "bold red", "warning": "yellow", "note": "cyan"}
MOST_COLUMNS = 8
"""Classes that fit side by side; of more, the rarest are shown, and all with --json."""
PLURAL = {"error": "errors", "warning": "warnings", "note": "notes"}


def _table(title: str, *columns: str) -> Table:
    """A table without ornament; a column whose name ends in `>` is set flush right."""
    table = Table(title=Text(title), title_justify="left", title_style="bold", header_style="dim", box=None)
    for name in columns:
        table.add_column(name.rstrip(">"), justify="right" if name.endswith(">") else "left", overflow="fold")
    table.columns[0].no_wrap = True
    return table


def print_dataset(dataset: CellDataset) -> None:
    """One dataset: what it is, its classes with counts, its fields, patients, sites and splits."""
    import numpy as np

    console = wide_console()
    facts, fovs = dataset.facts, dataset.fovs
    shapes = sorted({(int(h), int(w)) for h, w in zip(fovs["height"], fovs["width"], strict=True)})
    scales = sorted({float(mpp) for mpp in np.round(fovs["mpp"].to_numpy(float), 4)})
    about = {
        "name": dataset.name,
        "fields of view": f"{len(fovs):,}, {_between([f'{h}×{w}' for h, w in shapes])} px",
        "scale": f"{_between([f'{mpp:g}' for mpp in scales])} µm per pixel",
        "patients": f"{fovs['patient_id'].nunique():,}" if fovs["patient_id"].notna().any() else "unknown",
        "sites": _names(fovs["site"].dropna().unique()) or "unknown",
        "groups": _names(c.removeprefix("group_") for c in fovs.columns if c.startswith("group_")) or "–",
        "splits": _names(families(dataset.split_names())) or "none; make one with: cryostat data split",
        "licence": str(facts.get("licence", "")),
        "identity": dataset.identity,
        "folder": str(dataset.folder),
    }
    console.print(Text(str(facts.get("title") or dataset.name), style="bold"))
    rows = _table("", "what", "value")
    rows.show_header, rows.title = False, None
    for what, value in about.items():
        rows.add_row(Text(what, style="dim"), Text(value))
    console.print(rows)
    console.print(_classes(dataset))
    for note in facts.get("notes", ()):
        console.print(Text(f"Note: {note}", style="dim"))
    excluded = dataset.folder / "excluded.parquet"
    if excluded.exists():
        console.print(Text("Some fields were left out; cryostat data audit lists them.", style="yellow"))


def _classes(dataset: CellDataset) -> Table:
    from cryostat.cells.audit.counting import class_table

    counts = class_table(dataset).sum()
    total = max(1, int(counts.sum()))
    ids = {c.name: str(c.id) for c in dataset.classes}
    table = _table("", "id>", "class", "nuclei>", "share>")
    table.title = None
    for name, n in counts.items():
        table.add_row(ids.get(str(name), "0"), Text(str(name)), f"{int(n):,}", f"{n / total:.1%}")
    table.add_row("", "all", f"{int(counts.sum()):,}", "", style="bold")
    return table


def _between(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else f"{values[0]} to {values[-1]}"


def _names(values: Iterable[Any], most: int = 12) -> str:
    names = [str(value) for value in values]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def families(names: Iterable[str]) -> list[str]:
    """Split names, the folds of one family as one: `5fold-0 … 5fold-4`."""
    found: dict[str, list[str]] = {}
    for name in names:
        match = re.fullmatch(r"(.*fold)-\d+", name)
        found.setdefault(match[1] if match else name, []).append(name)
    return [members[0] if len(members) == 1 else f"{members[0]} … {members[-1]}" for members in found.values()]


def print_datasets(datasets: Iterable[CellDataset]) -> None:
    """All datasets, one a row."""
    table = _table("Datasets", "name", "fields>", "nuclei>", "classes>", "patients>", "splits", "title")
    for dataset in datasets:
        patients = dataset.fovs["patient_id"]
        table.add_row(
            Text(dataset.name, style="cyan"),
            f"{len(dataset.fovs):,}",
            f"{int(dataset.facts['cells']):,}",
            str(len(dataset.classes)),
            f"{patients.nunique():,}" if patients.notna().any() else "–",
            Text(_names(families(dataset.split_names()), 6) or "–"),
            Text(str(dataset.facts.get("title", ""))),
        )
    wide_console().print(table)


def print_formats() -> None:
    """All formats: what they read, and their settings with the values they take."""
    from cryostat.cells.datasets.importing import FORMATS, load_format

    table = _table("Formats", "format", "reads", "settings (--set KEY=VALUE) with their defaults")
    for name in FORMATS:
        reader = load_format(name)
        lines = (reader.__doc__ or "").strip().splitlines()
        settings = getattr(reader, "SETTINGS", {})
        said = "\n".join(f"[cyan]{key}={s.default}[/]  {escape(s.meaning)}" for key, s in settings.items())
        table.add_row(f"[bold]{name}[/]", escape(lines[0] if lines else reader.FACTS.title), said)
    wide_console().print(table)


def print_splits(dataset: CellDataset, splits: Sequence[Split]) -> None:
    """Splits: fields and nuclei of each part, and whether patients straddle."""
    from cryostat.cells.audit.counting import count_rows
    from cryostat.cells.dataset import PARTS
    from cryostat.cells.splits import straddling

    rows = {(row.name, row.part): row for row in count_rows(dataset, splits) if row.scope == "split"}
    table = _table(f"Splits of {dataset.name}", "split", *(f"{part}>" for part in PARTS), "patients")
    known = dataset.fovs["patient_id"].notna().any()
    for split in splits:
        torn = straddling(split, dataset.fovs)
        verdict = f"[red]{len(torn)} straddle[/]" if torn else "[green]apart[/]" if known else "unknown"
        table.add_row(Text(split.name, style="cyan"), *(_part(rows[split.name, part]) for part in PARTS), verdict)
    console = wide_console()
    console.print(table)
    console.print(Text(f"Stored in {dataset.folder / 'splits'}", style="dim"))


def _part(row: CountRow) -> str:
    return f"{row.fields:,} fields, {row.cells:,} nuclei"


def print_audit(report: AuditReport) -> None:
    """Counts, then findings with their remedies, then the verdict."""
    from cryostat.cells.audit.report import SEVERITIES

    console = wide_console()
    console.print(_counts(report))
    console.print()
    for finding in report.findings:
        line = Text.assemble((f"{finding.severity:<8}", STYLE[finding.severity]), (finding.check, "bold"))
        console.print(line)
        remedy = f"→ {finding.remedy}" if finding.remedy else ""
        for text, style in ((finding.what, ""), (finding.where, "dim"), (remedy, "green")):
            if text:
                console.print(Padding(Text(text, style=style), (0, 0, 0, 9)))
    totals = [f"{len(report.of(s))} {PLURAL[s] if len(report.of(s)) != 1 else s}" for s in SEVERITIES]
    style = "green" if report.passed else "bold red"
    console.print(Text(f"{report.dataset}: {', '.join(totals)}", style=style))


def _counts(report: AuditReport) -> Table:
    classes = list(report.counts[0].per_class)
    wide = len(classes) > MOST_COLUMNS
    columns = ["fewest nuclei"] if wide else [f"{escape(name)}>" for name in classes]
    patients, sites = report.patients or "unknown", report.sites or "unknown"
    table = _table(f"{report.dataset}: patients {patients}, sites {sites}", "", "fields>", "nuclei>", *columns)
    for row in report.counts:
        label = {"all": "all", "site": f"site {row.name}", "split": f"{row.name} · {row.part}"}[row.scope]
        figures = [_fewest(row)] if wide else [f"{row.per_class[name]:,}" for name in classes]
        table.add_row(Text(label), f"{row.fields:,}", f"{row.cells:,}", *figures)
    return table


def _fewest(row: CountRow) -> str:
    rarest = sorted(row.per_class.items(), key=lambda item: item[1])[:3]
    return escape(", ".join(f"{name} {n:,}" for name, n in rarest))


def print_build(report: BuildReport) -> None:
    """What was built, what did not match, and which fields the quality report would leave out."""
    print_dataset(report.dataset)
    console = wide_console()
    proposed = report.qc[report.qc["reason"] != ""]
    told = {
        "rows that name no nucleus": report.unmatched,
        "nuclei removed, their phenotype having no class": report.removed,
        "nuclei that no row names": report.without_phenotype,
        "fields proposed for exclusion": len(proposed),
    }
    for what, n in told.items():
        console.print(Text(f"{n:,} {what}", style="yellow" if n else "dim"))
    if len(proposed):
        console.print(Text(f"  {_names(proposed['fov_id'])}"))
    for path in report.files:
        console.print(Text(f"Quality report: {path}", style="dim"))
