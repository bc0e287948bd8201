"""Fuzzing of every operation of `/v1` with requests that its OpenAPI document allows, and such as it forbids."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.generation.case import Case

from pipelines.core.job import ProgressCallback
from pipelines.core.params import Params
from pipelines.core.rendering import ToolOutput
from pipelines.core.tools import ToolContext
from pipelines.settings import Settings
from pipelines.tools import TOOLS
from tests.support.served_app import ServedApp, serve_app
from ui.api.auth.keys import SCOPES

GENERATOR_ERROR_TEXT = "Unsupported type: 'Binary'"
MAX_GENERATOR_RETRY_COUNT = 100
"""Times that the generator may stumble within one operation."""


@dataclass
class FuzzReport:
    """How many requests were sent, to what, with what status they were answered, and what should not have been."""

    request_count: int = 0
    by_operation: dict[str, int] = field(default_factory=dict)
    statuses: dict[int, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def count_fewest_requests(self) -> int:
        """Requests to the operation that got fewest."""
        return min(self.by_operation.values())


def _draw_blank(params: Params, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    emit("Drawing", 1, 1)
    return ToolOutput(images=(np.zeros((32, 32, 3), np.uint8),))


@contextmanager
def serve_every_tool(root: Path, *, keys: bool) -> Iterator[tuple[ServedApp, str]]:
    """Every tool with its own form and nothing behind it; the key that opens everything, "" where none is needed."""
    tools = [replace(row, run=_draw_blank) for row in TOOLS]
    with serve_app(root, settings=Settings(data=root, require_key=keys), tools=tools, waiting=200) as here:
        yield here, here.keys.create_key("fuzz", SCOPES) if keys else ""


def fuzz_api(here: ServedApp, key: str, examples: int) -> FuzzReport:
    """Fuzz one studio, see `fuzz_together`."""
    return fuzz_together([(here, key)], examples)[0]


def fuzz_together(studios: Sequence[tuple[ServedApp, str]], examples: int) -> list[FuzzReport]:
    """At least `examples` requests to each operation, half of them such as its documentation forbids, where it forbids
    as many; the same each time. Each is made once, which takes longer than its answer, and sent to every studio.

    The generator sends no request of one pass twice, and an operation may know few: one without parameters knows one.
    So what is missing after the two halves is asked in further passes over what is allowed, each with a seed of its
    own, which send the few again until there are `examples`.
    """
    schema = schemathesis.openapi.from_url(f"{studios[0][0].url}/v1/openapi.json")
    with ExitStack() as stack:
        targets = [_open_target(stack, here, key) for here, key in studios]
        for operation in schema.get_all_operations():
            _fuzz_operation(cast(Any, operation).ok(), examples, targets)
    return [target.found for target in targets]


@dataclass
class _Target:
    """A studio, and what came of the requests that it was sent."""

    send: Callable[[Case], Any]
    found: FuzzReport = field(default_factory=FuzzReport)


def _open_target(stack: ExitStack, here: ServedApp, key: str) -> _Target:
    session = stack.enter_context(requests.Session())
    session.trust_env = False  # else the user's .netrc is read for each request
    session.headers.update({"Authorization": f"Bearer {key}"} if key else {})
    return _Target(lambda case: case.call(base_url=f"{here.url}/v1", session=session))


def _fuzz_operation(operation: Any, examples: int, targets: Sequence[_Target]) -> None:
    first = targets[0].found
    before = first.request_count
    for mode in GenerationMode if _can_be_sent_wrongly(operation) else (GenerationMode.POSITIVE,):
        _send_cases(operation, mode, examples // 2, 0, targets)
    for again in range(1, examples + 1):
        missing = before + examples - first.request_count
        if missing <= 0:
            break
        _send_cases(operation, GenerationMode.POSITIVE, missing, again * MAX_GENERATOR_RETRY_COUNT, targets)
    for target in targets:
        sent_count = target.found.request_count - before
        target.found.by_operation[f"{operation.method.upper()} {operation.path}"] = sent_count


def _can_be_sent_wrongly(operation: Any) -> bool:
    """Tell whether the documentation of an operation forbids anything: every text is an id that may be asked for.

    The generator would look for a forbidden one some 460 times and give up.
    """
    return bool(operation.body or operation.query) or any(
        not parameter.definition.get("schema", {}).keys() <= {"type", "title"}
        for parameter in operation.path_parameters
    )


def read_documented_codes(responses: dict[str, Any]) -> dict[int, set[str]]:
    """Statuses that a route's documentation names, each with its errors' codes."""
    told = {int(status): row["description"].removeprefix("code: ") for status, row in responses.items()}
    return {status: set(text.split(", ")) if status >= 400 else set() for status, text in told.items()}


def _send_cases(operation: Any, mode: GenerationMode, count: int, first_seed: int, targets: Sequence[_Target]) -> None:
    documented = read_documented_codes(operation.definition.raw["responses"])
    name = f"{operation.method.upper()} {operation.path}"

    def ask(case: Case) -> None:
        for target in targets:
            _note_answer(target.send(case), name, documented, target.found)

    # An operation that takes nothing can be sent nothing that its documentation forbids.
    with suppress(*(Unsatisfiable,) if mode is GenerationMode.NEGATIVE else ()):
        _generate_cases(operation.as_strategy(mode), ask, count, first_seed, targets[0].found)


def _note_answer(answer: Any, name: str, documented: dict[int, set[str]], found: FuzzReport) -> None:
    found.request_count += 1
    found.statuses[answer.status_code] = found.statuses.get(answer.status_code, 0) + 1
    where = f"{name}: {answer.status_code}"
    if answer.status_code == 500 or answer.status_code not in documented:
        found.failures.append(f"{where} {answer.text[:300]}")
    elif answer.status_code >= 400:
        error = answer.json()["error"]
        if [error["request_id"]] != answer.headers["x-request-id"]:
            found.failures.append(f"{where} has another id in its body")
        if error["code"] not in documented[answer.status_code]:
            found.failures.append(f"{where} says {error['code']}")


def _generate_cases(cases: Any, ask: Callable[[Case], None], count: int, first_seed: int, found: FuzzReport) -> None:
    """`count` cases, or as many as there are. The generator trips over its own stand-in for a file now and then."""
    until = found.request_count + max(1, count)
    for again in range(MAX_GENERATOR_RETRY_COUNT):
        choose = settings(
            max_examples=until - found.request_count,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=cast(Any, list(HealthCheck)),
            report_multiple_bugs=False,
        )
        try:
            seed(first_seed + again)(choose(given(case=cases)(ask)))()
            return
        except ValueError as error:
            if GENERATOR_ERROR_TEXT not in str(error):
                raise
            if found.request_count >= until:
                return
    raise RuntimeError(f"the generator stumbled {MAX_GENERATOR_RETRY_COUNT} times")
