"""The routes of a running server: the Open Inference Protocol's, images, metrics, the description."""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image
from served import CLASSES, SHAPE, Served, images, request_of, served, tiny_folder, tiny_net

from fxpasses.serving.inference.images import image_array
from fxpasses.serving.inference.session import open_session


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tiny_folder(tmp_path_factory.mktemp("served"))) as running:
        yield running


def png(height: int = SHAPE[1], width: int = SHAPE[2], seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "PNG")
    return written.getvalue()


def form(*parts: tuple[str, bytes]) -> tuple[bytes, dict[str, str]]:
    """A form with files of these field names."""
    lines = b"".join(
        b'--edge\r\nContent-Disposition: form-data; name="%s"; filename="f.png"\r\n\r\n%s\r\n'
        % (name.encode(), content)
        for name, content in parts
    )
    return lines + b"--edge--\r\n", {"content-type": "multipart/form-data; boundary=edge"}


def test_the_server_and_the_model_are_described(server: Served) -> None:
    assert server.ask("/v2").json["name"] == server.ask("/v2/").json["name"] == "fxpasses"
    described = server.ask("/v2/models/tiny.py")
    assert described.json == {
        "name": "tiny.py",
        "versions": ["1"],
        "platform": "onnx_onnxv1",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, *SHAPE]}],
        "outputs": [{"name": server.model.outputs[0].name, "datatype": "FP32", "shape": [-1, CLASSES]}],
    }
    assert server.ask("/v2/models/tiny.py/versions/1").json == described.json


@pytest.mark.parametrize(
    "path",
    ["/v2/health/live", "/v2/health/ready", "/v2/models/tiny.py/ready", "/v2/models/tiny.py/versions/1/ready"],
)
def test_it_is_well(server: Served, path: str) -> None:
    assert server.ask(path).status == 200


@pytest.mark.parametrize("path", ["/v2/models/other", "/v2/models/tiny.py/versions/2", "/v2/models/tiny.py/", "/v3"])
def test_what_is_not_there(server: Served, path: str) -> None:
    answer = server.ask(path)
    assert answer.status == 404 and answer.json["error"]


def test_another_method(server: Served) -> None:
    answer = server.ask(server.infer)
    assert answer.status == 405 and answer.headers["allow"] == "POST" and answer.json["error"]


def test_logits_are_those_of_the_session(server: Served) -> None:
    x = images(3)
    answer = server.ask(server.infer, request_of(x, id="forty-two"))
    (expected,) = open_session(server.model, 1).run([x])
    assert answer.json["id"] == "forty-two" and answer.json["model_version"] == "1"
    assert np.array_equal(answer.logits, expected) and len(np.unique(expected)) > CLASSES
    nested = request_of(x)
    nested["inputs"][0]["data"] = x.tolist()
    assert (
        server.ask(f"/v2/models/{server.model.name}/versions/1/infer", nested).json["outputs"] == answer.json["outputs"]
    )
    assert "id" not in server.ask(server.infer, nested).json


def test_sixteen_clients_get_the_integers_that_one_gets(tmp_path: Path) -> None:
    """The server waits, so that it puts requests into batches; the metrics hold their number."""
    with served(tiny_folder(tmp_path / "f"), batch_delay_ms=50) as server:
        alone = [server.ask(server.infer, request_of(images(1, seed))).logits for seed in range(48)]
        with ThreadPoolExecutor(16) as clients:
            answers = list(clients.map(lambda s: server.ask(server.infer, request_of(images(1, s))).logits, range(48)))
        assert all(np.array_equal(a, b) for a, b in zip(alone, answers, strict=True))
        metrics = server.ask("/metrics").body.decode()
    batches = next(line for line in metrics.splitlines() if line.startswith("fxpasses_batch_rows_count"))
    assert 48 + 6 <= float(batches.split()[1]) < 48 + 24, "six batches of eight at best, none put together at worst"


def test_images_are_prepared_as_in_training(server: Served) -> None:
    content = png(20, 31)
    answer = server.ask("/predict?top=4", content, {"content-type": "image/png"})
    assert server.model.image is not None
    (expected,) = open_session(server.model, 1).run([image_array(content, server.model.image, 10_000)])
    found = answer.json["classes"]
    assert [each["label"] for each in found] == [["cat", "dog", "eel", "fox"][i] for i in np.argsort(-expected[0])]
    assert [each["logit"] for each in found] == sorted(expected[0].tolist(), reverse=True)
    assert sum(each["probability"] for each in found) == pytest.approx(1)
    assert server.ask("/predict?top=4", *form(("file", content))).json == answer.json


@pytest.mark.parametrize("top", ["0", "-1", "x", "", "²", "9" * 30])
def test_top_is_a_whole_number(server: Served, top: str) -> None:
    answer = server.ask(f"/predict?top={top.encode().hex() if not top.isascii() else top}", png())
    assert answer.status == 400 and "'top'" in answer.json["error"]


@pytest.mark.parametrize("files", [(), (("a", b"x"), ("b", b"y"))])
def test_a_form_without_its_one_file(server: Served, files: tuple[tuple[str, bytes], ...]) -> None:
    assert server.ask("/predict", *form(*files)).status == 400


def test_metrics_count_by_route_and_status(server: Served) -> None:
    server.ask("/v2/health/live")
    server.ask("/etc/passwd")
    metrics = server.ask("/metrics").body.decode()
    assert 'fxpasses_requests_total{route="live",status="200"}' in metrics
    assert 'fxpasses_requests_total{route="none",status="404"}' in metrics
    assert "/etc/passwd" not in metrics, "addresses that clients think of would fill the memory"
    assert "fxpasses_unanswered_requests 0.0" in metrics


def test_a_model_of_fixed_size_is_served_too(tmp_path: Path) -> None:
    with served(tiny_folder(tmp_path / "f", tiny_net(batch=2))) as server:
        assert not server.model.is_batched
        assert server.ask(server.infer, request_of(images(2))).logits.shape == (2, CLASSES)
        assert server.ask(server.infer, request_of(images(1))).status == 400


def test_a_model_without_images(tmp_path: Path) -> None:
    with served(tiny_folder(tmp_path / "f", model_details=None)) as server:
        answer = server.ask("/predict", png())
        assert answer.status == 400 and "/infer" in answer.json["error"]
        assert "/predict" not in server.ask("/openapi.json").json["paths"]


def test_an_input_that_cannot_be_computed_harms_nobody_else(tmp_path: Path) -> None:
    """One request of a batch asks an embedding for a row that it does not have; the others are answered."""
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> g (int64[batch, 2] tokens) => (float[batch, 2, 3] y)'
        " <float[5, 3] table = {0,1,2,3,4,5,6,7,8,9,10,11,12,13,14}> { y = Gather (table, tokens) }"
    )
    with served(tiny_folder(tmp_path / "f", model, model_details=None), batch_delay_ms=100) as server:

        def ask(token: int) -> int:
            given = {"name": "tokens", "shape": [1, 2], "datatype": "INT64", "data": [0, token]}
            return server.ask(server.infer, {"inputs": [given]}).status

        with ThreadPoolExecutor(4) as clients:
            assert list(clients.map(ask, [1, 5, 2, 3])) == [200, 400, 200, 200]
