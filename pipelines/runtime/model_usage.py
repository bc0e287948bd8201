"""The record of what a job's models did: which were used, which edits were made, what is to be said about them."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipelines.core.models import ModelSpec
from pipelines.core.rendering import SceneMatch, Scenery
from pipelines.quality.output_checks import ModelEdit


@dataclass(eq=False)
class ModelUsage:
    """What went into pictures: models, edits with their sources, notices, kinds of built-in scenes.

    `subject_pasted_back`: an edit model drew around a subject whose own pixels the tool pasted over it again.
    `largest_batch`: pictures in the largest call of a model. `cutout_uncertainty`: of the least certain cut-out, None
    where no net cut one out; `cutout_doubts`: what may be wrong with cut-outs, in sentences. `scene_match`: how the
    first wish in words was answered. `scenes`: ids of the built-in scenes that were drawn. `words`: the captions that
    models got.
    """

    models: dict[str, ModelSpec] = field(default_factory=dict[str, ModelSpec])
    edits: list[ModelEdit] = field(default_factory=list[ModelEdit])
    notices: list[str] = field(default_factory=list[str])
    scenery: set[Scenery] = field(default_factory=set[Scenery])
    subject_pasted_back: bool = False
    largest_batch: int = 1
    cutout_uncertainty: float | None = None
    cutout_doubts: list[str] = field(default_factory=list[str])
    scene_match: SceneMatch | None = None
    scenes: set[str] = field(default_factory=set[str])
    words: list[str] = field(default_factory=list[str])

    def merge(self, other: ModelUsage) -> None:
        """Add what `other` recorded."""
        self.models |= other.models
        self.edits += other.edits
        self.notices += other.notices
        self.words += other.words
        self.cutout_doubts += other.cutout_doubts
        self.scenery |= other.scenery
        self.scenes |= other.scenes
        self.subject_pasted_back |= other.subject_pasted_back
        self.scene_match = self.scene_match or other.scene_match
        self.largest_batch = max(self.largest_batch, other.largest_batch)
        if other.cutout_uncertainty is not None:
            self.cutout_uncertainty = max(self.cutout_uncertainty or 0.0, other.cutout_uncertainty)

    @property
    def nbytes(self) -> int:
        """Bytes of the pictures that the record holds."""
        return sum(edit.source.nbytes + edit.result.nbytes for edit in self.edits)

    @property
    def is_generative(self) -> bool:
        """Whether a model was used that invents what it draws; the built-in scenes and the small nets do not."""
        generative_verbs = ("text", "edit", "image", "inpaint", "control", "video", "tryon")
        return any(verb in spec.verbs for spec in self.models.values() for verb in generative_verbs)
