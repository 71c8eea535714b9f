"""What the self-tests of all kinds of encoders share: findings, the report, and the questions that are the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryostat.core.errors import CryostatError
from cryostat.core.identity import digest

FAINT = 0.02
"""Relative difference of what is made of two inputs below which it hardly depends on the input."""

DRIFT_TOLERANCE = 0.05
"""Relative difference allowed of half precision against fp32."""

BATCH_TOLERANCE = 1e-3
"""Relative difference allowed where only rounding may differ."""

REPEAT_TOLERANCE = 0.0
"""Relative difference allowed of a repetition on a CPU."""

Array = NDArray[Any]


@dataclass(frozen=True)
class Finding:
    """One thing that was tested.

    Attributes:
        name: What.
        passed: True when it is as it should be; None when it was only measured.
        detail: What was seen.
        remedy: What to do when it failed.
        essential: Whether an encoder that fails is unfit for use; else it is a warning.
    """

    name: str
    passed: bool | None
    detail: str
    remedy: str = ""
    essential: bool = True


@dataclass(frozen=True)
class CheckReport:
    """The outcome of a self-test.

    Attributes:
        encoder: Name of the encoder.
        findings: What was tested.
        per_second: Inputs encoded a second; 0 where it did not come to that.
        peak_memory: Bytes that encoding took on a GPU at most, or None on a CPU.
        weights_memory: Bytes of its tensors.
        unit: What the inputs are.
    """

    encoder: str
    findings: tuple[Finding, ...]
    per_second: float = 0.0
    peak_memory: int | None = None
    weights_memory: int = 0
    unit: str = "images"

    @property
    def passed(self) -> bool:
        """True when nothing essential failed."""
        return all(finding.passed is not False or not finding.essential for finding in self.findings)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What failed without being essential."""
        return tuple(finding for finding in self.findings if finding.passed is False and not finding.essential)

    def as_json(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {**asdict(self), "passed": self.passed}


def relative(a: Array, b: Array) -> float:
    """‖a − b‖ ÷ ‖b‖; infinite where one of them is not finite."""
    first, second = np.asarray(a, float), np.asarray(b, float)
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        return float("inf")
    return float(np.linalg.norm(first - second) / max(float(np.linalg.norm(second)), 1e-12))


def repeats(difference: float, tolerance: float = REPEAT_TOLERANCE) -> Finding:
    """Whether a second pass gives the same."""
    remedy = "Put the module into eval mode: dropout or drop-path is still active"
    return Finding("repeats", difference <= tolerance, f"a second pass differs by {difference:.1e}", remedy)


def same(name: str, detail: str, difference: float, remedy: str, tolerance: float = BATCH_TOLERANCE) -> Finding:
    """Whether something that must not matter does not; `detail` is the clause before `by 1e-3`."""
    return Finding(name, difference <= tolerance, f"{detail} by {difference:.1e}", remedy)


def contrast(what: str, difference: float, remedy: str) -> Finding:
    """Whether two inputs give different results: a doubt where they hardly do."""
    return Finding("contrast", difference >= FAINT, f"{what} differ by {difference:.1e}", remedy, essential=False)


def drift(half: str, difference: float, in_use: bool) -> Finding:
    """Half precision against fp32: judged where it is in use, otherwise only measured."""
    passed = difference <= DRIFT_TOLERANCE if in_use else None
    if difference == 0:
        return Finding("precision", passed, "computes in fp32 throughout")
    return Finding("precision", passed, f"{half} differs from fp32 by {difference:.1e}", "Use --precision fp32")


def counted(count: int, stated: int | None) -> list[Finding]:
    """The parameters that there are, and those that the card states; nothing where there are none to count."""
    if not count and not stated:
        return []
    detail = f"{count:,}" + (f", the card states {stated:,}" if stated != count and stated else "")
    remedy = "Correct parameters in the card, or the arguments that build the model"
    return [Finding("parameters", None if stated is None else stated == count, detail, remedy)]


def named(identity: Callable[[], Mapping[str, Any]]) -> Finding:
    """Whether what it makes can be kept under its identity."""
    try:
        first, again = (digest(identity()) for _ in range(2))
    except (TypeError, ValueError) as error:
        return Finding("identity", False, str(error), "Return only text, numbers and lists of them from identity()")
    remedy = "Leave out of identity() what changes from call to call"
    return Finding("identity", first == again, first if first == again else "changes from call to call", remedy)


def frozen(before: str, after: str) -> list[Finding]:
    """Whether the tensors are as they were before the test; nothing where there are none."""
    if not before:
        return []
    unchanged = before == after
    detail = "no tensor has changed" if unchanged else "encoding changed its tensors"
    return [Finding("frozen", unchanged, detail, "Put the module into eval mode, and update no buffer in forward()")]


def refused(name: str, attempts: Mapping[str, Callable[[], object]], remedy: str) -> Finding:
    """Whether every one of these attempts ends in an error of ours.

    Args:
        name: Of the finding.
        attempts: What is attempted, to the attempt.
        remedy: What to do where one succeeds.
    """
    let_through = [what for what, attempt in attempts.items() if not _is_refused(attempt)]
    if let_through:
        return Finding(name, False, f"lets through {', '.join(let_through)}", remedy)
    return Finding(name, True, f"refuses {', '.join(attempts)}")


def _is_refused(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except CryostatError:
        return True
    return False


def attempted(
    encoder: str, unit: str, tests: Iterable[Finding], speed: Callable[[], tuple[float, int | None, int]]
) -> CheckReport:
    """A report; an error of ours on the way is its last finding.

    Args:
        encoder: Its name.
        unit: What it encodes.
        tests: The findings, each made when it is asked for.
        speed: Gives inputs a second, peak memory on a GPU, and bytes of the tensors.
    """
    findings: list[Finding] = []
    try:
        # One by one, so that those made before an error are kept.
        findings.extend(tests)
        return CheckReport(encoder, tuple(findings), *speed(), unit=unit)
    except CryostatError as error:
        return CheckReport(encoder, (*findings, Finding("encodes", False, error.problem, error.remedy)), unit=unit)


SLOW = 4
"""Times the seconds to measure that a first run may take and still count as warming up."""


def speed(run: Callable[[], object], count: int, device: str, at_least: float) -> tuple[float, int | None]:
    """Inputs a second, and the most bytes that it took on a GPU.

    Args:
        run: Encodes, and brings the result to the CPU.
        count: Inputs in one run.
        device: Where it runs.
        at_least: Seconds to measure.
    """
    start = time.perf_counter()
    run()
    taken = time.perf_counter() - start
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats(device)
    elif taken > SLOW * at_least:
        # What warming up costs no longer shows.
        return count / taken, None
    start, passes, taken = time.perf_counter(), 0, 0.0
    while passes == 0 or taken < at_least:
        run()
        passes, taken = passes + 1, time.perf_counter() - start
    return passes * count / taken, _peak(device)


def _peak(device: str) -> int | None:
    if not device.startswith("cuda"):
        return None
    import torch

    return torch.cuda.max_memory_allocated(device)
