"""How a volume encoder is wanted."""

from __future__ import annotations

from dataclasses import dataclass

from cryostat.core.errors import SettingError

PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True)
class VolumeOrder:
    """How a volume encoder is wanted.

    Attributes:
        weights: A file; `hub`, `hub@COMMIT` or `random`; None for none.
        pooling: From tokens to vectors.
        mode: Preprocessing, `explicit` or `compat`.
        keep: Part of a token that must be tissue.
        precision: `fp32` or `bf16`.
        seed: Of random weights.

    Raises:
        SettingError: There is no such precision.
    """

    weights: str | None = None
    pooling: str = "series-mean"
    mode: str = "explicit"
    keep: float = 0.25
    precision: str = "fp32"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise SettingError(
                f"there is no precision {self.precision!r} for volumes",
                remedy=f"Choose one of: {', '.join(PRECISIONS)}",
            )
