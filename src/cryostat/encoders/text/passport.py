"""The self-test of text encoders, on reports made up here: short ones, long ones, and what must be refused."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from cryostat.core.errors import CryostatError
from cryostat.encoders import passport
from cryostat.encoders.passport import BATCH_TOLERANCE, REPEAT_TOLERANCE, CheckReport, Finding
from cryostat.encoders.text.base import TextEncoder
from cryostat.encoders.text.card import TextCard

SITES = ("frontal", "temporal", "parietal", "occipital", "insular", "cerebellar", "thalamic", "pontine")
SIGNS = ("necrosis", "mitoses", "oedema", "gliosis", "calcification", "haemorrhage", "microvascular proliferation")
VERDICTS = (
    "glioblastoma, IDH-wildtype",
    "astrocytoma, IDH-mutant",
    "oligodendroglioma, 1p/19q-codeleted",
    "metastasis",
)

LONG = 60
"""Sentences of a long report: several times what common models read at once."""


def check(encoder: TextEncoder, card: TextCard | None = None, *, batch: int = 4, seconds: float = 0.5) -> CheckReport:
    """Test an encoder.

    Args:
        encoder: An encoder of texts; one that learns from texts is tested after it has learnt from made-up ones.
        card: What it should be, where it has a card.
        batch: Reports on which speed is measured.
        seconds: How long to measure the speed.
    """
    reports = [report(3, seed) for seed in range(batch)]
    subject = encoder.fitted([report(3, seed) for seed in range(20, 60)])
    module = getattr(subject, "model", None)

    def speed() -> tuple[float, int | None, int]:
        found = passport.speed(lambda: subject.encode(reports), batch, _device(subject), seconds)
        return *found, sum(tensor.nbytes for tensor in module.state_dict().values()) if module else 0

    return passport.attempted(encoder.name, "texts", _findings(subject, card), speed)


def report(sentences: int, seed: int = 0) -> str:
    """A made-up report; the words change from its beginning to its end."""
    draw = np.random.default_rng(seed)
    lines = []
    for number in range(sentences):
        site, sign = SITES[(seed + number // 8) % len(SITES)], SIGNS[int(draw.integers(len(SIGNS)))]
        size = int(draw.integers(5, 60))
        lines.append(f"Specimen {number + 1}: {site} lesion of {size} mm with {sign}, margin {draw.integers(9)} mm.")
    return " ".join([*lines, f"Diagnosis: {VERDICTS[seed % len(VERDICTS)]}."])


def _findings(encoder: TextEncoder, card: TextCard | None) -> Iterator[Finding]:
    before = _hash(encoder)
    # Of very different lengths, so that the short ones are padded.
    texts = ["glioma", report(1), report(2, 1), report(LONG)]
    vectors = encoder.encode(texts)
    yield from _vectors(encoder, vectors, card)
    exact = REPEAT_TOLERANCE if _device(encoder) == "cpu" else BATCH_TOLERANCE
    yield passport.repeats(passport.relative(encoder.encode(texts), vectors), exact)
    difference = max(passport.relative(encoder.encode([text])[0], vectors[i]) for i, text in enumerate(texts))
    yield passport.same(
        "batch", "each text alone and among others differs", difference, "Mask the padding in attention and in pooling"
    )
    difference = passport.relative(encoder.encode(texts[::-1])[::-1], vectors)
    yield passport.same("order", "the texts in another order differ", difference, "Put results back into their order")
    yield from _chunks(encoder, texts[3], vectors[3])
    difference = passport.relative(encoder.encode([report(2, 5)])[0], vectors[2])
    yield passport.contrast("embeddings of two reports", difference, "See that its weights and vocabulary are loaded")
    yield _refusals(encoder, texts[1])
    yield _discretion(encoder, texts)
    module = getattr(encoder, "model", None)
    count = sum(p.numel() for p in module.parameters()) if module else 0
    yield from passport.counted(count, card.parameters if card else None)
    yield from passport.frozen(before, _hash(encoder))
    yield passport.named(encoder.identity)


def _vectors(encoder: TextEncoder, vectors: NDArray[np.float32], card: TextCard | None) -> Iterator[Finding]:
    stated = card.width if card and card.width else encoder.width
    right = vectors.shape == (4, stated) and vectors.dtype == np.float32
    detail = f"{vectors.shape} for texts of one word to {LONG + 1} sentences" + (
        "" if right else f", the card says {stated} channels"
    )
    yield Finding("shapes", right, detail, "Correct the width in the card, or supply the model that it describes")
    finite = bool(np.isfinite(vectors).all())
    yield Finding("finite", finite, f"values up to {abs(vectors).max():.3g}", "Check that the weights are whole")


def _chunks(encoder: TextEncoder, long: str, vector: NDArray[np.float32]) -> Iterator[Finding]:
    """Whether all of a long report is read: it must differ from what fits into its first chunk."""
    words = long.split()
    cut = getattr(encoder, "chunks", None)
    first = _most_words(words, cut) if cut else len(words) // 10
    detail = f"a report of {len(words)} words" + (f" in {len(cut(long))} chunks" if cut else "")
    if first == len(words):
        yield Finding("long text", None, f"{detail} is read at once")
        return
    beginning = encoder.encode([" ".join(words[:first])])[0]
    difference = passport.relative(beginning, vector)
    told = f"{detail} differs from its first {first} words by {difference:.1e}"
    remedy = "Cut long texts into chunks; do not let the tokenizer truncate them"
    yield Finding("long text", difference > BATCH_TOLERANCE, told, remedy)


def _most_words(words: Sequence[str], cut: object) -> int:
    """Words from the beginning on that fit into one chunk."""
    least, most = 1, len(words)
    while least < most:
        middle = (least + most + 1) // 2
        fits = callable(cut) and len(cut(" ".join(words[:middle]))) == 1
        least, most = (middle, most) if fits else (least, middle - 1)
    return least


def _refusals(encoder: TextEncoder, text: str) -> Finding:
    attempts = {
        "a blank text": lambda: encoder.encode([text, "  \n"]),
        "one text in place of several": lambda: encoder.encode(text),
        "broken characters": lambda: encoder.encode([f"{text} \ud800"]),
    }
    return passport.refused("refusals", attempts, "Leave the checks of TextEncoder.encode in place")


def _discretion(encoder: TextEncoder, texts: Sequence[str]) -> Finding:
    """Whether words of reports show in the identity or in a message."""
    told = json.dumps(dict(encoder.identity()), default=str)
    try:
        encoder.encode([f"{texts[0]} \ud800"])
    except CryostatError as error:
        told += str(error)
    words = {word.strip(".,:").lower() for text in texts for word in text.split() if len(word) > 7}
    seen = sorted(word for word in words if word in told.lower())
    detail = f"shows {seen[0]!r}" if seen else "no word of a text shows in its identity or its messages"
    return Finding("discretion", not seen, detail, "Put hashes into identity(), and places into messages")


def _hash(encoder: TextEncoder) -> str:
    module = getattr(encoder, "model", None)
    if module is None:
        return ""
    from cryostat.encoders.weights import weights_sha256

    return weights_sha256(module)


def _device(encoder: TextEncoder) -> str:
    return str(getattr(encoder, "device", "cpu"))
