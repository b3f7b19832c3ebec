"""The numbers of an execution's reports."""

from __future__ import annotations

import pytest

from trading_platform.domain.trading.executions import ExecutionId, execution_id


@pytest.mark.parametrize(
    ("written", "execution", "version"),
    [
        ("0000e215.5f7e7752.01.01", "0000e215.5f7e7752.01", 1),
        ("0000e215.5f7e7752.01.12", "0000e215.5f7e7752.01", 12),
        ("0001f4e8.57ff6c8e.01.00", "0001f4e8.57ff6c8e.01", 0),
        ("0001.02", "0001", 2),
    ],
)
def test_the_last_two_digits_number_the_reports(written: str, execution: str, version: int):
    assert execution_id(written) == ExecutionId(execution, version)
    assert dict(ExecutionId(execution, version).versions())[written] == version


@pytest.mark.parametrize(
    "written", ["4711", "note.1", "note.001", ".01", "01", "THVRQM-33VKH-UCI7BS", "a.0x", "a.\u0661\u0662"]
)
def test_other_ids_have_no_number(written: str):
    assert execution_id(written) is None
