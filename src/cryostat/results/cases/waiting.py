"""Wait for pathology? What is gained by waiting for the next modality, and for whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryostat.core.errors import SettingError
from cryostat.results.cases.certainty import (
    CURVES,
    SHARES,
    chances_of,
    check_shares,
    curve,
    entropy,
    groups_of,
    outcomes,
    uncertainty_ranks,
)
from cryostat.results.cases.panel import FULL, Panel, read_panel
from cryostat.results.cases.subsets import subset_bits
from cryostat.results.uncertainty import Estimate, resample


@dataclass(frozen=True)
class Waiting:
    """What waiting gains. Its patients have all that is offered later, so that waiting brings something for each.

    Attributes:
        now: What is offered now.
        later: What is offered after waiting.
        n: Patients.
        gain: Later less now, by metric of `certainty.CURVES`.
        to_right: Share of the patients whose answer changes from wrong to right.
        to_wrong: Share whose answer changes from right to wrong.
        curve: A row a metric and share of patients who wait, the least certain first: `metric`, `waiting`, `value`,
            `low`, `high`, and `by_chance`, the value if as many waited whatever their certainty.
        patients: A row a patient, least certain first: `patient_id`, `y_true`, `uncertainty` now (0 to 1), `right_now`
            and `right_later` (shares of repeats and seeds), `log_p_gain` (nats that waiting adds to the true class).
    """

    now: str
    later: str
    n: int
    gain: dict[str, Estimate]
    to_right: Estimate
    to_wrong: Estimate
    curve: pd.DataFrame = field(compare=False)
    patients: pd.DataFrame = field(compare=False)


def wait_for(
    frame: pd.DataFrame,
    classes: Sequence[str],
    modalities: Sequence[str],
    *,
    now: str,
    later: str,
    shares: Sequence[float] = SHARES,
    ablation: str = FULL,
    draws: int = 2000,
    seed: int = 0,
) -> Waiting:
    """What is gained by waiting for further modalities, and for whom.

    Along the curve the patients about whom the model is least certain now wait, the others are answered now. Who waits
    is settled within each repeat and seed by the whole sample; resampling leaves the thresholds where they are.

    Args:
        frame: Predictions of one run.
        classes: Class names of the task, in order.
        modalities: Modalities of the cohort, in order.
        now: What is there now, such as `mri`.
        later: What will be there after waiting, such as `mri+wsi`.
        shares: Shares of the patients who wait.
        ablation: What taking a modality away means.
        draws: Resamples of patients.
        seed: Of the resamples.

    Raises:
        InputError: As from `read_panel`.
        SettingError: `later` does not hold `now` and more, nobody has it, a share cannot be, or an arm or its
            probabilities are not there.
    """
    check_shares(shares)
    panel = read_panel(frame, classes, modalities)
    places = _patients(panel, now, later)
    before, after = outcomes(panel, (ablation, now)), outcomes(panel, (ablation, later))
    tested = panel.tested[:, places]
    unsure = entropy(chances_of(panel, (ablation, now))[1][:, places])
    waits = uncertainty_ranks(unsure, tested)[..., None] < np.asarray([*shares, 0.0, 1.0])
    weights, rows, gain = resample(len(places), draws, seed), [], {}
    times = tested.sum(0).astype(np.float64)
    for metric in CURVES:
        early, late = (outcome[metric][:, places, None] for outcome in (before, after))
        part = (tested[..., None] * np.where(waits, late, early)).sum(0)
        groups = groups_of(metric, panel.true[places])
        whole = np.broadcast_to(times[:, None], part.shape)
        gain[metric] = _gain(part[:, -2:], whole[:, -2:], weights, groups)
        rows.append(_rows(metric, shares, part, whole, weights, groups))
    return Waiting(
        now,
        later,
        len(places),
        gain,
        *_changes(before["accuracy"][:, places], after["accuracy"][:, places], tested, weights),
        curve=pd.concat(rows, ignore_index=True),
        patients=_patient_rows(panel, places, unsure, before, after),
    )


def _patients(panel: Panel, now: str, later: str) -> NDArray[np.int64]:
    first, second = (subset_bits(name, panel.modalities, "what is offered") for name in (now, later))
    if first & ~second or first == second:
        raise SettingError(
            f"waiting from {now!r} to {later!r} adds nothing, or takes away",
            remedy="Let `later` hold all of `now`, and more",
        )
    places = panel.population(later)
    if not len(places):
        raise SettingError(f"no patient has {later!r}", remedy="Choose modalities that some patients have together")
    return places


def _gain(
    part: NDArray[np.float64], whole: NDArray[np.float64], weights: NDArray[np.float32], groups: NDArray[np.int64]
) -> Estimate:
    """Last column less the first: a difference of means over the same patients is a mean of differences."""
    return curve(part[:, 1:] - part[:, :1], whole[:, :1], weights, groups).at(0)


def _rows(
    metric: str,
    shares: Sequence[float],
    part: NDArray[np.float64],
    whole: NDArray[np.float64],
    weights: NDArray[np.float32],
    groups: NDArray[np.int64],
) -> pd.DataFrame:
    found = curve(part, whole, weights, groups)
    never, always = found.value[-2:]
    by_chance = never + np.asarray(shares) * (always - never)
    kept = slice(0, len(shares))
    columns = {"value": found.value[kept], "low": found.low[kept], "high": found.high[kept]}
    return pd.DataFrame({"metric": metric, "waiting": shares} | columns | {"by_chance": by_chance})


def _changes(
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    tested: NDArray[np.bool_],
    weights: NDArray[np.float32],
) -> tuple[Estimate, Estimate]:
    changes = np.stack([tested & (after > before), tested & (after < before)], -1).sum(0).astype(np.float64)
    times = np.repeat(tested.sum(0, dtype=np.float64)[:, None], 2, 1)
    found = curve(changes, times, weights, np.zeros(len(times), np.int64))
    return found.at(0), found.at(1)


def _patient_rows(
    panel: Panel,
    places: NDArray[np.int64],
    unsure: NDArray[np.float64],
    before: dict[str, NDArray[np.float64]],
    after: dict[str, NDArray[np.float64]],
) -> pd.DataFrame:
    tested = panel.tested[:, places]

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        average: NDArray[np.float64] = (values * tested).sum(0) / tested.sum(0)
        return average

    rows = {
        "patient_id": np.array(panel.patients, object)[places],
        "y_true": np.array(panel.classes, object)[panel.true[places]],
        "uncertainty": mean(unsure),
        "right_now": mean(before["accuracy"][:, places]),
        "right_later": mean(after["accuracy"][:, places]),
        "log_p_gain": mean((before["log_loss"] - after["log_loss"])[:, places]),
    }
    return pd.DataFrame(rows).sort_values("uncertainty", ascending=False, kind="stable", ignore_index=True)
