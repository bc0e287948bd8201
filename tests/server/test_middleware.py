from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from starlette.responses import FileResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from ui.server.middleware import DeletedUploadAnswer


def serve_file(path: Path, *, is_deleted_meanwhile: bool) -> ASGIApp:
    """Answers with a file that was there when the answer was made, as Gradio does."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response = FileResponse(path)
        if is_deleted_meanwhile:
            path.unlink()
        await response(scope, receive, send)

    return DeletedUploadAnswer(app)


def get_file(app: ASGIApp, path: Path) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://studio") as client:
            return await client.get(f"/gradio_api/file={path}")

    return asyncio.run(ask())


@pytest.fixture
def uploads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    (tmp_path / "uploads").mkdir()
    return tmp_path / "uploads"


def test_an_upload_that_goes_while_it_is_sent_is_404_with_a_sentence(uploads: Path) -> None:
    path = uploads / "holiday.png"
    path.write_bytes(b"picture")
    assert get_file(serve_file(path, is_deleted_meanwhile=False), path).content == b"picture"
    answer = get_file(serve_file(path, is_deleted_meanwhile=True), path)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"
    assert "deleted" in answer.json()["error"]["message"]


def test_what_goes_in_another_folder_stays_a_bug(uploads: Path) -> None:
    path = uploads.parent / "secret.png"
    path.write_bytes(b"picture")
    with pytest.raises(RuntimeError):
        get_file(serve_file(path, is_deleted_meanwhile=True), path)
