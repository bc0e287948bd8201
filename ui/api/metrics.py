"""Figures for Prometheus: what was answered, what waits, what is loaded; knows no prompt, owner or id of either."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING

import psutil
from anyio import to_thread
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from pipelines.core.errors import StudioError
from pipelines.engines.local import LocalEngine
from pipelines.engines.multi_gpu import MultiGpuEngine
from pipelines.engines.ray_cluster.serve_engine import RayEngine
from pipelines.service.orders import StudioService
from ui.api.errors import answered

if TYPE_CHECKING:
    from ui.api.auth.access import Access

_LATENCY = (0.005, 0.02, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_METHODS = ("GET", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS", "PUT")


class Metrics:
    """One studio's figures, in a registry of its own, so that several studios in one process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "designerbox_requests", "Answers by method, route and status.", ("method", "route", "status"),
            registry=self.registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "designerbox_request_seconds", "Seconds to the end of an answer, streams included.", ("route",),
            buckets=_LATENCY, registry=self.registry,
        )  # fmt: skip
        self._errors = Counter(
            "designerbox_errors",
            "Answers, and streams, that told an error, by its code.",
            ("code",),
            registry=self.registry,
        )

    def answered(self, method: str, route: str, status: int, seconds: float, code: str = "") -> None:
        """Count an answer. Whatever a caller can make up is one word, so that nobody can fill the memory."""
        method = method if method in _METHODS else "other"
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        if code:
            self._errors.labels(code).inc()

    def watch(self, service: StudioService) -> None:
        """Look at this studio whenever somebody asks for the figures."""
        self.registry.register(_Studio(service))

    def text(self) -> bytes:
        """The figures in Prometheus' text format."""
        return generate_latest(self.registry)


class _Studio(Collector):
    """What is read when it is asked for, instead of counted when it happens."""

    def __init__(self, service: StudioService) -> None:
        self._service = service

    def describe(self) -> list[Metric]:
        """Nothing ahead: the registry need not ask the studio when it is handed this."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Queue, engine, cache, memory, disk."""
        running, waiting, rows = self._service.jobs.table.count_jobs()
        jobs = GaugeMetricFamily("designerbox_jobs", "Jobs now, by state.", labels=("state",))
        for state, count in (("running", running), ("waiting", waiting), ("batch_waiting", rows)):
            jobs.add_metric((state,), count)
        yield jobs
        failed = CounterMetricFamily("designerbox_jobs_failed", "Jobs that failed.", labels=("code", "tool"))
        for (code, tool), count in self._service.jobs.failure_counts().items():
            failed.add_metric((code, tool), count)
        yield failed
        yield GaugeMetricFamily("designerbox_queue_limit", "Jobs that may wait.", self._service.jobs.max_waiting)
        yield GaugeMetricFamily("designerbox_files_bytes", "Pictures on disk.", self._service.files.total_bytes())
        yield GaugeMetricFamily("designerbox_memory_bytes", "Resident memory.", psutil.Process().memory_info().rss)
        engine = self._service.jobs.engine
        if isinstance(engine, LocalEngine | MultiGpuEngine | RayEngine):
            yield from _engine(engine)


def _engine(engine: LocalEngine | MultiGpuEngine | RayEngine) -> Iterator[Metric]:
    cache = engine.cache
    yield CounterMetricFamily("designerbox_steps", "Steps of work that were done; its rate is steps/s.", engine.steps)
    loaded = GaugeMetricFamily("designerbox_cache_bytes", "Bytes of each loaded model.", labels=("model",))
    for row in cache.resident_models():
        loaded.add_metric((row["id"],), row["bytes"])
    yield loaded
    if cache.budget_bytes is not None:
        yield GaugeMetricFamily("designerbox_cache_budget_bytes", "What models may take together.", cache.budget_bytes)
    loads = CounterMetricFamily("designerbox_cache_loads", "Times that each model was loaded.", labels=("model",))
    for model, count in cache.load_counts.copy().items():
        loads.add_metric((model,), count)
    yield loads


def endpoint(access: Access) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint of `GET /metrics`: open where the API needs no key, else for keys with the scope `admin`."""

    async def figures(request: Request) -> Response:
        try:
            access.known(request, "admin")
        except StudioError as error:
            return answered(request, error)
        return Response(await to_thread.run_sync(access.metrics.text), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return figures
