"""Published policies: a name and a version mean one set of rules for ever.

``STUDIOLO_HOME/policies/NAME/VERSION.yaml`` is the file as it was published, and stands beside the
digest of what it says. A version that is there is never written again, unless to the same rules;
one whose file was changed behind our back is refused. Deliberately unknown here: rules.
"""

from __future__ import annotations

import re
from pathlib import Path

from studiolo.bundle.store import home
from studiolo.errors import ConflictError, InvalidRequestError, MalformedFileError, NotFoundError
from studiolo.guard.policy import Policy, policy_of, read_policy

_REFERENCE = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]{0,63})@(?P<version>[1-9]\d{0,8})")


def publish(path: Path) -> Policy:
    """Publish the policy in ``path`` under its own name and version.

    Raises what :func:`~studiolo.guard.policy.read_policy` does, and :class:`ConflictError` where
    that version says something else already.
    """
    policy = read_policy(path)
    place = _place(policy.name, policy.version)
    if place.exists():
        if _read(place).digest == policy.digest:
            return policy
        raise ConflictError(
            f"version {policy.version} of {policy.name} is published, with other rules",
            remedy=f"Give the file a new version: version: {policy.version + 1}",
        )
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = place.with_suffix(".draft")
    draft.write_bytes(path.read_bytes())
    place.with_suffix(".sha256").write_text(policy.digest + "\n", encoding="ascii")
    draft.chmod(0o444)
    draft.rename(place)
    return policy


def open_policy(reference: str) -> Policy:
    """The policy in the file of that path, or the published one that ``NAME@VERSION`` means."""
    match = _REFERENCE.fullmatch(reference)
    if match is None or Path(reference).exists():
        return read_policy(Path(reference).expanduser())
    place = _place(match["name"], int(match["version"]))
    if not place.is_file():
        raise NotFoundError(
            f"no policy {reference} is published",
            remedy="`studiolo guard publish FILE` publishes one; a path is read as it is.",
        )
    return _read(place)


def _place(name: str, version: int) -> Path:
    return home() / "policies" / name / f"{version}.yaml"


def _read(place: Path) -> Policy:
    try:
        policy = policy_of(place.read_bytes(), str(place))
        digest = place.with_suffix(".sha256").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequestError("policy", f"{place} cannot be read: {error}") from None
    if policy.digest != digest:
        raise MalformedFileError(
            f"{place} is not what was published: its digest is {policy.digest[:12]}, not "
            f"{digest[:12]}",
            remedy="Put the published file back; a new version may say something else.",
        )
    return policy
