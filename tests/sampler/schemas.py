"""Schemas of every kind that can be enforced, and of every kind that must be refused."""

from __future__ import annotations

from typing import Any

TEXT = {"type": "string", "maxLength": 12}

SCHEMAS: dict[str, dict[str, Any]] = {
    "boolean": {"type": "boolean"},
    "null": {"type": "null"},
    "range": {"type": "integer", "minimum": -17, "maximum": 4_200},
    "exclusive": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    "multiple": {"type": "integer", "minimum": 0, "maximum": 1000, "multipleOf": 15},
    "lengths": {"type": "string", "minLength": 3, "maxLength": 9},
    "pattern": {"type": "string", "pattern": "^[A-Z]{2}-\\d{3,5}$"},
    "searched pattern": {"type": "string", "pattern": "b+", "maxLength": 8},
    "pattern and length": {"type": "string", "pattern": "^a*b*$", "minLength": 4, "maxLength": 6},
    "date": {"type": "string", "format": "date"},
    "uuid": {"type": "string", "format": "uuid"},
    "ipv4": {"type": "string", "format": "ipv4"},
    "ipv6": {"type": "string", "format": "ipv6"},
    "leap day": {"type": "string", "format": "date", "pattern": "02-29$"},
    "enum": {"enum": ["one", 2, None, True, {"a": [1]}, 'quo"te\\', "é日🎉"]},
    "const": {"const": {"name": "x", "list": [1, 2.5, "three"]}},
    "types": {"type": ["integer", "null"], "minimum": 3, "maximum": 5},
    "array": {"type": "array", "items": TEXT, "minItems": 2, "maxItems": 4},
    "tuple": {
        "type": "array",
        "prefixItems": [{"type": "integer", "maximum": 99, "minimum": 0}, TEXT],
        "items": False,
        "minItems": 2,
    },
    "nested arrays": {
        "type": "array",
        "maxItems": 2,
        "items": {"type": "array", "items": {"type": "boolean"}, "maxItems": 2},
    },
    "object": {
        "type": "object",
        "properties": {"name": TEXT, "age": {"type": "integer", "minimum": 0, "maximum": 150}},
        "required": ["name", "age"],
        "additionalProperties": False,
    },
    "optional": {
        "type": "object",
        "properties": {"a": {"type": "boolean"}, "b": {"type": "null"}, "c": TEXT},
        "required": ["b"],
        "additionalProperties": False,
    },
    "map": {
        "type": "object",
        "patternProperties": {"^k[0-9]$": {"type": "boolean"}},
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 2,
    },
    "awkward names": {
        "type": "object",
        "properties": {'with "quotes"': {"type": "null"}, "x-guidance": {"type": "boolean"}},
        "required": ['with "quotes"', "x-guidance"],
        "additionalProperties": False,
    },
    "anyOf": {"anyOf": [{"type": "boolean"}, {"type": "array", "items": TEXT, "maxItems": 1}]},
    "disjoint oneOf": {
        "oneOf": [
            {
                "type": "object",
                "properties": {"kind": {"const": kind}, "value": value},
                "required": ["kind", "value"],
                "additionalProperties": False,
            }
            for kind, value in (("flag", {"type": "boolean"}), ("word", TEXT))
        ]
    },
    "allOf": {"allOf": [{"type": "integer", "minimum": 5}, {"maximum": 7}]},
    "sibling keys": {
        "$ref": "#/$defs/n",
        "maximum": 12,
        "$defs": {"n": {"type": "integer", "minimum": 10}},
    },
    "tree": {
        "$ref": "#/$defs/node",
        "$defs": {
            "node": {
                "type": "object",
                "properties": {
                    "leaf": {"type": "boolean"},
                    "next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/node"}]},
                },
                "required": ["leaf", "next"],
                "additionalProperties": False,
            }
        },
    },
    "notes": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://example.org/thing",
        "title": "A thing",
        "description": "with words that bind nothing",
        "type": "object",
        "properties": {"id": {"type": "integer", "minimum": 1, "maximum": 9, "examples": [3]}},
        "required": ["id"],
        "additionalProperties": False,
        "x-origin": "elsewhere",
    },
}

OBJECT = {"type": "object"}
UNSUPPORTED: dict[str, Any] = {
    "not": {"not": {"type": "string"}},
    "if": {"if": {"type": "string"}, "then": {"minLength": 3}},
    "contains": {"type": "array", "contains": {"type": "integer"}},
    "uniqueItems": {"type": "array", "uniqueItems": True},
    "unevaluatedItems": {"type": "array", "unevaluatedItems": False},
    "unevaluatedProperties": {**OBJECT, "unevaluatedProperties": False},
    "propertyNames": {**OBJECT, "propertyNames": {"maxLength": 3}},
    "dependentRequired": {**OBJECT, "dependentRequired": {"a": ["b"]}},
    "dependentSchemas": {**OBJECT, "dependentSchemas": {"a": {"required": ["b"]}}},
    "dependencies": {**OBJECT, "dependencies": {"a": ["b"]}},
    "$dynamicRef": {"$dynamicRef": "#node"},
    "$anchor": {"$defs": {"a": {"$anchor": "here"}}, "type": "integer"},
    "nested $id": {"properties": {"a": {"$id": "https://example.org/a"}}},
    "remote $ref": {"$ref": "https://example.org/schema.json"},
    "$ref to an anchor": {"$ref": "#here"},
    "$ref to nowhere": {"$ref": "#/$defs/a"},
    "$ref through an array": {
        "anyOf": [{"type": "null"}],
        "properties": {"a": {"$ref": "#/anyOf/1"}},
    },
    "a slip": {"type": "string", "maxLenght": 3},
    "of OpenAPI": {"type": "string", "nullable": True},
    "lenient": {"x-guidance": {"lenient": True}, "not": {}},
    "lenient within": {"properties": {"a": {"x-guidance": {"lenient": True}}}},
    "unseen behind a note": {"$ref": "#/examples/0", "examples": [{"not": {}}]},
    "in an unused definition": {"type": "integer", "$defs": {"a": {"not": {}}}},
    "overlapping oneOf": {"oneOf": [{"type": "integer"}, {"type": "number"}]},
    "format": {"type": "string", "format": "regex"},
    "the format of nothing": {"type": "string", "format": "unknown"},
    "unknown type": {"type": "text"},
    "look-ahead": {"type": "string", "pattern": "(?=a)"},
    "broken pattern": {"type": "string", "pattern": "("},
    "unknown dialect": {"$schema": "https://example.org/dialect", "type": "integer"},
    "minProperties": {**OBJECT, "minProperties": 3},
    "length in words": {"type": "string", "minLength": "three"},
    "negative length": {"type": "string", "minLength": -1},
    "multipleOf zero": {"type": "integer", "multipleOf": 0},
    "required no list": {**OBJECT, "required": "a"},
    "properties no object": {**OBJECT, "properties": ["a"]},
    "anyOf no list": {"anyOf": {"type": "null"}},
    "no schema within": {"properties": {"a": 3}},
    "a list": [{"type": "integer"}],
    "a number": 3,
    "a name": "integer",
    "not a number": {"minimum": float("nan")},
    "a set": {"enum": {1, 2}},
    "a key that is none": {"properties": {3: {}}},
    "half a character": {"const": "\ud800"},
    "a huge number": {"type": "number", "maximum": 10**400},
}

IMPOSSIBLE: dict[str, Any] = {
    "false": False,
    "empty range": {"type": "integer", "minimum": 5, "maximum": 3},
    "empty lengths": {"type": "string", "minLength": 5, "maxLength": 3},
    "empty counts": {"type": "array", "minItems": 3, "maxItems": 2},
    "no multiple": {"type": "integer", "minimum": 1, "maximum": 4, "multipleOf": 5},
    "pattern against length": {"type": "string", "pattern": "^abc$", "maxLength": 2},
    "no choice": {"enum": []},
    "no alternative": {"anyOf": []},
    "contradiction": {"allOf": [{"type": "string"}, {"type": "integer"}]},
    "required but false": {**OBJECT, "required": ["a"], "properties": {"a": False}},
    "itself": {"$ref": "#"},
    "itself within": {**OBJECT, "required": ["a"], "properties": {"a": {"$ref": "#"}}},
    "itself in a list": {"type": "array", "items": {"$ref": "#"}, "minItems": 1},
    "each other": {
        "$ref": "#/$defs/a",
        "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"allOf": [{"$ref": "#/$defs/a"}]}},
    },
    "a branch without end": {
        "anyOf": [{"type": "null"}, {"$ref": "#/$defs/a"}],
        "$defs": {"a": {"type": "array", "minItems": 1, "prefixItems": [{"$ref": "#/$defs/a"}]}},
    },
}
