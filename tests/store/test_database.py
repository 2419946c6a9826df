"""Migrations and transactions, on both databases, with several processes at once."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from prunescope.jobs.settings import Settings
from prunescope.store.database import Database
from prunescope.store.migrations import HEAD
from prunescope.store.submission import Stores
from prunescope.store.tables import metadata

ROOT = Path(__file__).parents[2]


def test_migrations_make_the_tables(database: Database) -> None:
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_the_newest_revision_is_known_without_alembic() -> None:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "store" / "migrations"))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_migrating_again_changes_nothing_and_needs_no_alembic(database: Database) -> None:
    assert database.revision() == HEAD
    code = (
        "import sys; from prunescope.store.database import Database; "
        f"Database({database.url.render_as_string(hide_password=False)!r}).migrate(); "
        "sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_processes_that_start_together_migrate_once(database_url: str) -> None:
    code = f"from prunescope.store.database import Database; Database({database_url!r}).migrate()"
    processes = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(4)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    database = Database(database_url)
    assert database.revision() == HEAD
    database.dispose()


def test_a_failed_migration_leaves_nothing(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(database_url)
    with monkeypatch.context() as patch:
        patch.setattr("alembic.command.upgrade", _half_done)
        with pytest.raises(RuntimeError, match="half done"):
            database.migrate()
    assert database.revision() is None
    with database.reading() as connection:
        assert not connection.dialect.has_table(connection, "half")
    database.migrate()
    assert database.revision() == HEAD
    database.dispose()


def _half_done(config: Config, target: str) -> None:
    config.attributes["connection"].execute(text("CREATE TABLE half (id INTEGER)"))
    raise RuntimeError("half done")


def test_exclusive_transactions_run_one_at_a_time(database: Database) -> None:
    inside = threading.Event()
    order: list[str] = []

    def first() -> None:
        with database.exclusive():
            inside.set()
            order.append("first in")
            threading.Event().wait(0.2)
            order.append("first out")

    def second() -> None:
        assert inside.wait(10)
        with database.exclusive():
            order.append("second in")

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert order == ["first in", "first out", "second in"]


def test_readers_do_not_wait_for_a_writer(database: Database) -> None:
    with database.exclusive() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'x'"))
        assert database.revision() == HEAD
        connection.rollback()


def test_a_database_that_takes_no_changes_is_said_alike(database: Database) -> None:
    forbid = "PRAGMA query_only = ON" if database.url.get_backend_name() == "sqlite" else "SET TRANSACTION READ ONLY"
    with pytest.raises(OperationalError), database.engine.begin() as connection:
        connection.execute(text(forbid))
        assert connection.execute(text("SELECT count(*) FROM jobs")).scalar() == 0
        connection.execute(text("DELETE FROM jobs"))


def test_a_migration_can_be_taken_back(database: Database) -> None:
    downgrade(database, "base")
    assert database.revision() is None
    database.migrate()
    assert database.revision() == HEAD


def test_records_of_the_released_schema_are_found_by_their_models(database: Database, stores: Stores) -> None:
    """0005 fills what look-ups read: rows are put into a database of 0004, as release 0.1.0 writes them."""
    downgrade(database, "0004")
    now = "2026-01-02 03:04:05"
    attribution = {"dense": "demo", "pruned": ["pruned:" + "1" * 16, "elsewhere"], "words": {"source": "manual"}}
    specs = {
        ("model", "1" * 16): {"model": "demo", "method": {"name": "wanda"}},
        ("evaluation", "2" * 16): {"model": "pruned:" + "1" * 16, "tasks": ["sst2"]},
        **{("attribution", f"{number:016x}"): attribution for number in range(450)},
        ("study", "3" * 16): {"models": ["demo", "one"]},
    }
    with database.exclusive() as connection:
        for (kind, id), spec in specs.items():
            connection.execute(
                text(
                    "INSERT INTO records (kind, id, spec, summary, created_at) VALUES (:kind, :id, :spec, '{}', :now)"
                ),
                {"kind": kind, "id": id, "spec": json.dumps(spec), "now": now},
            )
        columns = (
            "id, kind, state, spec, fingerprint, known, forced, created_at, attempts, lost_leases, cancel_requested"
        )
        values = "'j', 'prune', 'succeeded', '{}', :mark, true, false, :now, 1, 0, false"
        job = text(f"INSERT INTO jobs ({columns}, progress) VALUES ({values}, '{{}}')")
        connection.execute(job, {"mark": "1" * 16 + "f" * 48, "now": now})
    database.migrate()
    results = stores.results
    assert [record.id for record in results.naming("evaluation", ["pruned:" + "1" * 16])] == ["2" * 16]
    assert [record.id for record in results.naming("model", ["demo"])] == ["1" * 16]
    assert len(results.naming("attribution", ["elsewhere"])) == 450
    assert len(results.naming("attribution", ["demo"], field="dense")) == 450
    assert results.naming("attribution", ["elsewhere"], field="dense") == []
    assert [record.id for record in results.naming("study", ["one", "two"])] == ["3" * 16]
    assert results.named_models() == ["demo", "pruned:" + "1" * 16, "elsewhere"]
    assert {name: job.id for name, job in stores.jobs.making(["1" * 16, "2" * 16]).items()} == {"1" * 16: "j"}
    downgrade(database, "0004")
    database.migrate()
    assert len(results.naming("attribution", ["elsewhere"])) == 450


def downgrade(database: Database, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "store" / "migrations"))
    with database.exclusive() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, revision)


def test_sqlite_keeps_what_it_promises(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    database.migrate()
    with database.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 30_000
    database.dispose()


@pytest.mark.parametrize("name", ["a b", "50%20", "what?", "#1"])
def test_a_data_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    settings = Settings(home=tmp_path / name)
    database = Database(settings.resolved_database_url)
    database.migrate()
    database.dispose()
    assert (tmp_path / name / "prunescope.db").is_file()
