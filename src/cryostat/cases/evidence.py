"""What is known of each patient, modality by modality, before anything is fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryostat.core.errors import InputError


@dataclass(frozen=True)
class Problem:
    """Something of a patient that could not be used; the modality counts as missing where nothing else of it remains.

    Attributes:
        patient_id: Whose.
        modality: Of which modality.
        where: File, or table and row.
        reason: What is wrong, without a word of the patient's text.
        remain: Files of the patient's modality that are used all the same; 0: it is missing.
        files: Files that it has.
    """

    patient_id: str
    modality: str
    where: str
    reason: str
    remain: int = 0
    files: int = 1


@dataclass(frozen=True, eq=False)
class Vectors:
    """A modality that comes as one vector a patient.

    Attributes:
        values: (n, d) float32; NaN only where a single number is unknown. Rows of absent patients are NaN.
        present: (n,) bool.
    """

    values: NDArray[np.float32]
    present: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Bags:
    """A modality that comes as several vectors a patient, pooled inside the fold (attention).

    Attributes:
        items: For each of n patients (k, d) float32, k = 0 where absent.
    """

    items: tuple[NDArray[np.float32], ...]

    @property
    def present(self) -> NDArray[np.bool_]:
        """(n,) bool."""
        return np.array([len(item) > 0 for item in self.items], bool)


@dataclass(frozen=True, eq=False)
class Texts:
    """A modality that comes as text, encoded inside the fold (TF-IDF learns from training texts alone).

    Attributes:
        texts: For each of n patients the text, None where absent.
    """

    texts: tuple[str | None, ...] = field(repr=False)

    @property
    def present(self) -> NDArray[np.bool_]:
        """(n,) bool."""
        return np.array([text is not None for text in self.texts], bool)


Modality = Vectors | Bags | Texts


@dataclass(frozen=True, eq=False)
class Evidence:
    """All modalities of n patients.

    Attributes:
        patients: Their ids, in the order of all arrays.
        modalities: Name to what is known, in the order of the cohort.
        problems: What could not be used, and why.
        identity: For each modality, all that determines its values: encoder, pooling, hashes of the files.
    """

    patients: tuple[str, ...]
    modalities: Mapping[str, Modality]
    problems: Sequence[Problem] = ()
    identity: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, modality in self.modalities.items():
            if len(modality.present) != len(self.patients):
                raise InputError(
                    f"has {len(modality.present)} rows for {len(self.patients)} patients",
                    where=f"modality {name}",
                    remedy="Give one row a patient, empty where the modality is missing",
                )

    @property
    def present(self) -> NDArray[np.bool_]:
        """(n, M) bool: who has what."""
        columns = [modality.present for modality in self.modalities.values()]
        return np.stack(columns, 1) if columns else np.zeros((len(self.patients), 0), bool)
