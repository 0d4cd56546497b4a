"""The cache: what was stored comes back, room doubles, forks are independent."""

from __future__ import annotations

import torch

from studiolo.nn.cache import FIRST_ROOM, KVCache


def put(cache: KVCache, tokens: int, seed: int) -> torch.Tensor:
    new = torch.randn(2, 2, tokens, 4, generator=torch.Generator().manual_seed(seed))
    cache.reserve(tokens)
    for layer in range(3):
        cache.extend(layer, new[:1] + layer, new[1:] + layer)
    cache.advance(tokens)
    return new


def read(cache: KVCache, layer: int) -> torch.Tensor:
    nothing = torch.empty(1, 2, 0, 4)
    return torch.cat(cache.extend(layer, nothing, nothing))


def test_everything_stored_comes_back_in_order_across_growth() -> None:
    cache = KVCache(3, 2, 4)
    pieces = [put(cache, n, seed) for seed, n in enumerate([5, 1, FIRST_ROOM, 1, 200])]
    stored = torch.cat(pieces, dim=2)
    assert cache.length == 207 + FIRST_ROOM
    for layer in range(3):
        assert torch.equal(read(cache, layer), stored + layer)


def test_a_token_is_not_copied_on_the_way() -> None:
    cache = KVCache(3, 2, 4)
    moves, place = 0, cache._keys[0].data_ptr()
    for i in range(1000):
        put(cache, 1, i)
        moves += cache._keys[0].data_ptr() != place
        place = cache._keys[0].data_ptr()
    assert moves <= 4  # 64 → 128 → 256 → 512 → 1024
    assert cache.nbytes == 3 * 2 * 2 * 1024 * 4 * 4


def test_a_fork_goes_its_own_way() -> None:
    cache = KVCache(3, 2, 4)
    first = put(cache, 7, 0)
    fork = cache.fork()
    put(cache, 3, 1)
    other = put(fork, 2, 2)
    assert (cache.length, fork.length) == (10, 9)
    assert torch.equal(read(fork, 1), torch.cat([first, other], dim=2) + 1)
    assert torch.equal(read(cache, 1)[:, :, :7], first + 1)


def test_a_fork_may_be_cut_and_says_what_it_holds() -> None:
    cache = KVCache(3, 2, 4)
    first = put(cache, 70, 0)
    cut = cache.fork(64)
    assert (cache.length, cut.length) == (70, 64)
    assert torch.equal(read(cut, 2), first[:, :, :64] + 2)
    assert torch.equal(read(cache, 2), first + 2)
    assert cut.parts == {id(cut): cut.nbytes}
    assert cut.nbytes == cache.nbytes // 2


def test_what_is_cut_off_is_written_over() -> None:
    cache = KVCache(3, 2, 4)
    first = put(cache, 10, 0)
    fork = cache.fork()
    cache.truncate(6)
    assert (cache.length, fork.length) == (6, 10)
    other = put(cache, 3, 1)
    assert torch.equal(read(cache, 1), torch.cat([first[:, :, :6], other], dim=2) + 1)
    assert torch.equal(read(fork, 1), first + 1)
