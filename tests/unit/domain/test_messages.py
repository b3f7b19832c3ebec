"""The messages are as docs/messages.md and its schema describe them."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import get_args

import pytest

from trading_platform.domain.errors import InvalidRequest, StoreError
from trading_platform.domain.messages import (
    MESSAGES,
    Channel,
    SignalState,
    check_channel,
    checked,
    read_message,
    schemas,
)

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "messages.md").read_text(encoding="utf-8")


def section(name: str) -> str:
    return PAGE.split(f"\n### {name}\n", 1)[1].split("\n## ", 1)[0].split("\n### ", 1)[0]


def described(text: str) -> list[str]:
    return re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)


def test_every_channel_has_its_form_and_its_section():
    assert list(MESSAGES) == list(get_args(Channel)) == re.findall(r"^### (\w+)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("channel", MESSAGES)
def test_every_field_is_described_and_no_other(channel: Channel):
    model = MESSAGES[channel]
    assert described(section(channel)) == list(model.model_fields["payload"].annotation.model_fields)  # type: ignore[union-attr]
    envelope = PAGE.split("\n## Form\n", 1)[1].split("\n### ", 1)[0]
    assert described(envelope) == list(model.model_fields)


@pytest.mark.parametrize("channel", MESSAGES)
def test_every_example_is_a_message_and_comes_back_the_same(channel: Channel):
    examples = re.findall(r"```json\n(.+?)\n```", section(channel), re.DOTALL)
    assert examples
    for example in examples:
        message = read_message(channel, example)
        force = json.loads(message.model_dump_json())
        assert force["payload"] == json.loads(example)["payload"] or channel == "orders"
        assert read_message(channel, json.dumps(force)) == message


def test_the_schema_in_the_documents_is_the_models():
    assert json.loads((DOCS / "messages.schema.json").read_text(encoding="utf-8")) == schemas(), (
        "write it again: json.dumps(trading_platform.domain.messages.schemas(), indent=2)"
    )


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"v":3,"ts":"2024-01-01T00:00:00Z","seq":1,"payload":{"regime":"a","previous":null}}', '{"seq":1}'],
)
def test_what_has_another_form_is_refused_and_shown(text: str):
    with pytest.raises(StoreError, match="form of version 2"):
        read_message("regime", text)


def test_amounts_are_text_without_an_exponent():
    state = checked(SignalState, "signal", strategy="s", symbol="A", direction="long", price=Decimal("1E+3"))
    assert json.loads(state.model_dump_json())["price"] == "1000"


def test_a_channel_that_is_none():
    with pytest.raises(InvalidRequest, match="news"):
        check_channel("news")
