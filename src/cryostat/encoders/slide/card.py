"""The card of a slide encoder: its facts, and which tile encoder it belongs to."""

from __future__ import annotations

from dataclasses import dataclass

from cryostat.encoders.card import Card


@dataclass(frozen=True)
class SlideCard(Card):
    """Facts about a slide encoder.

    Attributes:
        tile_encoder: Registry name of the only tile encoder whose features it understands; None when it takes any.
        width_in: Channels of a tile's features; None when it takes any.
        width_out: Channels of the slide's vector; None when it is a multiple of the tiles'.
        width_multiple: That multiple.
        mpp: µm per pixel at which coordinates are counted; None when positions do not matter to it.
        tile_px: Side in px of a tile at that scale; None as before.
    """

    tile_encoder: str | None = None
    width_in: int | None = None
    width_out: int | None = None
    width_multiple: int = 1
    mpp: float | None = None
    tile_px: int | None = None

    @property
    def needs_coordinates(self) -> bool:
        """Whether the place of a tile matters to it."""
        return self.mpp is not None

    def output_width(self, width_in: int) -> int:
        """Channels of the slide's vector, for tiles of `width_in` channels."""
        return self.width_out or self.width_multiple * width_in

    def fault(self) -> str:
        """What makes the card impossible, a clause; empty when nothing does."""
        for name in ("width_in", "width_out", "width_multiple", "mpp", "tile_px"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                return f"{name} = {value} is not positive"
        return super().fault()
