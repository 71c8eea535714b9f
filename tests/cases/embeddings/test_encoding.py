from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest

from cryostat.cases.cohort import load_cohort
from cryostat.cases.embeddings import gather
from cryostat.cases.embeddings.arrays import Embedding
from cryostat.cases.embeddings.encoded import _named
from cryostat.cases.embeddings.encoding import Shelf, checked_options, slide_vector
from cryostat.core.errors import CryostatError, InputError, SettingError
from cryostat.core.home import Home
from cryostat.encoders.text.base import TextEncoder


class Lengths(TextEncoder):
    """Length and number of words of a text."""

    name = "lengths"
    width = 2

    def identity(self) -> dict[str, str]:
        return {"encoder": self.name}

    def _embed(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([[len(text), len(text.split())] for text in texts], np.float32)


def test_texts_are_encoded_once_and_stored_without_their_words_or_whose_they_are(
    tmp_path: Path, make_cohort, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cryostat.encoders.text.load_text_encoder", lambda name, weights=None, device="auto": Lengths())
    (tmp_path / "smith.txt").write_text("a glioma")
    cohort = make_cohort(["smith.txt", "", "gone.txt"], 'encoder = "lengths"')
    evidence = gather(cohort, home)
    np.testing.assert_array_equal(evidence.modalities["m"].values[0], [8, 2])
    assert evidence.present[:, 0].tolist() == [True, False, False]
    stored = [path for path in home.root.rglob("*") if path.is_file()]
    assert len(stored) == 1
    assert b"glioma" not in stored[0].read_bytes()
    assert not any(word in str(stored[0].relative_to(home.root)) for word in ("smith", "glioma", "p0"))
    monkeypatch.setattr(Lengths, "_embed", lambda *_: pytest.fail("was encoded again"))
    np.testing.assert_array_equal(gather(cohort, home).modalities["m"].values, evidence.modalities["m"].values)


class Corner:
    """A stand-in for a slide encoder: the lowest right place of the tiles."""

    card = SimpleNamespace(needs_coordinates=True)

    def encode(self, tiles: np.ndarray, where: object) -> SimpleNamespace:
        return SimpleNamespace(vector=where.xy.max(0).astype(np.float32))


def tiles(coords: np.ndarray | None, side: float | None) -> Embedding:
    return Embedding(np.zeros((2, 3), np.float32), "s.h5", 2, coords, side)


COORDS = np.array([[0, 0], [1024, 512]])


@pytest.mark.parametrize(
    ("stated", "told", "expected"), [(512, None, [512, 256]), (1024, None, [256, 128]), (1024, 512, [512, 256])]
)
def test_places_are_converted_by_the_side_of_a_tile(
    stated: float, told: float | None, expected: list[float], tmp_path: Path
) -> None:
    # A tile of 512 level-0 px is 256 px wide at 0.5 µm/px; what the manifest tells goes before what the file states.
    found = slide_vector(Corner(), tiles(COORDS, stated), "hash", told, Shelf(tmp_path))
    assert found.values.tolist() == [expected]
    assert found.tiles == 2


def test_a_slide_without_places_or_scale_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not tell where its tiles lie"):
        slide_vector(Corner(), tiles(None, 512), "hash", None, Shelf(tmp_path))
    with pytest.raises(InputError, match=r"does not tell the scale of its coordinates.*tile_side = 512"):
        slide_vector(Corner(), tiles(COORDS, None), "hash", None, Shelf(tmp_path))


def test_series_are_named_by_their_column_or_their_file() -> None:
    one, two = (Path("a/t1.nii.gz"), Path("b/scan.nii"))
    assert _named({"t1": (one,), "flair": (two,)}) == {"t1": one, "flair": two}
    assert _named({"mri": (one, two)}) == {"t1": one, "scan": two}
    assert list(_named({"mri": (Path("a/t1.nii"), Path("b/t1.nii"))})) == ["a/t1.nii", "b/t1.nii"]


def loader(name: str, *, keep: float = 0.25, seed: int = 0, mode: str = "a", layer: str | None = None) -> None:
    """A loader of encoders, of which the options alone are asked."""


@pytest.mark.parametrize(
    "options", [{"keep": "x"}, {"keep": True}, {"seed": 1.5}, {"mode": ["a"]}, {"layer": ["a"]}, {"seed": {}}]
)
def test_an_option_of_another_kind_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(SettingError, match=f"has {next(iter(options))} = ") as caught:
        checked_options(loader, options, (), "here")
    assert caught.value.remedy


def test_options_of_the_right_kind_are_handed_on() -> None:
    options = {"keep": 1, "seed": 3, "mode": "b", "layer": "c", "tile_side": 512}
    assert checked_options(loader, options, ["tile_side"], "here") == {"keep": 1, "seed": 3, "mode": "b", "layer": "c"}


@pytest.mark.parametrize(
    ("column", "told"), [('["seg"]', "no column \\['seg'\\]"), ('"seg"', "outside the cohort's root")]
)
def test_masks_that_cannot_be(tmp_path: Path, home: Home, column: str, told: str) -> None:
    volume = nibabel.Nifti1Image(np.ones((4, 4, 4), np.float32), np.eye(4))
    nibabel.save(volume, tmp_path / "t1.nii.gz")
    (tmp_path / "c.csv").write_text("patient_id,m,seg\np0,t1.nii.gz,../../mask.nii.gz\n")
    (tmp_path / "c.toml").write_text(
        '[cohort]\nname = "c"\ntable = "c.csv"\n[modalities.m]\ncolumn = "m"\nencoder = "volume-stats"\n'
        f"options = {{ tumour = {column} }}\n"
    )
    with pytest.raises(CryostatError, match=told):
        gather(load_cohort(tmp_path / "c.toml"), home)
