"""Encoders of one's own: a Python file in which one class or function is marked as an encoder.

Naming such a file runs it, as running it with Python would: its author and its user are meant to be one person, or to
trust each other. Nothing else that Cryostat reads is ever run.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from cryostat.core.errors import CryostatError, EncoderError, InputError, SettingError
from cryostat.core.extras import missing_extra
from cryostat.core.files import require_file
from cryostat.core.identity import sources_version
from cryostat.encoders.card import IMAGENET_MEAN, IMAGENET_STD
from cryostat.encoders.catalogue import Recipe, card_of, normalised, shipped

Marked = TypeVar("Marked", bound=Callable[..., Any])

TEMPLATE = Path(__file__).parent / "templates" / "my_model.py.txt"
"""A file to start from: a vision transformer."""

MARK = "__cryostat_tile_encoder__"
"""Attribute that the decorator leaves on a class or function."""

NAMED = re.compile(r"^(?P<file>.+\.py)(?::(?P<name>[^:/\\]+))?$")
"""`my_model.py`, or `my_model.py:name` where a file has several encoders."""


@dataclass(frozen=True)
class Declaration:
    """What the decorator was told.

    Attributes:
        facts: Fields of the card.
        blocks: Name of the list of blocks whose outputs are the layers, e.g. `vit.blocks`; empty for none.
        weights: File of weights beside the Python file, or None.
        loads_weights: The class or function loads its weights itself.
    """

    facts: Mapping[str, Any]
    blocks: str
    weights: str | None
    loads_weights: bool


def tile_encoder(
    *,
    name: str,
    width: int,
    patch_size: int,
    input_size: int = 224,
    depth: int = 0,
    blocks: str = "",
    prefix_tokens: int = 0,
    mean: tuple[float, float, float] = IMAGENET_MEAN,
    std: tuple[float, float, float] = IMAGENET_STD,
    weights: str | None = None,
    loads_weights: bool = False,
    **facts: Any,
) -> Callable[[Marked], Marked]:
    """Mark a class or function of one's own file as an encoder; `--encoder my_model.py` then finds it.

    It is called without arguments and gives a `torch.nn.Module` that turns normalised images (N, 3, S, S) into tokens
    (N, prefix_tokens + T, width), row by row, or a map (N, h, w, width) or (N, width, h, w). Normalisation, eval mode,
    precision and the device are Cryostat's work. All that decides the output must lie in its parameters, its buffers,
    or the logic of the file and of those beside it that it imports.

    Args:
        name: What it is called in results.
        width: Channels of a token.
        patch_size: Side in px of a token.
        input_size: Side in px of the images.
        depth: Number of blocks whose output can be read; heads that read several layers need it.
        blocks: Name of the module's list of these blocks, e.g. `vit.blocks`.
        prefix_tokens: Class and register tokens before those of the patches.
        mean: Per-channel mean of the normalisation, for images in 0 to 1.
        std: Per-channel standard deviation.
        weights: File beside this one that is loaded strictly, unless --weights names another.
        loads_weights: The class or function loads them itself.
        **facts: Further fields of `EncoderCard`: `mpp`, `precision`, `flexible_size`, `licence`, `trained_on` …
    """
    told = {
        "name": name,
        "title": name,
        "architecture": "of one's own",
        "input_size": input_size,
        "patch_size": patch_size,
        "width": width,
        "depth": depth,
        "prefix_tokens": prefix_tokens,
        "mean": list(mean),
        "std": list(std),
        "access": "local",
        **facts,
    }

    def mark(thing: Marked) -> Marked:
        setattr(thing, MARK, Declaration(told, blocks, weights, loads_weights))
        return thing

    return mark


def is_plugin(name: str) -> bool:
    """True for `FILE.py` and `FILE.py:NAME`."""
    return NAMED.match(name) is not None


def plugin_recipe(name: str) -> Recipe:
    """Run a user's file and read what it declares.

    Args:
        name: `FILE.py` or `FILE.py:NAME`.

    Returns:
        A recipe by which `tile.network.load` builds it; `settings` hold `thing`, `file`, `blocks`, `version`, and
        `weights` where they are declared.

    Raises:
        InputError: The file is missing or no Python.
        SettingError: It marks nothing, several things, or says something impossible.
        EncoderError: It ends in an error.
    """
    found = NAMED.match(name)
    path = Path(found["file"] if found else name).expanduser()
    require_file(path)
    version, helpers = logic_of(path)
    module = _executed(path.resolve(), version, helpers)
    thing = _chosen(module, path, found["name"] if found else None)
    declared: Declaration = vars(thing)[MARK]
    settings = {
        "thing": thing,
        "file": path,
        "blocks": declared.blocks,
        "version": version,
        "helpers": helpers,
        "loads_weights": declared.loads_weights,
    }
    if declared.weights is not None:
        settings["weights"] = str(path.parent / declared.weights)
    return Recipe(_card(declared, path), "plugin", settings)


def _card(declared: Declaration, path: Path) -> Any:
    card = card_of(declared.facts, path, "@cryostat.tile_encoder(...) ")
    if normalised(card.name) in shipped():
        raise SettingError(
            f"calls its encoder {card.name!r}, which is the name of one that comes with Cryostat",
            where=path,
            remedy="Choose another name, for results would be mistaken for that encoder's",
        )
    if bool(declared.blocks) != bool(card.depth):
        raise SettingError(
            f"states depth = {card.depth} and blocks = {declared.blocks!r}",
            where=path,
            remedy="State both (blocks names the module's list of that many blocks), or neither",
        )
    return card


def _chosen(module: ModuleType, path: Path, name: str | None) -> Any:
    """The marked thing that is asked for, or the only one."""
    marked = {key: thing for key, thing in vars(module).items() if isinstance(_mark(thing), Declaration)}
    if name is not None:
        wanted = [t for key, t in marked.items() if name == key or normalised(name) == normalised(_name(t))]
        marked = {name: wanted[0]} if wanted else {}
    if not marked:
        called = f" called {name!r}" if name else ""
        raise SettingError(
            f"has no class or function marked with @cryostat.tile_encoder(...){called}",
            where=path,
            remedy="Mark the one that builds your model; `cryostat encoders template` shows how",
        )
    things = list({id(thing): thing for thing in marked.values()}.values())
    if len(things) > 1:
        names = [_name(thing) for thing in things]
        raise SettingError(
            f"has {len(things)} encoders: {', '.join(names)}", where=path, remedy=f"Name one, as {path}:{names[0]}"
        )
    return things[0]


def _mark(thing: Any) -> Any:
    # Of the thing itself: a class derived from a marked one is not marked.
    return getattr(thing, "__dict__", {}).get(MARK)


def _name(thing: Any) -> str:
    return str(_mark(thing).facts["name"])


def logic_of(path: Path) -> tuple[str, tuple[str, ...]]:
    """Hash of the logic of a file and of those in its folder that it imports; and the names of these modules.

    Comments, docstrings and layout do not matter.

    Raises:
        InputError: One of them is no Python.
    """
    sources: dict[Path, str] = {}
    helpers: dict[str, None] = {}
    pending = [path]
    while pending:
        file = pending.pop()
        if file in sources:
            continue
        sources[file] = _source(file)
        for name, beside in _imports(sources[file], path.parent):
            helpers[name] = None
            pending += beside
    texts = [sources[file] for file in (path, *sorted(set(sources) - {path}))]
    return sources_version(*texts), tuple(sorted(helpers))


def _source(path: Path) -> str:
    """Text of a Python file that can be parsed."""
    try:
        source = path.read_text(encoding="utf-8-sig")
        ast.parse(source)
    except SyntaxError as error:
        raise InputError(
            f"is not Python (line {error.lineno}: {error.msg})", where=path, remedy="Correct that line"
        ) from error
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise InputError("is not a Python file in UTF-8", where=path, remedy="Name the .py file itself") from error
    return source


def _imports(source: str, folder: Path) -> Iterator[tuple[str, list[Path]]]:
    """The modules of a folder that a source imports: name, and files."""
    for node in ast.walk(ast.parse(source)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        for name in {name.partition(".")[0] for name in names}:
            if (file := folder / f"{name}.py").is_file():
                yield name, [file]
            elif (package := folder / name / "__init__.py").is_file():
                yield name, sorted(package.parent.rglob("*.py"))


@functools.lru_cache(maxsize=16)
def _executed(path: Path, version: str, helpers: tuple[str, ...]) -> ModuleType:
    """The module that a file makes when it is run, once for each state of its logic."""
    name = f"cryostat_plugin_{path.stem}_{version}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError("cannot be imported", where=path, remedy="Name a .py file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with users_code(path, "running it", helpers):
            spec.loader.exec_module(module)
    except CryostatError:
        del sys.modules[name]
        raise
    return module


@contextmanager
def users_code(path: Path, doing: str, helpers: tuple[str, ...] = ()) -> Iterator[None]:
    """Run code of a user's file with its folder to import from; what it raises becomes our error, with the line.

    Args:
        path: The file.
        doing: What was going on, for the message.
        helpers: Modules of its folder; two files may have different ones of the same name.

    Raises:
        EncoderError: The code raised something, or left the program.
    """
    with _beside(path.parent, helpers):
        try:
            yield
        except CryostatError:
            raise
        except (Exception, SystemExit) as error:
            raise users_error(path, doing, error) from error


@contextmanager
def _beside(folder: Path, helpers: tuple[str, ...]) -> Iterator[None]:
    """Imports look into a folder first; its modules leave no trace under names that others may use."""

    def taken() -> dict[str, ModuleType]:
        return {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in helpers}

    others = taken()
    sys.path.insert(0, str(folder.resolve()))
    try:
        yield
    finally:
        sys.path.remove(str(folder.resolve()))
        taken()
        sys.modules.update(others)


def users_error(path: Path, doing: str, error: BaseException) -> EncoderError:
    """Our error for one that a user's code raised: with the last line of the file on the way to it."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == path.resolve()]
    line = f" at line {frames[-1].lineno}" if frames else ""
    reason = str(error).strip().splitlines()
    told = f"{type(error).__name__}: {reason[0][:200]}" if reason else type(error).__name__
    remedy = "Correct the file; run it with Python to see the whole trace"
    if isinstance(error, ModuleNotFoundError):
        ours = missing_extra(error)
        remedy = ours.remedy if ours else f"Install {error.name}, or put its file beside this one"
    return EncoderError(f"{doing} ended{line} in {told}", where=path, remedy=remedy)
