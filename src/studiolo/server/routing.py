"""Ray Serve's router that sends each request where its beginning is known.

Stands in a module of its own, since Ray Serve finds a router by its name; needs Ray to be imported.
"""

from __future__ import annotations

from collections.abc import Sequence

from ray.serve.request_router import PendingRequest, RequestRouter, RunningReplica

from studiolo.server.affinity import ranked


class AffinityRouter(RequestRouter):  # type: ignore[misc]  # Ray has no types
    """By :func:`ranked`; the first argument of what is asked is its token."""

    async def choose_replicas(
        self,
        candidate_replicas: Sequence[RunningReplica],
        pending_request: PendingRequest | None = None,
    ) -> list[list[RunningReplica]]:
        """Groups of replicas, each with one, in the order in which to try them."""
        known = {each.replica_id.unique_id: each for each in candidate_replicas}
        if pending_request is None or not pending_request.args:
            return [list(candidate_replicas)]
        pending_request.routing_context.should_backoff = True
        cache = self.replica_queue_len_cache
        loads = {name: cache.get(each.replica_id) or 0 for name, each in known.items()}
        return [[known[name]] for name in ranked(str(pending_request.args[0]), loads)]
