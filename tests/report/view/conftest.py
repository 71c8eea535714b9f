from __future__ import annotations

import http.client
import json
import math
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import tifffile

from cryostat.cells.dataset import CellDataset, Split
from cryostat.cells.field import CellClass, DatasetFacts, field_from_table
from cryostat.cells.writer import DatasetWriter
from cryostat.core.home import Home
from cryostat.report.site.pages import page_file
from cryostat.report.view import Overlays, Shelf, ViewServer, shelve

sys.path.insert(0, str(Path(__file__).parent))

from view_samples import CLASSES, CORNERS, HOSTILE, feature, gradient, write_run

ICON = "<link rel=icon href=data:,>"


@pytest.fixture(scope="session")
def tiff(tmp_path_factory) -> Path:
    """A tiled TIFF of 1500×1100 px at 0.5 µm with one smaller copy."""
    path = tmp_path_factory.mktemp("slides") / "slide one.tiff"
    whole = gradient(1100, 1500)
    how = {"tile": (256, 256), "compression": "deflate", "photometric": "rgb"}
    with tifffile.TiffWriter(path) as file:
        file.write(whole, subifds=1, resolution=(20_000, 20_000), resolutionunit="CENTIMETER", **how)
        file.write(whole[::2, ::2], subfiletype=1, **how)
    return path


@pytest.fixture(scope="session")
def dataset_home(tmp_path_factory) -> Home:
    """A home with the dataset `tiny`: two fields of 40×60 px, one nucleus in the first, one field badly named."""
    home = Home(tmp_path_factory.mktemp("home"))
    classes = (CellClass(1, "tumour", "#ff0000"), CellClass(2, "stroma", "#0000ff"))
    facts = DatasetFacts("tiny", "Tiny", classes, 0.5, "CC0", "none")
    instances = np.zeros((40, 60), np.int32)
    instances[10:20, 10:30] = 7
    with DatasetWriter(home.datasets / "tiny", facts) as writer:
        about = {"mpp": 0.5, "source": "made"}
        writer.add(field_from_table("one", gradient(40, 60), instances, {7: 1}, patient_id="p1", **about))
        writer.add(field_from_table(HOSTILE, gradient(40, 60), np.zeros((40, 60), np.int32), {}, **about))
    return home


@pytest.fixture(scope="session")
def tiny(dataset_home) -> CellDataset:
    return CellDataset(dataset_home.datasets / "tiny")


@pytest.fixture(scope="session")
def report(tmp_path_factory) -> Path:
    """A folder like a report's, with a page on the dataset, a hidden file, and a secret beside it."""
    root = tmp_path_factory.mktemp("served")
    (root / "secret.txt").write_text("secret")
    folder = root / "report"
    (folder / "data").mkdir(parents=True)
    (folder / "index.html").write_text(ICON + "<main id=main>index</main>")
    (folder / page_file("dataset", "tiny")).write_text(ICON + "<main id=main>tiny</main>")
    (folder / "data" / "table.csv").write_text("a,b\n")
    (folder / ".hidden").write_text("hidden")
    (folder / "out.txt").symlink_to(root / "secret.txt")
    return folder


@pytest.fixture(scope="session")
def broken(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("broken") / "broken.svs"
    path.write_bytes(b"not a slide")
    return path


@pytest.fixture(scope="session")
def judged(tmp_path_factory) -> Home:
    """A home with the dataset `squares`: fields a, b and a badly named one, of 100 px with four nuclei of 20 px.

    The run squares-2fold-0-… tested a (nucleus 2 wrong, 3 taken for background), squares-2fold-1-… b (all right);
    squares-hover tested a and found a nucleus of its own there.
    """
    home = Home(tmp_path_factory.mktemp("judged"))
    instances = np.zeros((100, 100), np.int32)
    for cell, (y, x) in enumerate(CORNERS, 1):
        instances[y : y + 20, x : x + 20] = cell
    facts = DatasetFacts("squares", "Squares", CLASSES, 0.5, "CC0", "none")
    with DatasetWriter(home.datasets / "squares", facts) as writer:
        for name in ("a", "b", HOSTILE):
            truth = {1: 1, 2: 1, 3: 2, 4: 2}
            writer.add(field_from_table(name, gradient(100, 100), instances, truth, mpp=0.5, source="made"))
        writer.add_splits([Split("base", {"a": "test", "b": "train", HOSTILE: "valid"})])
    dataset = CellDataset(home.datasets / "squares")
    write_run(home, dataset, "squares-2fold-0-vit-linear-aa", {"a": [1, 2, 0, 2]}, split="2fold-0")
    write_run(home, dataset, "squares-2fold-1-vit-linear-bb", {"b": [1, 1, 2, 2]}, split="2fold-1")
    hover = write_run(home, dataset, "squares-hover", {"a": [1, 1, 2, 1]}, head="hovernext", encoder=None)
    found = np.zeros((100, 100), np.int32)
    found[30:50, 30:50] = 9
    (hover / "segments").mkdir()
    np.savez(hover / "segments" / "a.npz", instances=found, cell_ids=np.array([9]), class_ids=np.array([2]))
    return home


@pytest.fixture(scope="session")
def squares(judged) -> CellDataset:
    return CellDataset(judged.datasets / "squares")


@pytest.fixture(scope="session")
def cells(tmp_path_factory) -> Path:
    """Three cells: at 100, 100 one of 60 px with measurements, at 400, 400 one of 20 px, and one off the slide."""
    path = tmp_path_factory.mktemp("cells") / "cells.geojson"
    large = feature(100, 100, 60, measurements={"<i>area": 3600.0, "nan": math.nan}, metadata={"cell_id": "7"})
    small = feature(400, 400, name="<script>alert(1)</script>")
    features = [large, small, feature(9000, 0)]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


@contextmanager
def serving(shelf: Shelf) -> Iterator[ViewServer]:
    made = ViewServer(shelf)
    thread = threading.Thread(target=made.serve, daemon=True)
    thread.start()
    yield made
    made.stop()
    made.close()
    thread.join(5)


@pytest.fixture(scope="module")
def server(report, tiff, broken, dataset_home):
    with serving(shelve([str(report), str(tiff), str(broken)], dataset_home)) as made:
        yield made


@pytest.fixture(scope="module")
def judging(tiff, cells, judged):
    """A server with the dataset, its runs, and a slide with cells."""
    with serving(shelve(["squares", str(tiff)], judged, Overlays(every_run=True, cells=[cells]))) as made:
        yield made


@pytest.fixture
def ask(server):
    return asker(server)


@pytest.fixture
def ask_judging(judging):
    return asker(judging)


def asker(server: ViewServer):
    """What asks for an address below the key as it is written, without tidying; gives status, headers and body."""

    def asked(path: str = "", *, host: str | None = None, method: str = "GET", key: str | None = None):
        start = urlsplit(server.url).path if key is None else f"/{key}/"
        link = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        link.putrequest(method, start + path, skip_host=True)
        link.putheader("Host", host or f"127.0.0.1:{server.port}")
        link.endheaders()
        answer = link.getresponse()
        body = answer.read()
        link.close()
        return answer.status, dict(answer.getheaders()), body

    return asked
