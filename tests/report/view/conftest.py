from __future__ import annotations

import http.client
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import tifffile

from cryostat.cells.dataset import CellDataset
from cryostat.cells.field import CellClass, DatasetFacts, field_from_table
from cryostat.cells.writer import DatasetWriter
from cryostat.core.home import Home
from cryostat.report.site.pages import page_file
from cryostat.report.view import ViewServer, shelve

sys.path.insert(0, str(Path(__file__).parent))

ICON = "<link rel=icon href=data:,>"
HOSTILE = "a <b>&'\"../%2e"


def gradient(height: int, width: int) -> np.ndarray:
    """(H, W, 3) picture whose red grows to the right and green downwards, from 0 to 250."""
    picture = np.full((height, width, 3), 90, np.uint8)
    picture[..., 0] = np.linspace(0, 250, width)
    picture[..., 1] = np.linspace(0, 250, height)[:, None]
    return picture


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


@pytest.fixture(scope="module")
def server(report, tiff, broken, dataset_home):
    made = ViewServer(shelve([str(report), str(tiff), str(broken)], dataset_home))
    thread = threading.Thread(target=made.serve, daemon=True)
    thread.start()
    yield made
    made.stop()
    made.close()
    thread.join(5)


@pytest.fixture
def ask(server):
    """Asks for an address below the key as it is written, without tidying; gives status, headers and body."""

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
