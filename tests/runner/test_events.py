"""what happens is told: one JSON line per event, one span per run, migration and statement"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from qb_engine.database import Target
from qb_engine.errors import InputError, RefusedError
from qb_engine.runner import events
from qb_engine.runner.spans import Spans

TARGET = Target("shop", "postgresql://app:s3cr3t-canary@db.example.com:5433/shop")
SECRET = "CREATE ROLE app PASSWORD 's3cr3t-canary'"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def exporter() -> InMemorySpanExporter:
    """Spans of the real SDK, kept in memory; a process has one provider."""
    found = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(found))
    trace.set_tracer_provider(provider)
    return found


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> InMemorySpanExporter:
    exporter.clear()
    return exporter


# -- the file ----------------------------------------------------------------------------------


def test_each_event_is_a_json_line_with_time_run_process_and_target(tmp_path: Path) -> None:
    log = tmp_path / "qb.log"
    sink = events.sink(log, target=TARGET, command="rollback")
    sink.emit("statement_ended", number=3, seconds=0.5, locks={"users": "ShareLock"}, sql="a\nb")
    sink.close()
    begun, ended, _ = lines(log)
    assert begun["event"] == "run_started"
    assert begun["command"] == "rollback"
    assert ended["locks"] == {"users": "ShareLock"}
    assert ended["sql"] == "a\nb"
    assert begun["at"].endswith("+00:00")
    assert {"id", "pid", "target"} <= set(begun)
    assert {k: begun[k] for k in ("id", "pid", "target")} == {
        k: ended[k] for k in ("id", "pid", "target")
    }
    assert ended["pid"] == os.getpid()


def test_a_line_is_there_as_soon_as_the_event_is_told(tmp_path: Path) -> None:
    """A killed runner leaves what it told: nothing waits in a buffer."""
    log = tmp_path / "qb.log"
    sink = events.sink(log, target=TARGET)
    sink.emit("migration_started", migration="a")
    assert [line["event"] for line in lines(log)] == ["run_started", "migration_started"]
    sink.close()


def test_a_log_is_appended_to(tmp_path: Path) -> None:
    log = tmp_path / "qb.log"
    for _ in range(2):
        events.sink(log, target=TARGET).close()
    assert [line["event"] for line in lines(log)] == ["run_started", "run_ended"] * 2
    assert len({line["id"] for line in lines(log)}) == 2


def test_a_log_says_how_a_run_ended_also_when_nobody_told(tmp_path: Path) -> None:
    log = tmp_path / "qb.log"
    told = events.sink(log, target=TARGET)
    told.emit("run_ended", status="done", migrations=2)
    told.close()
    failed = events.sink(log, target=TARGET)
    failed.emit("error", **RefusedError("no").as_dict())
    failed.close()
    broken = events.sink(log, target=TARGET)
    try:
        raise KeyError("a defect")
    except KeyError:
        broken.close()
    ends = [line for line in lines(log) if line["event"] == "run_ended"]
    assert [line["status"] for line in ends] == ["done", "failed", "failed"]
    assert ends[0]["migrations"] == 2


def test_no_secret_reaches_the_log(tmp_path: Path) -> None:
    log = tmp_path / "qb.log"
    sink = events.sink(log, target=TARGET)
    sink.emit("statement_started", sql=SECRET, deep={"list": [SECRET]})
    sink.emit("error", **RefusedError("no", why=SECRET).as_dict())
    sink.close()
    assert "s3cr3t-canary" not in log.read_text()


def test_an_error_keeps_its_code_and_its_kind(tmp_path: Path) -> None:
    log = tmp_path / "qb.log"
    sink = events.sink(log, target=TARGET)
    sink.emit("error", **RefusedError("no", code="production-guard").as_dict())
    sink.close()
    said = lines(log)[1]
    assert (said["event"], said["kind"], said["code"]) == (
        "error",
        "RefusedError",
        "production-guard",
    )


def _write_many(log: Path, count: int) -> None:
    sink = events.sink(log, target=TARGET)
    for number in range(count):
        sink.emit("statement_started", number=number, sql="x" * 5_000)
    sink.close()


def test_lines_of_several_processes_do_not_mix(tmp_path: Path) -> None:
    log = tmp_path / "qb.log"
    context = multiprocessing.get_context("spawn")
    crowd = [context.Process(target=_write_many, args=(log, 100)) for _ in range(3)]
    for each in crowd:
        each.start()
    for each in crowd:
        each.join()
        assert each.exitcode == 0
    assert len(lines(log)) == 3 * 102


def test_threads_may_tell_at_once(tmp_path: Path) -> None:
    log = tmp_path / "qb.log"
    sink = events.sink(log, target=TARGET)
    crowd = [
        threading.Thread(target=lambda: [sink.emit("blocked", waiting=1) for _ in range(50)])
        for _ in range(4)
    ]
    for each in crowd:
        each.start()
    for each in crowd:
        each.join()
    sink.close()
    assert len(lines(log)) == 202


@pytest.mark.parametrize("file", ["missing/qb.log", ".", "/dev/full"])
def test_a_file_that_cannot_be_written_is_an_error_before_anything_runs(
    tmp_path: Path, file: str
) -> None:
    with pytest.raises(InputError) as raised:
        events.sink(tmp_path / file, target=TARGET)
    assert raised.value.code == "log-file"
    assert "nothing was run" in raised.value.why


def test_a_log_that_fails_later_is_told_once_and_stops_nothing(tmp_path: Path) -> None:
    """The reader of a pipe goes away in the middle of a run."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    heard: list[str] = []
    sink = events.sink(pipe, target=TARGET, tell=heard.append)
    os.close(reader)
    for number in range(3):
        sink.emit("statement_started", number=number)
    assert len(heard) == 1
    assert "the run goes on" in heard[0]
    sink.close()
    sink.close()
    assert heard[1:] == [f"4 lines are missing from the log {pipe}"]


FULL_LATER = """
import json, resource, signal, sys
from qb_engine.database import Target
from qb_engine.runner import events
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (700, resource.RLIM_INFINITY))
told = []
sink = events.sink(sys.argv[1], target=Target("t", "host=h"), tell=told.append)
for number in range(5):
    sink.emit("statement_started", number=number, sql="x" * 200)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
sink.emit("run_ended", status="applied")
sink.close()
print(json.dumps(told))
"""


def test_a_line_that_was_written_in_part_spoils_no_other(tmp_path: Path) -> None:
    """The file may grow to 700 bytes only, for a while, as on a disk that is full for a while."""
    log = tmp_path / "qb.log"
    ran = subprocess.run(
        [sys.executable, "-c", FULL_LATER, str(log)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert len(told) == 2
    whole, torn = [], []
    for line in log.read_text().splitlines():
        try:
            whole.append(json.loads(line)["event"])
        except ValueError:
            torn.append(line)
    assert whole[0] == "run_started"
    assert whole[-1] == "run_ended"
    assert len(torn) == 1


# -- spans -------------------------------------------------------------------------------------


def run_of_two() -> None:
    sink = events.sink(None, target=TARGET)
    for name in ("a", "b"):
        sink.emit("migration_started", migration=name, run=7)
        sink.emit("statement_started", migration=name, number=1, sql=SECRET)
        sink.emit("retry", number=1, attempt=1, pause=0.2)
        sink.emit("statement_ended", number=1, seconds=0.1, rows=3)
        sink.emit("migration_ended", migration=name, status="applied")
    sink.emit("run_ended", status="applied", migrations=2)
    sink.close()


def by_name(spans: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in spans.get_finished_spans()}


def test_a_run_is_a_tree_of_spans(spans: InMemorySpanExporter) -> None:
    run_of_two()
    found = spans.get_finished_spans()
    assert [span.name for span in found] == [
        *("statement 1", "migration a", "statement 1", "migration b", "qb run"),
    ]
    run, migration, statement = found[-1], found[1], found[0]
    assert run.parent is None
    assert migration.parent == run.context
    assert statement.parent == migration.context


def test_a_statement_says_what_it_was_and_did(spans: InMemorySpanExporter) -> None:
    run_of_two()
    statement = spans.get_finished_spans()[0]
    said = dict(statement.attributes or {})
    assert said["db.system"] == "postgresql"
    assert said["db.name"] == "shop"
    assert said["server.address"] == "db.example.com"
    assert said["qb.rows"] == 3
    assert said["db.statement"] == "CREATE ROLE app PASSWORD ***"
    assert [event.name for event in statement.events] == ["retry"]
    assert not any("s3cr3t-canary" in str(v) for v in said.values())


def test_an_error_marks_every_span_that_it_ended(spans: InMemorySpanExporter) -> None:
    sink = events.sink(None, target=TARGET)
    sink.emit("migration_started", migration="a")
    sink.emit("statement_started", number=1, sql="SELECT 1/0")
    sink.emit("error", **RefusedError("it failed", why="division by zero").as_dict())
    sink.close()
    found = spans.get_finished_spans()
    assert len(found) == 3
    assert {span.status.status_code for span in found} == {StatusCode.ERROR}
    assert found[0].status.description == "it failed: division by zero"


def test_spans_belong_to_the_span_that_the_caller_is_in(spans: InMemorySpanExporter) -> None:
    with trace.get_tracer("deployment").start_as_current_span("deploy") as outer:
        run_of_two()
    assert by_name(spans)["qb run"].parent == outer.get_span_context()


def test_a_statement_whose_end_was_never_told_ends_with_the_next(
    spans: InMemorySpanExporter,
) -> None:
    hearer = Spans(TARGET)
    hearer.emit("run_started", command="run")
    hearer.emit("statement_started", number=1)
    hearer.emit("statement_started", number=2)
    hearer.close()
    assert [span.name for span in spans.get_finished_spans()] == [
        *("statement 1", "statement 2", "qb run"),
    ]


ALONE = """
import sys
if "missing" in sys.argv:
    sys.modules["opentelemetry"] = None
from qb_engine.database import Target
from qb_engine.runner import events
sink = events.sink(None, target=Target("t", "host=h"))
sink.emit("migration_started", migration="a")
sink.close()
print("opentelemetry.trace" in sys.modules)
"""


@pytest.mark.parametrize(
    ("arguments", "environment", "imported"),
    [
        (["missing"], {"OTEL_SERVICE_NAME": "qb"}, False),
        ([], {"OTEL_SERVICE_NAME": "qb"}, True),
        ([], {}, False),
    ],
    ids=["not installed", "asked for", "nobody listens"],
)
def test_opentelemetry_is_loaded_only_where_somebody_may_listen(
    arguments: list[str], environment: dict[str, str], imported: bool
) -> None:
    """Nothing is said where it is missing."""
    ran = subprocess.run(
        [sys.executable, "-c", ALONE, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{imported}\n", "")


def test_without_a_log_and_a_listener_an_event_costs_nothing_to_tell() -> None:
    """Nothing is written and nothing raised."""
    sink = events.All(())
    sink.emit("run_started", command="run")
    sink.close()
