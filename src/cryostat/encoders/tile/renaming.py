"""Names of tensors as others publish them, translated to those of timm's vision transformers.

Nothing is guessed: a tensor that has no translation keeps its name, so that strict loading names it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

HF_STEM = {
    "embeddings.cls_token": "cls_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.register_tokens": "reg_token",
    "embeddings.patch_embeddings.projection.weight": "patch_embed.proj.weight",
    "embeddings.patch_embeddings.projection.bias": "patch_embed.proj.bias",
    "layernorm.weight": "norm.weight",
    "layernorm.bias": "norm.bias",
}
"""Outside the blocks of transformers' ViTModel and Dinov2Model."""

HF_BLOCK = re.compile(r"^(?:encoder\.layer|layers)\.(?P<block>\d+)\.(?P<part>.+)\.(?P<kind>weight|bias|lambda1)$")

HF_PARTS = {
    "norm1": "norm1",
    "layernorm_before": "norm1",
    "attention.output.dense": "attn.proj",
    "attention.o_proj": "attn.proj",
    "layer_scale1": "ls1",
    "norm2": "norm2",
    "layernorm_after": "norm2",
    "mlp.fc1": "mlp.fc1",
    "intermediate.dense": "mlp.fc1",
    "mlp.weights_in": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
    "output.dense": "mlp.fc2",
    "mlp.weights_out": "mlp.fc2",
    "mlp.down_proj": "mlp.fc2",
    "layer_scale2": "ls2",
}
"""Within a block: as in published files, and as transformers 5 names them in memory."""

HF_PIECES = {
    "attention.attention.query": ("attn.qkv", 0),
    "attention.attention.key": ("attn.qkv", 1),
    "attention.attention.value": ("attn.qkv", 2),
    "attention.q_proj": ("attn.qkv", 0),
    "attention.k_proj": ("attn.qkv", 1),
    "attention.v_proj": ("attn.qkv", 2),
    "mlp.gate_proj": ("mlp.fc1", 0),
    "mlp.up_proj": ("mlp.fc1", 1),
}
"""Layers that timm keeps as one: its name, and the place of the piece in it."""

PIECES = {"attn.qkv": 3, "mlp.fc1": 2}
"""Of how many pieces such a layer is made."""

HF_UNUSED = ("embeddings.mask_token", "pooler.", "classifier.")
"""Tensors of published files that no patch token depends on."""

DINOV2_UNUSED = ("mask_token", "dino_head.", "ibot_head.")
"""The same in checkpoints of DINOv2's own code."""

DINOV2_RENAMED = (
    (re.compile(r"^blocks\.\d+\.(\d+\.)"), r"blocks.\1"),
    (re.compile(r"\.mlp\.w12\."), ".mlp.fc1."),
    (re.compile(r"\.mlp\.w3\."), ".mlp.fc2."),
    (re.compile(r"^register_tokens$"), "reg_token"),
)
"""DINOv2's own names, blocks in chunks included, and timm's."""


def from_hf(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Translate names of transformers' ViTModel and Dinov2Model, with or without registers.

    Args:
        tensors: Name to tensor; a prefix before all names (`vit.`) is kept; mask token, pooler and classifier are left
            out.
    """
    prefix = _prefix(tensors, "embeddings.cls_token")
    found: dict[str, Tensor] = {}
    pieces: dict[str, dict[int, str]] = {}
    for name, tensor in _used(tensors, prefix, HF_UNUSED):
        bare = name.removeprefix(prefix)
        in_block = HF_BLOCK.match(bare)
        if in_block and in_block["part"] in HF_PIECES:
            whole, place = HF_PIECES[in_block["part"]]
            pieces.setdefault(_block_name(in_block, whole), {})[place] = name
        else:
            found[prefix + _hf_name(bare, in_block)] = tensor
    for whole, places in pieces.items():
        found |= _joined(prefix + whole, [tensors[places[p]] for p in sorted(places)], list(places.values()))
    return _class_position_folded(found, prefix)


def from_dinov2(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Translate names of DINOv2's own code; names of timm stay as they are.

    Args:
        tensors: Name to tensor; a prefix before all names is kept, mask token and training heads are left out.
    """
    prefix = _prefix(tensors, "cls_token")
    found = {}
    for name, tensor in _used(tensors, prefix, DINOV2_UNUSED):
        bare = name.removeprefix(prefix)
        for pattern, replacement in DINOV2_RENAMED:
            bare = pattern.sub(replacement, bare)
        found[prefix + bare] = tensor
    published = any(name.endswith("register_tokens") for name in tensors)
    return _class_position_folded(found, prefix) if published else found


TRANSLATIONS = {"dinov2": from_dinov2, "hf": from_hf}
"""What a card may state as `names` of its file."""


def _prefix(tensors: Iterable[str], anchor: str) -> str:
    """What stands before a name that every such checkpoint has."""
    return next((name.removesuffix(anchor) for name in tensors if name.endswith(anchor)), "")


def _used(tensors: Mapping[str, Tensor], prefix: str, unused: tuple[str, ...]) -> list[tuple[str, Tensor]]:
    return [(n, t) for n, t in tensors.items() if not (n.removeprefix(prefix).startswith(unused))]


def _hf_name(bare: str, in_block: re.Match[str] | None) -> str:
    if in_block and in_block["part"] in HF_PARTS:
        return _block_name(in_block, HF_PARTS[in_block["part"]])
    return HF_STEM.get(bare, bare)


def _block_name(in_block: re.Match[str], part: str) -> str:
    kind = "gamma" if in_block["kind"] == "lambda1" else in_block["kind"]
    return f"blocks.{in_block['block']}.{part}.{kind}"


def _joined(whole: str, tensors: list[Tensor], names: list[str]) -> dict[str, Tensor]:
    """The layer made of its pieces; the pieces as they are, when they do not make a layer."""
    layer = next(layer for layer in PIECES if f".{layer}." in whole)
    if len(tensors) == PIECES[layer] and len({tensor.shape for tensor in tensors}) == 1:
        return {whole: torch.cat(tensors)}
    return dict(zip(names, tensors, strict=True))


def _class_position_folded(found: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """With registers, timm has no position for the class token: its constant becomes part of the token itself."""
    token, position = found.get(f"{prefix}cls_token"), found.get(f"{prefix}pos_embed")
    if f"{prefix}reg_token" not in found or token is None or position is None or position.shape[-1] != token.shape[-1]:
        return found
    folded = token.float() + position[:, :1].float()
    return found | {f"{prefix}cls_token": folded, f"{prefix}pos_embed": position[:, 1:]}
