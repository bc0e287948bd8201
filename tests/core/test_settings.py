from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.settings import Settings


def test_flags_win_over_the_environment_which_wins_over_defaults() -> None:
    env = {"DESIGNERBOX_PORT": "9000", "DESIGNERBOX_QUEUE": "3", "DESIGNERBOX_REQUIRE_KEY": "true"}
    settings = Settings.from_args(["--port", "9001"], env)
    assert (settings.port, settings.queue, settings.require_key, settings.host) == (9001, 3, True, "127.0.0.1")
    assert Settings.from_args([], {}) == Settings(data=Path("data"))


@pytest.mark.parametrize(
    ("argv", "env", "public"),
    [
        ([], {}, False),
        (["--host", "localhost"], {}, False),
        (["--host", "::1"], {}, False),
        (["--host", "0.0.0.0"], {}, True),
        (["--host", "studio.example"], {}, True),
        (["--share"], {}, True),
        ([], {"SYSTEM": "spaces"}, True),
    ],
)
def test_public_is_whatever_strangers_can_reach(argv: list[str], env: dict[str, str], public: bool) -> None:
    assert Settings.from_args(argv, env).is_public is public


def test_a_space_binds_every_interface() -> None:
    assert Settings.from_args([], {"SYSTEM": "spaces"}).host == "0.0.0.0"


@pytest.mark.parametrize("argv", [["--queue", "0"], ["--port", "x"], ["--nonsense"]])
def test_a_bad_flag_ends_with_a_sentence(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        Settings.from_args(argv, {})
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "env", "days"),
    [
        ([], {}, 0),
        (["--require-key"], {}, 0),
        (["--share", "--require-key"], {}, 30),
        (["--host", "0.0.0.0", "--auth", "a:b"], {}, 30),
        ([], {"SYSTEM": "spaces"}, 1),
        (["--keep-days", "7"], {"SYSTEM": "spaces"}, 7),
        (["--share", "--keep-days", "0"], {}, 0),
        (["--share"], {"DESIGNERBOX_KEEP_DAYS": "0"}, 0),
        (["--share"], {"DESIGNERBOX_KEEP_DAYS": "90"}, 90),
    ],
)
def test_where_strangers_come_pictures_are_forgotten_unless_the_owner_says_otherwise(
    argv: list[str], env: dict[str, str], days: float
) -> None:
    assert Settings.from_args(argv, env).keep_days == days
