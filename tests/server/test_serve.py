"""A start that cannot work ends with one sentence, before anything is built."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from pipelines.settings import Settings
from tests.support.app_process import find_free_port
from ui.server.serve import find_unusable_place, serve_studio


def test_a_port_that_is_taken_ends_the_start_with_a_sentence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert serve_studio(Settings(data=tmp_path, port=port)) == 2
    assert caplog.messages == [
        f"Port {port} of 127.0.0.1 cannot be used: Address already in use. Name another with --port PORT."
    ]


def test_an_address_of_another_machine_is_named(tmp_path: Path) -> None:
    sentence = find_unusable_place(Settings(data=tmp_path, host="192.0.2.1", port=find_free_port()))
    assert sentence is not None
    assert sentence.startswith("Port ")
    assert " of 192.0.2.1 cannot be used: " in sentence


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    sentence = find_unusable_place(Settings(data=tmp_path / "file" / "data", port=find_free_port()))
    assert sentence == (
        f"The folder {tmp_path / 'file' / 'data'} cannot be used: Not a directory. Name another with --data DIR."
    )


def test_a_free_port_and_a_new_folder_can_be_used(tmp_path: Path) -> None:
    assert find_unusable_place(Settings(data=tmp_path / "new", port=find_free_port())) is None
