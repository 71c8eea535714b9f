from __future__ import annotations

import io
from urllib.parse import quote

import pytest
from PIL import Image

from cryostat.core.errors import InputError, SettingError
from cryostat.report.view import ViewServer, shelve

pytestmark = pytest.mark.enable_socket
HOSTILE = quote("a <b>&'\"../%2e", safe="")


def test_a_report_is_served_with_a_link_into_its_fields(ask):
    status, headers, body = ask("report/report/")
    assert (status, body) == (200, b"<link rel=icon href=data:,><main id=main>index</main>")
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
    linked = ask("report/report/dataset-tiny.html")[2].decode()
    assert 'href="../../dataset/tiny/"' in linked
    assert ask("report/report/data/table.csv")[2] == b"a,b\n"


@pytest.mark.parametrize(
    "path",
    [
        "report/report/../secret.txt",
        "report/report/%2e%2e/secret.txt",
        "report/report/..%2fsecret.txt",
        "report/report/data/..%5c..%5csecret.txt",
        "report/report//etc/passwd",
        "report/report/%2fetc%2fpasswd",
        "report/report/.hidden",
        "report/report/out.txt",
        "report/report/data/",
        "report/report/data",
        "report/report/index.html%00.txt",
        "report/../report/index.html",
        "report/other/",
        "static/../server.py",
        "static/..%2fserver.py",
        "static/",
        "nothing",
        "slide",
        "/[",
        f"report/report/{'a' * 5000}",
    ],
)
def test_nothing_outside_is_served_and_no_folder_is_listed(ask, path):
    status, _, body = ask(path)
    assert status == 404
    assert b"secret" not in body
    assert b"table.csv" not in body


def test_only_this_machine_with_the_key_is_answered(ask, server):
    assert ask(host=f"localhost:{server.port}")[0] == 200
    for stranger in ("evil.example", f"evil.example:{server.port}", "127.0.0.1", "127.0.0.1:1"):
        assert ask(host=stranger)[0] == 421
    for key in ("wrong", "", "é"):
        assert ask("report/report/", key=quote(key))[0] == 403
    assert ask(method="POST")[0] == 501
    assert server._server.server_address[0] == "127.0.0.1"


def test_head_has_no_body(ask):
    status, headers, body = ask("report/report/", method="HEAD")
    assert (status, headers["Content-Length"], body) == (200, "53", b"")


def test_tiles_of_a_slide(ask):
    status, headers, body = ask("slide/slide%20one.tiff/image_files/11/2_2.jpg")
    picture = Image.open(io.BytesIO(body))
    assert (status, headers["Content-Type"]) == (200, "image/jpeg")
    assert picture.size == (481, 81)  # from 1019 to 1500 and 1100, one pixel of overlap
    red, green, _ = picture.getpixel((480, 80))
    assert red == pytest.approx(250, abs=6)
    assert green == pytest.approx(250, abs=6)
    assert b'Width="1500" Height="1100"' in ask("slide/slide%20one.tiff/image.dzi")[2]
    for absent in ("11/3_0.jpg", "12/0_0.jpg", "11/0_0.png", "11/0_0", "-1/0_0.jpg", "11/0_-1.jpg", "99/0_0.jpg"):
        assert ask(f"slide/slide%20one.tiff/image_files/{absent}")[0] == 404


def test_a_slide_that_cannot_be_read_is_answered_with_our_error(ask):
    status, _, body = ask("slide/broken.svs/")
    assert status == 422
    assert b"cannot be read as a slide" in body
    assert b"../../static/view.css" in body
    status, headers, body = ask("slide/broken.svs/image_files/0/0_0.jpg")
    assert (status, headers["Content-Type"]) == (422, "text/plain; charset=utf-8")
    assert body.startswith(b"broken.svs: cannot be read as a slide")


def test_fields_are_listed_found_and_shown(ask):
    page = ask("dataset/tiny/")[2].decode()
    assert "2 of 2 fields" in page
    assert "a &lt;b&gt;&amp;" in page
    assert f'href="{HOSTILE}/"' in page
    assert "1 of 2 fields" in ask("dataset/tiny/?find=P1")[2].decode()
    assert "0 of 2 fields" in ask("dataset/tiny/?find=%3Cscript%3E&page=99999")[2].decode()
    assert b"<script>" not in ask("dataset/tiny/?find=%3Cscript%3E")[2]
    shown = ask("dataset/tiny/one/")[2].decode()
    assert f'rel="next" href="../{HOSTILE}/"' in shown
    assert "0.5 µm per pixel" in shown
    assert ask(f"dataset/tiny/{HOSTILE}/")[0] == 200
    assert ask("dataset/tiny/two/")[0] == 404


def test_start_page_lists_all_and_one_thing_is_gone_to(ask, tiff, dataset_home):
    page = ask()[2].decode()
    assert all(name in page for name in ("report", "slide one.tiff", "broken.svs", "tiny"))
    from cryostat.report.view.answers import answer
    from cryostat.report.view.asking import Asked

    sent = answer(shelve([str(tiff)], dataset_home), Asked.of("/"))
    assert (sent.status, sent.headers["Location"]) == (302, "slide/slide%20one.tiff/")


def test_what_words_name(report, tiff, tiny, dataset_home, tmp_path, monkeypatch):
    assert list(shelve([str(report)], dataset_home).datasets) == ["tiny"]
    assert list(shelve([str(tiff.parent)], dataset_home).slides) == ["slide one.tiff"]
    assert list(shelve([str(tiff), str(tiff)], dataset_home).slides) == ["slide one.tiff", "slide one.tiff (2)"]
    assert list(shelve(["tiny"], dataset_home).datasets) == ["tiny"]
    assert list(shelve([str(tiny.folder)], dataset_home).datasets) == ["tiny"]
    monkeypatch.chdir(tmp_path)
    assert list(shelve([], dataset_home).datasets) == ["tiny"]
    monkeypatch.chdir(report.parent)
    assert list(shelve([], dataset_home).reports) == ["report"]


def test_what_cannot_be_viewed_is_told(dataset_home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from cryostat.core.home import Home

    with pytest.raises(SettingError, match="nothing to view"):
        shelve([], Home(tmp_path))
    with pytest.raises(SettingError, match="no dataset 'huge'"):
        shelve(["huge"], dataset_home)
    with pytest.raises(InputError, match="does not exist"):
        shelve(["absent.svs"], dataset_home)
    with pytest.raises(InputError, match="holds neither"):
        shelve([str(tmp_path)], dataset_home)


def test_a_taken_port_is_told(server, dataset_home):
    with pytest.raises(SettingError, match="cannot listen on port"):
        ViewServer(shelve(["tiny"], dataset_home), server.port)
