"""The jinja environment of chat templates, bounded in time and in size.

Jinja's sandbox keeps a template from Python's internals, but not from running for
ever or filling the memory. Here time is looked at on every turn of a loop and every
call, and size at every place where a value can grow: operators, ``~``, string
methods, filters, macros and blocks. A single comparison of lists nested many levels
deep that share their parts is the one thing known to escape the clock.

The settings, filters and globals are those that ``transformers`` gives templates:
``trim_blocks``, ``lstrip_blocks``, loop controls, ``tojson`` without HTML escapes,
``raise_exception``, ``strftime_now``, ``{% generation %}`` blocks.

Deliberately unknown here: messages.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NoReturn

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

_LONGEST_NUMBER = 10_000
"""Largest number that a filter or a string method may be given (widths, counts)."""


class Rejected(jinja2.TemplateError):
    """The template called ``raise_exception``."""


class OutOfTime(jinja2.TemplateError):
    """The template ran longer than it may."""


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """One rendering's environment: ``seconds`` from now, values of at most ``allowed``.

    ``allowed`` counts characters of text and items of lists, nested ones included.
    """

    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def __init__(self, seconds: float, allowed: int) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            optimized=False,  # constants too are computed within bounds
            finalize=self._checked,
            extensions=[_Generation, jinja2.ext.loopcontrols],
        )
        self._end = time.monotonic() + seconds
        self._allowed = allowed
        self.concat = self._concat  # type: ignore[method-assign]
        self.filters["tojson"] = _to_json
        self.filters = {name: self._bounded(f) for name, f in self.filters.items()}
        self.filters["join"] = self._join
        self.filters["replace"] = self._replace
        self.filters["%ticking"] = self._ticking
        self.filters["%concat"] = lambda parts: self._concat(
            str(self._checked(part)) for part in parts
        )
        self.globals |= {
            "raise_exception": _raise,
            "strftime_now": _now,
            "dict": _Dict(),
            "namespace": _Namespace,
        }

    def _parse(self, source: str, name: Any, filename: Any) -> jinja2.nodes.Template:
        tree = super()._parse(source, name, filename)
        _Instrument().visit(tree)
        return tree

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Refuse an operation whose result would be too large, before it is done."""
        self._tick()
        if operator == "*":
            for sized, times in ((left, right), (right, left)):
                if isinstance(sized, str | list | tuple) and isinstance(times, int):
                    self._refuse(len(sized) * times)
            if isinstance(left, int) and isinstance(right, int):
                self._refuse((left.bit_length() + right.bit_length()) * 64)
        elif operator == "**" and isinstance(left, int) and isinstance(right, int):
            self._refuse(left.bit_length() * abs(right) * 64)
        elif operator == "%" and isinstance(left, str):
            _refuse_wide(left)
            self._checked(right)
        elif operator == "+" and isinstance(left, str | list | tuple):
            self._refuse(len(left) + (len(right) if isinstance(right, str | list | tuple) else 0))
        return super().call_binop(context, operator, left, right)

    def call(self, context: Any, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call what the template calls, within bounds."""
        self._tick()
        subject = getattr(function, "__self__", None)
        if isinstance(subject, str):
            self._check_arguments(args, kwargs)
            name = getattr(function, "__name__", "")
            if name == "join" and args:
                return self._join(args[0], subject)
            if name == "replace" and len(args) >= 2:
                return self._replace(subject, *args)
        return self._checked(super().call(context, function, *args, **kwargs))

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """``str.format`` without extreme widths."""
        wrapped = super().wrap_str_format(value)
        if wrapped is None:
            return None

        def bounded(*args: Any, **kwargs: Any) -> str:
            _refuse_wide(value.__self__)
            self._check_arguments(args, kwargs, numbers=False)
            return str(self._checked(wrapped(*args, **kwargs)))

        return bounded

    def _bounded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        wants_more = hasattr(function, "jinja_pass_arg")  # a context or environment comes first

        def bounded(*args: Any, **kwargs: Any) -> Any:
            self._tick()
            subject = 1 if wants_more else 0
            self._checked(args[subject])
            self._check_arguments(args[subject + 1 :], kwargs)
            result = function(*args, **kwargs)
            # An iterator is checked where it is used up.
            return (
                self._checked(result) if isinstance(result, str | list | tuple | dict) else result
            )

        if wants_more:
            bounded.jinja_pass_arg = function.jinja_pass_arg  # type: ignore[attr-defined]
        return bounded

    def _check_arguments(
        self, args: Iterable[Any], kwargs: Mapping[str, Any], numbers: bool = True
    ) -> None:
        for value in (*args, *kwargs.values()):
            if isinstance(value, int) and numbers and abs(value) > _LONGEST_NUMBER:
                raise jinja2.TemplateError(f"it asks for a width or count of {value:,}")
            self._checked(value)

    def _join(self, items: Any, separator: Any = "", attribute: Any = None) -> str:
        texts: list[str] = []
        size = 0
        for item in self._ticking(items):
            value = self.getitem(item, attribute) if attribute is not None else item
            texts.append(str(self._checked(value)))
            size += len(texts[-1]) + len(str(separator))
            self._refuse(size)
        return str(separator).join(texts)

    def _replace(self, text: Any, old: Any, new: Any, count: Any = -1) -> str:
        whole, part, other = str(self._checked(text)), str(old), str(self._checked(new))
        self._refuse(whole.count(part) * len(other))
        return whole.replace(part, other, -1 if count is None else count)

    def _ticking(self, items: Any) -> Iterator[Any]:
        for item in items:
            self._tick()
            yield item

    def _tick(self) -> None:
        if time.monotonic() > self._end:
            raise OutOfTime("out of time")

    def _concat(self, parts: Iterable[str]) -> str:
        texts = []
        size = 0
        for part in parts:
            size += len(part)
            self._refuse(size)
            texts.append(part)
        return "".join(texts)

    def _checked(self, value: Any) -> Any:
        """``value``, if it is small enough to be written out, nested parts counted each time."""
        if isinstance(value, str):
            self._refuse(len(value))
        elif isinstance(value, list | tuple | dict):
            size = 0
            waiting: list[Any] = [value]
            while waiting:
                part = waiting.pop()
                if isinstance(part, dict):
                    size += len(part)
                    waiting += [*part.keys(), *part.values()]
                elif isinstance(part, list | tuple):
                    size += len(part)
                    waiting += part
                else:
                    size += len(part) if isinstance(part, str) else 1
                self._refuse(max(size, len(waiting)))
        return value

    def _refuse(self, size: int) -> None:
        if size > self._allowed:
            raise jinja2.TemplateError(f"it builds a value larger than {self._allowed:,}")


class _Instrument(NodeTransformer):
    """Puts the clock into loops and the bounds into ``~``."""

    def visit_For(self, node: jinja2.nodes.For) -> jinja2.nodes.For:  # noqa: N802
        self.generic_visit(node)
        node.iter = _filtered(node.iter, "%ticking")
        return node

    def visit_Concat(self, node: jinja2.nodes.Concat) -> jinja2.nodes.Expr:  # noqa: N802
        self.generic_visit(node)
        return _filtered(jinja2.nodes.List(node.nodes, lineno=node.lineno), "%concat")


def _filtered(node: jinja2.nodes.Node, name: str) -> jinja2.nodes.Filter:
    made = jinja2.nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)
    if node.environment is not None:
        made.set_environment(node.environment)
    return made


class _Generation(jinja2.ext.Extension):
    """``{% generation %}`` marks what the assistant wrote; here it only lets it through."""

    tags = {"generation"}  # noqa: RUF012 - jinja's own way

    def parse(self, parser: jinja2.parser.Parser) -> jinja2.nodes.Node:
        """Read up to ``{% endgeneration %}``."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        call = self.call_method("_pass_through")
        return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(line)

    @staticmethod
    def _pass_through(caller: Any) -> object:
        return caller()


class _Namespace(jinja2.utils.Namespace):
    """``namespace()`` without underscored names, which reach Python's internals."""

    def __init__(*args: Any, **kwargs: Any) -> None:
        self, *rest = args  # so that ``namespace(self=...)`` works, as in jinja's own
        values = dict(*rest, **kwargs)
        for name in values:
            _refuse_underscore(name)
        jinja2.utils.Namespace.__init__(self, values)

    def __setitem__(self, name: str, value: Any) -> None:
        _refuse_underscore(name)
        super().__setitem__(name, value)


class _Dict:
    """``dict()`` and ``dict.fromkeys()``, and no way to the type itself."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)

    def fromkeys(self, keys: Iterable[Any], value: Any = None) -> dict[Any, Any]:
        """As Python's."""
        return dict.fromkeys(keys, value)


def _refuse_wide(pattern: str) -> None:
    """Refuse a format string whose fields could be padded to more than four digits."""
    digits = 0
    for character in pattern:
        digits = digits + 1 if character.isdigit() else 0
        if digits > 4 or character == "*":
            raise jinja2.TemplateError("it formats text to an extreme width")


def _refuse_underscore(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a namespace may not hold the underscored name {name!r}")


def _raise(message: object) -> NoReturn:
    raise Rejected(str(message))


def _now(pattern: str) -> str:
    _refuse_wide(pattern)
    return datetime.now().strftime(pattern)


def _to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )
