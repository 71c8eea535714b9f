from __future__ import annotations

import contextlib
import gzip
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from cryostat.cases.embeddings.files import read_embedding
from cryostat.cases.embeddings.formats import Format, file_format
from cryostat.core.errors import CryostatError, InputError

VALUES = np.arange(12, dtype=np.float32).reshape(4, 3)
COORDS = np.array([[0, 0], [512, 0], [0, 512], [512, 512]])


def hdf5(path: Path, features: np.ndarray, coords: np.ndarray | None = COORDS, name: str = "features", **attrs) -> None:
    with h5py.File(path, "w") as handle:
        handle[name] = features
        if coords is not None:
            handle["coords"] = coords
            handle["coords"].attrs.update(attrs)


def parquet(path: Path) -> None:
    pd.DataFrame(VALUES, columns=["a", "b", "c"]).to_parquet(path)


WRITERS: dict[str, Callable[[Path], None]] = {
    "array.npy": lambda p: np.save(p, VALUES),
    "half.npy": lambda p: np.save(p, VALUES.astype(np.float16)),
    "whole.npy": lambda p: np.save(p, VALUES.astype(np.int64)),
    "leading.npy": lambda p: np.save(p, VALUES[None]),
    "archive.npz": lambda p: np.savez(p, embedding=VALUES, coords=COORDS),
    "clam.h5": lambda p: hdf5(p, VALUES),
    "trident.h5": lambda p: hdf5(p, VALUES[None], COORDS[None], patch_size_level0=512),
    "gigapath.h5": lambda p: hdf5(p, VALUES, COORDS.astype(np.float32)),
    "other.h5": lambda p: hdf5(p, VALUES, name="uni_v2"),
    "bf16.safetensors": lambda p: save_file({"feats": torch.from_numpy(VALUES).bfloat16()}, p),
    "tensor.pt": lambda p: torch.save(torch.from_numpy(VALUES), p),
    "dict.pt": lambda p: torch.save({"features": torch.from_numpy(VALUES), "name": "A"}, p),
    "old.pt": lambda p: torch.save(torch.from_numpy(VALUES), p, _use_new_zipfile_serialization=False),
    "table.parquet": parquet,
    "table.csv": lambda p: pd.DataFrame(VALUES, columns=["a", "b", "c"]).to_csv(p, index=False),
    "table.tsv": lambda p: pd.DataFrame(VALUES, columns=["a", "b", "c"]).to_csv(p, index=False, sep="\t"),
    "index.csv": lambda p: pd.DataFrame(VALUES, columns=["a", "b", "c"]).to_csv(p),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_vectors(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name)
    found = read_embedding(tmp_path / name)
    np.testing.assert_array_equal(found.values, VALUES)
    assert found.values.dtype == np.float32
    assert found.tiles == 4


@pytest.mark.parametrize("name", ["array.npy", "clam.h5", "archive.npz", "tensor.pt", "bf16.safetensors"])
def test_a_wrong_ending_does_not_matter(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name)
    os.rename(tmp_path / name, tmp_path / "slide.features")
    np.testing.assert_array_equal(read_embedding(tmp_path / "slide.features").values, VALUES)


def test_the_side_of_tiles_is_read_from_trident_and_clam(tmp_path: Path) -> None:
    hdf5(tmp_path / "t.h5", VALUES, patch_size_level0=512, patch_size=256)
    hdf5(tmp_path / "c.h5", VALUES, patch_size=256, downsample=(4.0, 4.0))
    hdf5(tmp_path / "g.h5", VALUES)
    assert [read_embedding(tmp_path / name).tile_side for name in ("t.h5", "c.h5", "g.h5")] == [512, 1024, None]


def test_a_slide_vector_weighs_as_many_tiles_as_it_has_places(tmp_path: Path) -> None:
    hdf5(tmp_path / "slide.h5", VALUES[0])
    assert read_embedding(tmp_path / "slide.h5").tiles == 4


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty.npy": (lambda p: p.write_bytes(b""), "is empty"),
    "nan.npy": (lambda p: np.save(p, np.array([[1, 2], [np.nan, 3]])), "1 of 2 vectors hold numbers that are not"),
    "over.npy": (lambda p: np.save(p, np.array([[np.inf, 2]], np.float16)), "half precision ends at 65,504"),
    "wide.npy": (lambda p: np.save(p, np.array([[1e300, 2]])), "not finite"),
    "none.npy": (lambda p: np.save(p, np.zeros((0, 8), np.float32)), r"holds no vector, its shape is \(0, 8\)"),
    "deep.npy": (lambda p: np.save(p, np.zeros((2, 3, 4))), r"has the shape \(2, 3, 4\)"),
    "words.npy": (lambda p: np.save(p, np.array(["a", "b"])), "not numbers"),
    "pickled.npy": (lambda p: np.save(p, np.array([{}], object)), "pickled"),
    "code.pt": (lambda p: torch.save(Path("x"), p), "could run code"),
    "code.pkl": (lambda p: p.write_bytes(pickle.dumps(Path("x"))), "could run code"),
    "two.npz": (lambda p: np.savez(p, a=VALUES, b=VALUES), r"which array holds the features \(it holds a \(4, 3\), b"),
    "noise.bin": (lambda p: p.write_bytes(b"\x00\x01\x02\x03" * 20), "of no kind that is read here"),
    "packed.gz": (lambda p: p.write_bytes(gzip.compress(b"text")), "of no kind"),
    "report.txt": (lambda p: p.write_text("Patient Smith, glioma"), "holds text, not features"),
    "text.zip": (lambda p: zipfile.ZipFile(p, "w").writestr("a.txt", "b"), "of no kind"),
    "noheader.csv": (lambda p: p.write_text("0.5,0.25\n1,2\n"), "begins with numbers"),
    "words.csv": (lambda p: p.write_text("name,when\nSmith,2001.01.01\n"), "holds no column of numbers"),
    "gone.npy": (lambda p: None, "does not exist"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_used_says_why(name: str, tmp_path: Path) -> None:
    make, reason = BROKEN[name]
    make(tmp_path / name)
    with pytest.raises(InputError, match=reason) as caught:
        read_embedding(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert "Smith" not in str(caught.value)


@pytest.mark.parametrize("name", WRITERS)
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.floats(0, 0.99), flip=st.integers(0, 2**16))
def test_damage_ends_in_our_error_or_in_numbers(name: str, cut: float, flip: int, tmp_path: Path) -> None:
    path = tmp_path / name
    WRITERS[name](path)
    content = bytearray(path.read_bytes())
    for damaged in (content[: int(len(content) * cut)], content):
        if damaged is content:
            damaged[flip % len(content)] ^= 1 + flip % 255
        path.write_bytes(damaged)
        with contextlib.suppress(CryostatError):
            assert read_embedding(path).values.ndim == 2


def test_volumes_are_told_by_their_header(tmp_path: Path) -> None:
    header = bytearray(352)
    header[344:348] = b"n+1\0"
    (tmp_path / "a.nii").write_bytes(header)
    (tmp_path / "b.gz").write_bytes(gzip.compress(bytes(header)))
    assert file_format(tmp_path / "a.nii") is file_format(tmp_path / "b.gz") is Format.NIFTI
