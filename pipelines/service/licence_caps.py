"""Caps of licences: models whose pictures may earn money below a bound, which the owner of the studio confirms once.

What was confirmed lies in the data folder. Until then no such model is loaded, whoever asks for it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path

from pipelines.core.errors import ModelUnavailable
from pipelines.core.models import ModelSpec
from pipelines.storage.local_store import write_atomically

_FILE_NAME = "licences.json"


class LicenceConfirmations:
    """What the owner confirmed, by licence and cap: a licence that later states another cap is asked for again."""

    def __init__(self, data: Path) -> None:
        self._path = data / _FILE_NAME

    def is_confirmed(self, spec: ModelSpec) -> bool:
        """Tell whether a model may draw: its licence has no cap, or the owner confirmed to be below it."""
        return not spec.revenue_cap or self._read_confirmations().get(spec.licence, {}).get("cap") == spec.revenue_cap

    def list_unconfirmed(self, specs: Iterable[ModelSpec]) -> tuple[ModelSpec, ...]:
        """List the models that wait for a confirmation."""
        return tuple(spec for spec in specs if not self.is_confirmed(spec))

    def require_confirmed(self, *specs: ModelSpec) -> None:
        """Raise `ModelUnavailable` where one of these models waits for a confirmation."""
        for spec in self.list_unconfirmed(specs):
            raise ModelUnavailable(
                f"Pictures of {spec.id} may be used commercially below {spec.revenue_cap} ({spec.licence}). Whoever "
                f"runs this studio confirms that once: in Settings, or with python app.py licence confirm {spec.id}."
            )

    def confirm_cap(self, spec: ModelSpec) -> None:
        """Note that the owner is below the cap of a model's licence. Raises `OSError` or `disk_full`."""
        noted = {**self._read_confirmations(), spec.licence: {"cap": spec.revenue_cap, "confirmed": round(time.time())}}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self._path, f"{json.dumps(noted, indent=2)}\n".encode())

    def _read_confirmations(self) -> dict[str, dict[str, object]]:
        """Read the file; one that is missing or damaged confirms nothing."""
        try:
            noted = json.loads(self._path.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        rows = noted.items() if isinstance(noted, dict) else ()
        return {licence: row for licence, row in rows if isinstance(row, dict)}
