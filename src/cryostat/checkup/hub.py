"""Weights: which lie in the hub's local cache, and, when the hub is asked, which this user may have."""

from __future__ import annotations

import importlib.util
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from http.client import HTTPException
from threading import Thread
from typing import Any

from cryostat.checkup.sign import Sign
from cryostat.encoders.shelf import Entry, all_encoders

PATIENCE = 8.0
"""Seconds that all questions to the hub may take together."""

ONE_ANSWER = 3.0
"""Seconds that one may take."""

USUAL_FILES = ("model.safetensors", "pytorch_model.bin")

Ask = Callable[[str, "str | None"], str]
"""Of a repository and a token, what the hub says: `yes`, `no`, `gone` or `silent`."""


def hub(*, offline: bool, ask: Ask | None = None) -> Iterator[Sign]:
    """The token and the weights of each encoder; never waits longer than `PATIENCE`.

    Args:
        offline: Ask nothing.
        ask: Asks the hub whether a repository's files may be had.
    """
    if importlib.util.find_spec("huggingface_hub") is None:
        yield Sign("hub", "huggingface_hub", "lacking", "is not installed", "Run: pip install 'cryostat[encoders]'")
        return
    entries = [entry for entry in all_encoders() if entry.card.hub_id]
    silent = offline or _switched_off()
    token = _token()
    yield _token_sign(token)
    cached = [entry.name for entry in entries if is_cached(entry)]
    here = f"{len(cached)} of {len(entries)} with weights in the cache" + (f": {', '.join(cached)}" if cached else "")
    yield Sign("hub", "downloaded", "good", here)
    wanted = [entry for entry in entries if entry.name not in cached]
    if silent:
        why = "not asked (--offline)" if offline else "not asked (HF_HUB_OFFLINE is set)"
        yield Sign("hub", "access", "unknown", why, "Weights in files of your own work all the same: --weights FILE")
        return
    yield from _access(wanted, token, ask or ask_hub)


def _switched_off() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def _token() -> str | None:
    from huggingface_hub import get_token

    token: str | None = get_token()
    return token


def _token_sign(token: str | None) -> Sign:
    if token:
        return Sign("hub", "token", "good", "there is one")
    remedy = "For gated encoders run: hf auth login (or set HF_TOKEN); others need none"
    return Sign("hub", "token", "lacking", "there is none", remedy)


def is_cached(entry: Entry) -> bool:
    """Whether an encoder's weights lie in the hub's local cache; no network is asked."""
    from huggingface_hub import try_to_load_from_cache

    card = entry.card
    file = getattr(card, "hub_file", None)
    files = (file,) if file else USUAL_FILES
    found = (try_to_load_from_cache(str(card.hub_id), name, revision=card.revision) for name in files)
    return any(isinstance(path, str) for path in found)


def _access(entries: Sequence[Entry], token: str | None, ask: Ask) -> Iterator[Sign]:
    """What the hub says of each repository."""
    repositories = list(dict.fromkeys(str(entry.card.hub_id) for entry in entries))
    first, rest = repositories[:1], repositories[1:]
    said = _asked(first, token, ask, ONE_ANSWER + 1)
    if "silent" in said.values():
        remedy = "Check the network or a proxy (HTTPS_PROXY); files of your own work all the same: --weights FILE"
        yield Sign("hub", "access", "unknown", "the hub does not answer", remedy)
        return
    said |= _asked(rest, token, ask, PATIENCE)
    for entry in entries:
        yield _access_sign(entry, said[str(entry.card.hub_id)])


def _asked(repositories: Sequence[str], token: str | None, ask: Ask, patience: float) -> dict[str, str]:
    """Answers to questions asked at the same time; what has not come in time is silence."""
    answers: dict[str, str] = {}
    threads = [
        # A name that is not resolved blocks for longer than any timeout: such a thread is left behind.
        Thread(target=lambda name=name: answers.__setitem__(name, ask(name, token)), daemon=True)
        for name in repositories
    ]
    end = time.monotonic() + patience
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(end - time.monotonic(), 0))
    return {name: answers.get(name, "silent") for name in repositories}


def _access_sign(entry: Entry, said: str) -> Sign:
    repository, name = str(entry.card.hub_id), entry.name
    if said == "yes":
        return Sign("hub", name, "good", f"{repository} may be downloaded: --weights hub")
    if said == "no":
        remedy = f"Accept its terms at https://huggingface.co/{repository}, then run: hf auth login"
        return Sign("hub", name, "lacking", f"{repository} is not open to you yet ({entry.access})", remedy)
    if said == "gone":
        return Sign(
            "hub", name, "lacking", f"{repository} is not there (any more)", "Give its weights with --weights FILE"
        )
    return Sign("hub", name, "unknown", f"the hub did not answer for {repository}", "Run cryostat doctor again")


def ask_hub(repository: str, token: str | None) -> str:
    """Ask the hub for the head of a repository's configuration; whatever goes wrong on the way is silence."""
    from huggingface_hub import hf_hub_url

    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(hf_hub_url(repository, "config.json"), headers=headers, method="HEAD")
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=ONE_ANSWER):
            return "yes"
    except urllib.error.HTTPError as error:
        return meaning(error.code, str(error.headers.get("X-Error-Code", "")))
    except (OSError, HTTPException, ValueError):
        return "silent"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Redirects are answers here: following them would hand the token to another host."""

    def redirect_request(self, *_: Any) -> None:
        """Follow none."""


def meaning(status: int, reason: str) -> str:
    """What a status of the hub means; a gated repository tells of a missing file only those who may have it."""
    if 300 <= status < 400 or reason == "EntryNotFound":
        return "yes"
    return {401: "no", 403: "no", 404: "gone"}.get(status, "silent")
