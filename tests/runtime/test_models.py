from __future__ import annotations

import threading
import time
from functools import partial

import pytest

from studiolo.errors import InvalidRequestError, MemoryLimitError, UnknownModelError
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
    assert list(models.loaded) == ["c", "b"]


def test_what_is_in_use_stays_and_the_refusal_does_the_sum() -> None:
    models, _ = house(a=4, b=4, c=4, d=11)
    models.acquire("a")
    models.acquire("a")
    models.acquire("b")
    models.release("a")
    with pytest.raises(MemoryLimitError) as caught:
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
    with pytest.raises(OSError, match="away"):
        models.acquire("a")
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
