"""The API as schemathesis tries it by its own description: always the same queries, right and wrong ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as bounded
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks

from multinic.dashboard import openapi
from multinic.demo.fleet import Fleet
from tests.web.conftest import settings
from tests.web.server import Dashboard, dashboard

DOCUMENT = openapi.document("")
OPERATIONS = {
    operation.path: operation
    for operation in (found.ok() for found in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations())
}
CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    directory: Path = tmp_path_factory.mktemp("api")
    url = f"sqlite:///{directory}/fleet.db"
    with Fleet(settings(url), nodes=5), dashboard(url, directory) as found:
        yield found


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("path", OPERATIONS)
def test_the_description_is_true_of_every_answer(running: Dashboard, path: str, mode: GenerationMode) -> None:
    operation = OPERATIONS[path]
    if mode is GenerationMode.NEGATIVE and not operation.query:
        return  # nothing that could be wrong

    @bounded(
        max_examples=12,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(mode))
    def hold(case: schemathesis.Case) -> None:
        answer = case.call(base_url=f"{running.address}/api/v1", timeout=60)
        case.validate_response(answer, checks=CHECKS)

    hold()


def test_the_description_is_what_the_dashboard_serves(running: Dashboard) -> None:
    assert running.get("/api/v1/openapi.json").json == DOCUMENT
