"""The server's description: the Open Inference Protocol's routes and objects, and the answers are as described."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from open_inference_protocol import ITEMS, OBJECTS, ROUTES
from served import Served, images, request_of, served, tiny_folder

from fxpasses.layouts.deployed_model import deployed_model
from fxpasses.serving.openapi import description
from fxpasses.serving.settings import ServeSettings

KINDS: dict[str, Any] = {"string": str, "array": list, "object": dict, "integer": int}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tiny_folder(tmp_path_factory.mktemp("served"))) as running:
        yield running


@pytest.fixture(scope="module")
def document(server: Served) -> dict[str, Any]:
    found: dict[str, Any] = server.ask("/openapi.json").json
    return found


def properties(document: dict[str, Any], name: str) -> tuple[dict[str, Any], set[str]]:
    """Properties with their references followed, and the names of the required ones."""
    schema = document["components"]["schemas"][name]
    schema = schema.get("anyOf", [schema])[0]
    found = {key: _followed(document, value) for key, value in schema["properties"].items()}
    return found, set(schema["required"])


def _followed(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = document["components"]["schemas"][name] if name else schema
    return found


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_the_protocols_routes_are_there(document: dict[str, Any], method: str, path: str) -> None:
    names = iter(["{model}", "{version}"])
    spelled = "".join(part if part != "{}" else next(names) for part in path.replace("{}", "\0{}\0").split("\0"))
    content = document["paths"][spelled][method]["responses"]["200"].get("content")
    expected = ROUTES[method, path]
    if expected is None:
        assert content is None
    else:
        assert content["application/json"]["schema"]["$ref"].endswith(f"/{expected}")
    if "{version}" in spelled:
        assert method in document["paths"][spelled.replace("/versions/{version}", "")]


@pytest.mark.parametrize("name", OBJECTS)
def test_the_protocols_objects_are_as_published(document: dict[str, Any], name: str) -> None:
    found, required = properties(document, name)
    expected, must = OBJECTS[name]
    assert {key: schema["type"] for key, schema in found.items() if key in expected} == expected
    assert required - {"error"} == must, "what a client may leave out, and what it may count on"
    for (owner, key), items in ITEMS.items():
        if owner == name:
            assert found[key]["items"]["$ref"].endswith(f"/{items}")


def test_answers_are_as_described(server: Served) -> None:
    named = server.model.name
    answers = {
        "metadata_server_response": server.ask("/v2/"),
        "metadata_model_response": server.ask(f"/v2/models/{named}/versions/1"),
        "inference_response": server.ask(f"/v2/models/{named}/versions/1/infer", request_of(images(2), id="7")),
        "inference_error_response": server.ask(f"/v2/models/{named}/versions/1/infer", {}),
    }
    for name, answer in answers.items():
        _check(name, answer.json)
    assert answers["inference_error_response"].status == 400


def _check(name: str, value: dict[str, Any]) -> None:
    expected, must = OBJECTS[name]
    assert must <= value.keys() <= expected.keys()
    for key, found in value.items():
        assert isinstance(found, KINDS[expected[key]]), (name, key)
        if (name, key) in ITEMS:
            for item in found:
                _check(ITEMS[name, key], item)


def test_a_token_is_described(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "f")
    settings = ServeSettings(folder, token="x" * 16)
    assert description(deployed_model(folder), settings)["security"] == [{"token": []}]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the packages that make the requests
def test_requests_made_of_the_description(tmp_path: Path) -> None:
    """More than 200 requests, good and bad, get only answers that the description has, and none with 5xx."""
    import schemathesis

    found = Counter[int]()
    with served(tiny_folder(tmp_path / "f"), timeout_s=5, max_body=200_000) as server:
        schema = schemathesis.openapi.from_dict(server.ask("/openapi.json").json)
        schema.config.update(base_url=f"http://127.0.0.1:{server.port}")
        operations: Any = schema.get_all_operations()
        modes: Any = schemathesis.GenerationMode
        for each in operations:
            operation = each.ok()
            posts = operation.method.upper() == "POST"
            for mode in (modes.POSITIVE, modes.NEGATIVE) if posts else (modes.POSITIVE,):
                _try_all(operation.as_strategy(generation_mode=mode), 60 if posts else 3, found)
        server.still_answers()
        assert b'status="5' not in server.ask("/metrics").body
    assert found.total() >= 200 and found[400] >= 100, found


def _try_all(strategy: Any, examples: int, found: Counter[int]) -> None:
    from hypothesis import HealthCheck, given, settings
    from schemathesis import checks
    from schemathesis.specs.openapi import checks as openapi_checks

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(case=strategy)
    def try_it(case: Any) -> None:
        answer = case.call()
        found[answer.status_code] += 1
        case.validate_response(answer, checks=[checks.not_a_server_error, openapi_checks.status_code_conformance])

    try_it()
