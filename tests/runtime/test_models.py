from __future__ import annotations

import threading
import time
import weakref
from functools import partial

import pytest

from studiolo.errors import (
    BusyError,
    InvalidRequestError,
    MemoryLimitError,
    UnknownModelError,
)
from studiolo.runtime.models import Models


def house(limit: int = 10_000_000, **sizes: int) -> tuple[Models[object], list[str]]:
    """Models by name and megabytes, and the names in the order they are loaded."""
    models, loads = Models[object](limit), list[str]()

    def loader(name: str) -> object:
        loads.append(name)
        return object()

    for name, size in sizes.items():
        models.add(name, partial(loader, name), size * 1_000_000)
    return models, loads


def use(models: Models[object], name: str) -> object:
    model = models.acquire(name)
    models.release(name)
    return model


def test_a_model_is_loaded_once_and_the_least_recently_used_goes() -> None:
    models, loads = house(a=4, b=4, c=4)
    first = use(models, "a")
    assert use(models, "a") is first
    use(models, "b")
    use(models, "a")
    use(models, "c")
    assert models.loaded == {"a": 4_000_000, "c": 4_000_000}
    use(models, "b")
    assert loads == ["a", "b", "c", "b"]
    assert list(models.loaded) == list(models.opened) == ["c", "b"]
    assert models.opened["b"] is use(models, "b")


def test_what_is_in_use_stays_and_the_refusal_does_the_sum() -> None:
    models, _ = house(a=4, b=4, c=4, d=11)
    models.acquire("a")
    models.acquire("a")
    models.acquire("b")
    models.release("a")
    with pytest.raises(BusyError) as caught:
        models.acquire("c")
    assert "c takes 4.0 MB; all models together may take 10.0 MB" in str(caught.value)
    assert "in use are a (4.0 MB), b (4.0 MB)" in str(caught.value)
    assert "Wait" in str(caught.value)
    models.release("b")
    models.acquire("c")
    assert list(models.loaded) == ["a", "c"]
    with pytest.raises(MemoryLimitError, match="Choose a smaller model"):
        models.acquire("d")
    assert list(models.loaded) == ["a", "c"]


def test_names_are_checked() -> None:
    models, _ = house(llama=1)
    with pytest.raises(UnknownModelError, match="Did you mean llama"):
        models.acquire("lama")
    with pytest.raises(InvalidRequestError, match="already"):
        models.add("llama", object, 1)


def test_a_load_that_fails_takes_no_room_and_may_be_tried_again() -> None:
    models, tries = Models[object](10), list[int]()

    def flaky() -> object:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("the disk is away")
        return object()

    models.add("a", flaky, 10)
    models.claim("a")
    with pytest.raises(OSError, match="away"):
        models.acquire("a")
    assert models.loaded == {"a": 10}
    models.release("a")
    assert models.loaded == {}
    use(models, "a")
    assert models.loaded == {"a": 10}


def test_many_threads_share_one_load_and_do_not_hold_up_others() -> None:
    models, loads, gate = Models[object](10), list[str](), threading.Event()

    def slow() -> object:
        loads.append("slow")
        gate.wait(10)
        return object()

    models.add("slow", slow, 5)
    models.add("quick", object, 5)
    found: list[object] = []
    threads = [
        threading.Thread(target=lambda: found.append(models.acquire("slow"))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    while not loads:
        time.sleep(0.001)
    use(models, "quick")
    gate.set()
    for thread in threads:
        thread.join()
    assert loads == ["slow"]
    assert len(set(map(id, found))) == 1


def test_a_claim_keeps_room_and_does_not_load() -> None:
    models, loads = house(a=6, b=6)
    models.claim("a")
    assert (models.loaded, loads) == ({"a": 6_000_000}, [])
    with pytest.raises(BusyError, match=r"in use are a \(6\.0 MB\)"):
        models.claim("b")
    model = models.load("a")
    assert models.load("a") is model
    models.release("a")
    models.claim("b")
    assert models.loaded == {"b": 6_000_000}
    models.release("b")
    assert models.loaded == {}  # nobody loaded it
    with pytest.raises(UnknownModelError):
        models.claim("c")


class Model:
    """Anything that can be weakly referred to."""


def test_what_is_unloaded_is_let_go_by_everybody() -> None:
    models, kept = Models[Model](10), dict[str, Model]()

    def load(name: str) -> Model:
        kept[name] = Model()
        return kept[name]

    for name in "ab":
        models.add(name, partial(load, name), 10, forget=partial(kept.pop, name, None))
    freed = weakref.ref(models.acquire("a"))
    with pytest.raises(BusyError, match="a is in use"):
        models.unload("a")
    models.release("a")
    models.claim("b")  # takes the room of a, which stays known
    assert (freed(), "a" in models) == (None, True)
    freed = weakref.ref(models.load("b"))
    models.release("b")
    models.unload("b")
    models.unload("b")
    assert (freed(), kept, "b" in models) == (None, {}, False)
    models.add("b", Model, 10)


def test_names_are_known_while_many_threads_use_them() -> None:
    models, _ = house(a=1, b=1)
    stop, missed = threading.Event(), list[str]()

    def churn() -> None:
        while not stop.is_set():
            for name in "ab":
                models.acquire(name)
                models.release(name)

    def look() -> None:
        while not stop.is_set():
            missed.extend(name for name in "ab" if name not in models)

    threads = [threading.Thread(target=work) for work in (churn, churn, look)]
    for thread in threads:
        thread.start()
    for _ in range(3000):
        models.claim("a")
        models.load("a")
        models.release("a")
    stop.set()
    for thread in threads:
        thread.join()
    assert missed == []
    assert [each.users for each in models._entries.values()] == [0, 0]
