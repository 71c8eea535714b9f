from __future__ import annotations

import io
import json
from urllib.parse import quote

import pytest
from PIL import Image
from view_samples import HOSTILE

pytestmark = pytest.mark.enable_socket


def test_the_list_is_of_the_best_model_its_worst_field_first(ask_judging):
    page = ask_judging("dataset/squares/")[2].decode()
    assert "vit · linear · 2fold · seed 0 · macro F1" in page
    assert page.index("<b>a</b>") < page.index(">not in the test part<")
    assert 'href="a/?run=m1&amp;sort=errors"' in page
    assert "2 of 4 nuclei" in page
    assert "1 not tested by this model" in page
    stored = ask_judging("dataset/squares/?run=m2&sort=stored")[2].decode()
    assert 'value="stored" selected' in stored


def test_nuclei_and_what_models_said_of_them_are_plain_data(ask_judging):
    status, headers, body = ask_judging("dataset/squares/a/nuclei.json")
    assert (status, headers["Content-Type"], headers["Cache-Control"]) == (200, "application/json", "no-store")
    assert json.loads(body)["classes"] == [1, 1, 2, 2]
    said = json.loads(ask_judging("dataset/squares/a/runs/m1.json?sort=errors")[2])
    assert said["run"] == "squares-2fold-0-vit-linear-aa"
    assert said["near"] == {"previous": None, "next": "b"}
    absent = json.loads(ask_judging(f"dataset/squares/{quote(HOSTILE, safe='')}/runs/m1.json")[2])
    assert absent["tested"] is False
    assert json.loads(ask_judging("dataset/squares/a/runs/m2-found.json")[2])["ids"] == [9]
    status, headers, body = ask_judging("dataset/squares/a/runs/m1-found.json")
    assert (status, headers["Content-Type"]) == (422, "text/plain; charset=utf-8")
    assert body.startswith(b"kept no nuclei of its own")


@pytest.mark.parametrize(
    "path",
    [
        "dataset/squares/a/runs/m9.json",
        "dataset/squares/a/runs/m1",
        "dataset/squares/a/runs/m1-other.json",
        "dataset/squares/a/runs/..%2fm1.json",
        "dataset/squares/a/runs/",
        "dataset/squares/zz/nuclei.json",
        "dataset/squares/a/other.json",
        "slide/slide%20one.tiff/cells/2.json?x=1&y=1",
        "slide/slide%20one.tiff/cells/1.json",
        "slide/slide%20one.tiff/cells/1.json?x=nan&y=1",
        "slide/slide%20one.tiff/cells/1.json?x=1e9&y=1",
    ],
)
def test_nothing_else_is_there(ask_judging, path):
    assert ask_judging(path)[0] == 404


def test_hostile_names_are_escaped(ask_judging):
    page = ask_judging(f"dataset/squares/{quote(HOSTILE, safe='')}/")[2].decode()
    assert "<b>blue" not in page
    assert "\\u003cb>blue" in page or "\\u003cb\\u003eblue" in page
    slide = ask_judging("slide/slide%20one.tiff/")[2].decode()
    assert "<script>alert" not in slide
    assert "&lt;script&gt;alert(1)" in slide


def test_cells_over_a_slide_are_tiles_and_facts(ask_judging):
    status, headers, body = ask_judging("slide/slide%20one.tiff/cells1_files/13/0_0.png")
    assert (status, headers["Content-Type"]) == (200, "image/png")
    assert Image.open(io.BytesIO(body)).getpixel((450, 400)) == (255, 0, 0, 255)
    told = json.loads(ask_judging("slide/slide%20one.tiff/cells/1.json?x=410.5&y=410")[2])
    assert told["class"] == "<script>alert(1)</script>"
    assert json.loads(ask_judging("slide/slide%20one.tiff/cells/1.json?x=-5&y=7.25")[2]) is None


def test_scripts_of_ours_may_be_kept_and_data_not(ask_judging):
    assert ask_judging("static/nuclei.js")[1]["Cache-Control"] == "private, max-age=86400"
