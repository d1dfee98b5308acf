"""a run is watched from outside: it hurts the application for a bounded time, and says whom"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from qb_engine import ledger, runner
from qb_engine.commands import Session, invoke
from qb_engine.commands._place import place_of
from qb_engine.commands.run import RunReport
from qb_engine.database import Target
from qb_engine.database.connect import connect
from qb_engine.execution import Executor, Observation, Policy, StepFailed, blocks
from qb_engine.execution.sample import Sample, waits
from qb_engine.ledger.samples import samples
from qb_engine.migrations import Part
from qb_engine.project import Project
from qb_engine.report import Timeline
from qb_engine.sql import read
from tests.pgbouncer import bouncer, pooled
from tests.runner.test_lock import wait_for

Connection = psycopg.Connection[tuple[Any, ...]]

LIMIT_S = 0.3  # others may wait this long in these tests
MARGIN_S = 10.0  # what a loaded machine may need to notice; without the watch nothing ever ends

# Ends when somebody allows it, and not before.
UNTIL_ALLOWED = """
DO $$ BEGIN
  WHILE NOT EXISTS (SELECT FROM allowed) LOOP PERFORM pg_sleep(0.01); END LOOP;
END $$
"""


@pytest.fixture
def ready(connection: Connection) -> Connection:
    """A database with a table of the application, and one that says when to go on."""
    connection.execute("CREATE TABLE app (id int); CREATE TABLE allowed ()")
    return connection


@pytest.fixture
def opener(database: Target) -> Callable[[], Connection]:
    return lambda: connect(database, application_name="qb watch")


class App:
    """A session of the application that runs one statement, and how that ended."""

    def __init__(self, conninfo: str, sql: str, name: str) -> None:
        self.conn = psycopg.connect(conninfo, autocommit=True, application_name=name)
        self.pid = self.conn.info.backend_pid
        self.error: Exception | None = None
        self.seconds = -1.0  # by the server's clock
        self._sql = sql
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        before = self.conn.execute("SELECT clock_timestamp()").fetchone()
        try:
            self.conn.execute(self._sql.encode())
        except psycopg.Error as error:
            self.error = error
            return
        after = self.conn.execute("SELECT clock_timestamp()").fetchone()
        assert before is not None
        assert after is not None
        self.seconds = (after[0] - before[0]).total_seconds()

    def done(self) -> None:
        self._thread.join(MARGIN_S * 6)
        assert not self._thread.is_alive(), "the application still waits"
        self.conn.close()


@contextmanager
def running(
    database: Target, opener: Callable[[], Connection], **changes: Any
) -> Iterator[tuple[Executor, list[str]]]:
    """An executor with a watch that allows LIMIT_S, and what it said."""
    said: list[str] = []
    policy = Policy(**{"max_blocked": LIMIT_S, "lock_deadline": 60.0} | changes)
    with (
        connect(database, application_name="qb run") as acting,
        connect(database, application_name="qb runner") as other,
    ):
        executor = Executor(acting, other, policy, opener=opener, tell=said.append)
        try:
            yield executor, said
        finally:
            executor.close()


def run(executor: Executor, sql: str, *, transaction: bool = True) -> tuple[Observation, ...]:
    part = Part("migration", "m.sql", read(sql), (), transaction=transaction)
    return tuple(seen for block in blocks([part]) for seen in executor.run(block))


def when(condition: Callable[[], bool], action: Callable[[], object]) -> threading.Thread:
    """Do something as soon as a condition holds, in a thread."""

    def wait() -> None:
        wait_for(condition)
        action()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def holds(connection: Connection, mode: str = "AccessExclusiveLock") -> bool:
    row = connection.execute(
        "SELECT count(*) FROM pg_locks WHERE relation = 'app'::regclass AND mode = %s AND granted",
        [mode],
    ).fetchone()
    return bool(row and row[0])


def allow(database: Target) -> None:
    with psycopg.connect(database.conninfo, autocommit=True) as conn:
        conn.execute("INSERT INTO allowed DEFAULT VALUES")


# -- the bound ---------------------------------------------------------------------------------


def test_the_application_waits_for_a_bounded_time_and_the_run_gets_through_later(
    ready: Connection, database: Target, opener: Callable[[], Connection]
) -> None:
    apps: list[App] = []
    with running(database, opener) as (executor, said):
        first = when(
            lambda: holds(ready),
            lambda: apps.append(App(database.conninfo, "SELECT FROM app", "shop")),
        )

        def through() -> bool:
            return bool(apps) and apps[0].seconds >= 0

        # only when the application has got through is the migration allowed to end
        second = when(through, lambda: allow(database))
        seen = run(executor, "ALTER TABLE app ADD COLUMN x int;" + UNTIL_ALLOWED)
        first.join()
        second.join()
        apps[0].done()
        samples = executor.samples()
    assert apps[0].error is None
    assert apps[0].seconds < LIMIT_S + MARGIN_S
    assert [o.attempts > 1 for o in seen] == [True, True]
    assert ready.execute("SELECT count(x) FROM app").fetchone() == (0,)
    assert "was cancelled: pid" in said[0]
    assert "(shop): SELECT FROM app waited 0." in said[0]
    (given_up,) = [sample for sample in samples if sample.cancelled]
    assert LIMIT_S <= given_up.longest < LIMIT_S + MARGIN_S
    assert given_up.held["public.app"] == "AccessExclusiveLock"
    (wait,) = [wait for wait in waits(samples) if wait.who.pid == apps[0].pid]
    assert wait.cancelled
    assert wait.step == 2
    assert wait.who.wants == "AccessShareLock on public.app"


def test_sessions_that_wait_in_turn_are_one_wait(
    ready: Connection, database: Target, opener: Callable[[], Connection]
) -> None:
    """Requests that give up and come again hurt as much as one that waits."""
    stop = threading.Event()

    def requests() -> None:
        with psycopg.connect(database.conninfo, autocommit=True, application_name="shop") as conn:
            conn.execute("SET lock_timeout = '150ms'")
            while not stop.is_set():
                with suppress(psycopg.errors.LockNotAvailable):
                    conn.execute("SELECT FROM app")

    threads = [threading.Thread(target=requests, daemon=True) for _ in range(3)]
    with running(database, opener, max_blocked=0.5, lock_deadline=0.0) as (executor, _):
        begin = when(lambda: holds(ready), lambda: [thread.start() for thread in threads])
        with pytest.raises(StepFailed, match="kept others waiting") as caught:
            run(executor, "LOCK TABLE app;" + UNTIL_ALLOWED)
        begin.join()
    stop.set()
    for thread in threads:
        thread.join()
    assert "without a break" in caught.value.blocked


def test_who_waits_behind_a_waiting_session_counts(
    ready: Connection, database: Target, opener: Callable[[], Connection]
) -> None:
    """The run holds little, another's ALTER TABLE waits for it, and the application behind that."""
    apps: list[App] = []
    with running(database, opener, max_blocked=0.0) as (executor, _):

        def come() -> None:
            apps.append(App(database.conninfo, "ALTER TABLE app ADD COLUMN y int", "somebody"))
            wait_for(lambda: waiting(ready) == 1)
            apps.append(App(database.conninfo, "SELECT FROM app", "shop"))
            wait_for(lambda: waiting(ready) == 2)
            wait_for(lambda: any(len(s.blocked) == 2 for s in list(executor._stage.watch._samples)))
            allow(database)

        thread = when(lambda: holds(ready, "AccessShareLock"), come)
        seen = run(executor, "LOCK TABLE app IN ACCESS SHARE MODE;" + UNTIL_ALLOWED)
        thread.join()
        for app in apps:
            app.done()
        samples = executor.samples()
    assert seen[1].waiters == 2
    assert seen[1].blocked_s > 0
    assert {w.who.application for w in waits(samples)} == {"somebody", "shop"}
    assert not any(s.cancelled for s in samples)


def test_who_waits_for_a_row_counts(
    ready: Connection, database: Target, opener: Callable[[], Connection]
) -> None:
    ready.execute("INSERT INTO app VALUES (1)")
    apps: list[App] = []
    with running(database, opener) as (executor, _):
        come = when(
            lambda: holds(ready, "RowExclusiveLock"),
            lambda: apps.append(App(database.conninfo, "UPDATE app SET id = 3", "shop")),
        )
        go = when(lambda: bool(apps) and apps[0].seconds >= 0, lambda: allow(database))
        seen = run(executor, "UPDATE app SET id = 2;" + UNTIL_ALLOWED)
        come.join()
        go.join()
        apps[0].done()
        found = waits(executor.samples())
    assert seen[0].attempts > 1
    assert found[0].who.wants == "a row that it changed"


def waiting(connection: Connection) -> int:
    row = connection.execute(
        "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted AND relation = 'app'::regclass"
    ).fetchone()
    return int(row[0]) if row else 0


def test_the_queue_behind_the_runs_own_request_counts(
    ready: Connection, database: Target, opener: Callable[[], Connection]
) -> None:
    """The run only waits for its lock, and the application waits behind it already."""
    apps: list[App] = []
    with (
        running(database, opener, lock_timeout=60.0) as (executor, said),
        psycopg.connect(database.conninfo, application_name="reader") as reader,
    ):
        reader.execute("SELECT FROM app")
        come = when(
            lambda: waiting(ready) == 1,
            lambda: apps.append(App(database.conninfo, "SELECT FROM app", "shop")),
        )
        go = when(lambda: bool(apps) and apps[0].seconds >= 0, reader.rollback)
        run(executor, "ALTER TABLE app ADD COLUMN x int")
        come.join()
        go.join()
        apps[0].done()
        samples = executor.samples()
    assert "(shop): SELECT FROM app waited 0." in said[0]
    assert any(w.application == "reader" for s in samples for w in s.waits_for)


def test_what_kept_others_waiting_until_the_deadline_is_an_error_and_nothing_is_kept(
    ready: Connection, database: Target, opener: Callable[[], Connection]
) -> None:
    apps: list[App] = []
    with running(database, opener, lock_deadline=0.0) as (executor, _):
        come = when(
            lambda: holds(ready),
            lambda: apps.append(App(database.conninfo, "SELECT FROM app", "shop")),
        )
        with pytest.raises(StepFailed, match="kept others waiting, again and again") as caught:
            run(executor, "ALTER TABLE app ADD COLUMN x int;" + UNTIL_ALLOWED)
        come.join()
        apps[0].done()
    assert "max_blocked" in caught.value.todo
    assert "(shop)" in caught.value.why
    assert ready.execute("SELECT count(*) FROM pg_attribute WHERE attname = 'x'").fetchone() == (0,)


def test_between_two_statements_the_run_gives_way_too(
    ready: Connection, database: Target, opener: Callable[[], Connection]
) -> None:
    """Where they go one by one, the locks are held while none runs: the next one is not started."""
    apps: list[App] = []

    def dawdle(step: Any, state: str, seen: Any) -> None:
        if state == "done" and step.number == 1:
            apps.append(App(database.conninfo, "SELECT FROM app", "shop"))
            wait_for(lambda: bool(executor._stage.watch.over))

    with running(database, opener, lock_deadline=0.0, explain=True) as (executor, _):
        executor._stage.on_step = dawdle
        with pytest.raises(StepFailed, match="kept others waiting"):
            run(executor, "LOCK TABLE app; SELECT 1; SELECT 2")
        apps[0].done()
    assert apps[0].error is None


def test_a_last_statement_that_ended_in_time_is_committed(
    ready: Connection, database: Target, opener: Callable[[], Connection]
) -> None:
    """When somebody waits and only the commit is left, that is the shortest way out."""
    apps: list[App] = []

    def dawdle(step: Any, state: str, seen: Any) -> None:
        if state == "done":
            apps.append(App(database.conninfo, "SELECT FROM app", "shop"))
            wait_for(lambda: bool(executor._stage.watch.over))

    with running(database, opener, lock_deadline=0.0) as (executor, _):
        executor._stage.on_step = dawdle
        run(executor, "ALTER TABLE app ADD COLUMN x int")
        apps[0].done()
    assert ready.execute("SELECT count(x) FROM app").fetchone() == (0,)


def test_a_runner_that_sleeps_does_not_keep_its_locks(
    ready: Connection, database: Target, opener: Callable[[], Connection]
) -> None:
    """Its machine may have been closed in the middle: nobody is there who could give way."""

    def sleep(step: Any, state: str, seen: Any) -> None:
        if state == "done" and step.number == 1:
            assert holds(ready)
            wait_for(lambda: not holds(ready))

    with running(database, opener, idle=0.2) as (executor, _):
        executor._stage.on_step = sleep
        with pytest.raises(StepFailed) as caught:
            run(executor, "ALTER TABLE app ADD COLUMN x int; SELECT 1")
    assert isinstance(caught.value.cause, psycopg.errors.IdleInTransactionSessionTimeout)
    assert ready.execute("SELECT count(*) FROM pg_attribute WHERE attname = 'x'").fetchone() == (0,)


# -- what runs outside a transaction -----------------------------------------------------------


def test_a_concurrent_build_gives_way_and_leaves_nothing_invalid(
    ready: Connection, database: Target, opener: Callable[[], Connection]
) -> None:
    """Its lock keeps other changes of the table waiting; its tries are counted."""
    apps: list[App] = []
    with (
        running(database, opener) as (executor, said),
        psycopg.connect(database.conninfo, application_name="writer") as writer,
    ):
        writer.execute("INSERT INTO app VALUES (1)")  # the build waits for it

        def come() -> None:
            app = App(database.conninfo, "ALTER TABLE app ALTER id SET STATISTICS 50", "somebody")
            apps.append(app)
            wait_for(lambda: app.seconds >= 0)
            writer.commit()

        thread = when(lambda: holds(ready, "ShareUpdateExclusiveLock"), come)
        (seen,) = run(executor, "CREATE INDEX CONCURRENTLY app_id ON app (id)")
        thread.join()
        apps[0].done()
    assert seen.attempts > 1
    assert "was cancelled: pid" in " ".join(said)
    found = ready.execute(
        "SELECT indexrelid::regclass::text, indisvalid FROM pg_index"
        " WHERE indrelid = 'app'::regclass"
    ).fetchall()
    assert found == [("app_id", True)]


def test_a_procedure_that_commits_itself_is_not_called_twice(
    ready: Connection, database: Target, opener: Callable[[], Connection]
) -> None:
    ready.execute(
        "CREATE TABLE said (what text); CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO said VALUES ('half'); COMMIT; LOCK TABLE app;"
        " WHILE NOT EXISTS (SELECT FROM allowed) LOOP PERFORM pg_sleep(0.01); END LOOP; END $$"
    )
    apps: list[App] = []
    with running(database, opener) as (executor, _):
        come = when(
            lambda: holds(ready),
            lambda: apps.append(App(database.conninfo, "SELECT FROM app", "shop")),
        )
        with pytest.raises(StepFailed, match="kept others waiting"):
            run(executor, "CALL p()", transaction=False)
        come.join()
        apps[0].done()
    assert ready.execute("SELECT count(*) FROM said").fetchone() == (1,)


# -- a cancel hits what it is meant for, or nothing ----------------------------------------------


def test_a_cancel_never_hits_what_comes_after(
    ready: Connection, database: Target, opener: Callable[[], Connection]
) -> None:
    """Whoever waits at all waits too long, while short statements come and go.

    Each attempt ends with a cancelled statement of the migration, or is committed; what qb itself
    says in between (the ledger's rows, COMMIT, ROLLBACK, the next BEGIN) is never what is hit.
    """
    ready.execute("CREATE TABLE kept (n int)")
    stop = threading.Event()

    def requests() -> None:
        with psycopg.connect(database.conninfo, autocommit=True, application_name="shop") as conn:
            while not stop.is_set():
                conn.execute("SELECT FROM app")

    threads = [threading.Thread(target=requests, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    kept, cancelled = [], []
    (block,) = blocks(
        [Part("migration", "m.sql", read("LOCK TABLE app; SELECT pg_sleep(0.01); SELECT 2"), ())]
    )
    with running(database, opener, max_blocked=1e-9, lock_deadline=0.0) as (executor, _):
        executor._stage.watch._every = 0.0

        def inside(seen: Any) -> None:
            for _ in range(10):
                executor._stage.acting.execute("SELECT pg_sleep(0.001)")
            executor._stage.acting.execute("INSERT INTO kept VALUES (%s)", [number])

        for number in range(100):
            try:
                executor.run(block, inside)
                kept.append(number)
            except StepFailed as failed:
                cancelled.append(failed.blocked)
    stop.set()
    for thread in threads:
        thread.join()
    assert kept
    assert cancelled
    assert all(cancelled), "another statement than the migration's was hit"
    assert ready.execute("SELECT array_agg(n ORDER BY n) FROM kept").fetchone() == (kept,)


@pooled
def test_through_a_pooler_the_session_that_works_is_the_one_that_is_cancelled(
    ready: Connection, database: Target
) -> None:
    """Its sessions change from one transaction to the next, and its process ids are made up."""
    apps: list[App] = []
    with bouncer(database, "transaction", server_round_robin=1) as through:
        bystanders = [App(through.conninfo, UNTIL_ALLOWED, "bystander") for _ in range(3)]
        with running(through, lambda: connect(through), pooled=True) as (executor, said):
            come = when(
                lambda: holds(ready),
                lambda: apps.append(App(database.conninfo, "SELECT FROM app", "shop")),
            )
            go = when(lambda: bool(apps) and apps[0].seconds >= 0, lambda: allow(database))
            seen = run(executor, "ALTER TABLE app ADD COLUMN x int;" + UNTIL_ALLOWED)
            come.join()
            go.join()
        for app in [*apps, *bystanders]:
            app.done()
            assert app.error is None
    assert seen[0].attempts > 1
    assert "was cancelled: pid" in said[0]


# -- the watch itself --------------------------------------------------------------------------


def test_a_run_goes_on_when_its_watch_is_ended_and_is_watched_again(
    ready: Connection, database: Target, opener: Callable[[], Connection]
) -> None:
    pids: list[int] = []

    def opened() -> Connection:
        conn = opener()
        pids.append(conn.info.backend_pid)
        return conn

    with running(database, opened, max_blocked=0.0) as (executor, _):

        def end() -> None:
            ready.execute("SELECT pg_terminate_backend(%s)", [pids[0]])
            wait_for(lambda: len(pids) > 1)
            count = len(executor._stage.watch._samples)
            wait_for(lambda: len(executor._stage.watch._samples) > count)
            allow(database)

        watch = executor._stage.watch
        watch.KEPT_EVERY_S = 0.0  # type: ignore[attr-defined]
        thread = when(lambda: bool(watch._samples), end)
        run(executor, "LOCK TABLE app;" + UNTIL_ALLOWED)
        thread.join()
    assert len(pids) == 2


def test_a_watch_that_cannot_connect_is_said_once_and_the_run_goes_on(
    ready: Connection, database: Target
) -> None:
    tries: list[int] = []

    def refused() -> Connection:
        tries.append(1)
        raise psycopg.OperationalError("sorry, too many clients already")

    with running(database, refused) as (executor, said):
        thread = when(lambda: len(tries) > 3, lambda: allow(database))
        run(executor, UNTIL_ALLOWED)
        thread.join()
    assert said == [
        "the run is not watched, so the waits of others have no limit: "
        "sorry, too many clients already"
    ]


def test_a_short_run_is_not_looked_at(
    ready: Connection, database: Target, opener: Callable[[], Connection]
) -> None:
    tries: list[int] = []

    def counted() -> Connection:
        tries.append(1)
        return opener()

    with running(database, counted, max_blocked=0.0) as (executor, _):
        executor._stage.watch._every = 3600.0
        run(executor, "ALTER TABLE app ADD COLUMN x int")
        assert executor.samples() == ()
    assert tries == []


def test_without_the_right_to_see_others_they_count_all_the_same(
    ready: Connection, database: Target
) -> None:
    """A role without pg_read_all_stats sees that somebody waits, and not their query."""
    name = "plain_" + str(ready.info.dbname)
    ready.execute(
        f"CREATE ROLE {name} LOGIN; ALTER TABLE app OWNER TO {name};"
        f" GRANT SELECT ON allowed TO {name}"
    )
    plain = make_conninfo(database.conninfo, user=name)
    apps: list[App] = []
    try:
        target = Target("test", plain)
        with running(target, lambda: connect(target, application_name="qb watch")) as (
            executor,
            said,
        ):
            come = when(
                lambda: holds(ready),
                lambda: apps.append(App(database.conninfo, "SELECT FROM app", "shop")),
            )
            go = when(lambda: bool(apps) and apps[0].seconds >= 0, lambda: allow(database))
            run(executor, "ALTER TABLE app ADD COLUMN x int;" + UNTIL_ALLOWED)
            come.join()
            go.join()
            apps[0].done()
            (wait, *_) = waits(executor.samples())
        assert wait.cancelled
        assert wait.who.query == ""
        assert "was cancelled: pid" in said[0]
    finally:
        ready.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def test_samples_say_what_is_held_and_what_it_costs(
    ready: Connection, database: Target, opener: Callable[[], Connection]
) -> None:
    shown: list[Sample] = []
    with (
        psycopg.connect(database.conninfo, autocommit=True) as acting,
        psycopg.connect(database.conninfo, autocommit=True) as other,
    ):
        executor = Executor(acting, other, Policy(), opener=opener, on_sample=shown.append)
        thread = when(lambda: bool(shown), lambda: allow(database))
        run(executor, "INSERT INTO app SELECT generate_series(1, 1000);" + UNTIL_ALLOWED)
        thread.join()
        samples = executor.samples()
        executor.close()
    assert shown[0].step == 2
    assert shown[0].held["public.app"] == "RowExclusiveLock"
    assert shown[0].held["public.allowed"] == "AccessShareLock"
    assert samples[-1].held == {}  # the look after the commit
    assert samples[-1].wal_bytes >= 0
    assert samples[-1].io["of"] in ("session", "all sessions", "database")


def test_progress_of_an_index_build_is_shown(
    ready: Connection, database: Target, opener: Callable[[], Connection]
) -> None:
    shown: list[Sample] = []
    with (
        psycopg.connect(database.conninfo, autocommit=True) as acting,
        psycopg.connect(database.conninfo, autocommit=True) as other,
        psycopg.connect(database.conninfo, application_name="writer") as writer,
    ):
        writer.execute("INSERT INTO app VALUES (1)")
        executor = Executor(acting, other, Policy(), opener=opener, on_sample=shown.append)
        thread = when(lambda: any(s.progress for s in list(shown)), writer.commit)
        run(executor, "CREATE INDEX CONCURRENTLY ON app (id)")
        thread.join()
        executor.close()
    told = next(str(s.progress) for s in shown if s.progress)
    assert "CREATE INDEX CONCURRENTLY on app: waiting for writers" in told


# -- as the user sees it -----------------------------------------------------------------------


@pytest.fixture
def bounded(session: Session, project: Project) -> Session:
    """A session of a project whose qb.toml allows LIMIT_S."""
    config = project.file.read_text()
    project.file.write_text(config + f'\n[timeouts]\nmax_blocked = "{int(LIMIT_S * 1000)}ms"\n')
    session.project = Project(project.root)
    return session


def test_a_run_keeps_its_samples_and_reports_whom_it_kept_waiting(
    bounded: Session, write: Any, ready: Connection, database: Target
) -> None:
    write("20240101_a.sql", "ALTER TABLE app ADD COLUMN x int;" + UNTIL_ALLOWED)
    apps: list[App] = []
    come = when(
        lambda: holds(ready), lambda: apps.append(App(database.conninfo, "SELECT FROM app", "shop"))
    )
    go = when(lambda: bool(apps) and apps[0].seconds >= 0, lambda: allow(database))
    report: Any = invoke(bounded, ["run"])
    come.join()
    go.join()
    apps[0].done()
    who = f"pid {apps[0].pid} (shop)"
    (ran,) = report.ran
    assert ran.seen[0].attempts > 1
    waited = next(table for table in report.tables() if table.title == "kept waiting")
    assert waited.rows[0][0] == who
    assert waited.rows[0][2] == "ACCESS SHARE public.app"
    assert waited.rows[0][-1] == "the run gave way"
    drawn = next(chart for chart in report.charts() if isinstance(chart, Timeline))
    spans = {span.lane: span for span in drawn.spans}
    assert spans[who].label.endswith(", cancelled")
    assert any(s.lane == "public.app" and "given up" in s.label for s in drawn.spans)
    assert report.as_dict()["migrations"][0]["kept_waiting"][0]["cancelled"]
    kept = samples(ready, ledger.history(ready)[0].run)
    assert [s.cancelled for s in kept].count(True) == 1
    assert str(waits(kept)[0].who) == str(waits(ran.samples)[0].who)
    row = ready.execute("SELECT max(blocked), max(longest) FROM qb.sample").fetchone()
    assert row is not None
    assert row[0] == 1
    assert LIMIT_S <= row[1] < LIMIT_S + MARGIN_S


def test_a_run_reports_for_whom_it_waited(
    session: Session, write: Any, ready: Connection, database: Target
) -> None:
    write("20240101_a.sql", "CREATE TABLE b ();\nALTER TABLE app ADD COLUMN x int")
    shown: list[Sample] = []
    with psycopg.connect(database.conninfo, application_name="shop") as other:
        other.execute("SELECT FROM app")
        thread = when(lambda: any(s.waits_for for s in list(shown)), other.rollback)
        ran = runner.run(place_of(session, session.migrations(), on_sample=shown.append))
        thread.join()
        waited = next(t for t in RunReport("test", ran).tables() if t.title == "waited for")
        ((who, _, query, statement),) = waited.rows
        assert who == f"pid {other.info.backend_pid} (shop)"
    assert query == "SELECT FROM app"
    assert statement == "2 ALTER TABLE app ADD COLUMN x int"


def test_a_dry_run_gives_way_once_and_says_so(
    bounded: Session, write: Any, ready: Connection, database: Target
) -> None:
    write("20240101_a.sql", "ALTER TABLE app ADD COLUMN x int;" + UNTIL_ALLOWED)
    apps: list[App] = []
    come = when(
        lambda: holds(ready), lambda: apps.append(App(database.conninfo, "SELECT FROM app", "shop"))
    )
    report: Any = invoke(bounded, ["dryrun"])
    come.join()
    apps[0].done()
    assert apps[0].error is None
    assert not report.ok
    assert report.dry.failure.blocked
    assert any("(shop)" in note for note in report.notes())
    assert any(table.title == "kept waiting" for table in report.tables())
    assert not holds(ready)


def test_a_rule_that_keeps_others_waiting_gives_way_too(
    bounded: Session, write: Any, ready: Connection, database: Target
) -> None:
    """Rules are asked while the migration holds its locks."""
    ready.execute(
        "CREATE FUNCTION slow() RETURNS int LANGUAGE plpgsql AS $f$ BEGIN"
        " WHILE NOT EXISTS (SELECT FROM allowed) LOOP PERFORM pg_sleep(0.01); END LOOP;"
        " RETURN 1; END $f$"
    )
    write(
        "20240101_a.sql",
        "-- qb:expect\n-- - {sql: SELECT slow(), equals: 1}\n"
        "-- qb:up\nALTER TABLE app ADD COLUMN x int",
    )
    apps: list[App] = []
    come = when(
        lambda: holds(ready), lambda: apps.append(App(database.conninfo, "SELECT FROM app", "shop"))
    )
    go = when(lambda: bool(apps) and apps[0].seconds >= 0, lambda: allow(database))
    report: Any = invoke(bounded, ["run"])
    come.join()
    go.join()
    apps[0].done()
    assert report.ran[0].seen[0].attempts > 1


def test_migrations_in_one_transaction_have_samples_of_their_own(
    bounded: Session, write: Any, ready: Connection
) -> None:
    until = (
        "DO $$ BEGIN WHILE (SELECT count(*) FROM allowed) < {} LOOP"
        " PERFORM pg_sleep(0.01); END LOOP; END $$"
    )
    looked = (
        "SELECT count(*) FROM pg_stat_activity w, pg_stat_activity r"
        " WHERE w.application_name = 'qb watch' AND w.state = 'idle'"
        " AND w.query LIKE '%%pg_stat_progress%%' AND w.query_start > r.query_start"
        " AND r.application_name = 'qb run' AND r.state = 'active' AND r.query LIKE %s"
    )
    write("20240101_a.sql", "CREATE TABLE a (); " + until.format(1))
    write("20240102_b.sql", until.format(2))

    def was_looked_at(number: int) -> bool:
        row = ready.execute(looked, [f"%< {number} LOOP%"]).fetchone()
        return bool(row and row[0])

    def let_both_go() -> None:
        wait_for(lambda: was_looked_at(1))
        ready.execute("INSERT INTO allowed DEFAULT VALUES")
        wait_for(lambda: was_looked_at(2))
        ready.execute("INSERT INTO allowed DEFAULT VALUES")

    thread = when(lambda: True, let_both_go)
    report: Any = invoke(bounded, ["run", "--atomic", "all"])
    thread.join()
    assert all(ran.samples for ran in report.ran)
    kept = ready.execute("SELECT DISTINCT run FROM qb.sample ORDER BY 1").fetchall()
    assert kept == ready.execute("SELECT run FROM qb.history ORDER BY 1").fetchall()
