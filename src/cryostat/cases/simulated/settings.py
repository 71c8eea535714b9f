"""What determines a simulated cohort."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from cryostat.core.errors import SettingError

PAPER = {"patients": 310, "mri": 250, "pathology": 95, "slides": 597}
"""CoRe-BT: patients, those with complete MRI, those of them with slides and report, slides."""


@dataclass(frozen=True)
class Settings:
    """All that determines a simulated cohort.

    Attributes:
        seed: Of everything drawn.
        patients: All patients.
        mri: Those with MRI; −1: the same share as in CoRe-BT.
        pathology: Those of them with slides and report; −1: the same share as in CoRe-BT.
        correlation: Of the noise of two modalities along the same axis, from 0 to below 1.
        nuisance: Deviation of the widest of the axes that say nothing; that of the signal's noise is 1.
    """

    seed: int = 0
    patients: int = 310
    mri: int = -1
    pathology: int = -1
    correlation: float = 0.3
    nuisance: float = 0.5

    def __post_init__(self) -> None:
        wrong = (
            (self.seed < 0, f"the seed is {self.seed}", "Give a seed from 0"),
            (self.patients < 40, f"{self.patients} patients are too few", "Simulate 40 patients or more"),
            (
                not 0 <= self.with_pathology <= self.with_mri <= self.patients,
                f"{self.with_pathology} of {self.with_mri} of {self.patients} patients have pathology, MRI, anything",
                "Give no more patients with pathology than with MRI, and no more with MRI than there are",
            ),
            (
                not 0 <= self.correlation < 1,
                f"the correlation is {self.correlation}",
                "Give a correlation from 0 to below 1",
            ),
            (not 0 <= self.nuisance < float("inf"), f"the nuisance is {self.nuisance}", "Give a deviation from 0"),
        )
        for fails, problem, remedy in wrong:
            if fails:
                raise SettingError(problem, remedy=remedy)

    @property
    def with_mri(self) -> int:
        """Patients with MRI."""
        return self._share("mri") if self.mri < 0 else self.mri

    @property
    def with_pathology(self) -> int:
        """Patients with slides and report; all of them have MRI."""
        return self._share("pathology") if self.pathology < 0 else self.pathology

    @property
    def slides(self) -> int:
        """Slides of all patients."""
        return round(PAPER["slides"] / PAPER["pathology"] * self.with_pathology)

    def _share(self, what: str) -> int:
        return round(PAPER[what] / PAPER["patients"] * self.patients)

    def facts(self) -> dict[str, Any]:
        """The settings as plain data."""
        return asdict(self)
