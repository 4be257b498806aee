"""The description of a server's routes in OpenAPI 3.0, for the model that it has.

The Open Inference Protocol's routes are named and typed as the protocol's own description has them; what is stricter
here (the names, types and shapes that this model takes) is said as well, so that clients can be made or tested from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fxpasses.layouts.deployed_model import DeployedModel, TensorSpec

if TYPE_CHECKING:
    from .settings import ServeSettings

Schema = dict[str, Any]
NAME = "fxpasses"
PLATFORM = "onnx_onnxv1"
_TEXT: Schema = {"type": "string"}
_WHOLE: Schema = {"type": "integer"}
_REFUSALS = {
    "400": "The request is not as described.",
    "401": "The token is missing or wrong.",
    "404": "There is no such model.",
    "408": "The request took too long to arrive.",
    "413": "The request, or an image in it, is too large.",
    "429": "Too many requests wait already.",
    "503": "The server is stopping, or the answer took too long.",
}


def description(model: DeployedModel, settings: ServeSettings) -> Schema:
    """The OpenAPI document."""
    from fxpasses import __version__

    document: Schema = {
        "openapi": "3.0.3",
        "info": {"title": f"fxpasses serve: {model.name}", "version": __version__},
        "paths": _paths(model),
        "components": {"schemas": _schemas(model, settings)},
    }
    if settings.token is not None:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
    return document


def _paths(model: DeployedModel) -> Schema:
    metadata, infer = _get("metadata_model_response", "400", "404"), _post_inference()
    paths: Schema = {
        "/v2": {"get": _get("metadata_server_response")},
        "/v2/": {"get": _get("metadata_server_response")},
        "/v2/health/live": {"get": _get(None)},
        "/v2/health/ready": {"get": _get(None, "503")},
    }
    for path, names in (("/v2/models/{model}", ["model"]), ("/v2/models/{model}/versions/{version}", _BOTH)):
        known = {"parameters": [_path_parameter(name, model) for name in names]}
        paths[path] = known | {"get": metadata}
        paths[f"{path}/ready"] = known | {"get": _get(None, "404", "503")}
        paths[f"{path}/infer"] = known | {"post": infer}
    if model.image is not None:
        paths["/predict"] = {"post": _post_image()}
    return paths | {
        "/metrics": {"get": {"responses": _responses({"text/plain": {"schema": _TEXT}}, "401")}},
        "/openapi.json": {
            "get": {"responses": _responses({"application/json": {"schema": {"type": "object"}}}, "401")}
        },
    }


_BOTH = ["model", "version"]


def _path_parameter(name: str, model: DeployedModel) -> Schema:
    example = model.name if name == "model" else "1"
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "enum": [example]}}


def _get(schema: str | None, *refusals: str) -> Schema:
    content = None if schema is None else {"application/json": {"schema": _reference(schema)}}
    return {"responses": _responses(content, "400", "401", *refusals)}


def _post_inference() -> Schema:
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _reference("inference_request")}},
        },
        "responses": _responses({"application/json": {"schema": _reference("inference_response")}}, *_REFUSALS),
    }


def _post_image() -> Schema:
    file: Schema = {"type": "string", "format": "binary"}
    form = {"type": "object", "properties": {"file": file}, "required": ["file"]}
    top = {"type": "integer", "minimum": 1, "maximum": 1000, "default": 5}
    return {
        "parameters": [{"name": "top", "in": "query", "schema": top}],
        "requestBody": {
            "required": True,
            "content": {"image/*": {"schema": file}, "multipart/form-data": {"schema": form}},
        },
        "responses": _responses({"application/json": {"schema": {"type": "object"}}}, *_REFUSALS),
    }


def _responses(content: Mapping[str, Any] | None, *refusals: str) -> Schema:
    error = {"application/json": {"schema": _reference("inference_error_response")}}
    good: Schema = {"description": "OK"} if content is None else {"description": "OK", "content": dict(content)}
    return {"200": good} | {
        status: {"description": _REFUSALS[status], "content": error} for status in sorted(set(refusals))
    }


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(required: str, **properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": required.split()}


def _list_of(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _schemas(model: DeployedModel, settings: ServeSettings) -> Schema:
    from .inference.tensors import DATATYPES

    datatype = {"type": "string", "enum": sorted(DATATYPES.values())}
    data: Schema = {"anyOf": [_reference("tensor_data"), {"type": "number"}, _TEXT, {"type": "boolean"}]}
    output = _object("name shape datatype data", **_tensor(_TEXT, datatype), data=_reference("tensor_data"))
    asked = _object("name", name={"type": "string", "enum": [spec.name for spec in model.outputs]})
    inputs = _list_of(_reference("request_input")) | {"minItems": len(model.inputs), "maxItems": len(model.inputs)}
    return {
        "metadata_server_response": _object(
            "name version extensions", name=_TEXT, version=_TEXT, extensions=_list_of(_TEXT)
        ),
        "metadata_model_response": _object(
            "name platform",
            **{"name": _TEXT, "versions": _list_of(_TEXT), "platform": _TEXT},
            inputs=_list_of(_reference("metadata_tensor")),
            outputs=_list_of(_reference("metadata_tensor")),
        ),
        "metadata_tensor": _object("name datatype shape", **_tensor(_TEXT, datatype)),
        "tensor_data": _list_of(data),
        "parameters": {"type": "object"},
        "request_input": {"anyOf": [_request_input(spec, model, settings) for spec in model.inputs]},
        "request_output": asked,
        "response_output": output,
        "inference_request": _object(
            "inputs",
            id=_TEXT | {"maxLength": 1000},
            parameters=_reference("parameters"),
            inputs=inputs,
            outputs=_list_of(_reference("request_output")),
        ),
        "inference_response": _object(
            "model_name outputs",
            model_name=_TEXT,
            model_version=_TEXT,
            id=_TEXT,
            outputs=_list_of(_reference("response_output")),
        ),
        "inference_error_response": _object("error", error=_TEXT),
    }


def _tensor(name: Schema, datatype: Schema) -> Schema:
    return {"name": name, "datatype": datatype, "shape": _list_of(_WHOLE)}


def _request_input(spec: TensorSpec, model: DeployedModel, settings: ServeSettings) -> Schema:
    """Schema of one input; a schema cannot require that ``data`` has as many values as ``shape`` says."""
    from .inference.tensors import DATATYPES

    sizes = len(spec.shape)
    tensor = _tensor({"type": "string", "enum": [spec.name]}, {"type": "string", "enum": [DATATYPES[spec.dtype]]})
    tensor["shape"] = _list_of({"type": "integer", "minimum": 1}) | {"minItems": sizes, "maxItems": sizes}
    if model.is_batched:
        tensor["shape"]["description"] = f"The first size is the number of rows, at most {settings.max_batch}."
    return _object(
        "name shape datatype data", **tensor, parameters=_reference("parameters"), data=_reference("tensor_data")
    )
