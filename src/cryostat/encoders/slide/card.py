"""The card of a slide encoder: its facts, and which tile encoder it belongs to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SlideCard:
    """Facts about a slide encoder.

    Attributes:
        name: Registry name, lower case with hyphens.
        title: Name in full.
        architecture: What it is.
        tile_encoder: Registry name of the only tile encoder whose features it understands; None when it takes any.
        width_in: Channels of a tile's features; None when it takes any.
        width_out: Channels of the slide's vector; None when it is a multiple of the tiles'.
        width_multiple: That multiple.
        mpp: µm per pixel at which coordinates are counted; None when positions do not matter to it.
        tile_px: Side in px of a tile at that scale; None as before.
        licence: Licence of the weights.
        training_data: What it has seen.
        hub_id: Repository on the Hugging Face hub, or None.
        hub_file: File of the weights there, or None.
        revision: Pinned commit on the hub, or None.
        gated: The hub asks for a login and consent.
        parameters: Parameter count, or None when there are none to count.
        citation: How to cite it.
        notes: Traps worth knowing, one sentence each.
    """

    name: str
    title: str
    architecture: str
    tile_encoder: str | None = None
    width_in: int | None = None
    width_out: int | None = None
    width_multiple: int = 1
    mpp: float | None = None
    tile_px: int | None = None
    licence: str = ""
    training_data: str = ""
    hub_id: str | None = None
    hub_file: str | None = None
    revision: str | None = None
    gated: bool = False
    parameters: int | None = None
    citation: str = ""
    notes: tuple[str, ...] = ()

    @property
    def needs_coordinates(self) -> bool:
        """Whether the place of a tile matters to it."""
        return self.mpp is not None

    def output_width(self, width_in: int) -> int:
        """Channels of the slide's vector, for tiles of `width_in` channels."""
        return self.width_out or self.width_multiple * width_in
