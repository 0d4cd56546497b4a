"""The Hugging Face hub: its library knows the addresses, the endpoint and the token.

The bytes come over our own HTTP, so that they are hashed as they come, bounded and
resumed like everybody's. For a repository outside the catalogue, :func:`offer` lists
it at one commit and takes the checksums that the hub itself gives for large files.

Only what the readers can use is taken: safetensors, JSON, tokenizer files, a chat
template, GGUF, the model card and licence. Pickled weights are never fetched.
"""

from __future__ import annotations

import os
import re
import threading

import httpx

from studiolo.bundle.catalogue import HubSource, Offer, Wanted
from studiolo.bundle.landing import Landing
from studiolo.bundle.manifest import checked_member
from studiolo.bundle.sources.url import CONNECT_SECONDS, READ_SECONDS, download
from studiolo.errors import SourceError

_KEPT = re.compile(
    r"(?:\d+_[A-Za-z]+/)?(?:[\w.-]+\.json|merges\.txt|vocab\.txt|[\w.-]*tokenizer\.model|spiece\.model"
    r"|chat_template\.jinja|model[\w.-]*\.safetensors)|README\.md|LICEN[CS]E[\w.-]*|NOTICE[\w.-]*"
)
_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
_SPLIT_GGUF = re.compile(r"-\d{5}-of-\d{5}\.gguf$", re.IGNORECASE)


def endpoint() -> str:
    """The hub's address: ``HF_ENDPOINT``, or the public one."""
    from huggingface_hub import constants

    return os.environ.get("HF_ENDPOINT", constants.ENDPOINT).rstrip("/")


def fetch(source: HubSource, landing: Landing) -> None:
    """Bring every missing file of the repository at its revision."""
    from huggingface_hub import get_token, hf_hub_url

    base = endpoint()
    _require_hub(base)
    token = get_token()
    headers = {"authorization": f"Bearer {token}"} if token else {}
    for wanted in landing.missing():
        download(
            hf_hub_url(
                source.repository,
                source.names.get(wanted.name, wanted.name),
                revision=source.revision,
                endpoint=base,
            ),
            wanted,
            landing,
            headers=headers,
        )


def offer(repository: str, file: str | None, name: str) -> Offer:
    """What ``hf:repository`` (or one GGUF ``file`` of it) holds, at its newest commit.

    Raises :class:`SourceError` when the hub cannot be reached, has no such repository,
    or it holds nothing that can be read.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    base = endpoint()
    _require_hub(base)
    try:
        info = HfApi(endpoint=base).model_info(
            repository, files_metadata=True, timeout=READ_SECONDS
        )
    except HFValidationError as error:
        raise SourceError(f"{repository!r} cannot be a repository: {error}") from None
    except HfHubHTTPError as error:
        status = error.response.status_code
        raise SourceError(
            f"the hub shows no repository {repository} (HTTP {status})",
            remedy="Check its name. A private or gated one needs a token, given in the "
            "environment as HF_TOKEN, whose owner has accepted its terms.",
        ) from None
    except Exception as error:  # the library's transport has errors of its own
        reason = str(error).partition("\n")[0]
        raise SourceError(f"the hub did not list {repository} ({reason})") from None
    sizes = {}
    for sibling in info.siblings or []:
        try:
            wanted = Wanted(
                name=checked_member(sibling.rfilename),
                size=sibling.size,
                sha256=sibling.lfs.sha256 if sibling.lfs is not None else None,
            )
        except ValueError:
            continue
        sizes[wanted.name] = wanted
    chosen = choose(sorted(sizes), repository, file)
    card = info.card_data.to_dict() if info.card_data is not None else {}  # type: ignore[no-untyped-call]
    return Offer(
        name=name,
        licence=str(card.get("license") or "unknown"),
        files=tuple(sizes[chosen_name] for chosen_name in chosen),
        sources=(HubSource(repository=repository, revision=info.sha or "main"),),
    )


def choose(names: list[str], repository: str, file: str | None) -> list[str]:
    """Which of a repository's files make the bundle.

    ``file`` if it is given; else the safetensors layout; else the one GGUF, or the
    Q4_K_M among several. Raises :class:`SourceError` that lists what there is.
    """
    ggufs = [
        name for name in names if name.lower().endswith(".gguf") and not _SPLIT_GGUF.search(name)
    ]
    if file is not None:
        if file not in ggufs:
            raise SourceError(f"{repository} has no GGUF file {file}", remedy=_listing(ggufs))
        return [file]
    kept = [name for name in names if _KEPT.fullmatch(name)]
    weights = [name for name in kept if name.endswith(".safetensors") and "/" not in name]
    if "config.json" in kept and weights:
        if "model.safetensors" in weights:
            unused = {name for name in weights if name != "model.safetensors"}
            unused.add("model.safetensors.index.json")
        else:
            shards = {name for name in weights if _SHARD.fullmatch(name)}
            if not shards:
                raise SourceError(f"{repository} has no model.safetensors, but {weights[0]}")
            unused = set(weights) - shards
        return [name for name in kept if name not in unused]
    if len(ggufs) == 1:
        return ggufs
    usual = [name for name in ggufs if "q4_k_m" in name.lower()]
    if len(usual) == 1:
        return usual
    if ggufs:
        raise SourceError(
            f"{repository} holds several GGUF files; name one as hf:{repository}/FILE",
            remedy=_listing(ggufs),
        )
    pickled = any(name.endswith((".bin", ".pt", ".pth", ".ckpt")) for name in names)
    raise SourceError(
        f"{repository} holds no model.safetensors with its config.json, and no GGUF"
        + (": only pickled weights, which are never loaded" if pickled else "")
    )


def _listing(ggufs: list[str]) -> str:
    shown = ", ".join(ggufs[:30]) + (" …" if len(ggufs) > 30 else "")
    return f"It holds: {shown}" if ggufs else "It holds no GGUF file at all."


def _require_hub(base: str) -> None:
    """Raise :class:`SourceError` soon if there is no way to the hub.

    The look-up of a host name knows no time limit, so it is made in a thread that is
    left behind when it takes too long.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "TRUE", "YES", "ON"}:
        raise SourceError("HF_HUB_OFFLINE is set")
    outcome: list[str] = []

    def knock() -> None:
        try:
            httpx.head(base, timeout=CONNECT_SECONDS)
            outcome.append("")
        except Exception as error:  # whatever it is, it is the reason
            outcome.append(str(error) or type(error).__name__)

    thread = threading.Thread(target=knock, daemon=True)
    thread.start()
    thread.join(CONNECT_SECONDS + 1)
    if outcome != [""]:
        reason = outcome[0] if outcome else f"no answer in {CONNECT_SECONDS + 1:.0f} s"
        host = base.partition("://")[2] or base
        raise SourceError(f"{host} cannot be reached ({reason})")
