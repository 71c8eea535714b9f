from __future__ import annotations

import pytest
from PIL import Image

from cryostat.cells.pictures.saving import check_ending, save_picture
from cryostat.core.errors import SettingError


def test_the_ending_tells_the_form(tmp_path):
    page = Image.new("RGB", (30, 20), "#336699")
    png = Image.open(save_picture(page, tmp_path / "new" / "a.PNG"))
    assert (png.format, png.size, round(png.info["dpi"][0])) == ("PNG", (30, 20), 300)
    assert save_picture(page, tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("name", ["a.jpg", "a", "png"])
def test_other_endings_are_refused(tmp_path, name):
    with pytest.raises(SettingError, match=r"\.png or \.pdf|pictures are not written"):
        check_ending(tmp_path / name)
    with pytest.raises(SettingError):
        save_picture(Image.new("RGB", (3, 2)), tmp_path / name)
    assert not list(tmp_path.iterdir())
