"""Runs whose process was killed are found, said and failed, so that they take no place in Dagster's queue."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from commands import Installation, finish, installation, kill, rows
from daily_bars import years_of_days
from processes import answers, free_port
from waiting import wait_until

from trading_platform.embedded.run_leases import START_SECONDS, RunLeases, RunProcess
from trading_platform.embedded.stack import Endpoints
from trading_platform.resources.dagster_instance import DEFINITIONS

pytestmark = pytest.mark.slow


@pytest.fixture
def ours(stack: Endpoints, tmp_path: Path) -> Iterator[Installation]:
    with installation(stack.database_url) as made:
        found = made.run("import", years_of_days(tmp_path / "IWM_daily.csv"))
        assert found.code == 0, found.text
        yield made


def runs(made: Installation) -> dict[str, str]:
    """The status of each run by its id."""
    return dict(rows(made.variables["DAGSTER_DATABASE_URL"], "SELECT run_id, status FROM runs"))


def doctor(made: Installation) -> dict[str, str]:
    found = made.run("doctor", "--json").json
    return next(check for check in found["checks"] if check["part"] == "runs")


@pytest.mark.exhaustive
def test_the_next_backfill_fails_the_run_of_a_killed_one(ours: Installation) -> None:
    leases = RunLeases(ours.data_dir)
    killed = ours.start("backfill", "IWM", "-t", "1d")
    try:
        (run_id,) = wait_until(
            lambda: [run for run, status in runs(ours).items() if status == "STARTED"], "a run", running=killed
        )
        assert leases.process_of(run_id) is RunProcess.ALIVE
        assert (doctor(ours)["verdict"], doctor(ours)["found"]) == ("ok", "1 under way")
    finally:
        kill(killed)
    assert (runs(ours), leases.process_of(run_id)) == ({run_id: "STARTED"}, RunProcess.ENDED)
    said = doctor(ours)
    assert (said["verdict"], run_id[:8] in said["found"], "backfill" in said["remedy"]) == ("note", True, True)
    assert ours.run("backfill", "IWM", "-t", "1d").code == 0
    after = runs(ours)
    assert after.pop(run_id) == "FAILURE"
    assert set(after.values()) == {"SUCCESS"}
    assert leases.known() == []
    (message,) = rows(
        ours.variables["DAGSTER_DATABASE_URL"],
        "SELECT event FROM event_logs WHERE run_id = %s AND dagster_event_type = 'PIPELINE_FAILURE'",
        [run_id],
    )
    assert "ended without reporting it" in message[0]
    tags = rows(ours.variables["DAGSTER_DATABASE_URL"], "SELECT key, value FROM run_tags WHERE run_id = %s", [run_id])
    assert dict(tags)["dagster/max_retries"] == "0"


@pytest.mark.exhaustive
def test_a_run_of_another_machine_is_left_alone_and_said(ours: Installation) -> None:
    """It has no lease here, like the runs of older versions."""
    url = ours.variables["DAGSTER_DATABASE_URL"]
    assert ours.run("backfill", "IWM", "-t", "1d").code == 0
    ((run_id,),) = rows(url, "UPDATE runs SET status = 'STARTED' RETURNING run_id")
    assert ours.run("backfill", "IWM", "-t", "1d").code == 0
    assert runs(ours)[run_id] == "STARTED"
    said = doctor(ours)
    assert (said["verdict"], "no process of this machine" in said["found"]) == ("note", True)
    assert "Force termination" in said["remedy"]


def test_a_launched_run_has_time_to_begin(tmp_path: Path) -> None:
    later = 0.0
    leases = RunLeases(tmp_path, clock=lambda: (tmp_path / "run/dagster/launched").stat().st_mtime + later)
    leases.expect("launched")
    assert leases.process_of("launched") is RunProcess.ALIVE
    later = START_SECONDS + 1
    assert leases.process_of("launched") is RunProcess.ENDED
    with leases.held("launched"):
        assert leases.process_of("launched") is RunProcess.ALIVE
    assert (leases.process_of("launched"), leases.known()) == (RunProcess.UNKNOWN, [])


def test_errors_of_a_run_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), RunLeases(tmp_path).held("failing"):
        (tmp_path / "nothing").read_text()
    assert RunLeases(tmp_path).known() == []


LAUNCH = """
mutation ($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""


def launched(port: int, first: str, last: str) -> str:
    """Launches the job ``daily`` over a range of partitions as the UI does; returns the id of its run."""
    ends = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    params = {
        "selector": {
            "repositoryLocationName": DEFINITIONS,
            "repositoryName": "__repository__",
            "jobName": "daily",
            "assetSelection": [{"path": [name]} for name in ("ohlcv_1d", "indicators_1d", "features")],
        },
        "mode": "default",
        "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in ends.items()]},
    }
    body = json.dumps({"query": LAUNCH, "variables": {"params": params}})
    visit = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    visit.request("POST", "/graphql", body, {"Content-Type": "application/json"})
    answer = json.loads(visit.getresponse().read())
    assert answer["data"]["launchRun"]["__typename"] == "LaunchRunSuccess", answer
    return str(answer["data"]["launchRun"]["run"]["runId"])


@pytest.mark.exhaustive
def test_a_run_that_dies_with_its_code_server_is_failed_and_started_again(ours: Installation) -> None:
    """Dagster's own look at its runs is made by the code server, which is killed with the run.

    ``dev`` ends, as nothing runs without a code server; the next one fails the run, and starts it again.
    """
    url, database, port = ours.variables["DAGSTER_DATABASE_URL"], ours.variables["DATABASE_URL"], free_port()
    dev = ours.start("dev", "--port", str(port))
    try:
        wait_until(lambda: answers(port), "the UI", running=dev)
        wait_until(lambda: rows(url, "SELECT FROM dynamic_partitions"), "the partition of the symbol", running=dev)
        run_id = launched(port, "IWM|1996", "IWM|2018")
        lease = ours.data_dir / "run" / "dagster" / run_id
        worker = psutil.Process(int(wait_until(lambda: lease.exists() and lease.read_text(), "the run", running=dev)))
        server = worker.parent()
        assert server is not None
        assert "grpc" in server.cmdline()
        for process in (server, worker):
            process.kill()
        assert runs(ours)[run_id] == "STARTED"
        ended = finish(dev)
        assert (ended.code, "code server of Dagster ended" in ended.text) == (1, True), ended.text[-2000:]
    finally:
        kill(dev)
    dev = ours.start("dev", "--port", str(port))
    try:
        wait_until(lambda: runs(ours)[run_id] == "FAILURE", "the failure", running=dev)
        question = "SELECT run_id FROM run_tags WHERE key = 'dagster/parent_run_id' AND value = %s"
        ((again,),) = wait_until(lambda: rows(url, question, [run_id]), "the run that takes its place", running=dev)
        wait_until(lambda: runs(ours)[again] == "SUCCESS", "its success", running=dev)
        told = "SELECT metadata->'over' FROM audit.system_events WHERE event_type = %s ORDER BY id"
        for kind in ("dagster_down", "run_died"):
            wait_until(lambda kind=kind: rows(database, told, [kind]) == [(False,), (True,)], kind, running=dev)
    finally:
        kill(dev)
