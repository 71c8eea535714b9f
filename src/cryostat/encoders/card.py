"""The cards of encoders: everything one should know before loading a byte of them."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

ACCESS = ("open", "gated", "local")

PRECISIONS = ("fp32", "bf16", "fp16")


@dataclass(frozen=True)
class Card:
    """Facts about an encoder of any kind.

    Attributes:
        name: Registry name, lower case with hyphens.
        title: Name in full.
        architecture: What it is, e.g. `ViT-L/16`.
        licence: Licence of the weights.
        training_data: What it has seen, in words.
        trained_on: The same as names of sources, e.g. `TCGA`, by which overlap with a dataset is found; empty means
            unknown, `nothing` means untrained.
        hub_id: Repository on the Hugging Face hub, or None.
        revision: Pinned commit on the hub, or None.
        hub_file: File of that repository that holds the weights, or None for the usual names.
        access: Who gets the weights: `open` to all, `gated` by a login and consent, or `local` as a file of one's own.
        parameters: Parameters of the network that is built here, or None when there are none to count.
        published: Their number as others state it, with what it holds besides; empty where none was found.
        citation: How to cite it.
        notes: Traps worth knowing, one sentence each.
    """

    name: str
    title: str
    architecture: str
    _: KW_ONLY
    licence: str = ""
    training_data: str = ""
    trained_on: tuple[str, ...] = ()
    hub_id: str | None = None
    revision: str | None = None
    hub_file: str | None = None
    access: str = "open"
    parameters: int | None = None
    published: str = ""
    citation: str = ""
    notes: tuple[str, ...] = ()

    @property
    def gated(self) -> bool:
        """The hub asks for a login and consent."""
        return self.access == "gated"

    def fault(self) -> str:
        """What makes the card impossible, a clause; empty when nothing does."""
        if not self.name.strip():
            return "name is blank"
        if self.access not in ACCESS:
            return f"access {self.access!r} is not one of {', '.join(ACCESS)}"
        if self.parameters is not None and self.parameters < 1:
            return f"parameters = {self.parameters} is not positive"
        return ""


@dataclass(frozen=True)
class EncoderCard(Card):
    """Facts about a tile encoder.

    Attributes:
        input_size: Side in px of the square image it was trained on.
        patch_size: Side in px of one token; a convolutional encoder states its output stride.
        width: Channels of a token.
        depth: Number of blocks whose output can be read.
        prefix_tokens: Class and register tokens before the patch tokens.
        mean: Per-channel mean of the normalisation, for images in 0 to 1.
        std: Per-channel standard deviation of the normalisation.
        mpp: µm per pixel it was trained at, or None when mixed or unknown.
        precision: Recommended arithmetic: `fp32`, `bf16` or `fp16`.
        flexible_size: Takes any square input whose side is a multiple of patch_size.
        enlarged_to: Side in px to which it enlarges an image of input_size within, or None; patch_size is then in px of
            the enlarged image.
    """

    input_size: int
    patch_size: int
    width: int
    depth: int
    prefix_tokens: int = 0
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    mpp: float | None = None
    precision: str = "fp32"
    flexible_size: bool = False
    enlarged_to: int | None = None

    def fault(self) -> str:
        """What makes the card impossible, a clause; empty when nothing does."""
        if self.precision not in PRECISIONS:
            return f"precision {self.precision!r} is not one of {', '.join(PRECISIONS)}"
        seen = self.input_size if self.enlarged_to is None else self.enlarged_to
        if min(self.input_size, seen, self.patch_size, self.width) < 1 or seen % self.patch_size:
            return "input_size is not a positive multiple of patch_size, or width is not positive"
        if self.enlarged_to is not None and self.flexible_size:
            return "has both enlarged_to and flexible_size: only images of one size are enlarged"
        if min(self.depth, self.prefix_tokens) < 0:
            return "depth or prefix_tokens is negative"
        if not all(0 < value < math.inf for value in (*self.std, self.mpp or 1)):
            return "std and mpp must be positive"
        return super().fault()

    @property
    def grid(self) -> int:
        """Tokens along a side at the native input size."""
        return self.tokens_across(self.input_size)

    @property
    def token_px(self) -> float:
        """Side in px of the piece of the image that one token covers; a fraction where the image is enlarged within."""
        return self.patch_size if self.enlarged_to is None else self.patch_size * self.input_size / self.enlarged_to

    def tokens_across(self, size: int) -> int:
        """Tokens along a side of an image of a size that it takes, px."""
        return size // self.patch_size if self.enlarged_to is None else self.enlarged_to // self.patch_size

    def layers(self) -> tuple[str, ...]:
        """Names of the maps it can give: `block-1` … `block-<depth>`, and `final` (after the last norm)."""
        return (*(f"block-{i}" for i in range(1, self.depth + 1)), "final")
