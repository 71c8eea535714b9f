"""Checkpoints: a killed training ends where an undisturbed one does; damaged and hostile files are refused."""

from __future__ import annotations

import os
import pickle
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from tile_fakes import Colours, PlainFeed, learner
from torch import nn

from cryostat.cells.training.tiles.checkpoints import Checkpoint
from cryostat.cells.training.tiles.learners import Learner
from cryostat.cells.training.tiles.loop import train
from cryostat.encoders.tile.tuning import tuned


class KilledError(Exception):
    """Stands for the end of the process."""


class Dropping(nn.Module):
    """Drops, and normalises by running statistics."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Conv2d(4, 2, 1))

    def forward(self, maps: list[torch.Tensor], image: torch.Tensor) -> torch.Tensor:
        return nn.functional.interpolate(self.body(maps[0]), image.shape[-2:])


def fresh(kind: str = "frozen") -> Learner:
    torch.manual_seed(1)
    encoder = tuned(Colours(nn.Conv2d(3, 3, 1))) if kind == "tuned" else None
    return learner(head=Dropping(), encoder=encoder, steps=9, lr=0.05, patience=50)


def score(due: Sequence[Learner]) -> list[float]:
    return [float(sum(p.detach().sum() for p in one.model.parameters()).sin()) for one in due]


def same(one: Learner, other: Learner) -> bool:
    pairs = zip(one.learning.state_dict().items(), other.learning.state_dict().items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


@pytest.mark.parametrize("kind", ["frozen", "tuned"])
@pytest.mark.parametrize("looks", [1, 2, 4])
@pytest.mark.parametrize("late", [0, 1])
def test_a_killed_training_ends_where_an_undisturbed_one_does(tmp_path: Path, kind: str, looks: int, late: int) -> None:
    whole, killed, resumed = fresh(kind), fresh(kind), fresh(kind)
    train([whole], PlainFeed(), score, lambda one: None)
    file, kept = Checkpoint(tmp_path / "run.pt"), 0
    advance = killed.advance

    def step(batch: object) -> None:
        if kept == looks and killed.step == 2 * looks + late:
            raise KilledError
        advance(batch)

    def keep(one: Learner) -> None:
        nonlocal kept
        kept += 1
        file.keep(one)
        if kept == looks and (not late or one.step + late >= 9):
            raise KilledError

    killed.advance = step
    with pytest.raises(KilledError):
        train([killed], PlainFeed(), score, keep)
    assert file.resume(resumed)
    assert resumed.step == 2 * looks
    train([resumed], PlainFeed(), score, lambda one: None)
    assert resumed.log == whole.log
    assert same(resumed, whole)


def test_one_that_was_done_is_done_again(tmp_path: Path) -> None:
    whole, again, file = fresh(), fresh(), Checkpoint(tmp_path / "run.pt")
    train([whole], PlainFeed(), score, file.keep)
    assert file.resume(again)
    assert again.done
    feed = PlainFeed()
    train([again], feed, score, file.keep)
    assert feed.retired == [again.task.stream]
    assert same(again, whole)
    assert again.log == whole.log


@pytest.fixture
def kept(tmp_path: Path) -> Checkpoint:
    file, one = Checkpoint(tmp_path / "deep" / "run.pt"), fresh()
    train([one], PlainFeed(), score, file.keep)
    return file


@pytest.mark.parametrize("damage", ["empty", "truncated", "noise", "text", "flipped"])
def test_a_damaged_file_starts_anew(kept: Checkpoint, damage: str) -> None:
    content = kept.path.read_bytes()
    middle = len(content) // 2
    broken = {
        "empty": b"",
        "truncated": content[:middle],
        "noise": bytes(range(256)) * 8,
        "text": b"not a checkpoint",
        "flipped": content[:100] + bytes(b ^ 255 for b in content[100:1100]) + content[1100:],
    }[damage]
    kept.path.write_bytes(broken)
    one = fresh()
    assert not kept.resume(one)
    assert not kept.path.exists()
    assert same(one, fresh())


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        {"learning": None},
        {"learning": {}, "loss": {}, "optimiser": {}, "scheduler": {}, "keeper": {}, "step": 1},
        "keeper",
        "optimiser",
    ],
)
def test_a_file_of_something_else_changes_nothing(kept: Checkpoint, content: object) -> None:
    if isinstance(content, str):
        state = torch.load(kept.path, weights_only=True)
        content = {**state, content: 5}
    torch.save(content, kept.path)
    one, undisturbed = fresh(), fresh()
    assert not kept.resume(one)
    assert same(one, fresh())
    assert one.step == 0
    train([one], PlainFeed(), score, lambda one: None)
    train([undisturbed], PlainFeed(), score, lambda one: None)
    assert same(one, undisturbed)
    assert one.log == undisturbed.log


class Bomb:
    """Runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("packed", [False, True])
def test_a_hostile_file_is_not_executed(kept: Checkpoint, tmp_path: Path, packed: bool) -> None:
    mark = tmp_path / "exploded"
    if packed:
        torch.save({"learning": Bomb(mark)}, kept.path)
    else:
        kept.path.write_bytes(pickle.dumps(Bomb(mark), protocol=2))
    assert not kept.resume(fresh())
    assert not mark.exists()


def test_dropping_leaves_nothing(kept: Checkpoint) -> None:
    kept.drop()
    assert list(kept.path.parent.iterdir()) == []
    kept.drop()
    assert not kept.resume(fresh())


def test_a_finished_run_leaves_nothing_behind_not_even_what_a_kill_cut_short(tmp_path: Path) -> None:
    file = Checkpoint(tmp_path / "run@1.pt")
    file.path.write_bytes(b"state")
    (tmp_path / ".run@1.pt.x7f.part").write_bytes(b"half")
    (tmp_path / "other.pt").write_bytes(b"state of another")
    file.drop()
    assert [path.name for path in tmp_path.iterdir()] == ["other.pt"]
