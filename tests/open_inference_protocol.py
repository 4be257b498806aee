"""Routes and objects of the Open Inference Protocol's REST description (version 2.0), in our own words."""

from __future__ import annotations

ROUTES = {
    ("get", "/v2/health/live"): None,
    ("get", "/v2/health/ready"): None,
    ("get", "/v2/models/{}/versions/{}/ready"): None,
    ("get", "/v2/"): "metadata_server_response",
    ("get", "/v2/models/{}/versions/{}"): "metadata_model_response",
    ("post", "/v2/models/{}/versions/{}/infer"): "inference_response",
}
"""Method and path of each route, and the object of its answer 200. A version may be left out of a path."""

OBJECTS: dict[str, tuple[dict[str, str], set[str]]] = {
    "metadata_server_response": (
        {"name": "string", "version": "string", "extensions": "array"},
        {"name", "version", "extensions"},
    ),
    "metadata_model_response": (
        {"name": "string", "versions": "array", "platform": "string", "inputs": "array", "outputs": "array"},
        {"name", "platform"},
    ),
    "metadata_tensor": (
        {"name": "string", "datatype": "string", "shape": "array"},
        {"name", "datatype", "shape"},
    ),
    "inference_request": (
        {"id": "string", "parameters": "object", "inputs": "array", "outputs": "array"},
        {"inputs"},
    ),
    "request_input": (
        {"name": "string", "shape": "array", "datatype": "string", "parameters": "object", "data": "array"},
        {"name", "shape", "datatype", "data"},
    ),
    "request_output": ({"name": "string"}, {"name"}),
    "response_output": (
        {"name": "string", "shape": "array", "datatype": "string", "data": "array"},
        {"name", "shape", "datatype", "data"},
    ),
    "inference_response": (
        {"model_name": "string", "model_version": "string", "id": "string", "outputs": "array"},
        {"model_name", "outputs"},
    ),
    "inference_error_response": ({"error": "string"}, set()),
}
"""Types of each object's properties, and the required ones; optional ones that this server never sends are absent."""
ITEMS = {
    ("metadata_model_response", "inputs"): "metadata_tensor",
    ("metadata_model_response", "outputs"): "metadata_tensor",
    ("inference_request", "inputs"): "request_input",
    ("inference_request", "outputs"): "request_output",
    ("inference_response", "outputs"): "response_output",
}
"""The type of the elements of each array, by object and field."""
