"""Prometheus metrics: answers, queue, engine, memory and disk. No prompt, owner or id is in them."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from pipelines.engines.local import LocalEngine
from pipelines.engines.multi_gpu import MultiGpuEngine
from pipelines.engines.ray_cluster.engine import RayEngine
from pipelines.service.studio_service import StudioService

_LATENCY_BUCKETS_SECONDS = (0.005, 0.02, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_KNOWN_METHODS = ("GET", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS", "PUT")


class Metrics:
    """Metrics of one studio, in a registry of its own, so that several studios in one process do not mix."""

    def __init__(self, service: StudioService) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_StudioCollector(service))
        self._requests = Counter(
            "designerbox_requests",
            "Answers by method, route and status.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "designerbox_request_seconds",
            "Seconds to the end of an answer, streams included.",
            ("route",),
            buckets=_LATENCY_BUCKETS_SECONDS,
            registry=self.registry,
        )
        self._errors = Counter(
            "designerbox_errors",
            "Answers, and streams, that told an error, by its code.",
            ("code",),
            registry=self.registry,
        )

    def count_answer(self, method: str, route: str, status: int, seconds: float, code: str = "") -> None:
        """Count an answer. An unknown method counts as "other", so that nobody can fill the memory with labels."""
        method = method if method in _KNOWN_METHODS else "other"
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        if code:
            self._errors.labels(code).inc()

    def render_text(self) -> bytes:
        """Write the metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class _StudioCollector(Collector):
    """Reads the studio's state when the metrics are asked for."""

    def __init__(self, service: StudioService) -> None:
        self._service = service

    def describe(self) -> list[Metric]:
        """Return nothing, so that the registry does not collect when this is registered."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Read queue, engine, cache, memory and disk."""
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
            yield from _collect_engine(engine)


def _collect_engine(engine: LocalEngine | MultiGpuEngine | RayEngine) -> Iterator[Metric]:
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
