from __future__ import annotations

import contextlib
import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cryostat.core.errors import InputError
from cryostat.core.files import (
    atomic_write,
    original_name,
    read_json,
    read_npy,
    read_npz,
    read_table,
    read_toml,
    require_file,
    require_folder,
    safe_name,
    write_json,
    write_npy,
    write_parquet,
)


class TestNames:
    @given(st.text(min_size=1).filter(lambda text: not any("\ud800" <= letter <= "\udfff" for letter in text)))
    def test_are_reversible_and_plain(self, text: str) -> None:
        name = safe_name(text)
        assert original_name(name) == text
        assert not name.startswith(".")
        assert not set(name) & set('/\\:*?"<>|\0\n')

    def test_usual_names_stay_readable(self) -> None:
        assert safe_name("reg002_A") == "reg002_A"
        assert safe_name("Case 1 (left)") == "Case 1 (left)"
        assert safe_name("..") == "%2E."
        assert safe_name("a/b") == "a%2Fb"


class TestNpy:
    def test_is_mapped_or_loaded(self, tmp_path: Path) -> None:
        write_npy(tmp_path / "a.npy", np.arange(4, dtype=np.uint16))
        assert isinstance(read_npy(tmp_path / "a.npy"), np.memmap)
        loaded = read_npy(tmp_path / "a.npy", mmap=False)
        assert not isinstance(loaded, np.memmap)
        assert loaded.tolist() == [0, 1, 2, 3]

    @pytest.mark.parametrize("mmap", [True, False])
    def test_pickled_objects_are_never_read(self, tmp_path: Path, mmap: bool) -> None:
        np.save(tmp_path / "a.npy", np.array([{"a": 1}], object), allow_pickle=True)
        with pytest.raises(InputError, match="holds pickled Python objects"):
            read_npy(tmp_path / "a.npy", mmap=mmap)

    @pytest.mark.parametrize("mmap", [True, False])
    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            (pickle.dumps([1]), "is not a .npy file"),
            (b"text", "is not a .npy file"),
            (b"PK\x03\x04junk", "is an npz archive"),
            (b"\x93NUMPY", "damaged or truncated"),
            (b"", "is empty"),
        ],
    )
    def test_other_files(self, tmp_path: Path, content: bytes, problem: str, mmap: bool) -> None:
        (tmp_path / "a.npy").write_bytes(content)
        with pytest.raises(InputError, match=problem):
            read_npy(tmp_path / "a.npy", mmap=mmap)

    @pytest.mark.parametrize("mmap", [True, False])
    def test_every_truncation(self, tmp_path: Path, mmap: bool) -> None:
        write_npy(tmp_path / "a.npy", np.arange(6.0))
        whole = (tmp_path / "a.npy").read_bytes()
        for length in range(len(whole)):
            (tmp_path / "b.npy").write_bytes(whole[:length])
            with pytest.raises(InputError):
                read_npy(tmp_path / "b.npy", mmap=mmap)

    @pytest.mark.filterwarnings("ignore")
    def test_flipped_bytes_end_in_our_error_or_in_an_array(self, tmp_path: Path) -> None:
        write_npy(tmp_path / "a.npy", np.arange(6.0))
        whole, rng = (tmp_path / "a.npy").read_bytes(), np.random.default_rng(0)
        for _ in range(500):
            data = bytearray(whole)
            for at in rng.integers(0, 80, 2):
                data[at] = rng.integers(256)
            (tmp_path / "b.npy").write_bytes(data)
            try:
                assert isinstance(read_npy(tmp_path / "b.npy"), np.ndarray)
            except InputError:
                continue


class TestAtomicWrite:
    def test_appears_whole(self, tmp_path: Path) -> None:
        with atomic_write(tmp_path / "new/a.bin") as stream:
            stream.write(b"half")
            assert not (tmp_path / "new/a.bin").exists()
            stream.write(b" and half")
        assert (tmp_path / "new/a.bin").read_bytes() == b"half and half"

    def test_or_not_at_all(self, tmp_path: Path) -> None:
        (tmp_path / "a.bin").write_bytes(b"old")

        class StopHere(BaseException):
            pass

        def write() -> None:
            with atomic_write(tmp_path / "a.bin") as stream:
                stream.write(b"new")
                raise StopHere

        with pytest.raises(StopHere):
            write()
        assert (tmp_path / "a.bin").read_bytes() == b"old"
        assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]

    def test_has_the_permissions_of_any_new_file(self, tmp_path: Path) -> None:
        write_json(tmp_path / "a.json", {})
        (tmp_path / "b.json").write_text("{}")
        assert os.stat(tmp_path / "a.json").st_mode == os.stat(tmp_path / "b.json").st_mode


class TestJsonAndToml:
    def test_numpy_values_and_paths_are_written_plainly(self, tmp_path: Path) -> None:
        write_json(tmp_path / "a.json", {"n": np.int64(3), "a": np.array([1.5]), "p": Path("x/y"), "t": "µm"})
        assert read_json(tmp_path / "a.json") == {"n": 3, "a": [1.5], "p": "x/y", "t": "µm"}
        assert "µm" in (tmp_path / "a.json").read_text(encoding="utf-8")

    def test_nan_and_strangers_are_not(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="JSON"):
            write_json(tmp_path / "a.json", {"n": float("nan")})
        with pytest.raises(TypeError, match="cannot write object as JSON"):
            write_json(tmp_path / "a.json", {"n": object()})
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("content", [b"{", b"a = ", b"\xff\xfe"])
    def test_damage_ends_in_our_error(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "a").write_bytes(content)
        for read in (read_json, read_toml):
            with pytest.raises(InputError, match="is not valid"):
                read(tmp_path / "a")


class TestTables:
    def test_three_forms_read_alike(self, tmp_path: Path) -> None:
        frame = pd.DataFrame({"id": [1, 2], "name": ["x", "y"]})
        frame.to_csv(tmp_path / "a.csv", index=False)
        frame.to_csv(tmp_path / "a.tsv", index=False, sep="\t")
        write_parquet(tmp_path / "a.parquet", frame)
        for ending in ("csv", "tsv", "parquet"):
            assert read_table(tmp_path / f"a.{ending}").to_dict("list") == {"id": [1, 2], "name": ["x", "y"]}

    def test_ids_keep_their_zeros_where_asked(self, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_text("id,n\n007,1\n010,2\n")
        assert read_table(tmp_path / "a.csv", text=("id", "absent"))["id"].tolist() == ["007", "010"]
        assert read_table(tmp_path / "a.csv")["id"].tolist() == [7, 10]

    @pytest.mark.parametrize(
        ("name", "content", "problem"),
        [
            ("a.txt", b"a,b", "is not a .csv, .tsv or .parquet table"),
            ("a.csv", b"", "is empty"),
            ("a.csv", b'a,b\n1,2,3\n1,2,3,4\n"', "cannot be read as a table"),
            ("a.csv", b"\xff\xfe\x00", "cannot be read as a table"),
            ("a.parquet", b"PAR1 not really", "cannot be read as a table"),
        ],
    )
    def test_damage_ends_in_our_error(self, tmp_path: Path, name: str, content: bytes, problem: str) -> None:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=problem):
            read_table(tmp_path / name)


class TestRequirements:
    def test_files(self, tmp_path: Path) -> None:
        (tmp_path / "empty").touch()
        (tmp_path / "full").write_text("x")
        require_file(tmp_path / "full")
        for path, problem in (
            (tmp_path, "is a folder"),
            (tmp_path / "x", "does not exist"),
            (tmp_path / "empty", "empty"),
        ):
            with pytest.raises(InputError, match=problem):
                require_file(path)

    def test_folders(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        (tmp_path / "file").touch()
        require_folder(tmp_path)
        for name, problem in (("empty", "is an empty folder"), ("x", "does not exist"), ("file", "is a file")):
            with pytest.raises(InputError, match=problem):
                require_folder(tmp_path / name)


class TestNpz:
    def test_arrays_by_name(self, tmp_path: Path) -> None:
        np.savez_compressed(tmp_path / "x.npz", a=np.arange(600).reshape(20, 30), b=np.ones(3, np.uint8))
        arrays = read_npz(tmp_path / "x.npz")
        assert sorted(arrays) == ["a", "b"]
        assert arrays["a"][19, 29] == 599

    @pytest.mark.parametrize("content", [b"", b"PK", b"no archive", b"\x93NUMPY", b"PK\x03\x04" + bytes(40)])
    def test_what_is_no_archive(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "x.npz").write_bytes(content)
        with pytest.raises(InputError):
            read_npz(tmp_path / "x.npz")

    def test_pickles_are_refused(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "x.npz", a=np.array([{}], object))
        with pytest.raises(InputError, match="pickled"):
            read_npz(tmp_path / "x.npz")

    @pytest.mark.parametrize("members", [{}, {"a.txt": b"x"}, {"a.npy": b"\x93NUMPY\x01\x00"}])
    def test_members_that_are_no_arrays(self, tmp_path: Path, members: dict[str, bytes]) -> None:
        with zipfile.ZipFile(tmp_path / "x.npz", "w") as stream:
            for member, content in members.items():
                stream.writestr(member, content)
        with pytest.raises(InputError):
            read_npz(tmp_path / "x.npz")

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.data())
    def test_damage_ends_in_our_error(self, tmp_path: Path, data: st.DataObject) -> None:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, a=np.arange(60).reshape(6, 10))
        content = bytearray(buffer.getvalue())
        if data.draw(st.booleans()):
            content = content[: data.draw(st.integers(1, len(content) - 1))]
        else:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        (tmp_path / "x.npz").write_bytes(content)
        with contextlib.suppress(InputError):
            read_npz(tmp_path / "x.npz")
