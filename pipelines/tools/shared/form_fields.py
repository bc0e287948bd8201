"""Form fields that several tools declare, so that words and bounds are the same everywhere."""

from __future__ import annotations

from typing import Any, Literal, get_args

from pipelines.core.params import (
    MAX_SIDE,
    Verb,
    choice_field,
    colour_field,
    flag_field,
    mask_field,
    number_field,
    picture_field,
    prompt_field,
)

Light = Literal["exact", "relit"]
FileFormat = Literal["png", "jpeg", "webp", "avif"]
MasterFile = Literal["none", "png", "jpeg", "avif", "tiff", "cmyk"]
DeepMasterFile = Literal["none", "png", "jpeg", "avif", "tiff", "cmyk", "png16", "tiff16"]
MASTER_LABELS = {
    "none": "None", "png": "PNG", "jpeg": "JPEG", "avif": "AVIF", "tiff": "TIFF", "cmyk": "PDF in CMYK",
    "png16": "PNG, 16 bits", "tiff16": "TIFF, 16 bits",
}  # fmt: skip
LORA_VERBS: tuple[Verb, ...] = ("image",)  # served by every checkpoint that takes LoRAs, not by the built-in model
MIN_SIDE_PX = 256
LARGE_SIDE_PX = 3072
"""Longer side where the subject is the photo's own; scenes are drawn at `MAX_SIDE` and enlarged."""
FORMAT_LABELS = {"png": "PNG (keeps every pixel)", "jpeg": "JPEG", "webp": "WebP", "avif": "AVIF"}
ASPECT_RATIOS: dict[str, tuple[int, int]] = {
    "1:1": (1, 1), "4:5": (4, 5), "4:3": (4, 3), "2:3": (2, 3), "3:2": (3, 2), "16:9": (16, 9), "9:16": (9, 16),
}  # fmt: skip
"""Width to height, by the values of `ratio` fields."""
DRAFT_SIDE_PX = 512
CONSENT_HELP = "Needed for every photo of a person; example photos need none."
OPTIONAL_CONSENT_HELP = "Not needed for things. Without it no face is looked for or protected."


def size_field(default: int = 1024, largest: int = MAX_SIDE) -> Any:
    """Longer side in pixels, `int`, at most `largest`; with a default of 0 the look decides."""
    help = "Longer side of the picture." if default else "Longer side of the picture; 0: as in the look."
    least = MIN_SIDE_PX if default else 0
    return number_field(
        "Size", help, default, ge=least, le=largest, step=64 if default else MIN_SIDE_PX, unit="px", advanced=False
    )


def variations_field(
    help: str = "How many pictures: each further one has the next scene or light of the same look.",
) -> Any:
    """`int`, 1 to 4."""
    return number_field("Variations", help, 1, ge=1, le=4, advanced=False)


def scene_words_field(help: str, *, advanced: bool = False) -> Any:
    """The scene in words, `str`."""
    return prompt_field("Background in words", help, advanced=advanced)


def model_words_field() -> Any:
    """The words that a model gets in place of the caption that is written from the form, `str`."""
    return prompt_field(
        "Words the model gets",
        "Written from the form. Click to see and to change them; empty again, they follow the form.",
        max_length=1200,
        advanced=True,
        needs=LORA_VERBS,
    )


def backdrop_field() -> Any:
    """The user's own picture as the scene, `str | None`."""
    return picture_field("My backdrop", "Your own picture as the scene.", advanced=True)


def scene_colour_field() -> Any:
    """`#rrggbb` for papers, walls and podiums, `str | None`."""
    return colour_field("Colour", "Paper, wall or podium in this colour, exactly.", advanced=True)


def blur_field() -> Any:
    """Diameter of the blur disc, `float`, 0 to 15 percent of the height; 0 takes the scene's own."""
    return number_field(
        "Background blur",
        "How large a point of light becomes, in percent of the height; 0: as in the scene.",
        0.0,
        ge=0,
        le=15,
        step=0.1,
        unit="%",
    )


def brand_field() -> Any:
    """The name of a saved brand kit, `str`; its values are written into the form when the job is made."""
    return prompt_field(
        "Brand kit",
        "Your colours, logo, backdrop, light and framing under one name, for what is not chosen here. Make one in "
        "Brand and characters.",
        max_length=60,
        advanced=True,
        saved_kind="brand",
    )


def look_field() -> Any:
    """The name of a look of one's own, `str`; its settings are written into the form when the job is made."""
    return prompt_field(
        "My look",
        "One that you saved of this tool: its settings, where nothing else is chosen.",
        max_length=60,
        advanced=True,
        saved_kind="look",
    )


def subject_light_field() -> Any:
    """`exact` leaves the subject's pixels as they are, `relit` fits them to the scene."""
    return choice_field(
        "Subject",
        "Exact: your pixels unchanged, the background is fitted to you. Relit: you are fitted to the scene.",
        "exact",
        labels={"exact": "Exact", "relit": "Relit"},
        advanced=True,
    )


def matte_field(help: str = "White keeps, black drops: replaces the automatic cut-out.") -> Any:
    """The user's own matte, a file id, `str | None`."""
    return mask_field("Cut-out", help)


def pick_field() -> Any:
    """Which subject or face, `int`, from 0."""
    return number_field("Subject", "0: main subject or largest face; 1, 2, …: the next by size.", 0, ge=0, le=15)


def format_field() -> Any:
    """`png`, `jpeg`, `webp` or `avif`."""
    return choice_field("File", "For print, each is marked with 300 dpi.", "png", labels=FORMAT_LABELS, advanced=True)


def quality_field() -> Any:
    """Quality of the file, `int`, 50 to 100; WebP is lossless at 100."""
    return number_field("Quality", "For JPEG, WebP and AVIF; WebP at 100 keeps every pixel.", 95, ge=50, le=100)


def master_field(*, deep: bool = False) -> Any:
    """The second file, `MasterFile`; with `deep` a `DeepMasterFile`, for tools that have 16 bits to give."""
    labels = MASTER_LABELS if deep else {name: MASTER_LABELS[name] for name in get_args(MasterFile)}
    return choice_field(
        "Master file", "The picture once more, for print and editors.", "none", labels=labels, advanced=True
    )


def master_profile_field() -> Any:
    """The master file's colours, `ColorSpace`."""
    return choice_field(
        "Colours of the master file",
        "sRGB suits every screen; Display P3 keeps stronger colours, where your photo has them.",
        "srgb",
        labels={"srgb": "sRGB", "p3": "Display P3"},
        advanced=True,
    )


def adapter_field() -> Any:
    """The LoRA's name, `str`; it is resolved into `adapters` when the job is made."""
    return prompt_field(
        "Style file (LoRA)",
        "It teaches a model a style: a file in the studio's loras folder, or its name on Hugging Face (owner/name).",
        max_length=200,
        advanced=True,
        needs=LORA_VERBS,
    )


def adapter_weight_field() -> Any:
    """The LoRA's weight, `float`, 0 to 2."""
    return number_field(
        "Strength of the style file", "1 is its usual strength.", 1.0, ge=0, le=2, step=0.05, needs=LORA_VERBS
    )


def layers_field() -> Any:
    """Whether the picture also comes as separate layers, `bool`."""
    return flag_field("Layers", "For image editors, as OpenRaster and PNG: backdrop, shadow, subject and light apart.")


def consent_field(*, is_of_several: bool = False) -> Any:
    """Consent for tools about people, `bool`; the page asks for it with every photo, or with the photos of several."""
    who = "these people's" if is_of_several else "this person's"
    return flag_field(f"I have {who} permission and they are 18 or over", CONSENT_HELP, advanced=False)


def optional_consent_field() -> Any:
    """Consent for other tools, which search faces only with it, `bool`."""
    return flag_field(
        "If a person is in it: I have their permission and they are 18 or over", OPTIONAL_CONSENT_HELP, advanced=False
    )


def parse_rgb(text: str | None) -> tuple[int, int, int] | None:
    """Parse `#rrggbb` to red, green, blue, each 0 to 255."""
    return None if text is None else (int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16))
