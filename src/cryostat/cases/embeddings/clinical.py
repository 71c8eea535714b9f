"""Modalities whose values stand in the patients' own table: age, sex, what is known on the first day."""

from __future__ import annotations

import numpy as np

from cryostat.cases.cohort import Cohort, ModalitySpec
from cryostat.cases.cohort.values import any_known, value_columns
from cryostat.cases.embeddings.files import Gathered
from cryostat.cases.evidence import Vectors
from cryostat.core.identity import sha256_array


def from_values(cohort: Cohort, spec: ModalitySpec) -> Gathered:
    """Numbers as they are, words as an indicator each; what is not known is NaN and filled in inside the fold.

    Which words there are is no knowledge of a fold: one that no training patient has does not vary there, and is left
    out like any such column.

    Raises:
        InputError: A column cannot be evidence.
    """
    columns = value_columns(cohort, spec)
    present = any_known(columns)
    values = np.concatenate([column.matrix() for column in columns], 1)
    values[~present] = np.nan
    identity = {
        "source": "values",
        "features": [name for column in columns for name in column.features],
        "content": sha256_array(values),
    }
    return Gathered(Vectors(values, present), (), identity)
