"""Made-up results, of a realistic size, for each figure."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
from matplotlib.figure import Figure

from cryostat.report import figures as f
from cryostat.results.cases.contribution import Contribution, Contributions
from cryostat.results.cases.subsets import all_subsets
from cryostat.results.cases.waiting import Waiting
from cryostat.results.uncertainty import Estimate

ENCODERS = {
    "uni2-h": (0.684, 0.729),
    "virchow2": (0.689, 0.735),
    "uni": (0.636, 0.716),
    "prov-gigapath": (0.655, 0.697),
    "musk": (0.571, 0.722),
    "phikon-v2": (0.607, 0.697),
}
CLASSES = {
    "Macrophages/Monocytes": 9416,
    "T cells": 8505,
    "Tumor cells": 6839,
    "Smooth muscle": 3814,
    "Granulocytes": 2883,
    "Stroma": 2770,
    "B cells": 2359,
    "Vasculature/Lymphatics": 2074,
    "Other": 1841,
    "Plasma cells": 1509,
    "Dendritic cells": 417,
    "Adipocytes": 248,
    "Nerves": 170,
    "NK cells": 12,
}
MODALITIES = ("mri", "wsi", "report")
NOTE = "Points: macro F1; bars: 95 % intervals from 24 patients resampled; 162,374 nuclei; means over 3 seeds."


def about(value: float, reach: float = 0.03) -> dict[str, float]:
    return {"value": value, "low": value - reach, "high": value + reach}


def ranking() -> pd.DataFrame:
    rows = [(f"{e} · {h}", v, h) for e, vs in ENCODERS.items() for h, v in zip(("linear", "unetr"), vs, strict=True)]
    return pd.DataFrame({"label": n, "kind": h, "rank": 1 + (v < 0.7), **about(v)} for n, v, h in rows)


def differences() -> pd.DataFrame:
    gaps = {e: 0.729 - vs[1] for e, vs in ENCODERS.items() if e != "uni2-h"}
    return pd.DataFrame(
        {
            "first": "uni2-h · unetr",
            "second": f"{e} · unetr",
            "difference": g,
            "low": g - 0.02,
            "high": g + 0.02,
            "p": 0.04,
        }
        for e, g in gaps.items()
    )


def heads(datasets: tuple[str, ...] = ("Lizard", "PanNuke", "Arctique", "PathoCell")) -> pd.DataFrame:
    rows = [
        {"dataset": d, "encoder": e, "head": h, **about(v - i * 0.1)}
        for i, d in enumerate(datasets)
        for e, vs in (ENCODERS | {"none": (0.755,)}).items()
        for h, v in zip(("hovernext",) if e == "none" else ("linear", "unetr"), vs, strict=True)
    ]
    return pd.DataFrame(rows)


def classes() -> pd.DataFrame:
    return pd.DataFrame(
        {"class": c, "support": n, "series": s, "clusters": 9, **about(0.1 + 0.04 * i - 0.02 * k, 0.05)}
        for k, s in enumerate(("uni2-h · unetr", "virchow2 · unetr", "uni · unetr"))
        for i, (c, n) in enumerate(CLASSES.items())
    )


def shift() -> tuple[pd.DataFrame, pd.DataFrame]:
    models = [{"series": e, "base": vs[1], "shifted": vs[0], "low": -0.1, "high": -0.01} for e, vs in ENCODERS.items()]
    by_class = {
        "Neutrophil": (0.59, 0.41),
        "Epithelial": (0.98, 0.98),
        "Plasma": (0.55, 0.49),
        "Eosinophil": (0.6, 0.6),
    }
    rows = [
        {"class": c, "base": a, "shifted": b, "low": b - a - 0.02, "high": b - a + 0.02}
        for c, (a, b) in by_class.items()
    ]
    return pd.DataFrame(models), pd.DataFrame(rows)


def scaling() -> pd.DataFrame:
    sizes = {
        "uni2-h": 681e6,
        "virchow2": 631e6,
        "uni": 303e6,
        "prov-gigapath": 1135e6,
        "musk": 304e6,
        "phikon-v2": 303e6,
    }
    slides = {"uni2-h": 350e3, "virchow2": 3.1e6, "uni": 100426, "prov-gigapath": 171189, "phikon-v2": 58e3}
    return pd.DataFrame(
        {"dataset": "Lizard", "encoder": e, "parameters": sizes[e], "slides": slides.get(e), **about(vs[1])}
        for e, vs in ENCODERS.items()
    )


def efficiency() -> pd.DataFrame:
    shares = (0.01, 0.05, 0.1, 0.2, 0.5, 1.0)
    return pd.DataFrame(
        {"dataset": d, "series": e, "fraction": s, **about(vs[1] - 0.1 * (1 - s))}
        for d in ("Lizard", "PathoCell")
        for e, vs in ENCODERS.items()
        for s in shares
    )


def lattice(methods: tuple[str, ...] = ("core-bt", "all-subsets", "nearest-mean")) -> pd.DataFrame:
    return pd.DataFrame(
        {"offered": s, "series": m, "n": 561 - 40 * i, **about(0.5 + 0.04 * i - 0.01 * k)}
        for k, m in enumerate(methods)
        for i, s in enumerate(all_subsets(MODALITIES))
    )


def contributions() -> Contributions:
    rows = tuple(
        Contribution(m, v, v - 0.06, v + 0.07, v + 0.1, v - 0.03)
        for m, v in zip(MODALITIES, (0.2, 0.1, -0.02), strict=True)
    )
    return Contributions("balanced_accuracy", "mri+wsi+report", 43, 0.5, 0.78, rows)


def rates(along: str) -> pd.DataFrame:
    return pd.DataFrame(
        {"series": m, along: i / 10, **about(0.85 - 0.03 * i - 0.02 * k, 0.05)}
        for k, m in enumerate(("core-bt", "all-subsets", "nearest-mean", "moe"))
        for i in range(11)
    )


def calibration() -> pd.DataFrame:
    bins = [(0.5, 0.15, 0.42), (0.6, 0.1, 0.7), (0.7, 0.1, 0.76), (0.8, 0.15, 0.88), (0.9, 0.5, 0.93)]
    return pd.DataFrame(
        {"from": a, "to": a + 0.1, "share": s, "confidence": a + 0.05, "accuracy": v, "low": v - 0.06, "high": v + 0.06}
        for a, s, v in bins
    )


def waiting() -> Waiting:
    shares = [i / 20 for i in range(21)]
    curve = pd.DataFrame(
        {"metric": "balanced_accuracy", "waiting": s, **about(0.8 + 0.1 * s, 0.06), "by_chance": 0.8 + 0.08 * s}
        for s in shares
    )
    return Waiting(
        "mri",
        "mri+wsi",
        49,
        {"balanced_accuracy": Estimate(0.1, 0.02, 0.19)},
        Estimate(0.2, 0.1, 0.3),
        Estimate(0.05, 0.01, 0.1),
        curve,
        pd.DataFrame(),
    )


DRAWINGS: dict[str, Callable[[], Figure]] = {
    "ranking": lambda: f.ranking_figure(ranking(), title="Lizard, base", note=NOTE),
    "ranking-wide": lambda: f.ranking_figure(ranking(), width=f.DOUBLE),
    "differences": lambda: f.differences_figure(differences(), title="Lizard, base: against the best", note=NOTE),
    "differences-of-many": lambda: f.differences_figure(differences().assign(first=[*"abcde"]), note=NOTE),
    "heads": lambda: f.heads_figure(heads(), title="Heads on every encoder", note=NOTE),
    "heads-of-one": lambda: f.heads_figure(heads(("Lizard",)), title="Lizard: heads", note=NOTE),
    "classes": lambda: f.classes_figure(classes(), title="PathoCell, base: cell types", note=NOTE),
    "confusion": lambda: f.confusion_figure(
        [[40, 10, 20, 30], [5, 400, 20, 60], [10, 30, 500, 90], [0, 0, 0, 0]],
        ["Other", "Inflammatory", "Epithelial", "Spindle-shaped"],
        title="CoNSeP: stain-filters · linear",
        note="Each row in percent of its true cells.",
    ),
    "confusion-of-many": lambda: f.confusion_figure(
        [[n if i == j else n // 30 for j in range(14)] for i, n in enumerate(CLASSES.values())], list(CLASSES)
    ),
    "shift": lambda: f.shift_figure(*shift(), title="Lizard: from base to glas", note=NOTE),
    "shift-narrow": lambda: f.shift_figure(*shift(), title="Lizard: from base to glas", note=NOTE, width=f.COLUMN),
    "shift-of-models": lambda: f.shift_figure(shift()[0], width=f.COLUMN),
    "scaling": lambda: f.scaling_figure(scaling(), title="Size of the encoder", note=NOTE),
    "scaling-narrow": lambda: f.scaling_figure(scaling().drop(columns="slides"), note=NOTE),
    "efficiency": lambda: f.efficiency_figure(efficiency(), title="Data efficiency", note=NOTE),
    "lattice": lambda: f.lattice_figure(lattice(), MODALITIES, chance=0.5, title="Glioma, idh: modalities", note=NOTE),
    "lattice-of-one": lambda: f.lattice_figure(lattice(("core-bt",)), MODALITIES, note=NOTE),
    "methods": lambda: f.methods_figure(lattice(), MODALITIES, title="Glioma, idh: methods", note=NOTE),
    "contributions": lambda: f.contributions_figure(contributions(), title="What each modality adds", note=NOTE),
    "missing-rate": lambda: f.missing_rate_figure(rates("rate"), title="Missing modalities", note=NOTE),
    "abstention": lambda: f.abstention_figure(rates("answered").query("answered > 0 and series != 'moe'"), note=NOTE),
    "calibration": lambda: f.calibration_figure(calibration(), title="Calibration", note=NOTE),
    "waiting": lambda: f.waiting_figure(waiting(), title="Wait for slides?", note=NOTE),
}
"""Name to what draws the figure."""
