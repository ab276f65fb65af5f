"""The document of the API says all that the application does, and nothing else; schemathesis finds no exception."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from api_document import FILE, document, operations, resolved, why_invalid, why_undescribed
from api_fuzzing import fuzz
from flask import Flask
from helpers import Admin, Server, basic
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR
from test_api_doc import routes, shape

from pages import __version__
from pages.app import create_app
from pages.config import load_config

OPERATIONS = operations()


def below(node: Any, at: str = "#") -> Iterator[tuple[str, Any]]:
    """Every object in a part of the document, with the place where it stands."""
    if isinstance(node, dict):
        yield at, node
    for name, inner in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from below(inner, f"{at}/{name}")


# --- The document alone -------------------------------------------------------------------------


def test_the_document_is_openapi_3_1() -> None:
    assert document()["openapi"].startswith("3.1.")
    assert [str(error) for error in OPENAPI_31_VALIDATOR.iter_errors(document())] == []


def test_every_schema_is_json_schema() -> None:
    for at, node in below(document()):
        for name, schema in node.get("schemas", {}).items() if at == "#/components" else ():
            jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})
            assert set(schema) & {"type", "$ref"}, name
        if "schema" in node:
            jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **node["schema"]})


def test_every_reference_leads_somewhere() -> None:
    for at, node in below(document()):
        assert resolved(node) is not None, at


def test_nothing_is_described_that_nothing_refers_to() -> None:
    used = {node["$ref"] for _, node in below(document()) if "$ref" in node}
    kinds = ("parameters", "headers", "responses", "schemas")
    assert {f"#/components/{kind}/{name}" for kind in kinds for name in document()["components"][kind]} == used


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [operation["operationId"] for operation in OPERATIONS.values()]
    assert sorted(set(names)) == sorted(names)


def test_every_link_gives_its_operation_all_that_is_in_the_path() -> None:
    paths = {operation["operationId"]: path for (_, path), operation in OPERATIONS.items()}
    links = [link for _, node in below(document()) for link in node.get("links", {}).values()]
    assert links
    for link in links:
        assert set(link["parameters"]) == set(re.findall(r"{(\w+)}", paths[link["operationId"]])), link


def test_every_path_has_the_parameters_that_it_names() -> None:
    for path, item in document()["paths"].items():
        named = [resolved(parameter) for parameter in item.get("parameters", [])]
        assert [f"{{{parameter['name']}}}" for parameter in named] == [part for part in path.split("/") if "{" in part]
        assert all(parameter["in"] == "path" for parameter in named)


def test_every_example_conforms_to_its_schema() -> None:
    checked = 0
    for at, node in below(document()):
        examples = [example["value"] for example in node.get("examples", {}).values()] if "schema" in node else []
        examples += [node["example"]] if "example" in node else []
        for example in examples:
            assert why_invalid(node["schema"], example) == "", at
            checked += 1
    assert checked > len(OPERATIONS)


def test_the_documents_version_is_that_of_the_package() -> None:
    assert document()["info"]["version"] == __version__


# --- The document and the application -----------------------------------------------------------


def test_every_route_is_in_the_document(app: Flask) -> None:
    described = {(method, shape(path.replace("{", "<").replace("}", ">"))) for method, path in OPERATIONS}
    assert {(method, shape(path)) for method, path in routes(app)} == described


def test_what_is_served_is_the_document_itself(admin: Admin) -> None:
    reply = admin.get("/_api/openapi.json")
    assert reply.mimetype == "application/json"
    assert reply.data == FILE.read_bytes()


def test_a_tenant_may_read_the_document(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[users.alice]\npass = "wonder"\n')
    app = create_app(load_config({"PAGES_CONFIG": str(tmp_path / "config.toml")}))
    assert Admin(app.test_client(), "alice", "wonder").get("/_api/openapi.json").status_code == 200


@pytest.mark.parametrize("call", OPERATIONS, ids=" ".join)
def test_an_operation_asks_for_credentials_exactly_when_the_document_says_so(app: Flask, call: tuple[str, str]) -> None:
    method, path = call
    reply = app.test_client().open(path.replace("{", "").replace("}", ""), method=method)
    security = OPERATIONS[call].get("security", document()["security"])
    # An empty one of several: there are those who need none, as this client on loopback.
    assert (reply.status_code == 401) == (security != [] and {} not in security)
    assert ("401" in OPERATIONS[call]["responses"]) == (security != [])


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (200, {"Content-Type": "application/json"}, {"success": True, "data": {"sites": []}}),
        (200, {"Content-Type": "application/json"}, {"success": True, "data": {"sites": [], "total": "0"}}),
        (200, {"Content-Type": "application/json"}, {"success": True, "data": {"sites": [], "total": 0}, "more": 1}),
        (200, {"Content-Type": "text/html"}, {"success": True, "data": {"sites": [], "total": 0}}),
        (401, {"Content-Type": "application/json"}, {"success": False, "message": "认证失败"}),
        (429, {"Content-Type": "application/json", "Retry-After": "soon"}, {"success": False, "message": "x"}),
        (418, {"Content-Type": "application/json"}, {"success": False, "message": "x"}),
    ],
)
def test_an_answer_that_is_not_described_is_told(status: int, headers: dict[str, str], body: Any) -> None:
    # Without this, what all tests hold their answers to might be nothing.
    assert why_undescribed("GET", "/_api/sites", status, headers, json.dumps(body).encode())
    good = json.dumps({"success": True, "data": {"sites": [], "total": 0}}).encode()
    assert why_undescribed("GET", "/_api/sites", 200, {"Content-Type": "application/json"}, good) == ""


def test_schemathesis_finds_no_answer_that_is_not_described(server: Server, tmp_path: Path) -> None:
    assert fuzz(server, tmp_path, "--max-examples", "12", "--generation-deterministic") > 500
    assert "Traceback" not in server.log
    assert server.request("GET", "/_api/health", headers=basic()).json()["data"]["status"] == "healthy"
