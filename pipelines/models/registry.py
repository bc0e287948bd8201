"""The model registry: every model spec by id, over all families. A new family is added to `families/__init__.py`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from pipelines.core.errors import ModelUnavailable
from pipelines.core.models import ModelFamily, ModelSpec
from pipelines.models.families import FAMILIES


def build_registry(families: Iterable[ModelFamily]) -> dict[str, tuple[ModelSpec, ModelFamily]]:
    """Map each spec id to its spec and family, in the order of the families. Raises `ValueError` for a duplicate id."""
    rows: dict[str, tuple[ModelSpec, ModelFamily]] = {}
    for family in families:
        for row in family.specs:
            if row.id in rows:
                raise ValueError(f"model {row.id!r} is registered twice")
            rows[row.id] = (row, family)
    return rows


def get_spec(spec_id: str) -> ModelSpec:
    """Return the spec of an id. Raises `ModelUnavailable` for an id that no family has."""
    if spec_id not in _specs_by_id():
        raise ModelUnavailable(f"There is no model {spec_id}.")
    return _specs_by_id()[spec_id][0]


def list_all_specs() -> tuple[ModelSpec, ...]:
    """List every spec of every family, in order."""
    return tuple(row for row, _ in _specs_by_id().values())


@lru_cache(maxsize=1)
def _specs_by_id() -> Mapping[str, tuple[ModelSpec, ModelFamily]]:
    return build_registry(FAMILIES)
