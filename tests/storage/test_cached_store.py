"""Files on a store that several studios share; the folder of each is a cache before it."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest

from pipelines.core.errors import BadInput, NotFound, StudioError
from pipelines.settings import Settings
from pipelines.storage import cached_store
from pipelines.storage.cached_store import CachedStore, open_store
from pipelines.storage.file_index import FileIndex
from pipelines.storage.fsspec_store import UNREACHABLE_MESSAGE, open_filesystem
from tests.api.support.calls import RUN
from tests.support.examples import make_noise
from tests.support.file_stores import (
    STORE_KINDS,
    STORE_SECRET,
    ClosableStore,
    StoreClosed,
    delete_local_files,
    make_store_url,
    open_files,
)
from tests.support.served_app import serve_app
from ui.server.factory import build_studio

SHARED = [kind for kind in STORE_KINDS if kind != "local"]


@pytest.fixture(params=SHARED)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return make_store_url(request.param, tmp_path)


@pytest.fixture
def two(url: str, tmp_path: Path) -> Iterator[tuple[FileIndex, FileIndex]]:
    """Two machines with one index and one store."""
    made = open_files(tmp_path / "a", url), open_files(tmp_path / "b", url, tmp_path / "a")
    yield made
    for files in made:
        files.close()


@pytest.fixture
def door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileIndex]:
    ClosableStore.shut = None
    ClosableStore.store.clear()
    monkeypatch.setattr(cached_store, "RETRY_SECONDS", 0.0)
    files = open_files(tmp_path, make_store_url("door", tmp_path))
    yield files
    ClosableStore.shut = None
    files.close()


def on_store(url: str) -> list[str]:
    fs, path = open_filesystem(url)
    return sorted(name for name in fs.find(path) if "file-" in name)


def test_what_one_machine_keeps_every_other_has(two: tuple[FileIndex, FileIndex]) -> None:
    one, other = two
    image = make_noise(20, 30)
    photo = one.add_image(image, "ann", "upload")
    made = one.add_encoded(b"made here", image, "png", "ann", "result", "a-look.png", defer_sync=True)
    lines = one.add_jsonl(b"{}\n", "ann", "batch")
    one.save_provenance(photo, "ann", b"past", b"placed")
    assert np.array_equal(other.open_image(photo), image)
    assert (other.read_bytes(made, "ann"), other.read_bytes(lines, "ann")) == (b"made here", b"{}\n")
    assert [other.load_provenance(photo, "ann", as_component=placed) for placed in (False, True)] == [
        b"past",
        b"placed",
    ]
    assert other.load_provenance(photo, "bob") is None
    assert {file.id for file in other.list_files("ann", 9)} == {photo, made, lines}


def test_a_machine_whose_disk_is_lost_loses_nothing(two: tuple[FileIndex, FileIndex]) -> None:
    one, _ = two
    image = make_noise(20, 30)
    photo, made = one.add_image(image, "ann", "upload"), one.add_encoded(b"made here", image, "png", "ann", "result")
    delete_local_files(one)
    assert np.array_equal(one.open_image(photo), image)
    assert one.local_path(made).read_bytes() == b"made here"
    delete_local_files(one)
    assert one.add_image(image, "bob", "upload") == photo
    assert one.get_info(photo, "bob").bytes == one.local_path(photo).stat().st_size


def test_the_next_start_forgets_no_file_that_only_this_machine_lacks(url: str, tmp_path: Path) -> None:
    one = open_files(tmp_path, url)
    made = one.add_encoded(b"made here", make_noise(9, 9), "png", "ann", "result", defer_sync=True)
    delete_local_files(one)
    one.close()
    again = open_files(tmp_path, url)
    assert again.read_bytes(made, "ann") == b"made here"
    again.close()


def test_what_a_power_cut_halved_here_is_fetched_anew(two: tuple[FileIndex, FileIndex]) -> None:
    one, _ = two
    made = one.add_encoded(b"made here", make_noise(9, 9), "png", "ann", "result", defer_sync=True)
    one.local_path(made).write_bytes(b"made")
    assert one.read_bytes(made) == b"made here"


def test_what_is_deleted_is_gone_from_the_store_and_in_time_from_every_machine(
    two: tuple[FileIndex, FileIndex], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = two
    image = make_noise(20, 30)
    photo = one.add_image(image, "ann", "upload")
    one.add_image(image, "bob", "upload")
    one.save_provenance(photo, "ann", b"hers")
    one.save_provenance(photo, "bob", b"his")
    other.open_image(photo)
    one.remove_owner(photo, "ann")
    assert (one.load_provenance(photo, "ann"), other.load_provenance(photo, "bob")) == (None, b"his")
    assert len(on_store(url)) == 2
    one.remove_owner(photo, "bob")
    assert on_store(url) == []
    assert not list(one.root.glob("file-*"))
    with pytest.raises(NotFound):
        other.open_image(photo)
    monkeypatch.setattr(cached_store, "RECHECK_SECONDS", -1.0)
    other.delete_partial_files(60)
    assert not list(other.root.glob("file-*"))


def test_a_file_deleted_elsewhere_and_brought_again_is_on_the_store_again(
    two: tuple[FileIndex, FileIndex], url: str
) -> None:
    one, other = two
    image = make_noise(20, 30)
    photo = other.add_image(image, "ann", "upload")
    one.delete_file(photo)
    assert other.add_image(image, "ann", "upload") == photo  # though it still lies in the cache there
    delete_local_files(other)
    assert np.array_equal(other.open_image(photo), image)


def test_a_kill_between_the_bytes_and_their_row_leaves_no_row_without_bytes(
    two: tuple[FileIndex, FileIndex], monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    one, other = two
    for target, name in ((one, "_record_file"), (one._store, "_upload_file")):
        with monkeypatch.context() as patch:
            patch.setattr(target, name, killed)
            with pytest.raises(KeyboardInterrupt):
                one.add_image(make_noise(20, 30), "ann", "upload")
        assert other.list_files("ann", 9) == []
    photo = one.add_image(make_noise(20, 30), "ann", "upload")
    assert np.array_equal(other.open_image(photo), make_noise(20, 30))


def test_half_a_file_on_a_share_is_never_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    url = make_store_url("file", tmp_path)
    files = open_files(tmp_path, url)
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.storage.fsspec_store.os.fsync", killed)
        with pytest.raises(KeyboardInterrupt):
            files.add_image(make_noise(20, 30), "ann", "upload")
    assert on_store(url) == []
    parts = tmp_path / "mnt" / ".parts"
    assert len(list(parts.iterdir())) == 1
    files.delete_partial_files(-1)
    assert not list(parts.iterdir())
    files.close()


@pytest.mark.parametrize("kind", [StoreClosed, PermissionError, TimeoutError, FileNotFoundError])
def test_a_store_that_says_no_is_told_in_a_sentence_and_nothing_is_lost(
    door: FileIndex, kind: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    kept = door.add_image(make_noise(8, 8), "ann", "upload")
    delete_local_files(door)
    ClosableStore.shut = kind
    for act in (lambda: door.add_image(make_noise(9, 9), "ann", "upload"), lambda: door.read_bytes(kept, "ann")):
        with pytest.raises(StudioError) as caught:
            act()
        assert (caught.value.message, caught.value.code) == (UNREACHABLE_MESSAGE, "storage_unavailable")
        assert caught.value.__suppress_context__
    assert [file.id for file in door.list_files("ann", 9)] == [kept]
    assert kind.__name__ in caplog.text
    assert STORE_SECRET not in caplog.text
    ClosableStore.shut = None
    assert np.array_equal(door.open_image(kept), make_noise(8, 8))


def test_who_asks_for_a_store_that_was_away_a_moment_ago_is_told_at_once(
    door: FileIndex, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kept = [door.add_image(make_noise(8, 8, seed=n), "ann", "upload") for n in range(3)]
    delete_local_files(door)
    ClosableStore.shut = StoreClosed
    monkeypatch.setattr(cached_store, "RETRY_SECONDS", 600)
    for file_id in kept:
        with pytest.raises(StudioError, match="cannot be reached"):
            door.open_image(file_id)
    door.delete_file(kept[0])
    assert caplog.text.count("StoreClosed") == 1
    ClosableStore.shut = None
    assert isinstance(door._store, CachedStore)
    door._store._unreachable_until = 0.0
    assert np.array_equal(door.open_image(kept[1]), make_noise(8, 8, seed=1))


def test_what_is_deleted_while_the_store_is_away_goes_once_it_is_back(door: FileIndex) -> None:
    gone, back = (door.add_image(make_noise(8, 8, seed=n), "ann", "upload") for n in (1, 2))
    ClosableStore.shut = StoreClosed
    for file_id in (gone, back):
        door.remove_owner(file_id, "ann")
    door.delete_partial_files(60)
    ClosableStore.shut = None
    assert door.list_files("ann", 9) == []
    assert door.add_image(make_noise(8, 8, seed=2), "ann", "upload") == back
    door.delete_partial_files(60)
    delete_local_files(door)
    assert np.array_equal(door.open_image(back), make_noise(8, 8, seed=2))
    assert [name.rpartition("/")[2] for name in ClosableStore.store if "file-" in name] == [f"{back}.png"]


def test_a_share_that_is_not_mounted_is_not_written_to_and_loses_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached_store, "RETRY_SECONDS", 0.0)
    files = open_files(tmp_path, make_store_url("file", tmp_path))
    kept = files.add_image(make_noise(8, 8), "ann", "upload")
    files._store.fetch(f"{kept}.png").unlink()
    mounted = (tmp_path / "mnt").rename(tmp_path / "elsewhere")
    (tmp_path / "mnt").mkdir()
    for act in (lambda: files.add_image(make_noise(9, 9), "ann", "upload"), lambda: files.open_image(kept)):
        with pytest.raises(StudioError) as caught:
            act()
        assert caught.value.message == UNREACHABLE_MESSAGE
    assert not list((tmp_path / "mnt").iterdir())
    files.close()
    with pytest.raises(BadInput, match="not mounted"):
        open_files(tmp_path, make_store_url("file", tmp_path))
    (tmp_path / "mnt").rmdir()
    mounted.rename(tmp_path / "mnt")
    files = open_files(tmp_path, make_store_url("file", tmp_path))
    assert np.array_equal(files.open_image(kept), make_noise(8, 8))
    files.close()


def test_a_studio_that_is_given_a_store_brings_it_what_it_has(url: str, tmp_path: Path) -> None:
    alone = open_files(tmp_path, "")
    photo = alone.add_image(make_noise(8, 8), "ann", "upload")
    alone.close()
    files = open_files(tmp_path, url)
    delete_local_files(files)
    assert np.array_equal(files.open_image(photo), make_noise(8, 8))
    files.close()
    alone = open_files(tmp_path, "")  # and once more without: what is made meanwhile is brought as well
    made = alone.add_encoded(b"meanwhile", make_noise(8, 8), "png", "ann", "result")
    alone.close()
    files = open_files(tmp_path, url)
    delete_local_files(files)
    assert files.read_bytes(made) == b"meanwhile"
    files.close()


def test_the_cache_gives_up_what_was_used_longest_ago_and_nothing_that_is_in_use(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = CachedStore(url, tmp_path / "cache", room=10_000)
    names = [f"file-{n:040x}.png" for n in range(12)]
    for age, name in enumerate(names[:9]):
        path = store.put(name, bytes(1000))
        os.utime(path, (age, age))
    store.fetch(names[0], 1000)
    part = tmp_path / "cache" / ".part-1"
    part.write_bytes(bytes(5000))
    store.put(names[9], bytes(1000))
    store.put(names[10], bytes(1000))
    left = {path.name for path in (tmp_path / "cache").glob("file-*")}
    assert left == {names[0], *names[3:11]}
    assert part.exists()
    store.put(names[11], bytes(9000))  # more than there is room for, and each of the others was used just now
    for name in names[:3]:
        assert store.fetch(name, 1000).stat().st_size == 1000


def test_one_machine_fetches_a_file_once_however_many_ask(
    two: tuple[FileIndex, FileIndex], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = two
    photo = one.add_image(make_noise(20, 30), "ann", "upload")
    store = other._store
    assert isinstance(store, CachedStore)
    fetched: list[str] = []
    get = store._fs.get_file

    def slow(path: str, part: str) -> None:
        fetched.append(path)
        time.sleep(0.05)
        get(path, part)

    monkeypatch.setattr(store._fs, "get_file", slow)
    crowd = [threading.Thread(target=other.open_image, args=(photo,)) for _ in range(8)]
    for each in crowd:
        each.start()
    for each in crowd:
        each.join()
    assert len(fetched) == 1
    assert not list(other.root.glob(".part-*"))


def test_a_store_whose_package_is_missing_is_told_by_the_package_s_name(tmp_path: Path) -> None:
    fsspec.register_implementation("absent", "absent_package.Store", clobber=True, errtxt="Install absent_package")
    with pytest.raises(BadInput, match="Install absent_package") as caught:
        build_studio(Settings(data=tmp_path, files=f"absent://ann:{STORE_SECRET}@host/files"))
    assert STORE_SECRET not in caught.value.message
    with pytest.raises(BadInput, match="no address of a store"):
        open_store("nonsense://x", tmp_path)


def test_the_address_of_the_store_is_in_no_printed_settings_and_in_no_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESIGNERBOX_FILES", f"door://{STORE_SECRET}/files")
    settings = Settings.from_args([])
    assert settings.files == f"door://{STORE_SECRET}/files"
    assert STORE_SECRET not in repr(settings)
    ClosableStore.shut = None
    with caplog.at_level(logging.DEBUG):
        files = open_files(tmp_path, settings.files)
        files.add_image(make_noise(8, 8), "ann", "upload")
        ClosableStore.shut = StoreClosed
        with pytest.raises(StudioError):
            files.add_image(make_noise(9, 9), "ann", "upload")
        ClosableStore.shut = None
    ours = [row for row in caplog.records if not row.name.startswith("fsspec")]
    assert STORE_SECRET not in "".join(row.getMessage() + str(row.exc_text) for row in ours)
    files.close()


def test_the_api_hands_over_a_file_that_this_machine_lacks(url: str, tmp_path: Path) -> None:
    with serve_app(tmp_path, settings=Settings(data=tmp_path, files=url)) as here, here.open_client() as http:
        address = http.post(RUN, json={}).json()["files"][0]["url"]
        whole = http.get(address)
        assert whole.status_code == 200
        for ask, status, body in (
            ({}, 200, whole.content),
            ({"Range": "bytes=5-8"}, 206, whole.content[5:9]),
            ({"If-None-Match": whole.headers["etag"]}, 304, b""),
        ):
            delete_local_files(here.service.files)
            answer = http.get(address, headers=ask)
            assert (answer.status_code, answer.content) == (status, body)
        delete_local_files(here.service.files)
        assert http.head(address).headers["content-length"] == str(len(whole.content))


def test_the_api_says_that_the_store_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ClosableStore.shut = None
    monkeypatch.setattr(cached_store, "RETRY_SECONDS", 0.0)
    settings = Settings(data=tmp_path, files=make_store_url("door", tmp_path))
    with serve_app(tmp_path, settings=settings) as here, here.open_client() as http:
        address = http.post(RUN, json={}).json()["files"][0]["url"]
        delete_local_files(here.service.files)
        ClosableStore.shut = StoreClosed
        answers = [http.get(address), http.post(RUN, json={"seed": 5})]
        ClosableStore.shut = None
        for answer in answers:
            assert answer.status_code == 503
            assert answer.json()["error"]["message"] == UNREACHABLE_MESSAGE
        assert http.get(address).status_code == 200
        assert http.post(RUN, json={"seed": 5}).json()["status"] == "done"
        assert STORE_SECRET not in http.get("/healthz").text
