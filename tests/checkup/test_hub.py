from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from cryostat.checkup import hub
from cryostat.checkup.hub import meaning
from cryostat.checkup.sign import Sign
from cryostat.encoders.shelf import all_encoders


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No token and an empty cache, whatever the machine has."""
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("cryostat.checkup.hub.is_cached", lambda entry: entry.name == "phikon")


def signs(**settings: object) -> dict[str, Sign]:
    return {sign.name: sign for sign in hub.hub(**{"offline": False, **settings})}


def never(repository: str, token: str | None) -> str:
    raise AssertionError(f"{repository} was asked for")


def test_offline_asks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = signs(offline=True, ask=never)
    assert found["access"].state == "unknown"
    assert "--offline" in found["access"].detail
    assert "phikon" in found["downloaded"].detail
    assert found["token"].remedy.startswith("For gated encoders run: hf auth login")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE" in signs(ask=never)["access"].detail


def test_each_answer_has_its_remedy() -> None:
    answers = {
        "MahmoodLab/UNI": "no",
        "paige-ai/Virchow2": "yes",
        "bioptimus/H-optimus-0": "gone",
        "xiangjx/musk": "silent",
    }
    asked: list[str] = []

    def ask(repository: str, token: str | None) -> str:
        asked.append(repository)
        return answers.get(repository, "yes")

    found = signs(ask=ask)
    assert len(asked) == len(set(asked))
    assert "owkin/phikon" not in asked
    assert found["uni"].state == "lacking"
    assert "https://huggingface.co/MahmoodLab/UNI" in found["uni"].remedy
    assert found["virchow2"] == Sign("hub", "virchow2", "good", "paige-ai/Virchow2 may be downloaded: --weights hub")
    assert "--weights FILE" in found["h-optimus-0"].remedy
    assert found["musk"].state == "unknown"
    assert {e.name for e in all_encoders() if e.card.hub_id} - {"phikon"} <= set(found)


def test_a_hub_that_hangs_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cryostat.checkup.hub.ONE_ANSWER", -0.9)
    release = threading.Event()
    began = time.monotonic()
    found = signs(ask=lambda repository, token: str(release.wait(20)))
    assert time.monotonic() - began < 5
    assert found["access"].detail == "the hub does not answer"
    release.set()


def test_no_network_is_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("socket.create_connection", refuse)
    assert hub.ask_hub("MahmoodLab/UNI", None) == "silent"


@pytest.mark.parametrize(
    ("status", "reason", "said"),
    [
        (302, "", "yes"),
        (404, "EntryNotFound", "yes"),
        (404, "RepoNotFound", "gone"),
        (401, "GatedRepo", "no"),
        (403, "GatedRepo", "no"),
        (429, "", "silent"),
        (503, "", "silent"),
    ],
)
def test_meaning_of_statuses(status: int, reason: str, said: str) -> None:
    assert meaning(status, reason) == said


def test_a_token_is_never_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_secret")
    found = signs(ask=lambda repository, token: "yes" if token == "hf_secret" else "no")
    assert found["token"].state == "good"
    assert found["uni"].state == "good"
    assert "hf_secret" not in repr(found)
