"""Portraits for a team, and how a colleague's browser sends one."""

from __future__ import annotations

from functools import cache

import httpx
import numpy as np

from pipelines.codecs.encode import encode_image
from tests.support.examples import change_exposure, load_example


@cache
def make_portrait(number: int = 0) -> bytes:
    """A photograph of a person of 256 x 256 pixels; each number is another file."""
    photo = load_example("astronaut")[20:276, 90:346]
    return encode_image(change_exposure(photo, 1 - 0.02 * number), "png", b"")


@cache
def make_group() -> bytes:
    """The same person twice, side by side."""
    photo = load_example("astronaut")[20:276, 90:346]
    return encode_image(np.hstack([photo, photo[:, ::-1]]), "png", b"")


@cache
def make_cat() -> bytes:
    """A photograph without a person."""
    return encode_image(load_example("chelsea")[:200, :200], "png", b"")


def send_portrait(
    link: str, name: str = "Ada King", photo: bytes | None = None, *, language: str = "en", **fields: str
) -> httpx.Response:
    """Send the page's form as a browser does, and follow to the page that it leads to; no photo for empty bytes."""
    form = {"name": name, "role": "Engineer", "consent": "yes", **fields}
    data = make_portrait() if photo is None else photo
    files = {"photo": ("me.png", data)} if data else {"photo": ("", b"")}
    headers = {"Accept-Language": language}
    return httpx.post(link, data=form, files=files, headers=headers, follow_redirects=True, timeout=30)
