"""How sure a cut-out is: two nets for what is kept, one for a draft, and the value that the receipt names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipelines.core.geometry import UNCLEAR_UNCERTAINTY, Alpha, Cutout, Image
from pipelines.core.job import FIRST_LOOK_STAGE, Step
from pipelines.matting.cutout_notices import soft_patch_notices
from pipelines.models.families.hub_nets import LITE
from pipelines.models.nets import matting_choice
from pipelines.models.nets.isnet import IsNet
from pipelines.models.nets.u2net import U2Net
from pipelines.quality.subject_checks import STILL_UNCLEAR_NOTICE, UNCLEAR_NOTICE
from tests.models.support import tiny_birefnet
from tests.support.examples import make_blob, make_noise
from tests.support.real_studio import RealStudio
from ui.tool_tab.text import describe_doubt


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealStudio]:
    with RealStudio(Path(tmp_path_factory.mktemp("studio")), matting="both") as made:
        yield made


def test_a_draft_waits_for_the_small_net_alone_and_what_is_kept_for_both(studio: RealStudio) -> None:
    photo = studio.photos["coffee"]
    draft = studio.make("cutout", photo=photo, draft=True).receipt
    assert "u2netp" in {row["id"] for row in draft["models"]}
    assert studio.cache.load_counts["isnet"] == 0
    closer = studio.create_job("cutout", photo=photo, draft=True).model_copy(update={"closer": True})
    assert {row["id"] for row in studio.run_job(closer).receipt["models"]} >= {"u2netp", "isnet"}
    later = studio.make("product", photo=photo, draft=True).receipt
    assert "isnet" in {row["id"] for row in later["models"]}, "what both nets have seen is not shown worse again"
    kept = studio.make("cutout", photo=photo).receipt
    assert {row["id"] for row in kept["models"]} >= {"u2netp", "isnet"}
    assert 0 <= kept["cutout_uncertainty"] < 0.1
    again = studio.make("product", photo=photo, preset="transparent").receipt
    assert again["cutout_uncertainty"] == kept["cutout_uncertainty"]
    assert studio.cache.load_counts["isnet"] == 1


def test_marks_are_not_followed_by_the_look_of_the_small_net_without_them(studio: RealStudio) -> None:
    photo = studio.add_image(studio.files.open_image(studio.photos["coffee"])[:, ::-1].copy())

    def list_stages(**marks: Any) -> set[str]:
        stream = studio.service.jobs.submit_and_watch(studio.create_job("cutout", photo=photo, **marks))
        return {event.stage for event in stream if isinstance(event, Step)}

    assert FIRST_LOOK_STAGE not in list_stages(keep=[[0.5, 0.5]])
    assert FIRST_LOOK_STAGE in list_stages()


def test_what_is_kept_takes_a_better_net_that_is_here_and_the_receipt_names_it(
    studio: RealStudio, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    photo = studio.photos["coffee"]
    assert "matte-hub" not in studio.create_job("cutout", photo=photo).specs
    tiny_birefnet.put_into_cache(LITE, tmp_path, monkeypatch)
    monkeypatch.setattr(matting_choice, "total_host_bytes", lambda: 10**12)
    draft = studio.make("cutout", photo=photo, draft=True).receipt
    assert LITE.id not in {row["id"] for row in draft["models"]}
    closer = studio.create_job("cutout", photo=photo, draft=True).model_copy(update={"closer": True})
    assert LITE.id not in {row["id"] for row in studio.run_job(closer).receipt["models"]}
    kept = studio.make("cutout", photo=photo).receipt
    assert {"id": LITE.id, "revision": LITE.revision, "licence": "MIT"} in kept["models"]
    assert {row["id"] for row in kept["models"]} >= {"u2netp", "isnet"}
    assert kept["cutout_uncertainty"] > UNCLEAR_UNCERTAINTY  # weights that nobody trained see something else
    for cut_by in ("quick", "careful"):  # each is doubted by the one that is most unlike it
        alone = studio.make("cutout", photo=photo, cut_by=cut_by).receipt
        assert {row["id"] for row in alone["models"]} & {"u2netp", "isnet", LITE.id} == {"u2netp", LITE.id}
        assert alone["cutout_uncertainty"] > UNCLEAR_UNCERTAINTY
    small = studio.service.settings.model_copy(update={"matting": "small"})
    monkeypatch.setattr(studio.service, "settings", small)
    assert "matte-hub" not in studio.create_job("cutout", photo=photo).specs


def test_the_net_that_knows_people_is_asked_only_where_faces_may_be_looked_for_and_are_found(
    studio: RealStudio,
) -> None:
    picture = studio.files.open_image(studio.photos["astronaut"]).copy()
    picture[-1, -1] = 7  # no example any more, so faces are looked for with consent alone
    photo = studio.add_image(picture)

    def asks(photo: str, *, consent: bool, draft: bool = False) -> bool:
        receipt = studio.make("cutout", photo=photo, consent=consent, draft=draft).receipt
        return "selfie" in {row["id"] for row in receipt["models"]}

    assert not asks(photo, consent=True, draft=True), "one net alone differs from none"
    assert not asks(photo, consent=False)
    assert asks(photo, consent=True)
    assert not asks(studio.photos["coffee"], consent=True)
    assert studio.cache.load_counts["selfie"] == 1


def test_a_matte_of_ones_own_is_not_doubted(studio: RealStudio) -> None:
    photo = studio.photos["coffee"]
    matte = next(file.id for file in studio.make("cutout", photo=photo).files if file.role == "matte")
    assert "cutout_uncertainty" not in studio.make("cutout", photo=photo, matte=matte, trim=False).receipt


def test_where_the_nets_see_different_things_the_cutout_is_said_to_be_probably_wrong(
    studio: RealStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    for net, centre in ((U2Net, (70, 100)), (IsNet, (230, 100))):

        def predict_map(_: object, image: Image, centre: tuple[int, int] = centre) -> Alpha:
            return np.asarray(cv2.resize(make_blob(200, 300, centre, (50, 70)), (320, 320)), np.float32)

        monkeypatch.setattr(net, "predict_map", predict_map)
    photo = studio.add_image(make_noise(200, 300))
    receipt = studio.make("cutout", photo=photo).receipt
    assert receipt["cutout_uncertainty"] > UNCLEAR_UNCERTAINTY
    assert UNCLEAR_NOTICE in receipt["notices"]
    boxed = studio.make("cutout", photo=photo, box=[0.0, 0.0, 1.0, 1.0]).receipt
    assert boxed["cutout_uncertainty"] > UNCLEAR_UNCERTAINTY
    assert STILL_UNCLEAR_NOTICE in boxed["notices"], "a box was drawn already"
    assert UNCLEAR_NOTICE not in boxed["notices"]


def test_of_several_things_the_taken_one_is_named_unless_it_was_chosen(
    studio: RealStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = np.maximum(make_blob(200, 300, (70, 100), (50, 70)), make_blob(200, 300, (230, 100), (45, 60)))
    monkeypatch.setattr(U2Net, "predict_map", lambda _net, _image: cv2.resize(both, (320, 320)))
    photo = studio.add_image(make_noise(200, 300, seed=1))
    told = "Several things stand out; the one at the left is taken. Choose another, or keep more by pointing at them."
    receipt = studio.make("cutout", photo=photo, draft=True).receipt
    assert receipt["cutout_doubts"] == [told]
    assert told in receipt["notices"]
    for choice in ({"pick": 1}, {"keep": [[0.25, 0.5]]}, {"subjects": "each"}):
        assert told not in studio.make("cutout", photo=photo, draft=True, **choice).receipt["notices"]


@pytest.mark.parametrize(("rows", "is_shown"), [(slice(470, 490), False), (slice(200, 220), True)])
def test_a_doubt_about_a_place_below_the_crop_is_not_told(
    studio: RealStudio, monkeypatch: pytest.MonkeyPatch, rows: slice, is_shown: bool
) -> None:
    def cut_out(image: Image, *_: object, **__: object) -> Cutout:
        alpha = np.maximum(make_blob(512, 512, (225, 130), (90, 110)), make_blob(512, 512, (225, 512), (180, 330)))
        alpha[rows, 180:270] = 0.5
        boxes = soft_patch_notices(alpha, ())
        return Cutout(image, alpha, tuple(boxes), 0.3, boxes)

    monkeypatch.setattr("pipelines.runtime.context.cut_out_subject", cut_out)
    picture = studio.files.open_image(studio.photos["astronaut"]).copy()
    picture[-1, -1] = rows.start // 2  # another photo for the cache
    photo = studio.add_image(picture)
    receipt = studio.make("headshot", photo=photo, framing="tight", size=256, consent=True, pick=0).receipt
    assert receipt["cutout_uncertainty"] == 0.3, receipt["placement"]
    assert bool(receipt["cutout_doubts"]) == is_shown, receipt["placement"]
    assert any("it is half transparent, and" in notice for notice in receipt["notices"]) == is_shown
    assert bool(describe_doubt(receipt)) == is_shown
    places = [box for row in receipt["placement"].get("doubts", ()) for box in row["boxes"]]
    assert len(places) == is_shown
    for place in places:  # of a tight crop that shows the rows 200 to 220
        assert 0 <= place[0] < place[2] <= 1
        assert 0 < place[3] - place[1] < 0.2
