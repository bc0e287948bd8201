"""Outfits of the roles as SVG: hats, collars, tools, drawn for this project.

Coordinates: the origin of the head is the middle of the hat band, whose width is 100 units. The origin of the eyes is
between them, and they are 50 units apart. The origin of the torso is the pit of the neck, and the shoulders are 100
units wide. `{{a}}` and `{{b}}` are the role's colours, `{{w}}` is the line width.
"""

from __future__ import annotations

from dataclasses import dataclass

_OUTLINE = 'stroke="#000" stroke-width="{{w}}" stroke-linejoin="round" stroke-linecap="round"'


@dataclass(frozen=True)
class RoleOutfit:
    """A role: its title, its colours, and its SVG pieces by layer ("": no such piece). Clothes below them are plain.

    `glasses` are added to a character without any, "none" removes
    them. `pixels` are the pieces for pixel art: (layer, x, y, width, height, colour) in cells from the head's crown.
    """

    title: str
    colour_a: str
    colour_b: str
    clothing_colour: str
    back: str = ""
    hat: str = ""
    mask: str = ""
    torso: str = ""
    prop: str = ""
    glasses: str = ""
    encloses_head: bool = False  # the whole head is inside it
    covers_hair: bool = True  # the hat hides the hair above its brim
    pixels: tuple[tuple[str, float, float, float, float, str], ...] = ()


def _path(d: str, fill: str = "none", more: str = "") -> str:
    return f'<path d="{d}" fill="{fill}" {_OUTLINE} {more}/>'


def _filled_path(d: str, fill: str) -> str:
    return f'<path d="{d}" fill="{fill}"/>'


def _circle(x: float, y: float, r: float, fill: str, more: str = _OUTLINE) -> str:
    return f'<circle cx="{x}" cy="{y}" r="{r}" fill="{fill}" {more}/>'


def _star(x: float, y: float, r: float, fill: str) -> str:
    points = "0,-1 .24,-.32 .95,-.31 .38,.12 .59,.81 0,.4 -.59,.81 -.38,.12 -.95,-.31 -.24,-.32"
    return f'<polygon points="{points}" transform="translate({x} {y}) scale({r})" fill="{fill}"/>'


_LAPELS = (
    _path("M-17 -4L-44 6C-50 26 -50 60 -50 110L-8 110L-3 34Z", "{{a}}")
    + _path("M17 -4L44 6C50 26 50 60 50 110L8 110L3 34Z", "{{a}}")
    + _path("M-17 -4L-30 14L-22 20L-24 28L-3 46C-10 26 -14 10 -17 -4Z", "{{a}}")
    + _path("M17 -4L30 14L22 20L24 28L3 46C10 26 14 10 17 -4Z", "{{a}}")
)
_TIE = (
    _path("M-13 -7L-20 7L-5 15L0 6L5 15L20 7L13 -7C6 0 -6 0 -13 -7Z", "#ffffff")
    + _path("M-4 7L4 7L5 13L8 44L0 54L-8 44L-5 13Z", "{{b}}")
    + _path("M-5 13L5 13")
)

ROLES: dict[str, RoleOutfit] = {
    "astronaut": RoleOutfit(
        "Astronaut", "#f4f5f7", "#e8622c",
        back=_circle(4, 26, 82, "{{a}}"),
        hat=(
            '<circle cx="4" cy="26" r="71" fill="#bfe3f5" fill-opacity=".16" stroke="#000" stroke-width="{{w}}"/>'
            '<path d="M-48 6C-42 -20 -22 -36 2 -38" stroke="#fff" stroke-width="6" stroke-linecap="round" fill="none" '
            'opacity=".85"/><path d="M58 50C54 62 46 72 36 79" stroke="#fff" stroke-width="4" stroke-linecap="round" '
            'fill="none" opacity=".7"/>'
            + _path("M-82 18C-92 18 -92 42 -82 42Z", "{{b}}") + _path("M90 18C100 18 100 42 90 42Z", "{{b}}")
        ),
        torso=(
            _path("M-54 -6C-34 -26 34 -26 54 -6C54 18 -54 18 -54 -6Z", "{{a}}")
            + _path("M-20 34L20 34L20 110L-20 110Z", "#dfe3e9") + _circle(-10, 42, 3, "{{b}}")
            + _circle(0, 42, 3, "#3f8f5b") + _path("M-14 48L14 48")
        ),
        clothing_colour="#f4f5f7", encloses_head=True,
        pixels=(
            ("hat", -4, -3, 16, 1, "#f4f5f7"), ("hat", -5, -2, 1, 12, "#f4f5f7"), ("hat", 12, -2, 1, 12, "#f4f5f7"),
            ("hat", -4, 10, 16, 1, "#c9ced6"), ("hat", -4, -2, 16, 12, "#bfe3f52e"), ("hat", -3, -1, 1, 4, "#ffffffcc"),
            ("hat", -2, -2, 3, 1, "#ffffffcc"), ("hat", -6, 3, 1, 3, "#e8622c"), ("hat", 13, 3, 1, 3, "#e8622c"),
        ),
    ),
    "chef": RoleOutfit(
        "Chef", "#ffffff", "#d64541",
        hat=(
            _path("M-42 -4C-62 -12 -64 -44 -42 -48C-36 -70 -8 -74 4 -63C18 -74 46 -68 48 -48C68 -42 64 -12 46 -6Z",
                  "{{a}}")
            + _path("M-18 -22L-20 -40M4 -24L4 -44M26 -24L29 -40")
            + _path("M-49 5C-50 -6 -48 -14 -46 -18C-16 -10 20 -10 50 -20C52 -14 53 -6 52 3C20 14 -16 14 -49 5Z",
                    "{{a}}")
        ),
        torso=(
            _path("M-20 -8C-8 4 8 4 20 -8L25 3C12 16 -12 16 -25 3Z", "{{b}}")
            + _path("M-3 10L-14 32L2 26L12 34L6 10Z", "{{b}}")
            + "".join(_circle(x, y, 2.4, "#2b2b2e") for x in (-13, 13) for y in (44, 60))
        ),
        clothing_colour="#ffffff",
        pixels=(
            ("hat", -1, -1, 10, 3, "#ffffff"), ("hat", -2, -4, 12, 3, "#ffffff"), ("hat", 0, -5, 8, 1, "#ffffff"),
            ("hat", -1, 1, 10, 1, "#dfe2e6"), ("hat", 1, -3, 1, 2, "#dfe2e6"), ("hat", 5, -3, 1, 2, "#dfe2e6"),
            ("torso", 2, 11, 4, 1, "#d64541"), ("torso", 3, 12, 2, 1, "#d64541"),
        ),
    ),
    "detective": RoleOutfit(
        "Detective", "#8a6b48", "#3b2f2a",
        hat=(
            _path("M-40 0C-44 -26 -36 -50 -16 -48C-4 -46 2 -36 8 -44C18 -54 42 -50 44 -28C46 -16 46 -8 45 -2C18 6 -18 6"
                  " -40 0Z", "{{a}}")
            + _filled_path("M-41.5 -4C-16 2 18 2 46 -6L45 -19C20 -10 -18 -10 -43 -17Z", "{{b}}")
            + _path("M-72 6C-56 -8 -44 -3 -40 -1C-16 6 20 6 45 -3C54 -8 68 -8 78 2C60 18 -52 22 -72 6Z", "{{a}}")
        ),
        torso=(
            _path("M-14 -12L-36 0L-40 26L-12 40L-2 24Z", "{{a}}") + _path("M14 -12L36 0L40 26L12 40L2 24Z", "{{a}}")
            + _path("M-2 24L-2 110M9 48L9 49M9 66L9 67")
        ),
        prop=(
            '<g transform="translate(62 44) rotate(28)">' + _path("M-4 24L4 24L5 62L-5 62Z", "{{b}}")
            + _circle(0, 0, 24, "#dff1fa", f'fill-opacity=".55" {_OUTLINE}')
            + '<path d="M-13 -6C-10 -14 -4 -17 2 -17" stroke="#fff" stroke-width="4" fill="none" '
              'stroke-linecap="round"/></g>'
        ),
        clothing_colour="#a98a61",
        pixels=(
            ("hat", -4, 1, 16, 1, "#8a6b48"), ("hat", -1, -2, 10, 2, "#8a6b48"), ("hat", 0, -3, 3, 1, "#8a6b48"),
            ("hat", 5, -3, 3, 1, "#8a6b48"), ("hat", -1, 0, 10, 1, "#3b2f2a"), ("torso", 0, 11, 2, 2, "#8a6b48"),
            ("torso", 6, 11, 2, 2, "#8a6b48"),
        ),
    ),
    "superhero": RoleOutfit(
        "Superhero", "#d62f3a", "#f7c431",
        back=_path("M-26 40C-66 52 -76 84 -84 150L92 150C84 84 74 52 34 40Z", "{{a}}"),
        mask=_path("M-52 -14C-30 -22 -10 -14 0 -8C10 -14 26 -20 42 -13C46 6 34 17 22 15C10 13 4 6 0 4C-6 8 -12 16 -26 "
                   "15C-44 13 -54 4 -52 -14Z", "{{a}}"),
        torso=(
            _path("M-22 -8C-34 -8 -52 0 -66 22C-74 40 -78 70 -80 112L-58 112C-56 74 -48 34 -26 12Z", "{{a}}")
            + _path("M22 -8C34 -8 52 0 66 22C74 40 78 70 80 112L58 112C56 74 48 34 26 12Z", "{{a}}")
            + _path("M-26 12C-12 22 12 22 26 12L22 -8C10 4 -10 4 -22 -8Z", "{{a}}")
            + _circle(-20, 8, 4, "{{b}}") + _circle(20, 8, 4, "{{b}}")
            + _path("M-20 34L20 34L16 58L0 72L-16 58Z", "{{b}}") + _star(0, 50, 12, "{{a}}")
        ),
        clothing_colour="#2f57b7", glasses="none",
        pixels=(
            ("mask", -1, 3, 10, 2, "#d62f3a"), ("mask", -1, 2, 4, 1, "#d62f3a"), ("mask", 5, 2, 4, 1, "#d62f3a"),
            ("torso", -2, 11, 2, 3, "#d62f3a"), ("torso", 8, 11, 2, 3, "#d62f3a"), ("torso", 3, 12, 2, 1, "#f7c431"),
        ),
    ),
    "mage": RoleOutfit(
        "Mage", "#5b46a8", "#f3cf5b",
        hat=(
            _path("M-42 -2C-34 -32 -22 -62 4 -86C14 -95 30 -92 32 -82C22 -82 18 -76 20 -66C26 -44 36 -24 46 -4"
                  "C20 6 -18 6 -42 -2Z", "{{a}}")
            + _filled_path("M-41.5 -5C-16 3 20 3 46 -7L42 -17C20 -8 -14 -8 -38 -15Z", "{{b}}")
            + _path("M-74 8C-58 -8 -46 -4 -42 -3C-16 6 20 6 46 -5C56 -9 70 -8 80 4C60 20 -54 22 -74 8Z", "{{a}}")
            + _star(-10, -34, 7, "{{b}}") + _star(12, -52, 5, "{{b}}") + _star(20, -28, 4.5, "{{b}}")
        ),
        torso=(
            _path("M-18 -8C-34 -4 -50 10 -56 30L-14 56L0 20L14 56L56 30C50 10 34 -4 18 -8C8 6 -8 6 -18 -8Z", "{{a}}")
            + _circle(0, 14, 5, "{{b}}") + _star(-34, 26, 5, "{{b}}") + _star(34, 26, 5, "{{b}}")
        ),
        clothing_colour="#463590",
        pixels=(
            ("hat", -4, 1, 16, 1, "#5b46a8"), ("hat", -1, -1, 10, 1, "#5b46a8"), ("hat", -1, 0, 10, 1, "#f3cf5b"),
            ("hat", 1, -3, 6, 2, "#5b46a8"), ("hat", 3, -5, 4, 2, "#5b46a8"), ("hat", 5, -6, 3, 1, "#5b46a8"),
            ("hat", 3, -3, 1, 1, "#f3cf5b"), ("hat", 5, -5, 1, 1, "#f3cf5b"), ("torso", 3, 12, 2, 1, "#f3cf5b"),
        ),
    ),
    "firefighter": RoleOutfit(
        "Firefighter", "#d3372f", "#f5c945",
        hat=(
            _path("M-46 -2C-52 -38 -28 -58 2 -58C32 -58 54 -36 49 -4C22 6 -22 6 -46 -2Z", "{{a}}")
            + _path("M-5 -58C-6 -68 11 -68 10 -58L9 -34L-5 -34Z", "{{a}}")
            + _path("M-62 10C-58 -4 -48 -4 -46 -3C-22 6 22 6 49 -5C62 -8 80 0 84 12C66 16 -40 24 -62 10Z", "{{a}}")
            + _path("M-12 -36C-4 -34 2 -38 4 -42C6 -38 12 -34 20 -36C24 -18 18 -6 4 0C-10 -6 -16 -18 -12 -36Z", "{{b}}")
            + _star(4, -19, 9, "{{a}}")
        ),
        torso=(
            _path("M-18 -8L-32 2L-26 22L-4 30L-2 8Z", "#3a3d45") + _path("M18 -8L32 2L26 22L4 30L2 8Z", "#3a3d45")
            + _path("M-66 52L66 52L67 68L-67 68Z", "{{b}}")
            + _filled_path("M-66 57.5L66 57.5L66.5 62.5L-66.5 62.5Z", "#e9edf2")
            + _path("M0 30L0 110")
        ),
        clothing_colour="#4a4d57",
        pixels=(
            ("hat", -2, 1, 13, 1, "#d3372f"), ("hat", -1, -2, 10, 3, "#d3372f"), ("hat", 1, -3, 6, 1, "#d3372f"),
            ("hat", 3, -2, 2, 3, "#f5c945"), ("torso", -1, 13, 10, 1, "#f5c945"),
        ),
    ),
    "farmer": RoleOutfit(
        "Farmer", "#ecc76a", "#b5412f",
        hat=(
            _path("M-40 -2C-44 -30 -32 -47 2 -47C36 -47 48 -30 45 -4C18 6 -18 6 -40 -2Z", "{{a}}")
            + _path("M-24 -40C-10 -34 14 -34 30 -40M-34 -30C-14 -24 18 -24 40 -31", more='opacity=".5"')
            + _filled_path("M-41.5 -5C-16 2 18 2 46 -7L45 -18C20 -10 -18 -10 -43 -17Z", "{{b}}")
            + _path("M-84 8C-64 -12 -50 -6 -42 -3C-16 6 20 6 45 -5C56 -10 72 -10 90 4C66 24 -60 27 -84 8Z", "{{a}}")
            + _path("M-64 9C-48 15 -30 17 -12 18M22 17C42 15 58 11 70 5", more='opacity=".5"')
        ),
        torso=(
            _path("M-32 0L-20 -6L-12 40L-26 40Z", "#3f63a8") + _path("M32 0L20 -6L12 40L26 40Z", "#3f63a8")
            + _path("M-30 38L30 38L32 112L-32 112Z", "#3f63a8") + _circle(-19, 44, 3.6, "{{a}}")
            + _circle(19, 44, 3.6, "{{a}}") + _path("M-13 56L13 56L13 74L-13 74Z")
        ),
        clothing_colour="#cf4f43",
        pixels=(
            ("hat", -5, 1, 18, 1, "#ecc76a"), ("hat", -1, -2, 10, 2, "#ecc76a"), ("hat", 0, -3, 8, 1, "#ecc76a"),
            ("hat", -1, 0, 10, 1, "#b5412f"), ("torso", 1, 11, 1, 3, "#3f63a8"), ("torso", 6, 11, 1, 3, "#3f63a8"),
            ("torso", 1, 13, 6, 1, "#3f63a8"),
        ),
    ),
    "teacher": RoleOutfit(
        "Teacher", "#2f6d57", "#c7392f",
        torso=_TIE,
        prop=(
            '<g transform="translate(-58 52) rotate(-10)">' + _path("M-24 -30L20 -30L20 34L-24 34Z", "{{a}}")
            + _path("M-24 -30L-18 -30L-18 34L-24 34Z", "#23523f") + _path("M20 -30L24 -26L24 38L-20 38L-24 34L20 34Z",
                                                                          "#f6f1e4")
            + _path("M-8 -16L12 -16M-8 -7L8 -7") + "</g>"
        ),
        clothing_colour="#5d7fa8", glasses="glasses",
        pixels=(
            ("torso", 1, 11, 2, 1, "#ffffff"), ("torso", 5, 11, 2, 1, "#ffffff"), ("torso", 3, 11, 2, 3, "#c7392f"),
        ),
    ),
    "artist": RoleOutfit(
        "Artist", "#b23a48", "#2d3142",
        hat=(
            _path("M-2 -46C-4 -54 6 -56 8 -48Z", "{{a}}")
            + _path("M-50 4C-72 -10 -66 -36 -26 -44C8 -50 62 -44 68 -20C70 -8 58 2 48 0C20 8 -22 10 -50 4Z", "{{a}}")
            + _path("M-50 4C-50 -2 -49 -6 -47 -9C-18 -1 20 -2 47 -12C50 -8 50 -4 48 0C20 10 -22 12 -50 4Z", "{{b}}")
        ),
        torso=(
            _path("M-23 -10C-8 4 8 4 23 -10C28 -4 30 2 28 8C12 20 -12 20 -28 8C-30 2 -28 -4 -23 -10Z", "{{b}}")
            + _path("M-6 14L-20 58L-6 62L4 16Z", "{{b}}")
        ),
        prop=(
            '<g transform="translate(56 56) rotate(18)">'
            + _path("M-3 -4L3 -4L4 70L-4 70Z", "#c98f4f") + _path("M-5 -18L5 -18L4 -4L-4 -4Z", "#c9ced6")
            + _path("M-5 -18C-8 -32 0 -40 0 -48C4 -40 8 -32 5 -18Z", "{{a}}") + "</g>"
        ),
        clothing_colour="#e9e2d3",
        pixels=(
            ("hat", -2, -1, 11, 2, "#b23a48"), ("hat", -3, 0, 12, 1, "#b23a48"), ("hat", 0, -2, 7, 1, "#b23a48"),
            ("hat", 3, -3, 1, 1, "#b23a48"), ("hat", -1, 1, 10, 1, "#2d3142"), ("torso", 2, 11, 4, 1, "#2d3142"),
            ("torso", 2, 12, 1, 2, "#2d3142"),
        ),
    ),
    "pilot": RoleOutfit(
        "Pilot", "#22345c", "#f0c24b",
        hat=(
            _path("M-48 -8C-66 -22 -56 -38 -14 -46C28 -54 76 -40 70 -24C64 -14 56 -10 50 -10Z", "{{a}}")
            + _path("M-46 6C-47 0 -48 -6 -48 -10C-18 -2 20 -3 50 -13C52 -8 52 -2 51 2C20 12 -18 14 -46 6Z", "#16233f")
            + _path("M-8 12C14 6 40 -2 56 4C66 8 66 20 54 22C32 18 10 18 -8 12Z", "#16233f")
            + _path("M-14 -25C-4 -20 4 -24 6 -29C8 -24 18 -20 30 -26C24 -14 14 -12 6 -12C-2 -12 -10 -14 -14 -25Z",
                    "{{b}}")
        ),
        torso=(
            _LAPELS + _TIE.replace("{{b}}", "#16233f")
            + _path("M-62 12L-36 2L-33 9L-60 20Z", "{{b}}") + _path("M62 12L36 2L33 9L60 20Z", "{{b}}")
        ),
        clothing_colour="#22345c",
        pixels=(
            ("hat", -2, -2, 12, 2, "#22345c"), ("hat", -1, 0, 10, 1, "#16233f"), ("hat", 1, 1, 9, 1, "#16233f"),
            ("hat", 3, -1, 2, 1, "#f0c24b"), ("torso", 2, 11, 1, 1, "#ffffff"), ("torso", 5, 11, 1, 1, "#ffffff"),
            ("torso", 3, 11, 2, 3, "#16233f"), ("torso", -2, 12, 2, 1, "#f0c24b"), ("torso", 8, 12, 2, 1, "#f0c24b"),
        ),
    ),
    "scientist": RoleOutfit(
        "Scientist", "#fbfcfd", "#37a0a0",
        hat=(
            _path("M-47 2C-48 -5 -48 -10 -47 -14C-16 -4 20 -5 50 -16C51 -12 51 -6 50 -1C20 10 -16 11 -47 2Z", "#3a3d45")
            + "".join(
                _circle(x, y, 17, "{{b}}", f'fill-opacity=".8" {_OUTLINE}')
                + f'<path d="M{x - 8} {y - 5}C{x - 5} {y - 9} {x - 1} {y - 10} {x + 2} {y - 10}" stroke="#fff" '
                  'stroke-width="3" fill="none" stroke-linecap="round"/>'
                for x, y in ((4, -4), (37, -9))
            )
        ),
        torso=_LAPELS,
        prop=(
            '<g transform="translate(-60 58)">'
            + _path("M-7 -44L7 -44L7 -20L26 20C28 28 24 32 18 32L-18 32C-24 32 -28 28 -26 20L-7 -20Z", "#eaf6fb")
            + _filled_path("M-15 -1L15 -1L24.5 20C26 27 23 30.5 18 30.5L-18 30.5C-23 30.5 -26 27 -24.5 20Z", "{{b}}")
            + _path("M-10 -44L10 -44") + _circle(-4, 14, 3, "#eaf6fb", "") + _circle(6, 6, 2, "#eaf6fb", "") + "</g>"
        ),
        clothing_colour="#8fb7c9", glasses="none", covers_hair=False,
        pixels=(
            ("hat", -1, 1, 10, 1, "#3a3d45"), ("hat", 1, 0, 2, 2, "#37a0a0"), ("hat", 5, 0, 2, 2, "#37a0a0"),
            ("torso", -1, 11, 3, 3, "#fbfcfd"), ("torso", 6, 11, 3, 3, "#fbfcfd"),
        ),
    ),
    "doctor": RoleOutfit(
        "Doctor", "#fbfcfd", "#3c4250",
        torso=(
            _LAPELS
            + '<path d="M-22 -6C-26 22 -16 36 -14 44M22 -6C26 22 16 34 14 44" fill="none" stroke="{{b}}" '
              'stroke-width="5" stroke-linecap="round"/>'
            + '<path d="M-14 44C-14 54 -22 58 -22 68M-14 44C-14 54 -6 58 -6 68" fill="none" stroke="{{b}}" '
              'stroke-width="4" stroke-linecap="round"/>'
            + _circle(14, 52, 8, "#c9ced6") + _circle(14, 52, 3.5, "#8d939e", "")
            + _filled_path("M28 62L46 62L46 68L28 68Z M34 56L40 56L40 74L34 74Z", "#d64541")
        ),
        clothing_colour="#6fb5a8",
        pixels=(
            ("torso", -1, 11, 3, 3, "#fbfcfd"), ("torso", 6, 11, 3, 3, "#fbfcfd"), ("torso", 2, 11, 1, 2, "#3c4250"),
            ("torso", 5, 11, 1, 1, "#3c4250"), ("torso", 5, 12, 1, 1, "#c9ced6"), ("torso", 7, 12, 1, 1, "#d64541"),
        ),
    ),
}  # fmt: skip
