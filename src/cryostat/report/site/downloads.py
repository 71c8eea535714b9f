"""The tables of a report as files: CSV, JSON, a LaTeX table, a list of citations."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cryostat.report.site.case_data import METRIC
from cryostat.report.site.data import CaseBoard, CellBoard, CellRow, Study
from cryostat.report.site.ladder_data import ladder_rows_of
from cryostat.results.uncertainty import Estimate

Table = list[dict[str, Any]]

TEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "·": r"\textperiodcentered{}",
    "µ": r"\textmu{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "†": r"\textdagger{}",
}
"""What LaTeX would take for a command."""

OURS = """@misc{cryostat,
  title = {{Cryostat}: what frozen foundation models of oncology imaging can do},
  note = {Software, version %s}
}
"""


@dataclass(frozen=True)
class Download:
    """A file to be offered: name, text, and what it holds."""

    file: str
    text: str
    about: str


def downloads(study: Study, version: str) -> tuple[Download, ...]:
    """All files of a report besides its pages and pictures."""
    tables = {
        "cells": (cell_table(study), "leaderboards of cells: every row with intervals and rank"),
        "classes": (class_table(study), "F1 of every class of every row"),
        "confusion": (confusion_table(study), "cells by true and predicted class"),
        "shift": (shift_table(study), "the same model on other test parts"),
        "ladders": (ladder_rows_of(study.ladders), "macro F1 at every step of every perturbation, and what is lost"),
        "cases": (case_table(study), "leaderboards of cases: every metric of every run"),
        "lattice": (lattice_table(study), "every subset of the modalities offered"),
        "runs": (run_table(study), "every run: settings, time, machine, and where its predictions are"),
    }
    found: list[Download] = []
    for name, (table, about) in tables.items():
        if table:
            found += [Download(f"data/{name}.csv", csv_text(table), about)]
    if ladders := tables["ladders"][0]:
        found.append(Download("data/ladders.json", json_text({"ladders": ladders}), "the ladders as JSON"))
    everything = {name: table for name, (table, _) in tables.items() if table}
    found.append(Download("data/report.json", json_text(everything), "all of these tables in one file"))
    found.append(Download("paper.tex", paper_tex(study), "the leaderboards as LaTeX tables (booktabs)"))
    found.append(Download("citations.bib", citations(study, version), "what to cite for these data and models"))
    return tuple(found)


def _ends(name: str, e: Estimate) -> dict[str, float]:
    return {name: e.value, f"{name}_low": e.low, f"{name}_high": e.high}


def _cell_key(board: CellBoard, row: CellRow) -> dict[str, Any]:
    names = {"dataset": board.dataset, "split": board.split, "protocol": board.protocol}
    about = {
        "encoder": row.encoder,
        "head": row.head,
        "mode": row.mode,
        "variant": row.variant,
        "fraction": row.fraction,
    }
    return names | about | {"published": row.published, "printed": row.printed}


def _cell_rows(study: Study) -> Iterator[tuple[CellBoard, CellRow]]:
    return ((board, row) for board in study.cells for row in board.rows)


def cell_table(study: Study) -> Table:
    """A row a row of a leaderboard of cells."""
    return [
        _cell_key(board, row)
        | {"rank": row.rank}
        | _ends("macro_f1", row.macro_f1)
        | _ends("macro_f1_common", row.common_f1)
        | _ends("accuracy", row.accuracy)
        | {"seeds": row.seeds, "macro_f1_sd": row.sd, "p_best": row.p_best, "detectable": row.detectable}
        | {"cells": row.cells, "clusters": row.clusters, "cluster": row.cluster, "effective_clusters": row.effective}
        | {"doubtful": ", ".join(f"{c.name} ({c.effective:.0f})" for c in row.doubtful)}
        | {"marks": "; ".join(row.marks.values()), "runs": " ".join(row.runs)}
        for board, row in _cell_rows(study)
    ]


def class_table(study: Study) -> Table:
    """A row a class of a row."""
    return [
        _cell_key(board, row)
        | {"class": c.name, "cells": c.support, "rare": c.rare}
        | _ends("f1", c.f1)
        | {"clusters": c.clusters or None, "effective_clusters": c.effective, "doubtful": c.doubtful}
        for board, row in _cell_rows(study)
        for c in row.classes
    ]


def confusion_table(study: Study) -> Table:
    """A row a pair of true and predicted class."""
    return [
        _cell_key(board, row) | {"true": true, "predicted": predicted, "cells": row.confusion[i][j]}
        for board, row in _cell_rows(study)
        for i, true in enumerate(row.confusion_names)
        for j, predicted in enumerate(row.confusion_names)
        if row.confusion[i][j]
    ]


def shift_table(study: Study) -> Table:
    """A row a model, pair of splits and score."""
    return [
        {"dataset": dataset, "model": r.name, "base_split": r.base, "shifted_split": r.shifted, "score": s.name}
        | {"base": s.base, "shifted": s.shifted, "matched": s.matched}
        | _ends("change", s.change)
        | _ends("matched_change", s.matched_change)
        for dataset, results in study.shifts.items()
        for r in results
        for s in (*r.found.means, *r.found.classes)
    ]


def _case_key(board: CaseBoard, row: Any) -> dict[str, Any]:
    names = {"cohort": board.cohort, "task": board.task, "protocol": board.protocol, "split": board.split}
    return names | {"method": row.method, "variant": row.variant, "run_id": row.run_id}


def case_table(study: Study) -> Table:
    """A row a run and metric, and a row a published configuration and metric."""
    ours: Table = [
        _case_key(board, row)
        | {"rank": row.rank, "patients": board.patients, "metric": name}
        | _ends("value", e)
        | {"published": ""}
        for board in study.cases
        for row in board.rows
        for name, e in row.metrics.items()
    ]
    theirs: Table = [
        {"cohort": board.cohort, "task": board.task, "method": row.config, "metric": name}
        | {"value": value, "published": row.published}
        for board in study.cases
        for row in board.published
        for name, value in row.metrics.items()
    ]
    return ours + theirs


def lattice_table(study: Study) -> Table:
    """A row a run and subset of the modalities."""
    return [
        _case_key(board, row)
        | {"offered": "+".join(offer.members) or "nothing", "patients": offer.n, "metric": METRIC}
        | _ends("value", offer.score)
        for board in study.cases
        for row in board.rows
        for offer in row.offers
    ]


def run_table(study: Study) -> Table:
    """A row a run."""
    return [
        {"run_id": run.run_id, "benchmark": run.benchmark, "created": run.created}
        | {
            name: value if isinstance(value, str | int | float | bool) else str(value)
            for name, value in run.about.items()
        }
        | {f"seconds_{name}": value for name, value in run.seconds.items()}
        | {"device": run.device, "encoder_unchanged": run.frozen, "quirks": "; ".join(run.quirks)}
        | {"predictions": run.predictions}
        for run in study.runs
    ]


def csv_text(table: Table) -> str:
    """A table as CSV; what is unknown is empty. A text that a spreadsheet would run as a formula begins with '."""
    names = list(dict.fromkeys(name for row in table for name in row))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _csv_cell(row.get(name)) for name in names} for row in table)
    return stream.getvalue()


def _csv_cell(value: Any) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def json_text(value: Mapping[str, Table]) -> str:
    """Tables as JSON; what is unknown is null."""
    plain = {name: [{k: _json_cell(v) for k, v in row.items()} for row in table] for name, table in value.items()}
    return json.dumps(plain, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _json_cell(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def tex(text: str) -> str:
    """Text as LaTeX sets it, whatever it holds."""
    return "".join(TEX.get(c, c) if c.isprintable() else " " for c in text)


def paper_tex(study: Study) -> str:
    """A table for each leaderboard."""
    parts = ["% Tables of a Cryostat report; they need \\usepackage{booktabs}.", ""]
    for board in study.cells:
        caption = f"Macro F1 on {board.dataset}, split {board.split}, protocol {board.protocol}"
        rows = [
            [
                _rank(r.rank),
                r.encoder if r.encoder != "none" else "–",
                r.head + _share(r),
                _tex_value(r.macro_f1, r.doubt),
                _tex_value(r.accuracy, r.doubt),
            ]
            for r in board.rows
        ]
        marks = (
            "Rows that share a rank cannot be told apart. Brackets: 95\\,\\% intervals."
            + _doubts(board)
            + _sources(board)
        )
        parts.append(_tex_table(caption, marks, ["Rank", "Encoder", "Head", "Macro F1", "Accuracy"], rows))
    for board_ in study.cases:
        caption = f"{board_.task} on {board_.cohort}, {board_.patients} patients"
        metrics = [m for m in (METRIC, "macro_f1", "auroc") if any(m in r.metrics for r in board_.rows)]
        rows = [
            [_rank(r.rank), r.name, *(_tex_value(r.metrics[m]) if m in r.metrics else "–" for m in metrics)]
            for r in board_.rows
        ]
        rows += [
            ["–", f"{p.config} (published)", *(f"{p.metrics[m]:.3f}" if m in p.metrics else "–" for m in metrics)]
            for p in board_.published
        ]
        heads = ["Rank", "Method", *(m.replace("_", " ") for m in metrics)]
        note = "Brackets: 95\\,\\% intervals over patients." + _sources(board_)
        parts.append(_tex_table(caption, note, heads, rows))
    return "\n".join(parts)


def _sources(board: CellBoard | CaseBoard) -> str:
    """Where published rows are from, for a caption."""
    shown = [row.published for row in (board.rows if isinstance(board, CellBoard) else board.published)]
    found = [source for source in dict.fromkeys(shown) if source]
    return f" Published rows, of unknown intervals: {tex('; '.join(found))}." if found else ""


def _doubts(board: CellBoard) -> str:
    """What the mark behind intervals means, for a caption."""
    return "".join(tex(f" † {doubt.capitalize()}: the interval is likely too narrow.") for doubt in board.doubts)


def _rank(rank: int | None) -> str:
    return "–" if rank is None else str(rank)


def _share(row: CellRow) -> str:
    published = " (published)" if row.published else ""
    return (f" ({100 * row.fraction:g} % of training)" if row.fraction < 1 else "") + published


def _tex_value(e: Estimate, doubt: str = "") -> str:
    if math.isnan(e.value):
        return "–"
    return f"{e.value:.3f}" + ("" if math.isnan(e.low) else f" [{e.low:.3f}, {e.high:.3f}]{'†' if doubt else ''}")


def _tex_table(caption: str, note: str, heads: list[str], rows: Iterable[list[str]]) -> str:
    body = "\n".join("    " + " & ".join(tex(cell) for cell in row) + r" \\" for row in rows)
    return (
        "\\begin{table}\n  \\centering\n"
        f"  \\caption{{{tex(caption)}. {note}}}\n"
        f"  \\begin{{tabular}}{{r{'l' * (len(heads) - 1)}}}\n    \\toprule\n"
        f"    {' & '.join(map(tex, heads))} \\\\\n    \\midrule\n{body}\n    \\bottomrule\n"
        "  \\end{tabular}\n\\end{table}\n"
    )


def citations(study: Study, version: str) -> str:
    """What to cite, as BibTeX; citations are known as text, which stands in the notes."""
    found = {f"data-{name}": (facts.title or name, facts.citation) for name, facts in study.datasets.items()}
    found |= {f"model-{m.name}": (m.facts.get("Name in full", m.name), m.citation) for m in study.models}
    entries = [OURS % version]
    for name, (title, citation) in found.items():
        if citation:
            entries.append(f"@misc{{{_key(name)},\n  title = {{{tex(title)}}},\n  note = {{{tex(citation)}}}\n}}\n")
    return "\n".join(entries)


def _key(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]+", "-", name).strip("-")
