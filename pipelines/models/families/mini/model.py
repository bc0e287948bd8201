"""The studio's own small text-to-image model: 3D-icon characters and things on nothing; knows no tool.

It denoises 64 x 64 RGBA pixels (PRXPixelPipeline, no VAE), so the estimate of a step is the picture itself. A small net
trained on the same renders makes that 256 px, and Real-ESRGAN larger. Where words name a background colour it is laid
under the figure, exactly; the figure's opacity rides along. How it was trained: assets/models/mini/README.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Colour, Image
from pipelines.core.models import ModelSpec
from pipelines.core.rendering import Images, ModelStep, Render
from pipelines.models.bundled_weights import MODELS, present, verified
from pipelines.models.nets import REALESR_X4
from pipelines.models.nets.real_esrgan import Upscaler

if TYPE_CHECKING:
    import torch

SIDE, SHARP, PATCH = 64, 256, 8
STEP = 0.35
LEAST_STRENGTH = 0.05
FOLDER = "mini"
FAR = 0.64  # cosine to the nearest word of the captions below which a word was not learned ("surgeon" has 0.69)
SAME = 0.99

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

# Words for what lies behind the figure; sRGB.
COLOURS: dict[str, Colour] = {
    "white": (255, 255, 255), "black": (24, 24, 27), "grey": (156, 163, 175), "gray": (156, 163, 175),
    "red": (220, 60, 60), "orange": (244, 140, 60), "yellow": (250, 208, 80), "green": (90, 170, 100),
    "teal": (40, 150, 150), "turquoise": (72, 200, 192), "blue": (70, 120, 220), "navy": (34, 52, 96),
    "sky blue": (150, 200, 240), "light blue": (170, 210, 245), "purple": (140, 90, 190), "violet": (150, 110, 210),
    "pink": (244, 160, 190), "brown": (140, 100, 75), "beige": (230, 215, 190), "cream": (250, 242, 222),
    "mint": (180, 230, 205), "lavender": (205, 190, 240), "coral": (245, 130, 110), "gold": (222, 180, 80),
    "dark blue": (30, 50, 110), "dark green": (30, 90, 60), "light green": (170, 225, 160),
    "light grey": (222, 225, 230),
}  # fmt: skip
PLAIN: Colour = (238, 240, 244)
_BEHIND = re.compile(
    r"[,;]?\s*(?:(?:and|with|on|before|in front of)\s+)?(?:an?\s+|the\s+)?(?:plain\s+)?("
    + "|".join(sorted(COLOURS, key=len, reverse=True))
    + r")\s+(?:background|backdrop|backgrounds|wall)\b|[,;]?\s*on\s+(?:plain\s+)?("
    + "|".join(sorted(COLOURS, key=len, reverse=True))
    + r")\s*$",
    re.IGNORECASE,
)


def load(spec: ModelSpec, device: str) -> Mini:
    """The model on `device`, its files proven. Raises `ModelUnavailable`."""
    return Mini(spec, device)


def size_of(spec: ModelSpec) -> int:
    """Bytes of memory, measured; 0 where its files are missing, for then loading says so."""
    return spec.bytes if present(spec) else 0


def split(prompt: str) -> tuple[str, Colour | None]:
    """The words for the figure, and the background's colour where they name one."""
    found = _BEHIND.search(prompt)
    if found is None:
        return prompt.strip(), None
    name = (found[1] or found[2]).lower()
    return " ".join((prompt[: found.start()] + prompt[found.end() :]).split()).strip(" ,;"), COLOURS[name]


class Mini:
    """The loaded model; several threads may draw at once, each with a pipeline and scheduler of its own."""

    def __init__(self, spec: ModelSpec, device: str) -> None:
        import torch

        verified(spec)
        folder = MODELS / FOLDER
        self.spec = spec
        self._defaults = dict(spec.defaults)
        self._device = torch.device(device)
        self._pipe = _pipeline(folder, self._device)
        self._sharpener = _sharpener(folder, self._device)
        self._larger = Upscaler(REALESR_X4, device)
        known = json.loads((folder / "words.json").read_text())
        self._known = self._vectors(known)

    def draw(self, render: Render, on_step: Callable[[ModelStep], None]) -> Images:
        """One figure per seed, all in one call. `alphas` is its opacity; `images` lie on the colour the words name.

        `image` starts from `render.images[0]`, `inpaint` keeps what is outside `render.mask`. Both read the picture at
        64 px: what comes back is a figure in the model's manner, not the photo.
        """
        if render.verb != "text" and not render.images:
            raise BadInput("This needs a picture to start from.")
        return self._draw([render], lambda steps: on_step(steps[0]))[0]

    def alike(self, render: Render) -> tuple[Hashable, int] | None:
        """As `Joining.alike`: words alone."""
        if render.verb != "text":
            return None
        # 8 x 8 pixels are a token; the call is of two halves, with the words and without.
        return (render.size, len(self._times(render)), self._guidance(render)), 2 * (SIDE // 8) ** 2

    def draw_all(self, renders: Sequence[Render], on_step: Callable[[Sequence[ModelStep]], None]) -> list[Images]:
        """As `Joining.draw_all`."""
        return self._draw(renders, on_step)

    def close(self) -> None:
        """Lets go of the weights."""
        del self._pipe, self._sharpener
        self._larger.close()

    # ------------------------------------------------------------ private

    def _draw(self, renders: Sequence[Render], on_step: Callable[[Sequence[ModelStep]], None]) -> list[Images]:
        """Several orders are `alike`."""
        asked = [split(render.prompt) for render in renders]
        grounds = [np.asarray(colour or PLAIN, np.float32) for _, colour in asked]
        pixels = self._sharp(self._denoise(renders, [prompt for prompt, _ in asked], grounds, on_step))
        made = []
        for render, (prompt, _), ground in zip(renders, asked, grounds, strict=True):
            figures = [self._figure(pixels.pop(0), render.size) for _ in render.seeds]
            alphas = tuple(np.asarray(figure[..., 3] / 255, np.float32) for figure in figures)
            made.append(Images(tuple(_laid(figure, ground) for figure in figures), self._unread(prompt), alphas))
        return made

    def _denoise(
        self,
        renders: Sequence[Render],
        prompts: Sequence[str],
        grounds: Sequence[Any],
        on_step: Callable[[Sequence[ModelStep]], None],
    ) -> torch.Tensor:
        """Pixels of the figures, N x 4 x 64 x 64, premultiplied, -1 to 1."""
        import torch

        first, counts = renders[0], [len(render.seeds) for render in renders]
        # Noise from the CPU's generator is the same on every device, and each picture has its own.
        seeds = [seed for render in renders for seed in render.seeds]
        noise = torch.cat([torch.randn(1, 4, SIDE, SIDE, generator=_dice(seed)) for seed in seeds])
        times = self._times(first)
        begin, loop = noise, _Loop(self._pipe.scheduler, times)
        if first.verb != "text":
            source = _small(first.images[0])[None]
            begin = (1 - times[0]) * source + times[0] * noise
            if first.verb == "inpaint":
                loop.keep(source, noise, _small_mask(first))
        words = self._read([*prompts, *(render.negative_prompt for render in renders)])
        read, none = (_spread(half, counts) for half in (words[: len(renders)], words[len(renders) :]))
        total, firsts = len(times), [sum(counts[:n]) for n in range(len(counts))]

        def told(pipe: Any, index: int, t: Any, kept: dict[str, Any]) -> dict[str, Any]:
            clean = loop.clean
            mended = partial(loop.mended, clean)
            shown = [partial(_shown, mended, n, ground) for n, ground in zip(firsts, grounds, strict=True)]
            on_step([ModelStep(index + 1, total, each) for each in shown])
            return kept

        from diffusers import PRXPixelPipeline  # pyright: ignore[reportPrivateImportUsage]

        # diffusers annotates its tensors more narrowly than it takes them.
        view: Any = PRXPixelPipeline(**{**self._pipe.components, "scheduler": loop.scheduler}, default_sample_size=SIDE,
                                prompt_max_tokens=self._pipe.config.prompt_max_tokens, noise_scale=1.0)  # fmt: skip
        view.set_progress_bar_config(disable=True)
        made = view(
            prompt_embeds=read[0], prompt_attention_mask=read[1],
            negative_prompt_embeds=none[0], negative_prompt_attention_mask=none[1],
            latents=begin, num_inference_steps=total, guidance_scale=max(1.0, self._guidance(first)), height=SIDE,
            width=SIDE, use_resolution_binning=False, output_type="pt", callback_on_step_end=told,
        ).images.clamp(-1, 1)  # fmt: skip
        return loop.mended(made)

    def _guidance(self, render: Render) -> float:
        return render.guidance_scale or self._defaults["guidance_scale"]

    def _times(self, render: Render) -> list[float]:
        """From 1, or from the strength, down to but not including 0; closer together where the figure forms."""
        steps = render.num_inference_steps or int(self._defaults["num_inference_steps"])
        shift = self._defaults["shift"]
        even = np.linspace(1, 0, steps + 1)[:-1]
        times = shift * even / (1 + (shift - 1) * even)
        if render.verb == "text":
            return times.tolist()
        strength = self._defaults["strength"] if render.strength is None else render.strength
        return (times * max(strength, LEAST_STRENGTH)).tolist()

    def _read(self, texts: list[str]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Each text's embedding (1 x T x D) and mask (1 x T)."""
        import torch

        length = self._pipe.config.prompt_max_tokens
        tokens = self._pipe.tokenizer(
            texts, padding="max_length", truncation=True, max_length=length, return_tensors="pt"
        ).to(self._device)
        with torch.inference_mode():
            states = self._pipe.text_encoder(
                input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
            ).last_hidden_state
        seen = tokens["attention_mask"].bool()
        return [(states[n : n + 1].clone(), seen[n : n + 1].clone()) for n in range(len(texts))]

    def _sharp(self, pixels: torch.Tensor) -> list[Image]:
        """RGBA figures of 256 px."""
        import torch

        with torch.inference_mode():
            large = self._sharpener(pixels).clamp(-1, 1)
        return [_straight(one) for one in large.cpu()]

    def _figure(self, figure: Image, size: tuple[int, int]) -> Image:
        """The figure in the middle of `size`, as large as its shorter side."""
        width, height = size
        side = min(size)
        if side > SHARP:
            colour = self._larger.enlarge(np.ascontiguousarray(figure[..., :3]), 4 if side > 2 * SHARP else 2, _idle)
            figure = np.dstack([_sized(colour, side), _crisp(_sized(figure[..., 3], side), side / SHARP)])
        elif side < SHARP:
            figure = _sized(figure, side)
        whole = np.zeros((height, width, 4), np.uint8)
        top, left = (height - side) // 2, (width - side) // 2
        whole[top : top + side, left : left + side] = figure
        return whole

    def _vectors(self, words: list[str]) -> torch.Tensor:
        """Unit vectors of words, len x D: the mean of their pieces."""
        import torch

        table = self._pipe.text_encoder.get_input_embeddings().weight.detach().float()
        ids = [self._pipe.tokenizer(word, add_special_tokens=False)["input_ids"] for word in words]
        return torch.nn.functional.normalize(torch.stack([table[row].mean(0) for row in ids]), dim=1)

    def _unread(self, prompt: str) -> tuple[str, ...]:
        """A sentence that names the words nothing in the captions is near to."""
        words = list(dict.fromkeys(re.findall(r"[a-zäöüß]{3,}", prompt.lower())))
        if not words:
            return ()
        near = (self._vectors(words) @ self._known.T).amax(1).tolist()
        # A word of several pieces means what it means only where it was in a caption itself.
        least = [FAR if len(self._pipe.tokenizer.tokenize(word)) == 1 else SAME for word in words]
        lost = [word for word, cosine, enough in zip(words, near, least, strict=True) if cosine < enough]
        return (f"Not understood: {', '.join(repr(word) for word in lost)}.",) if lost else ()


class _Loop:
    """A scheduler of one drawing: remembers the clean estimate, and holds what is to stay."""

    def __init__(self, scheduler: Any, times: list[float]) -> None:
        self.scheduler = type(scheduler).from_config(scheduler.config)
        self.clean: Any = None
        self._held: Any = None
        self._after = dict(zip((round(1000 * t, 3) for t in times), [*times[1:], 0.0], strict=True))
        step, set_times = self.scheduler.step, self.scheduler.set_timesteps
        # The pipeline would pass times without sigmas, of which the scheduler warns at every drawing.
        self.scheduler.set_timesteps = lambda *_, device=None: set_times(sigmas=times, device=device)

        def stepped(velocity: Any, timestep: Any, sample: Any) -> Any:
            out = step(velocity, timestep, sample)
            self.clean = sample - float(timestep) / 1000 * velocity
            if self._held is not None:
                source, noise, free = self._held
                t = self._after[round(float(timestep), 3)]
                out.prev_sample = free * out.prev_sample + (1 - free) * ((1 - t) * source + t * noise)
                self.clean = free * self.clean + (1 - free) * source
            return out

        self.scheduler.step = stepped

    def keep(self, source: torch.Tensor, noise: torch.Tensor, free: torch.Tensor) -> None:
        """Where `free` is 0 every step gets the source back, as noised as that step is (RePaint, arXiv:2201.09865)."""
        self._held = source, noise, free

    def mended(self, pixels: torch.Tensor) -> torch.Tensor:
        """`unseamed`, but for what was to stay as it was."""
        smooth = unseamed(pixels)
        if self._held is None:
            return smooth
        free = self._held[2]
        return free * smooth + (1 - free) * pixels


def _pipeline(folder: Any, device: Any) -> Any:
    import torch
    from diffusers import PRXPixelPipeline  # pyright: ignore[reportPrivateImportUsage]

    pipe = PRXPixelPipeline.from_pretrained(folder, dtype=torch.float32)
    # With guidance the pipeline hands over two times whatever the batch, which fits one picture alone.
    pipe.transformer.register_forward_pre_hook(_one_time, with_kwargs=True)
    return pipe.to(device)


def _one_time(net: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Every picture of a batch is at the same time: one is enough, and it is spread over all."""
    return args, {**kwargs, "timestep": kwargs["timestep"][:1]}


def _sharpener(folder: Any, device: Any) -> torch.nn.Module:
    """SRVGGNetCompact over a bilinear enlargement; as assets/models/mini/sharpen.py trains it."""
    from safetensors.torch import load_file
    from torch import nn

    weights = {name: tensor.float() for name, tensor in load_file(folder / "sharpener.safetensors").items()}
    layers: list[nn.Module] = []
    for n in range(sum(name.endswith(".weight") for name in weights)):
        weight = weights[f"{n}.weight"]
        layers.append(
            nn.PReLU(len(weight)) if weight.ndim == 1 else nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
        )
    body = nn.Sequential(*layers)
    body.load_state_dict(weights)
    return _Enlarger(body).to(device).eval()


def _Enlarger(body: Any) -> Any:  # noqa: N802 - a class that needs torch to be made
    from torch import nn
    from torch.nn.functional import interpolate, pixel_shuffle

    class Enlarger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = body

        def forward(self, small: torch.Tensor) -> torch.Tensor:
            scale = SHARP // SIDE
            plain = interpolate(small, scale_factor=scale, mode="bilinear", align_corners=False)
            return pixel_shuffle(self.body(small), scale) + plain

    return Enlarger()


def _spread(read: Sequence[tuple[torch.Tensor, torch.Tensor]], counts: Sequence[int]) -> tuple[Any, Any]:
    """Embeddings and masks of texts, each as often as it has pictures."""
    import torch

    embeds = [states.expand(n, -1, -1) for (states, _), n in zip(read, counts, strict=True)]
    masks = [seen.expand(n, -1) for (_, seen), n in zip(read, counts, strict=True)]
    return torch.cat(embeds), torch.cat(masks)


def _dice(seed: int) -> Any:
    import torch

    return torch.Generator().manual_seed(seed)


def _idle(index: int, total: int) -> None:
    """The enlarging is over before anybody could stop it."""


def _straight(pixels: torch.Tensor) -> Image:
    """RGBA of premultiplied pixels; the colour beside the figure is its nearest, so that no edge bleeds grey."""
    rows = pixels.permute(1, 2, 0).numpy()
    alpha = np.clip((rows[..., 3] + 1) / 2, 0, 1)
    # A floor without anything drawn would show as a veil on a strong background.
    alpha = np.clip((alpha - 0.04) / 0.92, 0, 1)
    colour = np.clip(rows[..., :3] / np.maximum(alpha, 0.08)[..., None], -1, 1)
    rgb = ((colour + 1) * 127.5 + 0.5).astype(np.uint8)
    empty = (alpha < 0.3).astype(np.uint8)
    rgb = np.where(empty[..., None] > 0, cv2.inpaint(rgb, _rim(empty), 3, cv2.INPAINT_TELEA), rgb)
    return np.dstack([rgb, (alpha * 255 + 0.5).astype(np.uint8)])


def _rim(empty: Any) -> Any:
    """The empty pixels beside the figure."""
    return empty * cv2.dilate(1 - empty, np.ones((9, 9), np.uint8))


def _crisp(alpha: Any, factor: float) -> Any:
    """An enlarged edge made as steep as it was."""
    return np.clip((alpha.astype(np.float32) - 127.5) * factor**0.7 + 127.5, 0, 255).astype(np.uint8)


def _sized(picture: Any, side: int) -> Any:
    smaller = side < picture.shape[0]
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)


def _laid(figure: Image, ground: Any) -> Image:
    share = figure[..., 3:] / np.float32(255)
    return (figure[..., :3] * share + ground * (1 - share) + 0.5).astype(np.uint8)


def _preview(clean: torch.Tensor, ground: Any) -> Image:
    laid = _laid(_straight(clean.clamp(-1, 1).cpu()), ground)
    return np.asarray(cv2.resize(laid, (256, 256), interpolation=cv2.INTER_CUBIC), np.uint8)


def unseamed(pixels: torch.Tensor) -> torch.Tensor:
    """Pixels, N x C x 64 x 64, -1 to 1, without the small steps between the patches that the denoiser works in.

    What the colour jumps by at a border, beyond what it changes by beside it, is spread over the half patches on both
    sides. A jump of twice `STEP` or more is an edge of the picture and stays.
    """
    for axis in (3, 2):
        rows = pixels.transpose(axis, 3).clone()
        told = rows.clone()
        for border in range(PATCH, SIDE, PATCH):
            far, near, here, there = (told[..., border + n] for n in (-2, -1, 0, 1))
            jump = (here - near) - (near - far + there - here) / 2
            jump = jump.sign() * jump.abs().minimum((2 * STEP - jump.abs()).clamp(min=0))
            for n in range(PATCH // 2):
                share = jump * (0.5 - n / PATCH)
                rows[..., border - 1 - n] += share
                rows[..., border + n] -= share
        pixels = rows.transpose(axis, 3)
    return pixels


def _shown(estimate: Callable[[], torch.Tensor], n: int, ground: Any) -> Image:
    return _preview(estimate()[n], ground)


def _small(picture: Image) -> torch.Tensor:
    """4 x 64 x 64, premultiplied: a square cut of the picture's middle, opaque where it has no transparency."""
    import torch

    rows, columns = picture.shape[:2]
    side = min(rows, columns)
    top, left = (rows - side) // 2, (columns - side) // 2
    small = cv2.resize(picture[top : top + side, left : left + side], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    full = small.astype(np.float32) / 127.5 - 1
    alpha = full[..., 3:] if full.shape[2] == 4 else np.ones((SIDE, SIDE, 1), np.float32)
    pixels = np.dstack([full[..., :3] * (alpha + 1) / 2, alpha])
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def _small_mask(render: Render) -> torch.Tensor:
    import torch

    if render.mask is None:
        raise BadInput("This needs a mask: paint over what is to be drawn anew.", param="mask")
    mask = cv2.resize(render.mask, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(np.asarray(mask, np.float32))[None, None]
