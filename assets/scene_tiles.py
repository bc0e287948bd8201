"""Make the small picture of every built-in scene that a wish without a scene is answered with: `python -m
assets.scene_tiles`."""

from __future__ import annotations

from pathlib import Path

import cv2
import PIL.Image

from pipelines.core.rendering import Backdrop, RenderRequest
from pipelines.models.families.scenes.keyword_search import SCENES
from pipelines.models.families.scenes.model import SCENES_SPEC, SceneModel

FOLDER = Path(__file__).parent / "tiles" / "scenes"
TILE_PX, DRAWN_PX = 144, 384


def make_scene_tiles() -> None:
    """Write `assets/tiles/scenes/<id>.webp` for every scene, as it is behind a person or under a product."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    model = SceneModel(SCENES_SPEC)
    for row in SCENES:
        subject = "product" if row.kind == "surface" else "person"
        asked = Backdrop(scene=row.id, subject=subject, floor_ratio=0.84 if subject == "product" else None)
        request = RenderRequest("backdrop", "", (DRAWN_PX, DRAWN_PX), (1,), backdrop=asked)
        drawn = model.draw(request, lambda step: None).images[0]
        small = cv2.resize(drawn, (TILE_PX, TILE_PX), interpolation=cv2.INTER_AREA)
        PIL.Image.fromarray(small).save(FOLDER / f"{row.id}.webp", quality=80, method=6)


if __name__ == "__main__":
    make_scene_tiles()
