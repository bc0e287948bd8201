from __future__ import annotations

import os
from pathlib import Path

import pytest

import app
from pipelines.settings import Settings


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("DESIGNERBOX_")]:
        monkeypatch.delenv(name)


def read(monkeypatch: pytest.MonkeyPatch, argv: list[str], env: dict[str, str]) -> Settings:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    return Settings.from_args(argv)


def test_flags_win_over_the_environment_which_wins_over_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings.from_args([]) == Settings(data=Path("data"))
    env = {"DESIGNERBOX_PORT": "9000", "DESIGNERBOX_QUEUE": "3", "DESIGNERBOX_REQUIRE_KEY": "true"}
    settings = read(monkeypatch, ["--port", "9001"], env)
    assert (settings.port, settings.queue, settings.require_key, settings.host) == (9001, 3, True, "127.0.0.1")


def test_an_empty_variable_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch, [], {"DESIGNERBOX_PORT": "", "DESIGNERBOX_SHARE": ""}) == Settings(port=7860)


def test_words_are_read_in_capitals_too() -> None:
    settings = Settings.from_args(["--log", "JSON", "--engine", "Ray", "--commercial", "OFF"])
    assert (settings.log, settings.engine, settings.commercial) == ("json", "ray", False)


@pytest.mark.parametrize("field", [name for name, field in Settings.model_fields.items() if field.description])
def test_every_flag_and_its_variable_stand_in_the_documentation(field: str) -> None:
    text = (Path(app.__file__).parent / "docs/settings.md").read_text()
    assert f"`--{field.replace('_', '-')}" in text
    assert f"_{field.upper()}`" in text


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
def test_public_is_whatever_strangers_can_reach(
    monkeypatch: pytest.MonkeyPatch, argv: list[str], env: dict[str, str], public: bool
) -> None:
    assert read(monkeypatch, argv, env).is_public is public


def test_a_space_binds_every_interface(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch, [], {"SYSTEM": "spaces"}).host == "0.0.0.0"


BAD_VALUES = [
    ("port", "abc", "must be a valid integer."),
    ("port", "0", "must be greater than or equal to 1."),
    ("port", "70000", "must be less than or equal to 65535."),
    ("queue", "0", "must be greater than or equal to 1."),
    ("commercial", "maybe", "must be on or off."),
    ("keep_days", "x", "must be a valid number."),
    ("keep_gb", "-1", "must be greater than or equal to 0."),
    ("worker_idle", "nan", "must be less than 1000000."),
    ("idle", "0", "must be greater than 0."),
    ("devices", "65", "must be less than or equal to 64."),
    ("together", "1.5", "must be a valid integer."),
    ("log", "xml", "must be 'text' or 'json'."),
    ("engine", "spark", "must be 'local', 'ray' or 'ray-data'."),
    ("database", "mysql://me:hush@host/db", ": must be postgresql://USER:PASSWORD@HOST:PORT/DATABASE."),
    ("database", "postgresql://me@host:hush/db", ": must be postgresql://USER:PASSWORD@HOST:PORT/DATABASE."),
    ("database", "postgresql://me:hush\u2100@host/db", ": must be postgresql://USER:PASSWORD@HOST:PORT/DATABASE."),
]


@pytest.mark.parametrize(("field", "value", "reason"), [*BAD_VALUES, ("share", "perhaps", "must be on or off.")])
def test_a_bad_variable_ends_with_one_sentence_that_names_it(
    field: str, value: str, reason: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(f"DESIGNERBOX_{field.upper()}", value)
    with pytest.raises(SystemExit) as ended:
        app.main([])
    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2
    assert line.startswith(f"app.py: error: DESIGNERBOX_{field.upper()}")
    assert line.endswith(reason)
    assert "hush" not in line


@pytest.mark.parametrize(("field", "value", "reason"), BAD_VALUES)
def test_a_bad_flag_ends_with_one_sentence_that_names_it(
    field: str, value: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        Settings.from_args([f"--{field.replace('_', '-')}={value}"])
    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2
    assert line.startswith(f"app.py: error: --{field.replace('_', '-')}")
    assert line.endswith(reason)
    assert "hush" not in line


def test_an_unknown_flag_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        Settings.from_args(["--nonsense"])
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
    monkeypatch: pytest.MonkeyPatch, argv: list[str], env: dict[str, str], days: float
) -> None:
    assert read(monkeypatch, argv, env).keep_days == days
