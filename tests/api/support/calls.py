"""A tool that is quick, what is sent to it, and how its refusal is read."""

from __future__ import annotations

import base64

import cv2
import httpx
import numpy as np

from pipelines.core.errors import STATUS_BY_CODE

RUN = "/v1/tools/background"
FOREVER = {"num_inference_steps": 1000}


def make_noise_png(seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (48, 64, 3), np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


def make_data_url(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def read_failure(answer: httpx.Response) -> tuple[int, str, str | None]:
    """Status, code and param, once the envelope is found sound."""
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code", "request_id"}
    assert error["request_id"] == answer.headers["x-request-id"]
    assert error["message"]
    assert answer.status_code == (422 if answer.status_code == 422 else STATUS_BY_CODE[error["code"]])
    return answer.status_code, error["code"], error["param"]
