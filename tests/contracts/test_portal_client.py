"""The models of the portal's clients fit the responses in the OpenAPI documents of the services they call.

The portal declares the fields that its pages show and imports no other service; this test keeps the two from drifting.
"""

import importlib
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import BaseModel

from services.portal.client import messages, models, staff

Schema = dict[str, Any]
APIS = {
    "identity": [
        f"identity.{part}.api" for part in ("accounts", "captcha", "certificates", "erasures", "login", "practitioners")
    ],
    "records": ["records.api", "records.disputes.api"],
    **{service: [f"{service}.api"] for service in ("attachments", "notify", "signature")},
}
READS: list[tuple[type[BaseModel], str, str]] = [
    (models.Captcha, "identity", "POST /captchas"),
    (models.CodeSent, "identity", "POST /login/codes"),
    (models.CodeSent, "identity", "POST /login/codes/{challenge_id}/resend"),
    (models.CodeSent, "identity", "POST /sessions/current/codes"),
    (models.CodeSent, "identity", "POST /practitioners/{practitioner_id}/certificate/phone-codes"),
    (models.CodeState, "identity", "GET /login/codes/{challenge_id}"),
    (models.Tokens, "identity", "POST /login/sessions"),
    (models.Tokens, "identity", "POST /staff/sessions"),
    (models.Tokens, "identity", "POST /staff/password"),
    (models.Tokens, "identity", "POST /tokens/refresh"),
    (models.Practitioner, "identity", "GET /practitioners/{practitioner_id}"),
    (models.Certificate, "identity", "GET /practitioners/{practitioner_id}/certificate"),
    (models.Page[models.Session], "identity", "GET /sessions"),
    (models.Page[models.AccessEntry], "identity", "GET /practitioners/{practitioner_id}/access-log"),
    (staff.Found, "identity", "POST /practitioners"),
    (staff.Found, "identity", "POST /practitioners/lookup"),
    (staff.Check, "identity", "POST /practitioners/checks"),
    (models.Page[staff.Rebinding], "identity", "GET /rebindings"),
    (staff.Rebinding, "identity", "GET /rebindings/{rebinding_id}"),
    (models.Page[models.Kind], "records", "GET /kinds"),
    (models.Page[models.Code], "records", "GET /code-tables/{name}"),
    (models.Record, "records", "GET /records/{record_id}"),
    (models.Record, "records", "PUT /records/{record_id}"),
    (models.Record, "records", "POST /practitioners/{practitioner_id}/records"),
    (models.Page[models.Record], "records", "GET /practitioners/{practitioner_id}/records"),
    (models.Dispute, "records", "POST /records/{record_id}/disputes"),
    (models.Page[models.Dispute], "records", "GET /practitioners/{practitioner_id}/disputes"),
    (models.Page[models.Dispute], "records", "GET /disputes"),
    (models.ScanRules, "attachments", "GET /rules"),
    (models.Attachment, "attachments", "GET /records/{record_id}/attachment"),
    (models.Correction, "attachments", "POST /corrections"),
    (models.Signature, "signature", "GET /practitioners/{practitioner_id}/signature"),
    (models.SignatureSheet, "signature", "POST /practitioners/me/forms"),
    (models.Page[messages.Message], "notify", "GET /messages"),
    (messages.Message, "notify", "GET /messages/{message_id}"),
]

NEVER_SENT = {("GET /records/{record_id}/attachment", ".state: {'deleted'} is not accepted")}
"""Published because the schema is the document's; a deleted attachment is answered with 404."""


def document_of(service: str) -> Schema:
    """The OpenAPI document of the service's routes."""
    app = FastAPI()
    for module in APIS[service]:
        app.include_router(importlib.import_module(f"services.{module}").router)
    return app.openapi()


@pytest.fixture(scope="module")
def documents() -> dict[str, Schema]:
    return {service: document_of(service) for service in APIS}


@pytest.mark.parametrize(("model", "service", "call"), READS, ids=[call for _, _, call in READS])
def test_the_portal_reads_what_the_service_publishes(
    model: type[BaseModel], service: str, call: str, documents: dict[str, Schema]
) -> None:
    method, path = call.split(" ")
    responses = documents[service]["paths"][f"/api/{service}{path}"][method.lower()]["responses"]
    published = next(responses[status] for status in responses if status.startswith("2"))
    schema = published["content"]["application/json"]["schema"]
    reader = model.model_json_schema()
    misfits = Comparison(reader, documents[service]).misfits(reader, schema, "")
    assert [each for each in misfits if (call, each) not in NEVER_SENT] == []


def test_every_model_of_the_portals_clients_is_compared() -> None:
    schemas = [model.model_json_schema() for model, _, _ in READS]
    compared = {name for schema in schemas for name in [schema["title"], *schema.get("$defs", {})]}
    declared = {
        each.__name__ for module in (models, staff, messages) for each in vars(module).values() if _is_model(each)
    }
    assert declared - {"Answer", "Page"} == {name for name in compared if "[" not in name}


def _is_model(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, models.Answer)


class Comparison:
    """Compares what a model accepts with what a document publishes; `$ref`s are resolved in `reader` and `document`."""

    def __init__(self, reader: Schema, document: Schema) -> None:
        self._reader = reader
        self._document = document

    def misfits(self, accepted: Schema, published: Schema, at: str) -> Iterator[str]:
        """The places at which a published value need not be accepted."""
        choices = [_resolved(each, self._reader) for each in _choices(_resolved(accepted, self._reader))]
        for each in _choices(_resolved(published, self._document)):
            value = _resolved(each, self._document)
            found = [list(self._of_value(choice, value, at)) for choice in choices]
            yield from min(found, key=len)

    def _of_value(self, accepted: Schema, published: Schema, at: str) -> Iterator[str]:
        if not (_types(published) and _types(published) <= _types(accepted)):
            if accepted.get("type") and published:
                yield f"{at}: {published.get('type')} is not {accepted['type']}"
            return
        if published.get("format", accepted.get("format")) != accepted.get("format"):
            yield f"{at}: {published['format']} is not {accepted.get('format')}"
        if _values(accepted) and not (_values(published) and _values(published) <= _values(accepted)):
            yield f"{at}: {_values(published) - _values(accepted) or 'any text'} is not accepted"
        if "items" in accepted:
            yield from self.misfits(accepted["items"], published.get("items", {}), f"{at}[]")
        yield from self._of_fields(accepted, published, at)

    def _of_fields(self, accepted: Schema, published: Schema, at: str) -> Iterator[str]:
        given = published.get("properties", {})
        for name, schema in accepted.get("properties", {}).items():
            if name in given:
                yield from self.misfits(schema, given[name], f"{at}.{name}")
            always = name in published.get("required", []) or "default" in given.get(name, {})
            if name in accepted.get("required", []) and not always:
                yield f"{at}.{name}: may be missing"


def _resolved(schema: Schema, root: Schema) -> Schema:
    target = root
    for part in schema.get("$ref", "#").split("/")[1:]:
        target = target[part]
    return target if "$ref" in schema else schema


def _choices(schema: Schema) -> list[Schema]:
    return list(schema.get("anyOf", [schema]))


def _types(schema: Schema) -> set[str]:
    kind = schema.get("type")
    return {"integer", "number"} if kind == "number" else {kind} if kind else set()


def _values(schema: Schema) -> set[object]:
    return {*schema.get("enum", []), *([schema["const"]] if "const" in schema else [])}
