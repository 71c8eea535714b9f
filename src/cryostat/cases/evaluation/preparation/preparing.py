"""From evidence to what methods take: every modality standardised, reduced, of one width; learnt in training alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryostat.cases.evaluation.preparation.bags import Attention, prepared_bags
from cryostat.cases.evaluation.preparation.texts import prepared_texts
from cryostat.cases.evaluation.preparation.vectors import Block, Reduction, prepared_vectors
from cryostat.cases.evidence import Evidence, Modality, Texts, Vectors
from cryostat.core.errors import SettingError


@dataclass(frozen=True, eq=False)
class Prepared:
    """The evidence of one fold.

    Attributes:
        blocks: For each modality (n, d_m) float32, all n patients; exactly 0 where it is missing.
        present: (n, M) bool.
        zero: For each modality (d_m,) float32: what a raw embedding of zeros becomes.
        facts: By modality: training patients, columns used and left out, share of variance kept.
    """

    blocks: tuple[NDArray[np.float32], ...]
    present: NDArray[np.bool_]
    zero: tuple[NDArray[np.float32], ...]
    facts: Mapping[str, Mapping[str, Any]]

    @property
    def widths(self) -> tuple[int, ...]:
        """d_m of each modality: the same in every fold of one cohort."""
        return tuple(block.shape[1] for block in self.blocks)


@dataclass(frozen=True)
class Preparation:
    """How evidence is prepared inside a fold.

    Attributes:
        components: Principal components of each modality of numbers at most; 0: all columns, standardised.
        text_components: Those of a modality of texts; 0: all terms. Words need more: what tells classes apart is rare.
        clip: Robust standard deviations from the median beyond which a number is drawn in; 0: never.
        least_known: Share of the training patients of a modality in which one of its columns must be known.
        terms: Vocabulary of TF-IDF at most.
        least_texts: Training texts that a term must occur in.
        attention: How the pooling of bags is learnt.
        seed: Of what is trained by chance (attention).

    Raises:
        SettingError: A number is out of its range.
    """

    components: int = 32
    text_components: int = 128
    clip: float = 6.0
    least_known: float = 0.5
    terms: int = 4096
    least_texts: int = 2
    attention: Attention = field(default_factory=Attention)
    seed: int = 0

    def __post_init__(self) -> None:
        right = {
            "components": self.components >= 0,
            "text_components": self.text_components >= 0,
            "clip": self.clip >= 0,
            "least_known": 0 <= self.least_known <= 1,
            "terms": self.terms >= 1,
            "least_texts": self.least_texts >= 1,
        }
        if wrong := [name for name, fits in right.items() if not fits]:
            raise SettingError(
                f"{wrong[0]} = {getattr(self, wrong[0])} is out of range",
                where="preparation",
                remedy="least_known is a share of 1, terms and least_texts are at least 1, the others at least 0",
            )

    def identity(self) -> dict[str, Any]:
        """All that determines what becomes of evidence."""
        return asdict(self)

    def fit(self, evidence: Evidence, train: NDArray[np.integer[Any]], allowed: NDArray[np.bool_]) -> Prepared:
        """Learn from training rows, apply to all.

        Args:
            evidence: Of n patients.
            train: Rows of the training patients.
            allowed: (n, C) classes that each patient may have; rows outside `train` are not looked at.
        """
        present = evidence.present
        rows = np.zeros(len(evidence.patients), bool)
        rows[train] = True
        blocks = {
            name: self._block(modality, rows & present[:, m], allowed)
            for m, (name, modality) in enumerate(evidence.modalities.items())
        }
        for m, block in enumerate(blocks.values()):
            block.values[~present[:, m]] = 0
        return Prepared(
            tuple(block.values for block in blocks.values()),
            present,
            tuple(block.zero for block in blocks.values()),
            {name: block.facts for name, block in blocks.items()},
        )

    def _block(self, modality: Modality, train: NDArray[np.bool_], allowed: NDArray[np.bool_]) -> Block:
        if isinstance(modality, Texts):
            return prepared_texts(modality, train, self.text_components, terms=self.terms, least=self.least_texts)
        reduction = Reduction(self.components, self.clip, self.least_known)
        if isinstance(modality, Vectors):
            return prepared_vectors(modality.values, train, reduction)
        return prepared_bags(modality, train, allowed, reduction, self.attention, self.seed)
