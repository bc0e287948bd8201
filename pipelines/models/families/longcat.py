"""LongCat-Image-Edit-Turbo: its model specs, and how its diffusers pipeline differs from those of other families.

The pipeline scales the picture to a megapixel and to multiples of 16, which distorts it, so the picture is padded to
such a size first. It takes no embeddings in place of words, which are therefore read for every picture. It calls
nothing after a step. Where the words are more than 512 tokens it ends with an error. It reads one picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.core.models import GB, ModelSpec
from pipelines.core.params import Verb
from pipelines.core.rendering import RenderRequest
from pipelines.models.diffusion.lighter_rows import make_lighter_rows
from pipelines.models.diffusion.loader import CheckpointFamily
from pipelines.models.diffusion.pipeline import DiffusionModel, prompt_text, to_pillow, unpack_tokens
from pipelines.models.diffusion.resolution import Canvas, plan_fixed_area_canvas
from pipelines.models.pinned_revisions import PINS

VERBS: tuple[Verb, ...] = ("edit",)
_DRAWING_BYTES = 2 * (6_270_668_864 + 83_819_683)  # transformer and VAE
_TEXT_ENCODER_BYTES = 2 * 8_292_166_656  # Qwen2.5-VL 7B with its vision encoder, as Qwen-Image-Edit's
_TEXT_ENCODER_INT8_BYTES = 7_199_817_728 + 5 * 1_822_976 + 2 * 1_092_348_928
_DRAWN_PX = 1024 * 1024  # as the pipeline has it

LONGCAT = ModelSpec(
    id="longcat-image-edit-turbo",
    family="longcat",
    verbs=VERBS,
    licence="Apache-2.0",
    repo="meituan-longcat/LongCat-Image-Edit-Turbo",
    revision=PINS["meituan-longcat/LongCat-Image-Edit-Turbo"],
    defaults=(("num_inference_steps", 8), ("guidance_scale", 1.0), ("side", 1024)),
    options=(("lighter", "longcat-image-edit-turbo-int8"),),
    reads_one_picture=True,
    dtype="auto-bfloat16",
    bytes=_DRAWING_BYTES + _TEXT_ENCODER_BYTES,
    min_vram=34 * GB,
)
LONGCAT_LIGHTER = make_lighter_rows(
    LONGCAT, _TEXT_ENCODER_BYTES, {"int8": 27 * GB, "streamed": 18 * GB}, int8_bytes=_TEXT_ENCODER_INT8_BYTES
)


class LongCatModel(DiffusionModel):
    """LongCat-Image-Edit. `images[0]` is edited."""

    pipeline_classes = ("LongCatImageEditPipeline",)
    size_multiple = 16
    takes_lora = False

    def canvas_for(self, render: RenderRequest) -> Canvas:
        """See `DiffusionModel.canvas_for`. It is a size that the pipeline leaves as it is."""
        from diffusers.pipelines.longcat_image import pipeline_longcat_image_edit as longcat

        return plan_fixed_area_canvas(render.size, lambda ratio: longcat.calculate_dimensions(_DRAWN_PX, ratio))

    def pipeline_inputs(self, render: RenderRequest, canvas: Canvas) -> dict[str, Any]:
        return {"image": to_pillow(canvas.pad_onto(render.images[0]))}

    def preview_latents(self, clean: Any, canvas: Canvas) -> Any:
        return unpack_tokens(clean[0], canvas)

    def model_notices(self, render: RenderRequest) -> tuple[str, ...]:
        notices = ("This model reads one picture: the other ones had no effect.",) if len(render.images) > 1 else ()
        if self._fit_words(prompt_text(render)) != prompt_text(render):
            notices += ("Too many words: the model reads the first 512 word parts and no further.",)
        return notices

    def _embed_prompt(self, view: Any, render: RenderRequest, canvas: Canvas) -> Mapping[str, Any]:
        words = {"prompt": self._fit_words(prompt_text(render))}
        return words | {"negative_prompt": self._fit_words(render.negative_prompt)} if self.is_guided(render) else words

    def _fit_words(self, text: str) -> str:
        """Drop words at the end until the pipeline's tokenizer makes no more tokens of them than the model reads."""
        from diffusers.pipelines.longcat_image.pipeline_longcat_image_edit import split_quotation

        def count_tokens(words: str) -> int:
            pieces = [piece for part, is_quoted in split_quotation(words) for piece in (part if is_quoted else (part,))]
            return sum(len(self.pipe.tokenizer(piece, add_special_tokens=False)["input_ids"]) for piece in pieces)

        while count_tokens(text) > self.pipe.tokenizer_max_length:
            words = text.split()
            text = " ".join(words[:-1]) if len(words) > 1 else text[: len(text) // 2]
        return text


LONGCAT_FAMILY = CheckpointFamily(LongCatModel, (LONGCAT, *LONGCAT_LIGHTER))
