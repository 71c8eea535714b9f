"""Long texts in pieces that a model can read: windows of tokens that overlap."""

from __future__ import annotations

from cryostat.core.errors import SettingError


def windows(length: int, size: int, overlap: int) -> list[range]:
    """Windows over tokens 0 … length−1, each but the last of `size`, each sharing `overlap` with the one before.

    Args:
        length: Number of tokens.
        size: Tokens a window at most.
        overlap: Tokens shared by two neighbours.

    Returns:
        At least one window, even over nothing; together they cover every token.

    Raises:
        SettingError: The windows would not move on.
    """
    if not 0 <= overlap < size:
        raise SettingError(
            f"windows of {size} tokens cannot overlap by {overlap}",
            remedy="Choose an overlap of 0 or more, below the size",
        )
    step = size - overlap
    starts = range(0, max(length - overlap, 1), step)
    return [range(start, min(start + size, length)) for start in starts]
