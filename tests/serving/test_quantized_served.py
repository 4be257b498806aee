"""A server of a really quantized folder gives the promised integers, for tensors and for images."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from cli_runs import quickstart
from PIL import Image
from served import request_of, served

from fxpasses.export.pt2.save_and_load import load
from fxpasses.export.torch_int8 import to_torch
from fxpasses.models.model_input import Preprocessing


@pytest.mark.slow
def test_the_promised_integers() -> None:
    folder, _ = quickstart()
    stored = np.load(folder / "integers.npz")
    int8 = to_torch(load(folder / "model.int8.pt2"))
    with served(folder, batch_delay_ms=20) as server:
        assert np.array_equal(server.ask(server.infer, request_of(stored["input_0"])).logits, stored["output_0"])
        rows = np.concatenate([stored["input_0"]] * 8)
        with ThreadPoolExecutor(16) as clients:
            answers = list(clients.map(lambda x: server.ask(server.infer, request_of(x[np.newaxis])).logits, rows))
        assert np.array_equal(np.concatenate(answers), np.concatenate([stored["output_0"]] * 8))

        image = server.model.image
        assert image is not None and server.model.labels == tuple("0123456789")
        for seed in range(10):
            pixels = np.random.default_rng(seed).integers(0, 256, image.shape[1:], np.uint8)
            content = io.BytesIO()
            Image.fromarray(pixels).save(content, "PNG")
            found = server.ask("/predict?top=10", content.getvalue()).json["classes"]
            x = Preprocessing(image.mean, image.std)(torch.from_numpy(pixels)[None, None])
            with torch.inference_mode():
                expected = int8(x)[0]
            assert [each["logit"] for each in found] == sorted(expected.tolist(), reverse=True)
