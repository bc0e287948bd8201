"""Form fields that several tools declare, so that words and bounds are the same everywhere; draws nothing."""

from __future__ import annotations

from typing import Any, Literal

from pipelines.core.params import MAX_SIDE, Verb, choice, colour, flag, number, picture, prompt

Light = Literal["exact", "relit"]
FileFormat = Literal["png", "jpeg", "webp"]
WEARS: tuple[Verb, ...] = ("image",)  # every checkpoint that takes LoRAs serves it, and the model that ships does not
SMALLEST = 256  # pixels; below, nothing here is worth a file
FORMATS = {"png": "PNG (lossless)", "jpeg": "JPEG", "webp": "WebP"}


def size(default: int = 1024) -> Any:
    """Longer side in pixels, `int`; a default of 0 lets the look decide."""
    help = "Longer side of the picture." if default else "Longer side of the picture; 0: as the look asks."
    least = SMALLEST if default else 0
    return number("Size", help, default, ge=least, le=MAX_SIDE, step=64 if default else SMALLEST, unit="px", more=False)


def variations() -> Any:
    """`int`, 1 to 4."""
    return number("Variations", "The next scenes or lights of the same look.", 1, ge=1, le=4, more=False)


def words(help: str, *, more: bool = False) -> Any:
    """Free words for the scene, `str`."""
    return prompt("Background in words", help, more=more)


def my_backdrop() -> Any:
    """A picture to use as the scene, `str | None`."""
    return picture("My backdrop", "Your own picture as the scene.", more=True)


def scene_colour() -> Any:
    """`#rrggbb` for papers, walls and podiums, `str | None`."""
    return colour("Colour", "Paper, wall or podium in this colour, exactly.", more=True)


def blur() -> Any:
    """`float`, 0 to 15 percent of the height; 0 takes the scene's own."""
    return number(
        "Background blur",
        "Disc of light in percent of the height; 0: the scene's own.",
        0.0,
        ge=0,
        le=15,
        step=0.1,
        unit="%",
    )


def brand() -> Any:
    """The name of a kit that the owner keeps, `str`; the desk writes its values into the form."""
    return prompt(
        "Brand kit", "One that you keep: its colours, logo, backdrop, light and framing, where nothing else is chosen.",
        max_length=60, more=True, kept="brand",
    )  # fmt: skip


def light() -> Any:
    """`exact` or `relit`."""
    return choice(
        "Subject", "Exact: your pixels unchanged, the background is fitted to you. Relit: you are fitted to the scene.",
        "exact", labels={"exact": "Exact", "relit": "Relit"}, more=True,
    )  # fmt: skip


def file_format() -> Any:
    """png, jpeg or webp."""
    return choice("File", "PNG keeps every pixel.", "png", labels=FORMATS, more=True)


def quality() -> Any:
    """`int`, 50 to 100; WebP is lossless at 100."""
    return number("Quality", "For JPEG and WebP; WebP at 100 is lossless.", 95, ge=50, le=100)


def adapter() -> Any:
    """`str`, which the desk resolves into the job's `adapters`."""
    return prompt(
        "LoRA", "A file in the studio's loras folder, or a hub id (owner/name). Only where a model draws.",
        max_length=200, more=True, needs=WEARS,
    )  # fmt: skip


def adapter_weight() -> Any:
    """`float`, 0 to 2."""
    return number("LoRA weight", "1 is as it was trained.", 1.0, ge=0, le=2, step=0.05, needs=WEARS)


def layers() -> Any:
    """`bool`: whether the picture also comes taken apart, see `parts.exports.layered`."""
    return flag("Layers", "Also as OpenRaster and PNG layers: backdrop, shadow, subject, light.")


def consent() -> Any:
    """`bool`; asked once per visit on the page."""
    return flag("I have this person's permission and they are 18 or over", "Needed for photos of people.", more=False)


def consent_if() -> Any:
    """`bool`; for tools that are not about people and look for faces only with it."""
    return flag(
        "If a person is in it: I have their permission and they are 18 or over",
        "Only then are faces looked for, to protect them.", more=False,
    )  # fmt: skip


def rgb(text: str | None) -> tuple[int, int, int] | None:
    """`#rrggbb` to a colour."""
    return None if text is None else (int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16))
