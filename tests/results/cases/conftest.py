from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

CLASSES, MODALITIES = ("2", "3", "4"), ("mri", "wsi")


@pytest.fixture(scope="session")
def cohort() -> Callable[..., pd.DataFrame]:
    """Predictions of a simulated cohort under every subset, from the known posterior and some noise of replicates."""
    return _cohort


def _cohort(n: int = 120, repeats: int = 2, seeds: int = 2, noise: float = 0.3, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    true = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    have = np.stack([np.ones(n, bool), rng.random(n) < 0.6], 1)
    evidence = rng.normal(size=(2, n, 3)) + np.array([0.7, 1.4])[:, None, None] * np.eye(3)[true]
    parts = []
    for offered in ((), (0,), (1,), (0, 1)):
        seen = have & np.isin([0, 1], offered)
        for replicate in range(repeats * seeds):
            logits = np.log([0.5, 0.3, 0.2]) + (
                seen.T[..., None] * (evidence * np.array([0.7, 1.4])[:, None, None])
            ).sum(0)
            logits = logits + noise * seen.any(1)[:, None] * rng.normal(size=(n, 3))
            p = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype(np.float32)
            facts = {
                "run_id": "r",
                "repeat": replicate // seeds,
                "fold": np.arange(n) % 5,
                "seed": replicate % seeds,
                "patient_id": [f"p{i:03d}" for i in range(n)],
                "ablation": "full",
                "offered": "+".join(MODALITIES[m] for m in offered) or "nothing",
                "seen": ["+".join(MODALITIES[m] for m in (0, 1) if row[m]) or "nothing" for row in seen],
                "y_true": np.array(CLASSES)[true],
                "y_pred": np.array(CLASSES)[p.argmax(1)],
            }
            parts.append(pd.DataFrame(facts | {f"p_{name}": p[:, c] for c, name in enumerate(CLASSES)}))
    return pd.concat(parts, ignore_index=True)
