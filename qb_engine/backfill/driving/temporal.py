"""reaching Temporal: the user's server or the project's own, and what it knows of a backfill"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from qb_engine import secrets
from qb_engine.database.processes import alive
from qb_engine.errors import InputError, ServerError

if TYPE_CHECKING:
    from temporalio.client import Client
    from temporalio.common import TypedSearchAttributes
    from temporalio.runtime import Runtime

    from qb_engine.backfill.driving.payloads import Job
    from qb_engine.project import Project

T = TypeVar("T")

CONNECT_S = 5.0
CALL_S = 3.0
POLL_S = 70.0  # a worker asks again at least once a minute, even when there is nothing to do
SETTINGS = ("TEMPORAL_ADDRESS", "TEMPORAL_PROFILE", "TEMPORAL_CONFIG_FILE")
ANY = "TEMPORAL_"  # of the environment: a key, TLS, a namespace for the address of qb.toml
OWN = "127.0.0.1"


@dataclass(frozen=True)
class Place:
    """Which Temporal, and how it is reached; `settings` may hold a key and are never shown."""

    address: str
    namespace: str = "default"
    ui: str | None = None
    own: bool = False  # the project's own server
    settings: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def link(self, workflow: str) -> str | None:
        """The page of a workflow, where the pages' address is known."""
        if not self.ui or not workflow:
            return None
        return f"{self.ui}/namespaces/{quote(self.namespace)}/workflows/{quote(workflow, safe='')}"


def place(project: Project, *, start: bool) -> Place | None:
    """Temporal's own client configuration, qb.toml, or the project's own server, in that order.

    With `start` the project's own server is started; else None when it does not run.
    """
    wanted = project.config.temporal
    if wanted.profile or any(os.environ.get(name) for name in SETTINGS):
        return _configured(project)
    if wanted.address:
        if any(name.startswith(ANY) for name in os.environ):
            return _configured(project, file=False)  # a file's default is of another server
        return Place(wanted.address, wanted.namespace)
    from qb_engine.database.embedded import EmbeddedTemporal

    if not start and not (project.root / ".qb").is_dir():
        return None
    server = EmbeddedTemporal(project.home)
    if start:
        server.ensure()
    status = server.status()
    if not status.running:
        return None
    return Place(status.address, ui=status.ui, own=True)


def _configured(project: Project, *, file: bool = True) -> Place:
    from temporalio.envconfig import ClientConfig

    wanted = project.config.temporal
    try:
        found = ClientConfig.load_client_connect_config(wanted.profile, disable_file=not file)
        settings = dict(found)
    except (RuntimeError, ValueError, OSError) as error:
        raise InputError(
            "Temporal's client configuration cannot be read",
            where=f"profile {wanted.profile}" if wanted.profile else ", ".join(SETTINGS),
            why=str(error),
            todo="mend it, or name the server in qb.toml: [temporal] address",
            code="bad-config",
        ) from None
    secrets.remember(str(settings["api_key"]) if settings.get("api_key") else None)
    address = settings.pop("target_host", None) or wanted.address or "localhost:7233"
    namespace = settings.pop("namespace", None) or wanted.namespace
    return Place(str(address), str(namespace), settings=settings)


_clients: dict[tuple[str, str], Client] = {}
_searchable: dict[tuple[str, str], bool] = {}


async def client(where: Place, runtime: Runtime | None = None) -> Client:
    """The client of a Temporal, made once; raise ServerError when it does not answer."""
    from temporalio.client import Client

    from qb_engine.backfill.driving.converting import CONVERTER

    key = (where.address, where.namespace)
    if key not in _clients:
        connecting = Client.connect(
            where.address,
            namespace=where.namespace,
            runtime=runtime,
            data_converter=CONVERTER,
            **where.settings,
        )
        try:
            made = await asyncio.wait_for(connecting, CONNECT_S)
        except (TimeoutError, RuntimeError, OSError, ValueError) as error:
            raise unreachable(where, error) from None
        if not where.own:
            await _admitted(where, made)
        _clients[key] = made
    return _clients[key]


async def _admitted(where: Place, client: Client) -> None:
    """See that the namespace is there and open to us, before anything is written that counts on it.

    A server that does not say is asked again by whoever needs it.
    """
    from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
    from temporalio.service import RPCError, RPCStatusCode

    closed = (
        RPCStatusCode.NOT_FOUND, RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED,
    )  # fmt: skip
    asking = client.workflow_service.describe_namespace(
        DescribeNamespaceRequest(namespace=where.namespace),
        timeout=timedelta(seconds=CALL_S),
    )
    try:
        await asking
    except RPCError as error:
        if error.status in closed:
            raise refused(where, error) from None
        if _is_away(error):
            raise unreachable(where, error) from None


async def asked(where: Place, call: Awaitable[T]) -> T:
    """The answer to a call; raise ServerError when Temporal does not give one."""
    from temporalio.service import RPCError, RPCStatusCode

    try:
        return await asyncio.wait_for(call, CALL_S)
    except (TimeoutError, RPCError) as error:
        if isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND:
            raise  # a workflow that it does not know
        if isinstance(error, RPCError) and not _is_away(error):
            raise refused(where, error) from None
        raise unreachable(where, error) from None


def unreachable(where: Place, error: BaseException) -> ServerError:
    todo = (
        "start it with: qb dev up" if where.own else "see that it runs, and [temporal] in qb.toml"
    )
    return ServerError(
        "cannot reach Temporal, which drives backfills",
        where=f"{where.address}, namespace {where.namespace}",
        why=" ".join(str(error).split()) or "it does not answer",
        todo=todo,
        code="temporal-unreachable",
    )


def refused(where: Place, error: BaseException) -> ServerError:
    return ServerError(
        "Temporal, which drives backfills, refuses what was asked of it",
        where=f"{where.address}, namespace {where.namespace}",
        why=" ".join(str(error).split()),
        todo="see the namespace and the rights, and [temporal] in qb.toml",
        code="temporal-unreachable",
    )


def _is_away(error: Any) -> bool:
    from temporalio.service import RPCStatusCode

    return error.status in (RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED)


async def answers(where: Place) -> bool:
    """Whether Temporal is there now."""
    from temporalio.service import RPCError

    reached = await client(where)
    try:
        return await reached.service_client.check_health(timeout=timedelta(seconds=CALL_S))
    except (RPCError, RuntimeError, OSError):
        return False


async def wake(where: Place, workflow: str, queue: str, job: Job, table: str = "") -> None:
    """Have the workflow look at the ledger; start it when it does not run."""
    from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

    from qb_engine.backfill.driving.workflow import BackfillWorkflow

    reached = await client(where)
    job = replace(job, attributes=await searchable(where))
    told = {"QbMigration": job.backfill, "QbTable": table, "QbTarget": job.target}
    await asked(
        where,
        reached.start_workflow(
            BackfillWorkflow.run,
            job,
            memo={"migration": job.backfill, "table": table, "target": job.target},
            search_attributes=_keywords(told) if job.attributes else None,
            static_summary=f"backfill of {table}" if table else None,
            id=workflow,
            task_queue=queue,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            start_signal="wake",
            rpc_timeout=timedelta(seconds=CALL_S),
        ),
    )


async def searchable(where: Place) -> bool:
    """Whether the server has our search attributes; one that does not say so has them not."""
    from temporalio.api.enums.v1 import IndexedValueType
    from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
    from temporalio.service import RPCError

    from qb_engine.database.embedded.temporal import ATTRIBUTES

    key = (where.address, where.namespace)
    if key not in _searchable:
        reached = await client(where)
        request = ListSearchAttributesRequest(namespace=where.namespace)
        keyword = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
        try:
            asking = reached.operator_service.list_search_attributes(request)
            found = (await asyncio.wait_for(asking, CALL_S)).custom_attributes
        except (TimeoutError, RPCError):  # not for us to ask, on some clusters
            return False
        _searchable[key] = all(found.get(name) == keyword for name in ATTRIBUTES)
    return _searchable[key]


def _keywords(told: dict[str, str]) -> TypedSearchAttributes:
    from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

    return TypedSearchAttributes(
        [SearchAttributePair(SearchAttributeKey.for_keyword(name), told[name]) for name in told]
    )


async def workflow_status(where: Place, workflow: str) -> str:
    """`running`, `completed`, `failed`, ...; empty when Temporal does not know it."""
    from temporalio.service import RPCError, RPCStatusCode

    reached = await client(where)
    try:
        described = await asked(where, reached.get_workflow_handle(workflow).describe())
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return ""
        raise unreachable(where, error) from None
    return described.status.name.lower() if described.status else ""


async def end(where: Place, workflow: str, reason: str) -> bool:
    """Terminate a workflow; False when Temporal does not know it, or it has ended."""
    from temporalio.service import RPCError, RPCStatusCode

    reached = await client(where)
    try:
        await asked(where, reached.get_workflow_handle(workflow).terminate(reason=reason))
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise unreachable(where, error) from None
    return True


def identity() -> str:
    """How a worker calls itself, so that others can see whether it lives."""
    from qb_engine.database.processes import born

    return f"qb|{socket.gethostname()}|{os.getpid()}|{born(os.getpid())}"


async def pollers(where: Place, queue: str) -> tuple[str, ...]:
    """The workers that poll a queue, without the dead, which Temporal remembers for minutes."""
    from temporalio.api.enums.v1 import TaskQueueType
    from temporalio.api.taskqueue.v1 import TaskQueue
    from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest

    reached = await client(where)
    request = DescribeTaskQueueRequest(
        namespace=where.namespace,
        task_queue=TaskQueue(name=queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    answer = await asked(where, reached.workflow_service.describe_task_queue(request))
    now = time.time()
    return tuple(
        found.identity
        for found in answer.pollers
        if living(found.identity, now - found.last_access_time.ToNanoseconds() / 1e9)
    )


async def current_build(where: Place, deployment: str) -> str:
    """The version of a worker deployment that gets the work; empty when none does."""
    from temporalio.api.workflowservice.v1 import DescribeWorkerDeploymentRequest
    from temporalio.service import RPCError

    reached = await client(where)
    request = DescribeWorkerDeploymentRequest(namespace=where.namespace, deployment_name=deployment)
    try:
        answer = await asked(where, reached.workflow_service.describe_worker_deployment(request))
    except RPCError:  # not known yet, or a server without worker deployments
        return ""
    routing = answer.worker_deployment_info.routing_config
    return str(routing.current_deployment_version.build_id)


def living(name: str, silent: float) -> bool:
    """Whether a poller lives, by its identity here, or because it was heard of `silent` s ago."""
    parts = name.split("|")
    if len(parts) == 4 and parts[0] == "qb" and parts[1] == socket.gethostname():
        return parts[2].isdecimal() and alive(int(parts[2]), parts[3])
    return silent < POLL_S
