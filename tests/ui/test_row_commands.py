"""Commands for a batch's rows as the page sends them: each is followed once, in the order of the presses."""

from __future__ import annotations

import pytest

from ui.components.row_commands import RowCommand, parse_commands


def test_commands_that_wait_together_are_read_in_the_order_of_the_presses_and_once() -> None:
    sent = "approve 1 @1000;doubt 2 batch-a @1001;approve-next 3 batch-a @1900"
    commands = [RowCommand("approve", 1, "", 1000), RowCommand("doubt", 2, "batch-a", 1001)]
    last = RowCommand("approve-next", 3, "batch-a", 1900)
    assert parse_commands(sent) == [*commands, last]
    assert parse_commands(sent, since=1001) == [last]
    assert parse_commands(sent, since=1900) == []


def test_a_session_that_was_lost_follows_no_command_of_long_ago() -> None:
    assert [command.row for command in parse_commands("approve 1 @1000;approve 2 @100000;approve 3 @160000")] == [2, 3]


@pytest.mark.parametrize("sent", [None, "", ";", "approve 1", "delete 1 @5", "approve x @5", "approve 1 a/b @5", "٣"])
def test_anything_else_is_no_command(sent: str | None) -> None:
    assert parse_commands(sent) == []
    assert [command.row for command in parse_commands(f"{sent};open 7 @9")] == [7]


def test_no_more_commands_are_read_than_the_page_keeps() -> None:
    assert len(parse_commands(";".join(f"approve {n} @{n}" for n in range(1, 500)))) == 100
