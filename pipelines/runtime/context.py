"""The per-job context that a tool is handed: pictures, cut-outs, faces and models of one job."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from operator import attrgetter
from typing import Any, TypeVar

import numpy as np

from pipelines.compositing.registration import align_edit
from pipelines.core.errors import BadInput, ModelUnavailable
from pipelines.core.geometry import (
    UNCLEAR_UNCERTAINTY,
    Alpha,
    Area,
    Box,
    Cutout,
    Face,
    Float32Array,
    Image,
    Mask,
    Size,
)
from pipelines.core.job import CLOSER_LOOK_STAGE, FIRST_LOOK_STAGE, Job, ProgressCallback
from pipelines.core.lru_cache import LruCache
from pipelines.core.models import ModelSpec
from pipelines.core.params import MAX_SIDE, Subject, Verb
from pipelines.core.rendering import Adapter, ModelStep, RenderedImages, RenderRequest, Scenery
from pipelines.framing.framings import size_for_ratio
from pipelines.framing.resample import composite_on_grey
from pipelines.imaging.color import flatten_on_white
from pipelines.imaging.resize import resize_image, resize_map, resize_net_map, size_within
from pipelines.matting.cutout import (
    cut_out_subject,
    finish_alpha,
    finish_unmarked,
    keep_unmarked_parts,
    predict_subjects,
    rescale_net_alpha,
)
from pipelines.matting.cutout_notices import add_sure_change_doubts, drop_marked_doubts
from pipelines.matting.edge_band import redraw_band
from pipelines.matting.large_photos import enlarge_cutout, shrink_large
from pipelines.matting.marked_edges import PREVIEW_SIDE_PX
from pipelines.matting.pointing import (
    WORK_SIDE_PX,
    Marks,
    Pointing,
    SegmentPointed,
    correct_by_points,
    crop_area,
    select_people,
    select_pointed,
)
from pipelines.matting.settled_marks import settle_marks
from pipelines.matting.sure_regions import find_sure_regions
from pipelines.matting.thing_at_point import select_things
from pipelines.models import oom_fallback
from pipelines.models.diffusion.captions import has_style, write_caption
from pipelines.models.model_cache import ModelCache
from pipelines.provenance.signing_key import SigningKeyStore
from pipelines.quality.output_checks import ModelEdit
from pipelines.quality.subject_checks import (
    FILLED_NOTICE,
    STILL_UNCLEAR_NOTICE,
    UNCLEAR_NOTICE,
    check_photo_size,
    fills_photo,
    find_front_people,
    is_face_missing,
)
from pipelines.runtime.cached_matte import CachedMatte
from pipelines.runtime.model_usage import ModelUsage
from pipelines.runtime.progress import WAITING_STAGE, StreamProgress
from pipelines.security.content_filter import ContentFilter
from pipelines.security.prompt_filter import neutralize_prompt
from pipelines.storage.file_index import FileIndex

T = TypeVar("T")
ResultCache = LruCache[Hashable, Any]
RESULT_CACHE_BYTES = 256 * 2**20
SMALL_MATTE_CACHE_BYTES = 48 * 2**20
BACKDROP_SPEC_ID = "backdrops"
FACE_SPEC_ID = "face-mesh"
PERSON_SPEC_ID = "selfie"
CLOSER_DRAFT_ROLES = ("matte", "matte-detail")
"""The nets of a closer draft. One from the hub takes half a minute on two cores: only what is kept waits for it."""
MATTING_ROLES = (*CLOSER_DRAFT_ROLES, "matte-hub")
"""The small net, which draws what a draft shows, and those that what is kept waits for, each better than the last."""
MIN_TRANSPARENT_RATIO = 0.03
"""Share of a picture that is transparent, from which its transparency is a cut-out and no border or rounded corner."""
EDGE_ROLE = "matte-edge"
"""The net that draws the edges of what is kept anew; a draft never takes it."""
POINT_ROLE = "point"
"""The net that finds what somebody points at."""
HEAD_LOST_MESSAGE = (
    "The head is not in its own cut-out, so no picture was made. Point at what belongs to the person, or take another "
    "photo."
)
DRAWING_STAGE = "Drawing"
SCENE_STAGE = "Setting the scene"
_FACES_BYTES = 4096  # what the faces of one picture take up in the cache, roughly


@dataclass(frozen=True)
class EngineResources:
    """What all jobs of an engine share; `results` are costly values by what they were made from.

    `small_mattes` are for pointing at what was made: a batch of large photos drives their cut-outs out of `results`.
    """

    cache: ModelCache
    files: FileIndex
    content_filter: ContentFilter
    signing_keys: SigningKeyStore
    results: ResultCache = field(default_factory=lambda: ResultCache(RESULT_CACHE_BYTES))
    small_mattes: ResultCache = field(default_factory=lambda: ResultCache(SMALL_MATTE_CACHE_BYTES))


class JobContext:
    """The `ToolContext` of one job; it also records what the receipt needs.

    `face_counts`: faces found, by file id. `faces_not_searched`: a tool asked for faces and nobody had consented.
    """

    def __init__(
        self, job: Job, resources: EngineResources, progress: StreamProgress, draw_fn: oom_fallback.DrawFn | None = None
    ) -> None:
        self.job = job
        self.seed = job.seed
        self.draft = job.draft
        self.resources = resources
        self.progress = progress
        self.face_counts: dict[str, int] = {}
        self.faces_not_searched = False
        self._draw_fn = draw_fn or oom_fallback.local_executor(resources.cache, progress.report_download)
        # The job's own record, then one for each result that is being made for the cache just now.
        self._usage_stack = [ModelUsage()]
        self._adapters = tuple(Adapter(source, weight) for source, weight in job.adapters.items())
        progress.preview_filter = self._filter_first_preview

    def open_image(self, file_id: str) -> Image:
        """Open a picture, H x W x 3; a transparent one is composited on white."""
        return flatten_on_white(self._open_original(file_id))

    def open_image_with_alpha(self, file_id: str) -> Image:
        """Open a picture with its transparency, H x W x 4, such as a logo."""
        image = self._open_original(file_id)
        return image if image.shape[2] == 4 else np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])

    def open_wide_photo(self) -> bytes | None:
        """Return the form's photo in Display P3 as a PNG, None where it has no colours outside sRGB."""
        photo = self.job.params.get("photo")
        return self.resources.files.load_wide_copy(photo, self.job.owner) if isinstance(photo, str) else None

    def open_mask(self, file_id: str) -> Alpha:
        """Read a picture as a mask: brushes draw white on transparent, a saved matte is grey."""
        image = self._open_original(file_id)
        grey = image[..., :3].mean(axis=2) * (image[..., 3] / 255 if image.shape[2] == 4 else 1)
        return np.asarray(grey / 255, np.float32)

    def _open_original(self, file_id: str) -> Image:
        """Open the stored pixels. They must pass the content filter before anything is made from them, or shown."""
        files = self.resources.files
        image = self.resources.results.get_or_create(
            ("file", file_id), lambda: files.open_image(file_id), lambda image: image.nbytes
        )
        self.resources.content_filter.check_input(image, self.job.owner, files.get_info(file_id).sha256)
        self._stop_filtering_previews()
        return image

    def cut_out_subject(self, params: Subject, emit: ProgressCallback, *, together: bool = False) -> Cutout:
        """See `ToolContext.cut_out_subject`; cached by photo, matte and what was chosen."""
        check_photo_size(self.open_image(params.photo))
        # Also where the cut-out is cached, so that the receipt counts faces in either case.
        faces = self._detect_faces(params.photo) if self.may_search_faces(params.photo) else ()
        spec_ids, all_ids = self._list_ready_net_ids(params), self._choose_net_ids(params)
        cutout = self._cut_out(params, faces, spec_ids, emit, together=together)
        if params.matte is None and not params.is_pointed and params.pick < len(faces):
            face = faces[params.pick]
            if is_face_missing(cutout.alpha, face) and spec_ids != all_ids:
                cutout = self._cut_out(params, faces, all_ids, emit, together=together)
            if is_face_missing(cutout.alpha, face):
                raise BadInput(HEAD_LOST_MESSAGE, code="no_subject", param="pick" if params.pick else "photo")
        return cutout

    def _cut_out(
        self,
        params: Subject,
        faces: tuple[Face, ...],
        spec_ids: tuple[str, ...],
        emit: ProgressCallback,
        *,
        together: bool,
    ) -> Cutout:
        key = self._cutout_key(params, spec_ids, self._edge_spec_id, together=together)
        cutout = self._memoize(
            (*key, self._choose_doubter_id(params)),  # a draft of the same net was not doubted
            lambda: self._compute_cutout(params, faces, spec_ids, emit, together=together),
            lambda cutout: cutout.colour.nbytes + cutout.alpha.nbytes,
        )
        if not self.resources.small_mattes.contains(key):
            matte = CachedMatte.encode(cutout.alpha, cutout.doubt_boxes)
            self.resources.small_mattes.put(key, matte, len(matte.png))
        return cutout

    def _cutout_key(
        self, params: Subject, spec_ids: tuple[str, ...], edge_spec_id: str | None, *, together: bool
    ) -> tuple[Any, ...]:
        may_search = self.may_search_faces(params.photo)
        marks = (params.keep, params.drop, params.box, together and not params.pick, self._takes_every_subject)
        others = (edge_spec_id, self.job.specs.get(POINT_ROLE) if params.is_pointed else None)
        return ("cutout", params.photo, params.matte, params.pick, marks, spec_ids, others, may_search)

    def _compute_cutout(
        self,
        params: Subject,
        faces: tuple[Face, ...],
        spec_ids: tuple[str, ...],
        emit: ProgressCallback,
        *,
        together: bool,
    ) -> Cutout:
        matte = self._given_matte(params.matte, self._open_original(params.photo))
        emit("Reading the photo", 1, 1)
        whole = self.open_image(params.photo)
        photo = shrink_large(whole) if matte is None else whole
        faces = tuple(face.scaled(photo.shape[1] / whole.shape[1]) for face in faces) if photo is not whole else faces

        def on_first_alpha(alpha: Alpha) -> None:
            if pointing:  # what is shown of the marks is better than the small net's look
                emit("Cutting out", 1, 2)
                return
            stage = FIRST_LOOK_STAGE if len(self._choose_net_ids(params)) > 1 else "Cutting out"
            emit(stage, 1, 2, lambda: composite_on_grey(photo, alpha))
            if len(spec_ids) > 1:
                emit(CLOSER_LOOK_STAGE, 1, 2)

        pointing = Pointing(params.keep, params.drop, params.box)
        all_seen: list[Alpha] = []
        predict, segment = partial(self._predict_crop, params.photo), self._segment_in(params.photo)
        if matte is not None:
            matte = resize_map(matte, photo.shape[1::-1])
            matte = correct_by_points(photo, matte, matte, pointing, predict, segment, faces)

        chosen = partial(_select_people, photo, faces, params.pick, together)

        def select(seen: Alpha, _pick: int, _face: Face | None) -> Alpha:
            is_first_look, all_seen[:] = not all_seen, [seen]
            if not pointing:
                return chosen(seen)
            views = () if is_first_look else self._list_views(params.photo, spec_ids)  # it waits for no other net
            return select_pointed(photo, seen, pointing, chosen, predict, segment, faces, views)

        def redraw(image: Image, alpha: Alpha, band: Mask) -> Alpha:
            assert self._edge_spec_id is not None
            with self.borrow_model(self._edge_spec_id) as net:
                return redraw_band(image, alpha, band, net.predict_alpha, partial(emit, "Drawing the edges"))

        def draw_preview(seen: Alpha, unmarked: Alpha | None) -> Alpha:
            small = self._open_shrunk(params.photo, PREVIEW_SIDE_PX)
            shown = self._list_scaled_faces(params.photo, small) if faces else ()
            views = self._list_views(params.photo, spec_ids)
            known = None if unmarked is None else resize_map(unmarked, small.shape[1::-1])
            return self._draw_preview(
                params, small, resize_map(seen, small.shape[1::-1]), shown, views, known, together=together
            )

        nets = [_PhotoNet(self, params.photo, photo, spec_id) for spec_id in spec_ids]
        doubter_id = self._choose_doubter_id(params)
        cutout = cut_out_subject(
            photo,
            nets[0],
            detail_nets=nets[1:],
            doubter=_PhotoNet(self, params.photo, photo, doubter_id) if doubter_id else None,
            is_quick=self._is_quick(spec_ids[0]),
            matte=matte,
            pick=params.pick,
            faces=faces,
            on_first_alpha=on_first_alpha,
            select=select,
            pointing=pointing,
            select_unmarked=chosen,
            draw_preview=draw_preview if matte is None else None,
            redraw=redraw if self._edge_spec_id else None,
            predict_people=partial(self._predict_people, params.photo),
            is_one_of_all=self._takes_every_subject,
        )
        marks = (*params.keep, *params.drop)
        cutout = drop_marked_doubts(cutout, marks)
        if all_seen and marks and params.box is None:
            cutout = self._add_sure_change_doubts(cutout, params.photo, spec_ids, partial(chosen, all_seen[0]), marks)
        for seen in all_seen:
            key = _seen_key(params.photo, spec_ids, len(faces), params.pick)
            matte_seen = CachedMatte.encode(seen, {})
            self.resources.small_mattes.put(key, matte_seen, len(matte_seen.png))
        if photo is not whole:
            colour, alpha = enlarge_cutout(cutout, photo, whole)
            cutout = replace(cutout, colour=colour, alpha=alpha)
        if matte is not None:
            return replace(cutout, has_background=not _is_transparent(self._open_original(params.photo)))
        if cutout.uncertainty > UNCLEAR_UNCERTAINTY:
            notice = STILL_UNCLEAR_NOTICE if pointing else UNCLEAR_NOTICE
            cutout = replace(cutout, notices=(notice, *cutout.notices))
        self.record_usage(ModelUsage(cutout_uncertainty=cutout.uncertainty, cutout_doubts=list(cutout.notices)))
        return replace(cutout, notices=(*cutout.notices, FILLED_NOTICE)) if fills_photo(cutout.alpha) else cutout

    def _add_sure_change_doubts(
        self, cutout: Cutout, file_id: str, spec_ids: tuple[str, ...], select: Callable[[], Alpha], marks: Marks
    ) -> Cutout:
        """Return the cut-out with what marks changed of it against all nets; `select` is the subject without them."""
        sure = find_sure_regions(self._list_views(file_id, spec_ids), size_within(cutout.alpha.shape, WORK_SIDE_PX))
        if sure is None:
            return cutout
        try:
            before = select()
        except BadInput:  # nothing stood out, or several things did: the marks say what is meant
            return cutout
        return add_sure_change_doubts(cutout, before, sure, marks)

    @property
    def _takes_every_subject(self) -> bool:
        """Whether the job cuts every subject out, so that none has to be chosen."""
        return self.job.params.get("subjects", "one") != "one"

    @property
    def _matting_spec_ids(self) -> tuple[str, ...]:
        """The matting nets of this job, the small one first."""
        return tuple(self.job.specs[role] for role in MATTING_ROLES if role in self.job.specs)

    @property
    def _edge_spec_id(self) -> str | None:
        """The net for edges of this job; a draft has none."""
        return None if self.draft else self.job.specs.get(EDGE_ROLE)

    def _choose_net_ids(self, params: Subject) -> tuple[str, ...]:
        """Choose the matting nets that cut the subject out, the small one first, as `cut_by` says."""
        ids = self._matting_spec_ids
        return {"all": ids, "quick": ids[:1], "careful": ids[-1:]}[params.cut_by]

    def _choose_doubter_id(self, params: Subject) -> str | None:
        """Choose the net that tells how sure one is that cuts out alone; None without another, and in a draft."""
        ids = self._matting_spec_ids
        if self.draft or params.cut_by == "all" or len(ids) == 1:
            return None
        return ids[-1] if params.cut_by == "quick" else ids[0]

    def _is_quick(self, spec_id: str) -> bool:
        return spec_id == self._matting_spec_ids[0]

    def _list_ready_net_ids(self, params: Subject) -> tuple[str, ...]:
        """List the matting nets of this job; a draft waits for the small one alone, a closer one for two."""
        file_id, chosen = params.photo, self._choose_net_ids(params)
        if not self.draft or params.cut_by != "all":
            return chosen
        awaited = CLOSER_DRAFT_ROLES if self.job.closer else CLOSER_DRAFT_ROLES[:1]
        awaited_ids = {self.job.specs.get(role) for role in awaited}
        is_known = self.resources.results.contains
        return tuple(
            each for each in self._matting_spec_ids if each in awaited_ids or is_known(_net_map_key(file_id, each))
        )

    def predict_net_map(self, file_id: str, spec_id: str) -> Alpha:
        """Return one net's raw map of a photo, a square; cached by photo."""

        def predict() -> Alpha:
            with self.borrow_model(spec_id) as net:
                return net.predict_map(self.open_image(file_id))

        return self._memoize(_net_map_key(file_id, spec_id), predict)

    def see_whole_photo(self, file_id: str) -> Alpha:
        """See `ToolContext.see_whole_photo`; cached by photo."""
        return rescale_net_alpha(self.predict_net_map(file_id, self._matting_spec_ids[0]))

    def cut_out_coarsely(
        self, params: Subject, side_px: int, *, together: bool = False, as_made: bool = False
    ) -> tuple[Image, Alpha]:
        """See `ToolContext.cut_out_coarsely`.

        `as_made`: where a job has cut it out already, that is the matte, else its edges are estimated as those of what
        is kept. It then depends on what was made before, so it is only for looking at.
        """
        photo = self._open_shrunk(params.photo, side_px)
        if as_made and (made := self._find_made_matte(params, together=together)):
            return photo, made.decode(photo.shape[1::-1])
        predict, segment = partial(self._predict_crop, params.photo), self._segment_in(params.photo)
        pointing = Pointing(params.keep, params.drop, params.box)
        matte = self._given_matte(params.matte, self._open_original(params.photo))
        faces = self._list_scaled_faces(params.photo, photo) if matte is None or pointing else ()
        if matte is not None:
            matte = resize_map(matte, photo.shape[1::-1])
            return photo, correct_by_points(photo, matte, matte, pointing, predict, segment, faces)
        seen = self._predict_coarse_alpha(params, photo, faces, as_made=as_made)
        views = self._list_views(params.photo, self._list_ready_net_ids(params))
        if not as_made:
            chosen = partial(_select_people, photo, faces, params.pick, together)
            return photo, select_pointed(photo, seen, pointing, chosen, predict, segment, faces, views)
        unmarked = self._find_made_matte(params.model_copy(update={"keep": (), "drop": ()}), together=together)
        known = unmarked.decode(photo.shape[1::-1]) if unmarked else None
        return photo, self._draw_preview(params, photo, seen, faces, views, known, together=together)

    def _draw_preview(
        self,
        params: Subject,
        photo: Image,
        seen: Alpha,
        faces: tuple[Face, ...],
        views: Sequence[Alpha],
        known: Alpha | None,
        *,
        together: bool,
    ) -> Alpha:
        """Draw the matte of a shrunken `photo` (H x W x 3) that is shown of marks.

        `seen` (H x W) is what all nets see together, `views` are those of each, the quick one's first. `known` is the
        matte without marks (H x W), where there is one; `faces` are those of the shrunken photo.
        """
        pointing = Pointing(params.keep, params.drop, params.box)
        predict, segment = partial(self._predict_crop, params.photo), self._segment_in(params.photo)
        chosen = partial(_select_people, photo, faces, params.pick, together)
        # Regions are decided on the whole photo's colours: where its copy's decide otherwise, another cut-out is shown.
        whole = shrink_large(self.open_image(params.photo)) if pointing else photo
        own_faces = faces if whole is photo else tuple(each.scaled(whole.shape[1] / photo.shape[1]) for each in faces)
        selected = select_pointed(whole, seen, pointing, chosen, predict, segment, own_faces, views)
        first = resize_map(views[0], photo.shape[1::-1]) if len(views) > 1 else None
        alpha = finish_alpha(photo, selected, seen, first, faces, pointing.drop, is_pointed=bool(pointing))
        if pointing and pointing.box is None:
            unmarked = finish_unmarked(photo, seen, first, chosen, faces, known)
            alpha = keep_unmarked_parts(alpha, selected, pointing, unmarked)
        return settle_marks(photo, alpha, pointing.keep, pointing.drop)

    def cut_out_things_coarsely(self, params: Subject, side_px: int) -> tuple[Image, Alpha]:
        """See `ToolContext.cut_out_things_coarsely`. Without a point it is empty, and the next call is quick."""
        photo = self._open_shrunk(params.photo, side_px)
        faces = self._list_scaled_faces(params.photo, photo)
        seen = self._predict_coarse_alpha(params.model_copy(update={"pick": 0}), photo, faces, as_made=False)
        predict, segment = partial(self._predict_crop, params.photo), self._segment_in(params.photo)
        return photo, select_things(photo, seen, Pointing(params.keep, params.drop), predict, segment, faces)

    def _open_shrunk(self, file_id: str, side_px: int) -> Image:
        return self._memoize(("shrunk", file_id, side_px), lambda: _shrink(self.open_image(file_id), side_px))

    def _list_scaled_faces(self, file_id: str, photo: Image) -> tuple[Face, ...]:
        """List the faces of a stored photo in the pixels of its smaller copy; none where nobody said they agree."""
        if not self.may_search_faces(file_id):
            return ()
        scale = photo.shape[1] / self.open_image(file_id).shape[1]
        return tuple(each.scaled(scale) for each in self._detect_faces(file_id))

    def list_known_doubts(self, params: Subject, *, together: bool = False) -> Mapping[str, tuple[Box, ...]]:
        """See `ToolContext.list_known_doubts`."""
        made = self._find_made_matte(params, together=together)
        return made.doubt_boxes if made else {}

    def _find_made_matte(self, params: Subject, *, together: bool) -> CachedMatte | None:
        """Find the matte of the best cut-out of these marks that a job has made already, if it is still known."""
        for spec_ids in (self._choose_net_ids(params), self._list_ready_net_ids(params)):
            for edge_spec_id in (self.job.specs.get(EDGE_ROLE), None):
                key = self._cutout_key(params, spec_ids, edge_spec_id, together=together)
                if made := self.resources.small_mattes.get(key):
                    return made
        return None

    def _predict_coarse_alpha(self, params: Subject, photo: Image, faces: tuple[Face, ...], *, as_made: bool) -> Alpha:
        """Return what stands out in the shrunken `photo`, by the maps that are at hand, as the cut-out sees it.

        A cut-out at full size may have settled otherwise what the nets differ in: with `as_made` what it saw comes
        first.
        """
        file_id, pick, spec_ids = params.photo, params.pick, self._list_ready_net_ids(params)
        for all_ids in (self._choose_net_ids(params), spec_ids) if as_made else ():
            known = self.resources.small_mattes.get(_seen_key(file_id, all_ids, len(faces), pick))
            if known is not None:
                return known.decode(photo.shape[1::-1])
        nets = [_PhotoNet(self, file_id, photo, spec_id) for spec_id in spec_ids]
        face, predict_people = faces[pick] if pick < len(faces) else None, partial(self._predict_people, file_id)
        return self._memoize(
            ("seen quickly", file_id, photo.shape, spec_ids, len(faces), pick),
            lambda: (
                predict_subjects(
                    photo, nets, faces, face, predict_people=predict_people, is_quick=self._is_quick(spec_ids[0])
                ).alpha
            ),
        )

    def _list_views(self, file_id: str, spec_ids: tuple[str, ...]) -> tuple[Alpha, ...]:
        """List what each net sees in a photo, as squares."""
        first, *others = (self.predict_net_map(file_id, spec_id) for spec_id in spec_ids)
        return (rescale_net_alpha(first) if self._is_quick(spec_ids[0]) else first, *others)

    def _predict_crop(self, file_id: str, area: Area) -> Alpha:
        """Return the small net's stretched map of an area of a photo; cached by both."""
        spec_id = self._matting_spec_ids[0]

        def predict() -> Alpha:
            with self.borrow_model(spec_id) as net:
                return rescale_net_alpha(net.predict_map(crop_area(self.open_image(file_id), area)))

        return self._memoize(("net-crop", file_id, spec_id, area), predict)

    def _predict_people(self, file_id: str, area: Area) -> Alpha:
        """Return where people are in an area of a photo, as the net sees it that knows them; cached by both."""

        def predict() -> Alpha:
            with self.borrow_model(PERSON_SPEC_ID) as net:
                return net.predict_map(crop_area(self.open_image(file_id), area))

        return self._memoize(("people", file_id, area), predict)

    def _segment_in(self, file_id: str) -> SegmentPointed | None:
        """Return how the net for pointing segments a photo, which it embeds once; None where there is no such net."""
        spec_id = self.job.specs.get(POINT_ROLE)
        if spec_id is None:
            return None

        def embed() -> tuple[Float32Array, ...]:
            with self.borrow_model(spec_id) as net:
                return net.encode_photo(self.open_image(file_id))

        def segment(on: Marks, beside: Marks, box: Area | None) -> Alpha:
            def decode() -> Alpha:
                key = ("embedding", file_id, spec_id)
                embedding = self._memoize(key, embed, lambda made: sum(each.nbytes for each in made))
                with self.borrow_model(spec_id) as net:
                    return net.segment(embedding, tuple(on), tuple(beside), box)

            key = ("segmented", file_id, spec_id, tuple(on), tuple(beside), box)
            return self._memoize(key, decode)

        return segment

    def _given_matte(self, file_id: str | None, original: Image) -> Alpha | None:
        """The user's own matte, or the transparency that the upload came with, where that is a real share of it."""
        if file_id is not None:
            return self.open_mask(file_id)
        if _is_transparent(original):
            return np.asarray(original[..., 3] / np.float32(255), np.float32)
        return None

    def detect_faces(self, file_id: str) -> tuple[Face, ...]:
        """Find faces, largest first; none where nobody said that whoever is in the picture agrees."""
        if self.may_search_faces(file_id):
            return self._detect_faces(file_id)
        self.faces_not_searched = True
        return ()

    def _detect_faces(self, file_id: str) -> tuple[Face, ...]:
        def detect() -> tuple[Face, ...]:
            with self.borrow_model(FACE_SPEC_ID) as net:
                return net.find_faces(self.open_image(file_id))

        faces = self._memoize(("faces", file_id), detect, lambda _: _FACES_BYTES)
        self.face_counts[file_id] = len(faces)
        return faces

    def may_search_faces(self, *file_ids: str) -> bool:
        """Whether faces may be looked for: with consent, and in the studio's own examples."""
        return self.job.consent is not None or all(self.resources.files.is_example(file_id) for file_id in file_ids)

    @property
    def may_search_all_inputs(self) -> bool:
        """Whether faces may be looked for in every picture that went in, and so in what is made of them."""
        return self.may_search_faces(*(file_id for _, file_id in iter_pictures(self.job.params)))

    def face_finder(self) -> Callable[[Image], tuple[Face, ...]]:
        """How to find faces in results; it holds the model cache alone, as cached results outlive the job."""
        return partial(_find_faces, self.resources.cache) if self.may_search_all_inputs else lambda _: ()

    def has_verb(self, verb: Verb) -> bool:
        """Whether the profile serves `verb`."""
        return verb in self.job.specs

    def reads_several_pictures(self, verb: Verb) -> bool:
        """Whether the profile's model for `verb` sees other pictures beside the first one."""
        row, _ = self.resources.cache.resolve_spec(self.job.specs[verb])
        return not row.reads_one_picture

    def spec_for_role(self, role: str) -> str:
        """The id of the spec that was chosen for `role` when the job was made, else `role` itself."""
        return self.job.specs.get(role, role)

    @contextmanager
    def borrow_model(self, spec_id: str) -> Iterator[Any]:
        """Borrow a loaded model of the cache; the receipt names it."""
        with self.resources.cache.borrow_model(spec_id, self.progress.report_download) as model:
            self.record_usage(ModelUsage({spec_id: model.spec}))
            yield model

    def draw(self, render: RenderRequest, emit: ProgressCallback) -> RenderedImages:
        """Run the profile's model for `render.verb`; one event per model step."""
        if not self.has_verb(render.verb):
            raise ModelUnavailable(f"The profile '{self.job.profile}' has no model for '{render.verb}'.")
        stage = SCENE_STAGE if render.verb == "backdrop" else DRAWING_STAGE

        def on_step(step: ModelStep) -> None:
            emit(stage, step.index, step.total, step.preview)

        def on_start(spec: ModelSpec) -> None:
            self.progress.record_elapsed(WAITING_STAGE)
            self.record_usage(ModelUsage({spec.id: spec}))
            if render.verb == "control" and spec.control_net:  # it draws too, under a licence of its own
                net, _ = self.resources.cache.resolve_spec(spec.control_net)
                self.record_usage(ModelUsage({net.id: net}))

        # The user's own backdrop is fitted and not drawn, whichever model the profile has.
        has_own_backdrop = render.backdrop is not None and render.backdrop.picture is not None
        spec_id = BACKDROP_SPEC_ID if has_own_backdrop else self.job.specs[render.verb]
        render = self._write_caption_prompt(render, spec_id)
        render = replace(
            render,
            prompt=neutralize_prompt(render.prompt),
            negative_prompt=neutralize_prompt(render.negative_prompt),
            adapters=(*render.adapters, *self._adapters),
        )
        asked, render = render.size, _limit_drawn_size(render)
        drawn = _enlarge_drawn(self._draw_fn(spec_id, render, on_step, on_start), asked)
        keeps_places = render.verb in ("edit", "tryon") and render.images and not render.recomposes
        images = self._align_edits(render, drawn) if keeps_places else drawn
        # Recorded here and not by the tools, so that none can leave out that memory ran short or a picture had slid.
        scenery: set[Scenery] = {drawn.scenery} if drawn.scenery else set()
        self.record_usage(
            ModelUsage(
                notices=list(images.notices),
                scenery=scenery,
                largest_batch=drawn.batch_size,
                scene_match=drawn.scene_match,
                scenes=_drawn_scene_ids(render, drawn),
            )
        )
        return images

    def _write_caption_prompt(self, render: RenderRequest, spec_id: str) -> RenderRequest:
        """Write the caption in the way of the model's family, and record the words; nothing for the built-in scenes."""
        row, _ = self.resources.cache.resolve_spec(spec_id)
        if render.caption is None or not has_style(row.family):
            return replace(render, caption=None)
        words = render.model_words or write_caption(render.caption, row.family)
        self.record_usage(ModelUsage(words=[words]))
        return replace(render, prompt=words)

    def _align_edits(self, render: RenderRequest, drawn: RenderedImages) -> RenderedImages:
        """Register edits with the first image; what is left of the drift goes to the checks."""
        edits = [
            align_edit(render.images[0], image, render.preserved_mask, render.whole_mask) for image in drawn.images
        ]
        if render.preserved_mask is None:
            aligned = [(edit.source, edit.image) for edit in edits if edit.source is not None]
            rows = [ModelEdit(source, image, self.face_finder()) for source, image in aligned]
            self.record_usage(ModelUsage(edits=rows))
        else:  # the tool pastes the subject over this image, so the finished picture is compared instead
            self.record_usage(ModelUsage(subject_pasted_back=True))
        notices = dict.fromkeys(edit.notice for edit in edits if edit.notice)
        return RenderedImages(tuple(edit.image for edit in edits), (*drawn.notices, *notices))

    def memoize(self, key: tuple[object, ...], make: Callable[[], Image]) -> Image:
        """Return the cached picture of `key`, else `make()`."""
        # Another model, an adapter, or faces that may not be looked for change the picture.
        made_with = tuple(sorted(self.job.specs.items())), self._adapters, self.may_search_all_inputs
        return self._memoize(("picture", *key, *made_with), make)

    def _memoize(
        self, key: tuple[object, ...], make: Callable[[], T], count_bytes: Callable[[T], int] = attrgetter("nbytes")
    ) -> T:
        """Return the cached value of `key`, else `make()`; either way its model usage counts as this job's."""
        is_cached = True

        def make_and_record() -> tuple[T, ModelUsage]:
            nonlocal is_cached
            is_cached = False
            usage = ModelUsage()
            self._usage_stack.append(usage)
            try:
                return make(), usage
            finally:
                self._usage_stack.pop()

        value, usage = self.resources.results.get_or_create(
            key, make_and_record, lambda made: count_bytes(made[0]) + made[1].nbytes
        )
        if is_cached:
            self.record_usage(usage)
        return value

    @property
    def usage(self) -> ModelUsage:
        """What was used for this job so far."""
        return self._usage_stack[0]

    def record_usage(self, usage: ModelUsage) -> None:
        """Add to the job's record, and to that of every result that is being made for the cache."""
        for record in self._usage_stack:
            record.merge(usage)
        if usage.is_generative:
            self.progress.preview_filter = self.resources.content_filter.allows_preview

    def _filter_first_preview(self, image: Image) -> bool:
        """Whether a preview may be seen before any picture of this job has passed the filter: if it passes itself."""
        if allowed := self.resources.content_filter.allows_preview(image):
            self._stop_filtering_previews()
        return allowed

    def _stop_filtering_previews(self) -> None:
        """Show every preview from here on, unless a generative model draws them."""
        if not self.usage.is_generative:
            self.progress.preview_filter = None


@dataclass(frozen=True)
class _PhotoNet:
    """A matting net that is borrowed when it is asked, and asked only once for the whole `photo`."""

    context: JobContext
    file_id: str
    photo: Image
    spec_id: str

    def predict_alpha(self, image: Image) -> Alpha:
        if image is self.photo:
            return resize_net_map(self.context.predict_net_map(self.file_id, self.spec_id), image.shape)
        with self.context.borrow_model(self.spec_id) as net:
            return net.predict_alpha(image)


def _is_transparent(original: Image) -> bool:
    """Whether a real share of an upload is transparent: then it is a cut-out."""
    return original.shape[2] == 4 and bool((original[..., 3] < 128).mean() > MIN_TRANSPARENT_RATIO)


def _seen_key(file_id: str, spec_ids: tuple[str, ...], face_count: int, pick: int) -> tuple[object, ...]:
    return ("seen", file_id, spec_ids, face_count, pick)


def _net_map_key(file_id: str, spec_id: str) -> tuple[str, str, str]:
    return ("net-map", file_id, spec_id)


def _select_people(image: Image, faces: tuple[Face, ...], pick: int, together: bool, seen: Alpha) -> Alpha:
    """Select the person of number `pick` in a map; `together` and not picked: all in front; a part without faces."""
    if not faces or pick >= len(faces):
        return select_people(image, seen, None, (), pick)
    if together and pick == 0:
        return select_people(image, seen, None, find_front_people(faces))
    return select_people(image, seen, faces[pick], faces)


def _drawn_scene_ids(render: RenderRequest, drawn: RenderedImages) -> set[str]:
    """Return the id of the built-in scene that was drawn, nothing for the user's own picture and for models."""
    if drawn.scenery is None or render.backdrop is None or render.backdrop.picture is not None:
        return set()
    scene = drawn.scene_match.scene if drawn.scene_match is not None else render.backdrop.scene
    return {scene} if scene else set()


def _limit_drawn_size(render: RenderRequest) -> RenderRequest:
    """Let a scene beyond `MAX_SIDE` be drawn at that: no model draws more, and the user's own picture is not drawn."""
    is_own_picture = render.backdrop is not None and render.backdrop.picture is not None
    is_drawn = render.verb in ("backdrop", "image") and render.control is None and not is_own_picture
    if max(render.size) <= MAX_SIDE or not is_drawn:
        return render
    return replace(render, size=size_for_ratio(render.size, MAX_SIDE))


def _enlarge_drawn(drawn: RenderedImages, size: Size) -> RenderedImages:
    if not drawn.images or drawn.images[0].shape[1::-1] == size:
        return drawn
    return replace(
        drawn,
        images=tuple(resize_image(image, size) for image in drawn.images),
        alphas=tuple(resize_map(alpha, size) for alpha in drawn.alphas),
    )


def _shrink(image: Image, side_px: int) -> Image:
    return resize_image(image, size_within(image.shape, side_px))


def iter_pictures(params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each picture among a form's values as field name and file id."""
    for name, value in params.items():
        for file_id in value if isinstance(value, list) else [value]:
            if isinstance(file_id, str) and file_id.startswith("file-"):
                yield name, file_id


def _find_faces(cache: ModelCache, image: Image) -> tuple[Face, ...]:
    with cache.borrow_model(FACE_SPEC_ID) as net:
        return net.find_faces(image)
