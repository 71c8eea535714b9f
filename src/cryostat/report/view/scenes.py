"""Pictures to zoom into: their pages, tiles, nuclei, and what models said of these."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from cryostat.report.site.pages import json_text
from cryostat.report.view.asking import TYPES, Answer, Asked, MissingError, json_answer
from cryostat.report.view.listing import Wish, fields_page, neighbours
from cryostat.report.view.pages import page
from cryostat.report.view.predicted import class_facts, found_facts, prediction_facts
from cryostat.report.view.shelf import Scene, Shelf
from cryostat.report.view.tiles import Pyramid

TILE_NAME = re.compile(r"(\d{1,6})_(\d{1,6})\.(jpg|png)")
FILES = "_files"


def slide_answer(shelf: Shelf, asked: Asked) -> Answer:
    """The page of a slide, a tile of it or of the cells over it, or what is known of one of these.

    Raises:
        MissingError: There is nothing at the address.
        CryostatError: The slide cannot be shown.
    """
    scene, rest = shelf.slide(asked.parts[1]), asked.parts[2:]
    if len(rest) == 2 and rest[0] == "cells":
        by_name = {f"{number}.json": cells for number, cells in enumerate(scene.cells, 1)}
        if rest[1] not in by_name:
            raise MissingError
        return json_answer(by_name[rest[1]].at(asked.number("x"), asked.number("y")))
    return _scene(scene, rest, 2)


def dataset_answer(shelf: Shelf, asked: Asked) -> Answer:
    """The list of a dataset's fields, the page of one, a tile of it, or its nuclei.

    Raises:
        MissingError: There is nothing at the address.
        CryostatError: The field or the predictions cannot be shown.
    """
    name = asked.parts[1]
    dataset = shelf.datasets.get(name)
    if dataset is None or len(asked.parts) < 3:
        raise MissingError
    models = shelf.models.get(name, ())
    fov, rest = asked.parts[2], asked.parts[3:]
    if asked.parts[2:] == ("",):
        return fields_page(name, dataset, models, asked.query)
    scene = shelf.field(name, fov)
    if rest == ("nuclei.json",):
        return Answer(HTTPStatus.OK, TYPES[".json"], shelf.nuclei(name, fov))
    if len(rest) == 2 and rest[0] == "runs":
        return _said(shelf, name, fov, rest[1], asked.query)
    if rest != ("",):
        return _scene(scene, rest, 3)
    wish = Wish.of(models, asked.query)
    fields = {
        "classes": class_facts(dataset),
        "models": [{"key": model.key, "title": model.title} for model in models],
        "model": wish.model.key if wish.model else "",
        "layer": asked.query.get("layer", ""),
    }
    context = {"dataset": name, "models": models, "wish": wish, "near": neighbours(dataset, wish, fov)}
    return _scene(scene, rest, 3, field=fields, **context)


def _said(shelf: Shelf, name: str, fov: str, file: str, query: Mapping[str, str]) -> Answer:
    """What a model said of a field, or found there."""
    dataset = shelf.datasets[name]
    models = {model.key: model for model in shelf.models.get(name, ())}
    key, _, kind = file.removesuffix(".json").partition("-")
    if key not in models or kind not in ("", "found") or not file.endswith(".json"):
        raise MissingError
    if kind:
        return json_answer(found_facts(dataset, models[key], fov))
    near = neighbours(dataset, Wish.of([models[key]], query), fov)
    return json_answer(prediction_facts(dataset, models[key], fov) | {"near": near})


def _scene(scene: Scene, rest: Sequence[str], depth: int, **context: Any) -> Answer:
    """The page of a picture, its description for DeepZoom viewers, or one of its tiles."""
    pyramids = {"image": scene.pyramid, **{layer.name: layer.pyramid for layer in scene.layers}}
    if rest == ("",):
        told = _told(scene) | context.pop("field", {})
        return page("scene.html", depth, title=scene.title, scene=scene, told=json_text(told), **context)
    if len(rest) == 1 and rest[0].endswith(".dzi") and rest[0][:-4] in pyramids:
        return Answer(HTTPStatus.OK, TYPES[".dzi"], pyramids[rest[0][:-4]].dzi.encode())
    if len(rest) == 3 and rest[0].removesuffix(FILES) in pyramids and rest[0].endswith(FILES):
        return _tile(pyramids[rest[0].removesuffix(FILES)], rest[1], rest[2])
    raise MissingError


def _tile(pyramid: Pyramid, level: str, name: str) -> Answer:
    found = TILE_NAME.fullmatch(name)
    if found is None or found[3] != pyramid.form or not re.fullmatch(r"\d{1,2}", level):
        raise MissingError
    at = (int(level), int(found[1]), int(found[2]))
    if not pyramid.has(*at):
        raise MissingError
    return Answer(HTTPStatus.OK, TYPES[f".{pyramid.form}"], pyramid.tile(*at))


def _told(scene: Scene) -> dict[str, Any]:
    """What the scripts of the page need to know."""
    layers = [{"name": one.name, "shown": one.shown, **_about(one.name, one.pyramid)} for one in scene.layers]
    about = {"title": scene.title, "mpp": scene.mpp, "width": scene.pyramid.source.size[0], "cells": len(scene.cells)}
    return {**about, **_about("image", scene.pyramid), "layers": layers}


def _about(name: str, pyramid: Pyramid) -> dict[str, Any]:
    return {"tiles": {"Image": {**pyramid.facts, "Url": f"{name}{FILES}/"}}}
