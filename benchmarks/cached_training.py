"""A linear head on a ViT-S: from stored features, against a plain loop that runs the encoder at every step.

Both have the same data, standardised features, optimiser, loss and choice of weights by the validation part. The plain
loop is what the published code does, without its augmentations, which only cost time.

Usage: python benchmarks/cached_training.py [--dataset NAME --split NAME] [--seeds N] [--steps N]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from cryostat.cells.heads.linear import LinearHead
from cryostat.cells.runs.bench import Bench
from cryostat.cells.runs.fits import Judge
from cryostat.cells.runs.material import Features, prepare
from cryostat.cells.runs.predict import GivenNuclei, truth
from cryostat.cells.runs.spec import RunSpec
from cryostat.cells.runs.watching import SeenTiles, Watched
from cryostat.cells.synthetic import make_dataset
from cryostat.cells.training.common import IGNORED, BestKeeper, Standardiser, adamw, class_weights, seeded
from cryostat.cells.training.tiles.models import DenseModel
from cryostat.core.home import Home
from cryostat.encoders.registry import load_encoder

ENCODER = "vit_small_patch16_224"
BATCH, LR, WEIGHT_DECAY, SMOOTHING, BALANCE = 16, 5e-3, 0.03, 0.05, 0.5
LOOK_EVERY, PATIENCE = 50, 4


def cached(home: Home, dataset: str, split: str, seeds: int) -> tuple[float, list[float]]:
    """Seconds for the features and the first fit, and the macro F1 of each seed."""
    scores, seconds = [], 0.0
    bench = Bench(home)
    for seed in range(seeds):
        start = time.perf_counter()
        record = bench.run(RunSpec(dataset, ENCODER, "linear", split, seed=seed))
        if seed == 0:
            seconds = time.perf_counter() - start
        scores.append(record.scores().macro_f1 or 0.0)
    return seconds, scores


def plain(home: Home, dataset: str, split: str, steps: int, seed: int) -> tuple[float, float, int]:
    """Seconds, macro F1 and steps of a loop that encodes its tiles whenever it looks at them."""
    from cryostat.cells.dataset import load_dataset

    start = time.perf_counter()
    features = prepare(load_encoder(ENCODER), load_dataset(dataset, home), home=home)
    parts = features.dataset.split(split)
    train = features.tiles_in(parts.fovs("train"))
    judge, device = Judge(features, dense=True), features.encoder.device
    valid, test = (GivenNuclei(features.tiles, parts.fovs(part), device) for part in ("valid", "test"))
    valid_true, test_true = truth(features.tiles, valid.rows), truth(features.tiles, test.rows)
    targets = {tile: judge.outputs.targets(features.tiles.labels([tile])[0]) for tile in train}
    weights = class_weights(
        np.bincount(np.concatenate([t[t != IGNORED] for t in targets.values()]), minlength=len(judge.outputs)), BALANCE
    )
    seen = SeenTiles(features.tiles, ("final",), device, encoder=features.encoder)
    model = _model(features, train, len(judge.outputs), seed)
    watched = Watched(model, seen, "fp32")
    keeper = BestKeeper(model, PATIENCE)
    optimiser, schedule = adamw(model, LR, WEIGHT_DECAY, steps)
    draw = np.random.default_rng(seed)
    for step in range(1, steps + 1):
        tiles = draw.choice(train, BATCH).tolist()
        images = seen.images(tiles)
        tokens = features.encoder.encode(images, ("final",))
        logits = model(tokens, images)
        wanted = torch.from_numpy(np.stack([targets[tile] for tile in tiles]))
        loss = F.cross_entropy(logits, wanted, weights, ignore_index=IGNORED, label_smoothing=SMOOTHING)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % LOOK_EVERY == 0 and keeper.look(
            step, judge.macro_f1(valid.means(watched), valid_true), float(loss.detach())
        ):
            break
    keeper.restore()
    score = judge.macro_f1(test.means(watched), test_true)
    return time.perf_counter() - start, score, keeper.log.steps


def _model(features: Features, train: list[int], outputs: int, seed: int) -> DenseModel:
    sample = train[:: max(1, len(train) // 64)]
    tokens = features.encoder.encode(torch.from_numpy(features.tiles.load(sample)).permute(0, 3, 1, 2), ("final",))[
        "final"
    ]
    scale = Standardiser.fit([tokens.flatten(0, 2).numpy()])
    with seeded(seed):
        head = LinearHead(features.encoder.card.width, outputs)
    return DenseModel(head, ("final",), features.encoder.card, {"final": scale})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, help="Folder with an imported dataset; generated tissue by default.")
    parser.add_argument("--dataset", default="tissue")
    parser.add_argument("--split", default="base")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=600)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        if options.home:
            (home.root / "datasets").symlink_to((options.home / "datasets").resolve())
        else:
            make_dataset(home, name="tissue", hospitals=2, patients=6, fields=2, size=512, seed=0)
        fast, scores = cached(home, options.dataset, options.split, options.seeds)
        loops = [plain(home, options.dataset, options.split, options.steps, seed) for seed in range(options.seeds)]
    slow = float(np.mean([seconds for seconds, _, _ in loops]))
    by_loop = [score for _, score, _ in loops]
    print(f"linear head on {ENCODER}, {torch.get_num_threads()} threads, mean of {options.seeds} seeds")
    print(
        f"stored features, first run (features and fit)  {fast:7.1f} s   macro F1 {np.mean(scores):.3f} {_each(scores)}"
    )
    print(
        f"plain loop, {np.mean([n for *_, n in loops]):.0f} steps                         {slow:7.1f} s   "
        f"macro F1 {np.mean(by_loop):.3f} {_each(by_loop)}"
    )
    print(f"ratio {slow / fast:.1f}   difference {np.mean(scores) - np.mean(by_loop):+.3f}")


def _each(scores: list[float]) -> str:
    return "(" + " ".join(f"{score:.3f}" for score in scores) + ")"


if __name__ == "__main__":
    main()
