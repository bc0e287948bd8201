"""What the page calls a model: what it does, as its id says nothing to a visitor."""

from __future__ import annotations

MODEL_TITLES = {
    "open-nsfw": "Content filter",
    "u2netp": "Cut-out, quick",
    "u2net": "Cut-out, quick",
    "isnet": "Cut-out, exact",
    "face-mesh": "Faces",
    "selfie": "People in cut-outs",
    "realesr-x4": "Enlarger",
    "backdrops": "Scenes",
    "pp-ocr": "Label reader",
    "mini": "Small drawings",
}
"""Models that ship with the studio, by what they do for a visitor."""


def name_model(spec_id: str) -> str:
    """Name a model by what it does for a visitor, else by its id."""
    return MODEL_TITLES.get(spec_id, spec_id)
