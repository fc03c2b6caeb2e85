"""A chat template of ours says to the model what its tool parser reads from the model (vLLM's own expressions)."""

import re
from typing import Any

import jinja2
import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tests.unit.catalogue.models import NAMES, spec

READ = {
    "deepseek_v3": re.compile(
        r"<｜tool▁call▁begin｜>(?P<type>.*)<｜tool▁sep｜>(?P<function_name>.*)\n```json\n"
        r"(?P<function_arguments>.*)\n```<｜tool▁call▁end｜>"
    )
}
OURS = [name for name in NAMES if spec(name).versions[0].chat_template]
TOOL = {"type": "function", "function": {"name": "weather", "description": "Of a town", "parameters": {}}}
CALLS = [
    {"type": "function", "function": {"name": "weather", "arguments": given}} for given in ({"town": "Bonn"}, "{}")
]


def _said(name: str, messages: list[dict[str, Any]], **more: Any) -> str:
    """As vLLM renders it: in transformers' environment, with strange names being nothing."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, undefined=jinja2.Undefined)
    template = environment.from_string(spec(name).versions[0].chat_template or "")
    return template.render(messages=messages, bos_token="<B>", add_generation_prompt=True, **more)


def test_only_what_has_no_place_for_tools_gets_another_template() -> None:
    assert OURS == ["deepseek-v3-0324"]


@pytest.mark.parametrize("name", OURS)
def test_m19_the_model_is_told_of_tools_and_its_calls_are_what_the_parser_reads(name: str) -> None:
    (read,) = (READ[version.tool_call_parser or ""] for version in spec(name).versions[:1])
    system, user = {"role": "system", "content": "Be kind."}, {"role": "user", "content": "Rain?"}
    first = _said(name, [system, user], tools=[TOOL])
    assert '{"description": "Of a town", "name": "weather", "parameters": {}}' in first
    assert [match["function_name"] for match in read.finditer(first)] == ["NAME"], "the form that it is to keep to"
    assert first.startswith("<B>Be kind.\n\n## Tools\n")
    assert first.endswith("<｜User｜>Rain?<｜Assistant｜>")
    called = {"role": "assistant", "content": None, "tool_calls": CALLS}
    answers = [{"role": "tool", "content": text} for text in ("wet", "dry")]
    then = _said(name, [user, called, *answers])
    assert [(match[2], match[3]) for match in read.finditer(then)] == [
        ("weather", '{"town": "Bonn"}'),
        ("weather", "{}"),
    ]
    assert then.endswith(
        "<｜tool▁calls▁end｜><｜end▁of▁sentence｜><｜tool▁outputs▁begin｜><｜tool▁output▁begin｜>wet<｜tool▁output▁end｜>\n"
        "<｜tool▁output▁begin｜>dry<｜tool▁output▁end｜><｜tool▁outputs▁end｜>"
    ), "it goes on from the outputs: nobody speaks in between"


@pytest.mark.parametrize("name", OURS)
def test_m19_without_tools_it_is_the_makers_form(name: str) -> None:
    turns = [{"role": role, "content": text} for role, text in (("user", "a"), ("assistant", "b"), ("user", "c"))]
    assert _said(name, turns) == "<B><｜User｜>a<｜Assistant｜>b<｜end▁of▁sentence｜><｜User｜>c<｜Assistant｜>"
