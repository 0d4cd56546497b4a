from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from studiolo.errors import ChatTemplateError
from studiolo.modality.text.chat import render_chat

SMOLLM2 = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
    "<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
    "'<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\n' }}{% endif %}"
)
QWEN = (Path(__file__).parent / "qwen2.5.jinja").read_text(encoding="utf-8")
FEATURES = """
{%- set ns = namespace(count=0, seen=[]) %}
{% for message in messages if message.role != 'tool' %}
    {%- if loop.index > 3 %}{% break %}{% endif %}
    {%- set ns.count = ns.count + 1 %}
{{ loop.index }}/{{ loop.length }}{{ message.role | upper ~ ': ' ~ (message.content or '')|trim }}
    {% generation %}{{ message.content }}{% endgeneration %}
{% endfor %}
{{ dict(a=ns.count, b='<é&>') | tojson }} {{ tools | tojson(indent=2) }} {{ bos_token }}
{{ messages | map(attribute='role') | join(', ') }} {{ messages[0].items() | list | length }}
{{ 'a-b'.split('-') | last }} {{ 'abcb'.replace('b', 'x', 1) }} {{ '%s %d' | format('n', 3) }}
{% macro twice(x) %}{{ x }}{{ x }}{% endmacro %}{{ twice('ab') }} {{ range(3) | list }}
"""
TEMPLATES = {"smollm2": SMOLLM2, "qwen2.5": QWEN, "features": FEATURES}

U, A, S, T = "user", "assistant", "system", "tool"
CALL = {"type": "function", "function": {"name": "now", "arguments": {"zone": "Европа", "n": 1}}}
CHATS: list[list[dict[str, object]]] = [
    [{"role": U, "content": "Hello"}],
    [{"role": S, "content": "Be brief."}, {"role": U, "content": "Why?"}],
    [{"role": U, "content": "天地 😀 مرحبا\n\n <b>&amp;</b> {{ x }} {% y %} <|im_end|>"}],
    [
        {"role": U, "content": ""},
        {"role": A, "content": "  spaces  "},
        {"role": U, "content": "\t"},
    ],
    [{"role": U, "content": "Count"}, {"role": A, "content": "One, two,"}],
    [{"role": U, "content": "a"}, {"role": S, "content": "late"}, {"role": U, "content": "b"}],
    [{"role": U, "content": str(i)} for i in range(12)],
]
TOOL_CHAT: list[dict[str, object]] = [
    {"role": U, "content": "Time?"},
    {"role": A, "content": None, "tool_calls": [CALL, CALL]},
    {"role": T, "content": "12:00"},
    {"role": T, "content": "13:00"},
    {"role": A, "content": "Noon."},
]
TOOLS = [{"type": "function", "function": {"name": "now", "description": "<time> & 'place' é"}}]


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("prompt", [True, False])
@pytest.mark.parametrize("tools", [None, TOOLS])
def test_a_prompt_equals_that_of_transformers(name: str, prompt: bool, tools: Any) -> None:
    special = {"bos_token": "<s>", "eos_token": "</s>"}
    chats = CHATS if name == "smollm2" else [*CHATS, TOOL_CHAT]
    for chat in chats:
        expected, _ = render_jinja_template(
            conversations=[chat],
            tools=tools,
            chat_template=TEMPLATES[name],
            add_generation_prompt=prompt,
            **special,
        )
        ours = render_chat(
            TEMPLATES[name], chat, tools=tools, add_generation_prompt=prompt, special=special
        )
        assert ours == expected[0]


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ([], "empty"),
        ("Hello", "a list of messages is wanted, not str"),
        ({"role": U, "content": "x"}, "not dict"),
        (["Hello"], "message 0 is a str"),
        ([{"content": "x"}], "role None"),
        ([{"role": "usr", "content": "x"}], "role 'usr'"),
        ([{"role": [U], "content": "x"}], "role"),
        ([{"role": U}], "content of type NoneType"),
        ([{"role": U, "content": 3}], "content of type int"),
        ([{"role": U, "content": ["x"]}], "content of type list"),
        ([{"role": U, "content": "x"}, {"role": A, "content": None}], "message 1"),
    ],
)
def test_what_is_no_chat_is_refused_before_the_template_sees_it(messages: Any, says: str) -> None:
    with pytest.raises(ChatTemplateError, match=says):
        render_chat("{{ 1 }}", messages, special={})


def test_what_the_template_says_is_shown() -> None:
    template = "{{ raise_exception('Roles must alternate, said ' ~ messages[0].role) }}"
    with pytest.raises(ChatTemplateError, match="says: Roles must alternate, said user"):
        render_chat(template, CHATS[0], special={})


def test_a_broken_template_names_its_line() -> None:
    with pytest.raises(ChatTemplateError, match="broken in line 2"):
        render_chat("a\n{% if %}", CHATS[0], special={})


LAUGHS = (
    "{% set n = namespace(x=['a']) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}"
)
GROWING = (
    "{% set n = namespace(x='a' * 999) %}{% for i in range(99) %}BODY{% endfor %}{{ n.x|length }}"
)


@pytest.mark.parametrize(
    "template",
    [
        "{% for i in range(10**12) %}a{% endfor %}",
        "{{ 'a' * 10**10 }}",
        "{{ [0] * 10**10 }}",
        "{{ 'a' | center(10**10) }}",
        "{{ 'a'.center(10**10) }}",
        "{{ '%9999999999d' % 1 }}",
        "{{ '%*d' % (10**10, 1) }}",
        "{{ '{:>9999999999}'.format(1) }}",
        "{{ strftime_now('%9999999999Y') }}",
        "{{ [0] | slice(10**9) | list }}",
        "{{ [0] | batch(10**9, 0) | list }}",
        "{{ 'x' | indent(10**9) }}",
        "{% set n = namespace(x=9) %}{% for i in range(99) %}{% set n.x = n.x * n.x %}{% endfor %}",
        "{{ 2 ** (2 ** 40) }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% for i in range(99999) %}{{ range(99999) | list }}{% endfor %}",
        *(LAUGHS + end for end in ("{{ n.x }}", "{{ n.x|string }}", "{{ n.x|tojson }}")),
        *(LAUGHS + end for end in ("{{ 'a' ~ n.x }}", "{{ [n.x]|join }}", "{{ '%s' % n.x }}")),
        *(
            GROWING.replace("BODY", body)
            for body in (
                "{% set n.x = n.x + n.x %}",
                "{% set n.x = n.x ~ n.x %}",
                "{% set n.x = n.x.replace('a', 'aaaaa') %}",
                "{% set n.x = n.x | replace('a', 'aaaaa') %}",
                "{% set n.x = [n.x, n.x] | join %}",
                "{% set n.x = n.x.join(n.x) %}",
                "{% set n.x %}{{ n.x }}{{ n.x }}{% endset %}",
            )
        ),
    ],
)
def test_no_template_grows_without_end(template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studiolo.modality.text.chat.MAX_GROWTH", 100_000)
    start = time.monotonic()
    with pytest.raises(ChatTemplateError):
        render_chat(template, CHATS[0], special={})
    assert time.monotonic() - start < 20.0


def test_no_template_runs_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studiolo.modality.text.chat.MAX_SECONDS", 0.2)
    loop = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
    with pytest.raises(ChatTemplateError, match=r"within 0\.2 seconds"):
        render_chat(loop, CHATS[0], special={})


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.append(1) }}",
        "{{ namespace(__class__=1) }}",
        "{% set n = namespace() %}{% set n._x = 1 %}",
        "{{ dict.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os }}",
    ],
)
def test_no_template_leaves_the_sandbox(template: str) -> None:
    with pytest.raises(ChatTemplateError):
        render_chat(template, CHATS[0], special={})


def test_other_objects_reach_the_template_as_their_names_only() -> None:
    parts = [{"type": "image", "image": object()}]
    text = render_chat(
        "{{ messages[0].content[0].image }}", [{"role": U, "content": parts}], special={}
    )
    assert text == "<object>"
