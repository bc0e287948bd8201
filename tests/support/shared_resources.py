"""What the studios of a test run share: each net is opened once and remembers what it saw, and one worker decodes.

The tests build hundreds of studios, and most of them look at the four example photos.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from pipelines.codecs.encode import encode_png
from pipelines.codecs.file_signatures import RejectedImage
from pipelines.compositing import registration
from pipelines.core.geometry import Face, Image, PixelArray
from pipelines.core.lru_cache import LruCache
from pipelines.imaging.wide_gamut import to_sixteen_bits
from pipelines.ingest.decode import decode_image
from pipelines.ingest.decoder_pool import DecoderPool, T, Task
from pipelines.models.nets.face_mesh import FaceMesh
from pipelines.models.nets.open_nsfw import OpenNsfw
from pipelines.models.nets.real_esrgan import NET_FACTOR, RealEsrgan
from pipelines.provenance.c2pa import read_ingredient_archive
from pipelines.storage import file_index
from tests.support.recorded_maps import RecordedMaps

Outputs = list[npt.NDArray[np.float32]]

REMEMBERED_OUTPUT_COUNT = 48  # for each net, at most 4 MB each
REMEMBERED_PNG_COUNT = 16
REMEMBERED_FEATURES_COUNT = 24  # pictures, about 1.5 MB each
MAX_REMEMBERED_PIXEL_BYTES = 2 * 10**6
_open_session = onnxruntime.InferenceSession
_sessions: dict[str | bytes, RememberedSession] = {}
_lock = threading.Lock()


class RememberedSession:
    """An `InferenceSession` that answers an input that it has seen from memory; the nets are deterministic.

    What a net for cutting out says may be recorded, see `recorded_maps`: `asks_anew` asks the net all the same.
    """

    def __init__(self, session: onnxruntime.InferenceSession, recorded: RecordedMaps) -> None:
        self._session: Any = session
        self._recorded = recorded
        self._outputs = LruCache[bytes, Outputs](REMEMBERED_OUTPUT_COUNT)
        self.asks_anew = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, names: Any, inputs: dict[str, npt.NDArray[np.float32]], *options: Any) -> Outputs:
        """Return copies of the outputs for these inputs."""
        if self.asks_anew:
            return self._session.run(names, inputs, *options)
        key = hashlib.blake2b(b"".join(each.tobytes() for each in inputs.values())).digest()

        def ask() -> Outputs:
            recorded = self._recorded.find_map(inputs.values())
            if recorded is not None:
                return [recorded]
            found = self._session.run(names, inputs, *options)
            self._recorded.record(inputs.values(), found[0])
            return found

        return [output.copy() for output in self._outputs.get_or_create(key, ask)]


def open_remembered_session(model: str | bytes, *arguments: Any, **options: Any) -> RememberedSession:
    """Open the net of a file, or return the session that is open."""
    with _lock:
        if model not in _sessions:
            _sessions[model] = RememberedSession(_open_session(model, *arguments, **options), RecordedMaps(model))
        return _sessions[model]


def remember_nets() -> None:
    """From now on in this process."""
    onnxruntime.InferenceSession = open_remembered_session  # pyrefly: ignore[bad-assignment]
    RealEsrgan._run_net = _remember_tiles(RealEsrgan._run_net)
    FaceMesh.find_faces = _remember_faces(FaceMesh.find_faces)
    registration._remembered_features = LruCache(REMEMBERED_FEATURES_COUNT)


def _remember_faces(find: Callable[..., tuple[Face, ...]]) -> Callable[..., tuple[Face, ...]]:
    faces = LruCache[Any, tuple[Face, ...]](REMEMBERED_OUTPUT_COUNT)

    def find_or_remember(net: FaceMesh, image: Image) -> tuple[Face, ...]:
        return faces.get_or_create(_digest_image(image), lambda: find(net, image))

    return find_or_remember


def _digest_image(image: Image) -> tuple[tuple[int, ...], bytes]:
    return image.shape, hashlib.blake2b(np.ascontiguousarray(image).tobytes()).digest()


def remember_pngs() -> None:
    """From now on in this process: hundreds of studios store the same example photos."""
    pngs = LruCache[Any, bytes](REMEMBERED_PNG_COUNT)

    def encode_or_remember(image: Image) -> bytes:
        if image.size > MAX_REMEMBERED_PIXEL_BYTES:
            return encode_png(image)
        return pngs.get_or_create(_digest_image(image), lambda: encode_png(image))

    file_index.encode_png = encode_or_remember  # pyrefly: ignore[bad-assignment]


def _remember_tiles(run: Callable[..., PixelArray]) -> Callable[..., PixelArray]:
    tiles = LruCache[Any, PixelArray](REMEMBERED_OUTPUT_COUNT)

    def run_or_remember(net: RealEsrgan, tile: Image, deep: bool = False) -> PixelArray:
        if not _upscaling_net["is_used"]:
            return np.repeat(np.repeat(to_sixteen_bits(tile) if deep else tile, NET_FACTOR, axis=0), NET_FACTOR, axis=1)
        key = (net.spec.id, net._device, deep, _digest_image(tile))
        return tiles.get_or_create(key, lambda: run(net, tile, deep)).copy()

    return run_or_remember


_upscaling_net = {"is_used": True}


def use_upscaling_net(is_used: bool) -> None:
    """From now on in this process: let Real-ESRGAN draw the pixels of an enlarged picture, or repeat those it has."""
    _upscaling_net["is_used"] = is_used


_score_images = OpenNsfw.score_images


def use_content_filter(is_used: bool) -> None:
    """From now on in this process: let the content filter's net look at pictures, or let every picture pass it."""
    OpenNsfw.score_images = _score_images if is_used else _pass_images


def _pass_images(self: OpenNsfw, images: Sequence[Image]) -> tuple[float, ...]:
    return (0.0,) * len(images)


class _SharedDecoderPool(DecoderPool):
    """Reads a file once: most uploads of the tests are the four example photos."""

    def __init__(self) -> None:
        super().__init__(workers=1)
        self._outcomes = LruCache[Any, tuple[Any]](REMEMBERED_OUTPUT_COUNT)

    def _try_task(self, task: Task[T], args: tuple[object, ...]) -> T | BaseException:
        if task not in (decode_image, read_ingredient_archive):
            return super()._try_task(task, args)
        known = self._outcomes.get((task, args))  # in a tuple, because None is an answer too
        if known is not None:
            return known[0]
        outcome = super()._try_task(task, args)
        if isinstance(outcome, RejectedImage) or not isinstance(outcome, BaseException):
            self._outcomes.put((task, args), (outcome,))
        return outcome

    def close(self) -> None:
        """Leave the worker to the next studio."""

    def stop(self) -> None:
        """Stop the worker."""
        super().close()


_shared: list[_SharedDecoderPool] = []


@contextmanager
def share_decoder_pool() -> Iterator[None]:
    """Let the studios of this process share one pool until the end of the block."""
    _shared.append(_SharedDecoderPool())
    try:
        yield
    finally:
        _shared.pop().stop()


def take_decoder_pool() -> DecoderPool:
    """Return the shared pool; a new one in a process of its own, which ends when its studio is closed."""
    return _shared[-1] if _shared else DecoderPool(workers=1)
