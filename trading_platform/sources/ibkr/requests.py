"""Requests that ib_async would send without distinguishing an empty response from a missing one.

They run on the loop of the session; :mod:`trading_platform.sources.ibkr.client` calls them from other threads.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from trading_platform.sources.ibkr.contracts import Qualified
from trading_platform.sources.ibkr.error_codes import Verdict, connection_lost, error_of, no_response, verdict_of
from trading_platform.sources.ibkr.session import IbkrSession

if TYPE_CHECKING:
    from ib_async import IB, AccountValue, BarData, Fill, Trade

_COMMISSION_SECONDS = 2.0
"""How many seconds commissions are waited for; later ones are included the next time."""
_COMMISSION_PAUSE = 0.05


@dataclass(frozen=True)
class HistoryRequest:
    """A request for bars.

    Attributes:
        of: contract.
        end: the last bar begins before it, UTC.
        duration: length of the request back from ``end``, such as ``1 D``.
        bar_size: length of the bars, such as ``1 min``.
    """

    of: Qualified
    end: datetime
    duration: str
    bar_size: str

    @property
    def end_text(self) -> str:
        """``end`` in the API's format, UTC."""
        return f"{self.end.astimezone(UTC):%Y%m%d-%H:%M:%S}"

    def __str__(self) -> str:
        return (
            f"{self.bar_size} bars of {self.of.instrument.symbol} ({self.of.what}), {self.duration} to {self.end_text}"
        )


async def history(session: IbkrSession, request: HistoryRequest, seconds: float) -> list[BarData]:
    """The bars of a request, in order; empty if the response states that there are none.

    The library's own method returns an empty list both for that and for a timeout.

    Raises:
        SourceError: if it was rejected, not answered within ``seconds``, or the connection broke.
    """
    from ib_async.objects import BarDataList
    from ib_async.wrapper import RequestError

    ib = session.ib
    number = ib.client.getReqId()
    future = ib.wrapper.startReq(number, request.of.contract, container=BarDataList())
    session.expect(number, future)
    ib.client.reqHistoricalData(
        number,
        request.of.contract,
        request.end_text,
        request.duration,
        request.bar_size,
        request.of.what,
        1,  # regular hours: the sessions of the calendar
        2,  # times as seconds since 1970, UTC
        False,  # no updates of the running bar
        [],
    )
    try:
        return list(await asyncio.wait_for(future, seconds))
    except RequestError as error:
        if verdict_of(error.code, error.message) is Verdict.NO_DATA:
            return []
        raise error_of(error.code, error.message, str(request)) from None
    except TimeoutError:
        ib.client.cancelHistoricalData(number)
        raise no_response(str(request), seconds) from None
    except ConnectionError as error:
        raise connection_lost(str(request), str(error)) from None


async def balances(session: IbkrSession, seconds: float) -> list[AccountValue]:
    """The current ledger of all accounts, by currency; the library would return a cached one.

    Raises:
        SourceError: if it is not available within ``seconds``.
    """
    ib = session.ib
    number = ib.client.getReqId()
    ib.wrapper.acctSummary.clear()

    def send(ib: IB) -> asyncio.Future[object]:
        response: asyncio.Future[object] = ib.wrapper.startReq(number)
        ib.client.reqAccountSummary(number, "All", "$LEDGER:ALL")
        return response

    await session.ask(send, "balances", seconds)
    ib.client.cancelAccountSummary(number)  # else it would continue to send changes
    return list(ib.wrapper.acctSummary.values())


async def executions(session: IbkrSession, seconds: float) -> list[Fill]:
    """The executions of the day, with the commissions that arrive within two seconds.

    Raises:
        SourceError: if they are not available within ``seconds``.
    """
    fills = await session.ask(lambda ib: ib.reqExecutionsAsync(), "executions", seconds)
    # Commissions come after the list, and to the first record of an execution, which an earlier request may have made.
    reported = session.ib.wrapper.fills
    reports = {each.execution.execId: reported[each.execution.execId].commissionReport for each in fills}
    waited = 0.0
    while waited < _COMMISSION_SECONDS and not all(report.execId for report in reports.values()):
        await asyncio.sleep(_COMMISSION_PAUSE)
        waited += _COMMISSION_PAUSE
    return [each._replace(commissionReport=reports[each.execution.execId]) for each in fills]


async def open_orders(session: IbkrSession, seconds: float) -> list[Trade]:
    """The open orders of all clients, those that were placed by hand included.

    A gateway in its read-only mode rejects the request with an error that names no request.

    Raises:
        SourceError: if they are not available within ``seconds``.
    """

    def send(ib: IB) -> asyncio.Future[list[Trade]]:
        response: asyncio.Future[list[Trade]] = ib.wrapper.startReq("openOrders")
        session.expect(-1, response)
        ib.client.reqAllOpenOrders()
        return response

    return list(await session.ask(send, "open orders", seconds))
