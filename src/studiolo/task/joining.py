"""Ray: the cluster that ``RAY_ADDRESS`` names, or else one of this machine alone.

Notable choices. *A cluster is joined only if it is named.* Ray's own way is to join whichever runs
on the machine, which may be somebody else's, and end with it. *One's own is private*: it listens at
this machine's loopback address alone, takes nothing from who does not know its token (Ray runs
whatever code it is sent), reports nothing to Ray's makers, shows no dashboard, and leaves no files.
What is set for that is inherited by its processes, so it is set in the environment, and what
somebody else has set there stays.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable
from typing import Any

from studiolo.errors import MissingExtraError, StudioloError

STORE = 128 << 20
"""Bytes that machines pass to each other at once; what is larger goes by way of the disk."""
PRIVATE = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # By which Ray listens at the loopback address, as it does elsewhere than on Linux.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # as it will be; without, it warns of that
    "RAY_SERVE_LOG_TO_STDERR": "0",
}


def join(*, told: bool = False) -> tuple[Any, Callable[[], None]]:
    """The module ``ray``, joined to a cluster, and what leaves it, and ends it if it is one's own.

    ``told``: whether what is said on standard error by its workers is said here too.
    Raises :class:`MissingExtraError` without Ray, and :class:`StudioloError` where the cluster that
    is named cannot be joined.
    """
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        for name, value in PRIVATE.items():
            os.environ.setdefault(name, value)
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    try:
        import ray
    except ImportError:
        raise MissingExtraError("--on ray", "ray") from None
    if ray.is_initialized():
        return ray, lambda: None
    options: dict[str, Any] = {"log_to_driver": told, "logging_level": "ERROR"}
    if address:
        try:
            ray.init(address=address, **options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise StudioloError(
                f"the Ray cluster at {address} cannot be joined ({type(error).__name__})",
                remedy="Look at RAY_ADDRESS; without it this machine is one of its own.",
            ) from error
        return ray, ray.shutdown
    # Sockets are in there, whose paths may not be long; and Ray opens its own folder to everybody.
    files = tempfile.mkdtemp(prefix="studiolo-", dir="/tmp" if os.path.isdir("/tmp") else None)  # noqa: S108

    def leave() -> None:
        ray.shutdown()
        shutil.rmtree(files, ignore_errors=True)

    try:
        ray.init(
            address="local",
            include_dashboard=False,
            object_store_memory=STORE,
            _temp_dir=os.path.join(files, "ray"),
            **options,
        )
    except BaseException:
        leave()
        raise
    return ray, leave
