"""How a live source's answer is waited for: by what could be heard, not by a clock."""

from __future__ import annotations

import asyncio

import pytest
import virtual_time

from trading_platform.sources.live import answer_of


def test_an_answer_in_time_is_given_and_one_that_never_comes_is_not_waited_for() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        response = loop.create_future()
        loop.call_later(4.9, response.set_result, 7)
        assert await answer_of(response, 5, asyncio.sleep) == 7
        assert loop.time() == 4.9
        never = loop.create_future()
        with pytest.raises(TimeoutError):
            await answer_of(never, 5, asyncio.sleep)
        assert loop.time() == pytest.approx(9.9)
        assert never.cancelled()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    virtual_time.run(scenario())


def test_a_pause_of_the_process_itself_is_no_silence() -> None:
    async def scenario() -> int:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, virtual_time.VirtualTimeLoop)
        response = loop.create_future()

        def pause() -> None:
            loop.stall(3600)
            loop.call_later(0.1, response.set_result, 7)  # it is there as soon as one looks again

        loop.call_later(1, pause)
        return await answer_of(response, 5, asyncio.sleep)

    assert virtual_time.run(scenario()) == 7


def test_what_goes_wrong_is_raised() -> None:
    async def fails() -> None:
        raise ConnectionError("gone")

    async def scenario() -> None:
        with pytest.raises(ConnectionError, match="gone"):
            await answer_of(fails(), 5, asyncio.sleep)

    virtual_time.run(scenario())
