"""Embedded text-to-image model: a pixel-space diffusion transformer that draws 3D-icon characters and things.

It denoises 64 x 64 RGBA pixels without a VAE (PRXPixelPipeline), so the estimate of a step is the picture itself. A
small network enlarges that to 256 px, and Real-ESRGAN to more. A background colour that the prompt names is composited
under the figure exactly. Training: assets/models/mini/README.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Colour, Image
from pipelines.core.models import ModelSpec
from pipelines.core.rendering import ModelStep, RenderedImages, RenderRequest
from pipelines.models.bundled_weights import MODELS_FOLDER, are_files_present, verify_files
from pipelines.models.families.mini.postprocess import (
    PATCH_PX,
    SHARP_SIDE_PX,
    SIDE_PX,
    composite_on_colour,
    draw_preview,
    load_sharpener,
    resize_square,
    steepen_alpha,
    unpremultiply,
)
from pipelines.models.families.mini.sampler import FigureSampler
from pipelines.models.nets import REALESR_X4
from pipelines.models.nets.real_esrgan import RealEsrgan

if TYPE_CHECKING:
    import torch

WEIGHTS_FOLDER = "mini"
MIN_WORD_COSINE = 0.64
"""Cosine to the nearest word of the captions below which a word was not learned; "surgeon" has 0.69."""
MIN_SPLIT_WORD_COSINE = 0.99  # the same for a word of several tokens

MINI = ModelSpec(
    id="mini",
    family="mini",
    verbs=("text", "image", "inpaint"),
    licence="Apache-2.0; learned from Microsoft Fluent Emoji (MIT) and all-MiniLM-L6-v2 (Apache-2.0)",
    revision="1",
    files=(
        (
            "mini/transformer/diffusion_pytorch_model.safetensors",
            "7befb6a3c094dcc00f601c0141d1c507832014cd8b60c89ffe382c85f0ef277c",
        ),
        ("mini/text_encoder/model.safetensors", "1b255e4d223bb229e097ceade3c833933ab3f32b9059c7bf1462d507826ea18c"),
        ("mini/sharpener.safetensors", "9ab4247d6d0bf84511923c3cec9ad88bb2a35a5f8b82a6ee77cbf977da7be0d5"),
    ),
    defaults=(("num_inference_steps", 12), ("guidance_scale", 3.0), ("strength", 0.6), ("shift", 1.5)),
    bytes=250 * 2**20,
)

specs = (MINI,)

# Words for the colour of the background, in sRGB.
BACKGROUND_COLOURS: dict[str, Colour] = {
    "white": (255, 255, 255), "black": (24, 24, 27), "grey": (156, 163, 175), "gray": (156, 163, 175),
    "red": (220, 60, 60), "orange": (244, 140, 60), "yellow": (250, 208, 80), "green": (90, 170, 100),
    "teal": (40, 150, 150), "turquoise": (72, 200, 192), "blue": (70, 120, 220), "navy": (34, 52, 96),
    "sky blue": (150, 200, 240), "light blue": (170, 210, 245), "purple": (140, 90, 190), "violet": (150, 110, 210),
    "pink": (244, 160, 190), "brown": (140, 100, 75), "beige": (230, 215, 190), "cream": (250, 242, 222),
    "mint": (180, 230, 205), "lavender": (205, 190, 240), "coral": (245, 130, 110), "gold": (222, 180, 80),
    "dark blue": (30, 50, 110), "dark green": (30, 90, 60), "light green": (170, 225, 160),
    "light grey": (222, 225, 230),
}  # fmt: skip
DEFAULT_BACKGROUND: Colour = (238, 240, 244)
_BACKGROUND_NAMES = "|".join(sorted(BACKGROUND_COLOURS, key=len, reverse=True))
_BACKGROUND_PATTERN = re.compile(
    r"[,;]?\s*(?:(?:and|with|on|before|in front of)\s+)?(?:an?\s+|the\s+)?(?:plain\s+)?"
    rf"({_BACKGROUND_NAMES})\s+(?:background|backdrop|backgrounds|wall)\b"
    rf"|[,;]?\s*on\s+(?:plain\s+)?({_BACKGROUND_NAMES})\s*$",
    re.IGNORECASE,
)


def load(spec: ModelSpec, device: str) -> MiniModel:
    """Load the model on `device`. Raises `ModelUnavailable` for a missing or damaged file."""
    return MiniModel(spec, device)


def estimate_bytes(spec: ModelSpec) -> int:
    """Bytes of memory that the model takes; 0 if its files are missing, since then loading raises."""
    return spec.bytes if are_files_present(spec) else 0


def split_background(prompt: str) -> tuple[str, Colour | None]:
    """Split `prompt` into the words for the figure and the background colour that it names, if any."""
    found = _BACKGROUND_PATTERN.search(prompt)
    if found is None:
        return prompt.strip(), None
    name = (found[1] or found[2]).lower()
    return " ".join((prompt[: found.start()] + prompt[found.end() :]).split()).strip(" ,;"), BACKGROUND_COLOURS[name]


class MiniModel:
    """The loaded model. Several threads may draw at once."""

    def __init__(self, spec: ModelSpec, device: str) -> None:
        verify_files(spec)
        folder = MODELS_FOLDER / WEIGHTS_FOLDER
        self.spec = spec
        self._sampler = FigureSampler(folder, device, dict(spec.defaults))
        self._sharpener = load_sharpener(folder, self._sampler.device)
        self._upscaler = RealEsrgan(REALESR_X4, device)
        self._known_words = self._sampler.embed_words(json.loads((folder / "words.json").read_text("utf-8")))

    def draw(self, render: RenderRequest, on_step: Callable[[ModelStep], None]) -> RenderedImages:
        """Draw one figure per seed in one call, `images` composited on the background colour that the words name.

        `alphas` is the opacity of the figures. `image` starts from `render.images[0]`; `inpaint` keeps what is outside
        `render.mask`. Both read the picture at 64 px, so the result is a figure in the model's style, not the photo.
        Raises `BadInput` for a missing picture or mask.
        """
        if render.verb != "text" and not render.images:
            raise BadInput("This needs a picture to start from.")
        return self.draw_batch([render], lambda steps: on_step(steps[0]))[0]

    def batch_key(self, render: RenderRequest) -> tuple[Hashable, int] | None:
        """See `BatchingModel.batch_key`: requests with a picture are drawn alone."""
        if render.verb != "text":
            return None
        # Guidance doubles the tokens: each picture is denoised with the prompt and without it.
        tokens = 2 * (SIDE_PX // PATCH_PX) ** 2
        return (render.size, len(self._sampler.timesteps(render)), self._sampler.guidance_scale(render)), tokens

    def draw_batch(
        self, renders: Sequence[RenderRequest], on_step: Callable[[Sequence[ModelStep]], None]
    ) -> list[RenderedImages]:
        prompts, colours = zip(*(split_background(render.prompt) for render in renders), strict=True)
        backgrounds = [np.asarray(colour or DEFAULT_BACKGROUND, np.float32) for colour in colours]
        starts = [sum(len(render.seeds) for render in renders[:n]) for n in range(len(renders))]

        def on_estimate(step: int, total: int, estimate: Callable[[], torch.Tensor]) -> None:
            def make_preview(start: int, background: npt.NDArray[np.float32]) -> Callable[[], Image]:
                return lambda: draw_preview(estimate()[start], background)

            on_step([ModelStep(step, total, make_preview(*row)) for row in zip(starts, backgrounds, strict=True)])

        figures = self._sharpen_figures(self._sampler.denoise(renders, prompts, on_estimate))
        return [
            self._compose_images(render, figures[start : start + len(render.seeds)], prompt, background)
            for render, start, prompt, background in zip(renders, starts, prompts, backgrounds, strict=True)
        ]

    def close(self) -> None:
        """Free the weights."""
        del self._sampler, self._sharpener
        self._upscaler.close()

    def _compose_images(
        self, render: RenderRequest, figures: Sequence[Image], prompt: str, background: npt.NDArray[np.float32]
    ) -> RenderedImages:
        """The images of one request, whose figures of 256 px are in `figures`."""
        placed = [self._place_figure(figure, render.size) for figure in figures]
        alphas = tuple(np.asarray(figure[..., 3] / 255, np.float32) for figure in placed)
        images = tuple(composite_on_colour(figure, background) for figure in placed)
        return RenderedImages(images, self._unknown_word_notices(prompt), alphas)

    def _sharpen_figures(self, pixels: torch.Tensor) -> list[Image]:
        """Figures of 256 x 256 x 4 from N x 4 x 64 x 64, premultiplied, -1 to 1."""
        import torch

        with torch.inference_mode():
            large = self._sharpener(pixels).clamp(-1, 1)
        return [unpremultiply(figure) for figure in large.cpu()]

    def _place_figure(self, figure: Image, size: tuple[int, int]) -> Image:
        """Put the figure in the middle of `size`, as large as its shorter side."""
        width, height = size
        side = min(size)
        if side > SHARP_SIDE_PX:
            factor = 4 if side > 2 * SHARP_SIDE_PX else 2
            colour = self._upscaler.enlarge(np.ascontiguousarray(figure[..., :3]), factor, _ignore_progress)
            alpha = steepen_alpha(resize_square(figure[..., 3], side), side / SHARP_SIDE_PX)
            figure = np.dstack([resize_square(colour, side), alpha])
        elif side < SHARP_SIDE_PX:
            figure = resize_square(figure, side)
        canvas = np.zeros((height, width, 4), np.uint8)
        top, left = (height - side) // 2, (width - side) // 2
        canvas[top : top + side, left : left + side] = figure
        return canvas

    def _unknown_word_notices(self, prompt: str) -> tuple[str, ...]:
        """A sentence that names the words of `prompt` that are far from every word of the training captions."""
        words = list(dict.fromkeys(re.findall(r"[a-zäöüß]{3,}", prompt.lower())))
        if not words:
            return ()
        nearest = (self._sampler.embed_words(words) @ self._known_words.T).amax(1).tolist()
        # The mean of several tokens says little of a word's meaning, so such a word must be in the captions itself.
        least = [MIN_WORD_COSINE if self._sampler.is_one_token(word) else MIN_SPLIT_WORD_COSINE for word in words]
        unknown = [word for word, cosine, bound in zip(words, nearest, least, strict=True) if cosine < bound]
        return (f"Not understood: {', '.join(repr(word) for word in unknown)}.",) if unknown else ()


def _ignore_progress(index: int, total: int) -> None:
    """Enlarging takes too short a time to be cancelled."""
