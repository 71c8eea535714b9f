"""Any timm model as a tile encoder: vision transformers by block, convolutional networks by stage."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import timm
import timm.layers
import torch
from torch import Tensor, nn

from cryostat.core.errors import EncoderError
from cryostat.core.identity import code_version
from cryostat.encoders.card import IMAGENET_MEAN, IMAGENET_STD, EncoderCard
from cryostat.encoders.catalogue import Recipe
from cryostat.encoders.loading import AS_RELEASED, Order, fitted
from cryostat.encoders.tile.base import TileEncoder
from cryostat.encoders.tile.renaming import TRANSLATIONS
from cryostat.encoders.weights import weights_sha256

STAGE = re.compile(r"^(?P<model>.+?)\+stage(?P<stage>\d+)$")
"""`resnet50+stage3`: the third stage of a convolutional network."""

LAYER_ARGUMENTS = {"mlp_layer": timm.layers, "act_layer": nn, "norm_layer": nn}
"""Constructor arguments that cards give as the name of a class, and the module to find it in.

`norm_eps` stands for layer norms with that epsilon.
"""

LOADING = {"pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir"}
"""Constructor arguments by which timm would read files or the hub without our checks."""


def load(recipe: Recipe, order: Order) -> TimmEncoder:
    """The timm model that a card's [timm] describes, with the weights that are asked for.

    Raises:
        EncoderError: timm cannot build it so, the card does not describe it, or its weights are missing or do not fit.
    """
    model, arguments = str(recipe.settings["model"]), dict(recipe.settings.get("args", {}))
    config = timm.get_pretrained_cfg(split_stage(model)[0])
    classifier = config.classifier if config else None
    module, card = fitted(
        recipe,
        order,
        lambda: build(model, arguments, where=recipe.card.name),
        classifier=classifier if isinstance(classifier, str) else "",
        translate=_translation(recipe),
        names="the names of its timm implementation" if recipe.settings.get("names") is None else AS_RELEASED,
    )
    return TimmEncoder(card, module, model=model, arguments=arguments, precision=order.precision or card.precision)


def _translation(recipe: Recipe) -> Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] | None:
    names = recipe.settings.get("names")
    if names is not None and names not in TRANSLATIONS:
        raise EncoderError(
            f"[timm] names = {names!r} is no way of naming tensors known here",
            where=recipe.card.name,
            remedy=f"Use one of {', '.join(TRANSLATIONS)}, or leave it out for timm's own names",
        )
    return TRANSLATIONS[names] if names else None


def is_timm_name(name: str) -> bool:
    """True for a model that timm can build, with or without a pretrained tag or a stage."""
    model = split_stage(name)[0]
    return bool(timm.is_model(model.split(".")[0]))


def split_stage(name: str) -> tuple[str, int | None]:
    """Model and stage of `model+stageK`; None where no stage is named."""
    found = STAGE.match(name)
    return (found["model"], int(found["stage"])) if found else (name, None)


def build(model: str, arguments: Mapping[str, Any], *, where: str) -> Any:
    """An untrained timm model without a classifier, frozen; vision transformers take any input size.

    Args:
        model: timm's name, with or without a pretrained tag; a `+stageK` is passed over.
        arguments: Further arguments of its constructor; layers may be given by the name of their class.
        where: Card or name, for messages.

    Raises:
        EncoderError: timm cannot build it so.
    """
    bare = split_stage(model)[0]
    if not is_timm_name(bare):
        raise EncoderError(f"timm has no model {bare!r}", where=where, remedy="Name one that timm.list_models() lists")
    if loading := sorted(set(arguments) & LOADING):
        raise EncoderError(
            f"the argument {loading[0]!r} would let timm load weights by itself",
            where=where,
            remedy="Leave it out, and name the file with --weights",
        )
    problem: Exception = TypeError("no such model")
    # Models that cannot interpolate their positions refuse the argument with a TypeError.
    for flexible in ({"dynamic_img_size": True}, {}):
        try:
            module = timm.create_model(bare, pretrained=False, num_classes=0, **_resolved(arguments), **flexible)
            return module.eval().requires_grad_(False)
        except (TypeError, RuntimeError, ValueError, AssertionError, AttributeError) as error:
            problem = error
    raise EncoderError(
        f"timm cannot build {model!r} ({problem})", where=where, remedy="Compare the arguments with the model's own"
    ) from problem


def _resolved(arguments: Mapping[str, Any]) -> dict[str, Any]:
    resolved = {k: getattr(LAYER_ARGUMENTS[k], v) if k in LAYER_ARGUMENTS else v for k, v in arguments.items()}
    if (eps := resolved.pop("norm_eps", None)) is not None:
        resolved["norm_layer"] = partial(nn.LayerNorm, eps=eps)
    return resolved


def build_random(model: str, arguments: Mapping[str, Any], seed: int, *, where: str) -> Any:
    """`build` with initial weights that follow from the seed alone; the global random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(model, arguments, where=where)


def derive_card(name: str) -> EncoderCard:
    """The card of any timm model, from its configuration and its skeleton; no weights are made.

    Raises:
        EncoderError: The model gives no dense map, or the stage does not exist.
    """
    model, stage = split_stage(name)
    with torch.device("meta"):
        skeleton = build(model, {}, where=name)
    config = skeleton.pretrained_cfg
    facts: dict[str, Any] = {
        "name": name,
        "title": f"timm {name}",
        "mean": tuple(config.get("mean") or IMAGENET_MEAN),
        "std": tuple(config.get("std") or IMAGENET_STD),
        "licence": config.get("license") or "",
        "hub_id": config.get("hf_hub_id") or None,
        "parameters": sum(p.numel() for p in skeleton.parameters()),
        "training_data": config.get("tag") or "",
    }
    if _is_transformer(skeleton):
        return EncoderCard(**facts, **_transformer_facts(skeleton, name, stage))
    return EncoderCard(**facts, **_convolutional_facts(skeleton, name, stage))


def _is_transformer(module: nn.Module) -> bool:
    return all(hasattr(module, a) for a in ("blocks", "num_prefix_tokens", "patch_embed", "forward_intermediates"))


def _transformer_facts(skeleton: Any, name: str, stage: int | None) -> dict[str, Any]:
    if stage is not None:
        raise EncoderError(f"{name} is a transformer and has blocks, not stages", remedy="Leave out +stage")
    embed = skeleton.patch_embed
    size, patch = set(embed.img_size or (0,)), set(embed.patch_size)
    if len(size) != 1 or len(patch) != 1 or size == {0}:
        raise EncoderError(f"{name} does not take square images in square patches", remedy="Choose another model")
    return {
        "architecture": type(skeleton).__name__,
        "input_size": size.pop(),
        "patch_size": patch.pop(),
        "width": int(skeleton.embed_dim),
        "depth": len(skeleton.blocks),
        "prefix_tokens": int(skeleton.num_prefix_tokens),
        "flexible_size": bool(getattr(skeleton, "dynamic_img_size", False)),
    }


def _convolutional_facts(skeleton: Any, name: str, stage: int | None) -> dict[str, Any]:
    if not hasattr(skeleton, "forward_intermediates") or not hasattr(skeleton, "feature_info"):
        raise EncoderError(
            f"timm's {name} does not give dense maps of its stages", remedy="Choose a ViT, ResNet, ConvNeXt or the like"
        )
    stages = _stages(skeleton)
    number = len(stages) if stage is None else stage
    if not 1 <= number <= len(stages):
        raise EncoderError(f"{name} has the stages 1 … {len(stages)}", remedy=f"Choose one of these, not {number}")
    chosen = stages[number - 1]
    size = skeleton.pretrained_cfg.get("input_size", (3, 224, 224))[-1]
    return {
        "architecture": f"{type(skeleton).__name__}, stage {number} of {len(stages)}",
        "input_size": size - size % chosen["reduction"],
        "patch_size": chosen["reduction"],
        "width": chosen["num_chs"],
        "depth": 0,
        "flexible_size": not any(hasattr(part, "img_size") for part in skeleton.modules()),
        "notes": (f"Only the map of stage {number} is read; name another as {split_stage(name)[0]}+stageK.",),
    }


def _stages(skeleton: Any) -> list[dict[str, Any]]:
    info = skeleton.feature_info
    return [dict(i) for i in (info.info if hasattr(info, "info") else info)]


class TimmEncoder(TileEncoder):
    """A timm model as an encoder.

    Args:
        card: Its facts, checked against the model.
        module: The model, frozen.
        model: Name by which timm built it, stage included.
        arguments: Arguments with which timm built it.
        precision: Arithmetic.

    Raises:
        EncoderError: The card does not describe the model.
    """

    def __init__(
        self, card: EncoderCard, module: nn.Module, *, model: str, arguments: Mapping[str, Any], precision: str
    ) -> None:
        self.card, self.module, self.precision = card, module, precision
        self._model = model
        self._arguments = dict(arguments)
        self._weights = weights_sha256(module)
        if _is_transformer(module):
            self._check_card()

    def _check_card(self) -> None:
        facts = _transformer_facts(self.module, self.card.name, None)
        facts["parameters"] = sum(p.numel() for p in self.module.parameters())
        for name in ("patch_size", "width", "depth", "prefix_tokens", "parameters"):
            stated = getattr(self.card, name)
            if stated is not None and stated != facts[name]:
                raise EncoderError(
                    f"the card of {self.card.name} says {name} = {stated}, the model has {facts[name]}",
                    remedy="Correct the card, or the arguments that build the model",
                )

    def identity(self) -> Mapping[str, Any]:
        """Name, hash of the weights, construction, normalisation, code version and precision."""
        return {
            "encoder": self.card.name,
            "weights": self._weights,
            "timm": {"model": self._model, "args": self._arguments},
            "mean": self.card.mean,
            "std": self.card.std,
            "code": code_version(TimmEncoder, TileEncoder),
            "precision": self.precision,
        }

    def _maps(self, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        return self._blocks(images, layers) if self.card.depth else self._stage(images)

    def _blocks(self, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        numbers = sorted({int(layer.removeprefix("block-")) for layer in layers if layer != "final"})
        model: Any = self.module
        wants_final = "final" in layers
        found = model.forward_intermediates(
            images,
            indices=[n - 1 for n in numbers] or [0],
            output_fmt="NLC",
            stop_early=not wants_final,
            intermediates_only=not wants_final,
        )
        final, blocks = found if wants_final else (None, found)
        maps = {f"block-{n}": self._grid(tokens) for n, tokens in zip(numbers, blocks, strict=False)}
        return maps if final is None else maps | {"final": self._grid(final[:, self.card.prefix_tokens :])}

    @staticmethod
    def _grid(tokens: Tensor) -> Tensor:
        side = round(tokens.shape[1] ** 0.5)
        return tokens.reshape(len(tokens), side, side, tokens.shape[-1])

    def _stage(self, images: Tensor) -> dict[str, Tensor]:
        stage = split_stage(self._model)[1]
        model: Any = self.module
        index = (stage or len(_stages(model))) - 1
        maps = model.forward_intermediates(images, indices=[index], intermediates_only=True, output_fmt="NCHW")[0]
        return {"final": maps.permute(0, 2, 3, 1)}
