"""All evidence of a cohort, from whatever files it lies in; what cannot be used is told patient by patient."""

from __future__ import annotations

from collections.abc import Sequence

from cryostat.cases.cohort import Cohort
from cryostat.cases.embeddings.clinical import from_values
from cryostat.cases.embeddings.encoded import from_encoder
from cryostat.cases.embeddings.files import Gathered, from_files
from cryostat.cases.embeddings.rows import from_table
from cryostat.cases.evidence import Evidence
from cryostat.core.errors import InputError
from cryostat.core.home import Home


def gather(cohort: Cohort, home: Home, *, modalities: Sequence[str] | None = None, device: str = "auto") -> Evidence:
    """Read or encode what is known of each patient.

    Args:
        cohort: Whose.
        home: Where embeddings of our encoders are kept; found again by the content of what was encoded.
        modalities: Which, in any order; None: all.
        device: For encoders; `auto` takes a GPU where there is one.

    Returns:
        All patients of the cohort in its order. A file that cannot be used is a `Problem`, and its patient lacks the
        modality where no other file of it can be used.

    Raises:
        SettingError: A modality or an encoder is unknown, or an option.
        InputError: Patients' vectors do not fit together, or nobody's can be used.
        EncoderError: An encoder cannot be built.
    """
    for name in modalities or ():
        cohort.modality(name)
    wanted = [name for name in cohort.modalities if modalities is None or name in modalities]
    found = {name: _modality(cohort, name, home, device) for name in wanted}
    for name, each in found.items():
        _require_somebody(cohort, name, each)
    return Evidence(
        cohort.patients,
        {name: each.modality for name, each in found.items()},
        [problem for each in found.values() for problem in each.problems],
        {name: each.identity for name, each in found.items()},
    )


def _modality(cohort: Cohort, name: str, home: Home, device: str) -> Gathered:
    spec = cohort.modality(name)
    if spec.values:
        return from_values(cohort, spec)
    if spec.table is not None:
        return from_table(cohort, spec, spec.table)
    if spec.encoder is not None:
        return from_encoder(cohort, spec, home, device)
    return from_files(cohort, spec)


def _require_somebody(cohort: Cohort, name: str, found: Gathered) -> None:
    if found.modality.present.any():
        return
    if not found.problems:
        raise InputError(
            f"nobody has the modality {name!r}", where=cohort.path, remedy="Fill in its column, or leave it out"
        )
    problem, patients = found.problems[0], len({problem.patient_id for problem in found.problems})
    raise InputError(
        f"none of {patients} patients' {name} can be used; of the first, {problem.patient_id}: it {problem.reason}",
        where=problem.where,
        remedy="Check its column, its files and its encoder in the manifest",
    )
