"""A cohort of seven patients whose counts can be checked by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

TABLE = """patient_id,mri,wsi,report,family,grade,centre,part,sex
007,007,w/007.npy,r/007.txt,glioblastoma,4,A,train,f
008,008,w/008_1.npy;w/008_2.npy,,glioblastoma,4,A,train,m
009,,w/009_*.npy,r/009.txt,astrocytoma,2,A,test,m
010,,w/010.npy,r/010.txt,oligodendroglioma,3,B,train,f
011,,w/011.npy,r/011.txt,mixed glioma,NA,B,test,f
012,,,r/012.txt,astrocytoma,2,B,train,m
013,,,,oligodendroglioma,,,test,m
"""
"""Patterns: wsi+report 3 (009, 010, 011); all 1; mri+wsi 1; report 1; nothing 1."""

MANIFEST = """
[cohort]
name = "seven"
table = "cohort.csv"
site = "centre"
split = "part"
groups = ["sex"]
patients = 7

[modalities.mri]
column = "mri"
table = "mri.csv"
key = "patient_id"

[modalities.wsi]
column = "wsi"

[modalities.report]
column = "report"
encoder = "tfidf"

[tasks.family]
column = "family"
classes = ["astrocytoma", "oligodendroglioma", "glioblastoma"]
[tasks.family.partial]
"mixed glioma" = ["astrocytoma", "oligodendroglioma"]

[tasks.grade]
column = "grade"
classes = ["2", "3", "4"]
ordinal = true
"""

SLIDES = ("007", "008_1", "008_2", "009_2", "009_10", "010", "011")
REPORTS = ("007", "009", "010", "011", "012")


@pytest.fixture
def seven(tmp_path: Path) -> Path:
    """The folder of the cohort, with `cohort.toml`, its table and its files."""
    (tmp_path / "w").mkdir()
    (tmp_path / "r").mkdir()
    for number, name in enumerate(SLIDES):
        np.save(tmp_path / "w" / f"{name}.npy", np.full((2, 4), number, np.float32))
    for name in REPORTS:
        (tmp_path / "r" / f"{name}.txt").write_text(f"Report of {name}")
    (tmp_path / "mri.csv").write_text("patient_id,volume,texture\n007,1.5,2\n008,2.5,inf\n")
    (tmp_path / "cohort.csv").write_text(TABLE)
    (tmp_path / "cohort.toml").write_text(MANIFEST)
    return tmp_path


@pytest.fixture
def altered(seven: Path) -> Callable[..., Path]:
    """Replaces text in a file of the cohort and returns the manifest."""

    def alter(file: str, old: str, new: str) -> Path:
        path = seven / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        return seven / "cohort.toml"

    return alter
