"""What many prompts begin with, read once: a tree of token prefixes over pasts that know them.

A prefix is known in whole pages of :data:`PAGE` tokens, compared token by token (no hash can
deceive it). Each past that is kept stands for every prefix of its own; a request that begins with
one goes on from a fork of it. What is kept is bounded in bytes, and parts that pasts share count
once; the least recently used goes first. Knows caches by their protocol alone.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

from studiolo.nn.network import PAGE, Past

C = TypeVar("C", bound=Past)
Page = tuple[str | int, ...]
"""A scope and tokens: a prefix of one scope is unknown in another."""


class _Past(Generic[C]):
    def __init__(self, pages: list[Page], cache: C) -> None:
        self.pages, self.cache = pages, cache


class _Node(Generic[C]):
    """A page of tokens after those above it, and the pasts that go through it, or end there."""

    def __init__(self) -> None:
        self.children: dict[Page, _Node[C]] = {}
        self.pasts: dict[_Past[C], None] = {}
        self.last: _Past[C] | None = None


class PrefixCache(Generic[C]):
    """Pasts of at most ``limit`` bytes together; ``nbytes`` are held.

    ``saved`` counts the tokens that did not have to be read again.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.nbytes, self.saved = limit, 0, 0
        self._root: _Node[C] = _Node()
        self._pasts: OrderedDict[_Past[C], None] = OrderedDict()  # the least recently used first
        self._parts: Counter[int] = Counter()

    def __len__(self) -> int:
        return len(self._pasts)

    def longest(self, tokens: Sequence[int], scope: str = "", *, beyond: int = 0) -> C | None:
        """The past of the longest known beginning of ``tokens``, to go on from; its length says.

        It is longer than ``beyond``, and at least one token is left to read after it.
        """
        node, depth = self._root, 0
        for page in _pages(tokens[:-1], scope):
            child = node.children.get(page)
            if child is None:
                break
            node, depth = child, depth + 1
        length = depth * PAGE
        if length <= beyond:
            return None
        past = next(reversed(node.pasts))
        self._pasts.move_to_end(past)
        self.saved += length - beyond
        return past.cache.fork(length)

    def remember(self, tokens: Sequence[int], cache: C, scope: str = "") -> None:
        """Keep the past of ``tokens``, which ``cache`` has read, in whole pages."""
        pages = list(_pages(tokens[: cache.length], scope))
        path = list(self._path(pages))
        if not pages:
            return
        if len(path) == len(pages):  # known already, by this past or a longer one
            self._pasts.move_to_end(next(reversed(path[-1].pasts)))
            return
        past = _Past(pages, cache.fork(len(pages) * PAGE))
        if sum(past.cache.parts.values()) > self.limit:
            return
        if path and path[-1].last is not None:
            self._forget(path[-1].last)  # the new one knows all that it knew
        self._pasts[past] = None
        node = self._root
        for page in pages:
            node = node.children.setdefault(page, _Node())
            node.pasts[past] = None
        node.last = past
        for part, size in past.cache.parts.items():
            self._parts[part] += 1
            self.nbytes += size if self._parts[part] == 1 else 0
        while self.nbytes > self.limit:
            self._forget(next(iter(self._pasts)))

    def clear(self) -> None:
        """Keep nothing."""
        for past in list(self._pasts):
            self._forget(past)

    def _path(self, pages: Sequence[Page]) -> Iterator[_Node[C]]:
        node = self._root
        for page in pages:
            child = node.children.get(page)
            if child is None:
                return
            yield (node := child)

    def _forget(self, past: _Past[C]) -> None:
        del self._pasts[past]
        node = self._root
        for page in past.pages:
            child = node.children[page]
            del child.pasts[past]
            if not child.pasts:
                del node.children[page]
            node = child
        if node.last is past:
            node.last = None
        for part, size in past.cache.parts.items():
            self._parts[part] -= 1
            if not self._parts[part]:
                del self._parts[part]
                self.nbytes -= size


def _pages(tokens: Sequence[int], scope: str) -> Iterator[Page]:
    for end in range(PAGE, len(tokens) + 1, PAGE):
        yield (scope, *tokens[end - PAGE : end])
