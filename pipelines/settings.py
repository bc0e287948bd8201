"""Settings of one run, from command-line flags and environment variables."""

from __future__ import annotations

import argparse
import ipaddress
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipelines.models.diffusion.speed_ups import check_speed_ups
from pipelines.storage.connect import check_url

LOCAL_OWNER = "local"
"""Who owns what is made on a machine that only one person uses."""
SPACE_KEEP_DAYS = 1.0
"""Days that jobs are kept on a Space, where no flag says so."""
PUBLIC_KEEP_DAYS = 30.0
"""Days that jobs are kept on another public address."""
_ENV_PREFIX = "DESIGNERBOX_"

Amount = Annotated[float, Field(ge=0, lt=1e6)]
"""A number of days, seconds or gigabytes."""
Count = Annotated[int, Field(ge=0, le=64)]
Lowercase = BeforeValidator(str.lower)


def _declare_flag(default: Any, text: str, metavar: str | None = None, *, secret: bool = False) -> Any:
    """Declare a field that has a flag and an environment variable. `default`: a value, or a factory of one."""
    options: dict[str, Any] = {"default_factory" if callable(default) else "default": default}
    return Field(**options, description=text, title=metavar, repr=not secret)


def default_keep_days(values: dict[str, Any]) -> float:
    """Return the days that pictures are kept without a flag: 0, for ever, on a private machine.

    On a Space nobody expects to find last week's photo; on a public host a team may work on for a month.
    """
    if values["spaces"]:
        return SPACE_KEEP_DAYS
    return PUBLIC_KEEP_DAYS if values["share"] or not is_loopback(values["host"]) else 0.0


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a port at `host`."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Settings(BaseSettings):
    """The settings of one run: what the constructor is given, else a variable `DESIGNERBOX_…`, else the default.

    `oauth`: visitors of this Space may sign in with Hugging Face. `space_author` is the account that owns the Space.
    `owner_data`: the folder with what the owner confirmed; a batch without a browser has a `data` of its own beside it.
    """

    model_config = SettingsConfigDict(
        env_prefix=_ENV_PREFIX, env_ignore_empty=True, frozen=True, hide_input_in_errors=True
    )

    spaces: bool = Field(default_factory=lambda: os.environ.get("SYSTEM") == "spaces")
    oauth: bool = Field(default_factory=lambda values: values["spaces"] and bool(os.environ.get("OAUTH_CLIENT_ID")))
    space_author: str = Field(
        default_factory=lambda values: os.environ.get("SPACE_AUTHOR_NAME", "") if values["spaces"] else ""
    )

    host: str = _declare_flag(  # a Space is reached through every interface
        lambda values: "0.0.0.0" if values["spaces"] else "127.0.0.1", "address to bind (default: 127.0.0.1)", "HOST"
    )
    port: Annotated[int, Field(ge=1, le=65535)] = _declare_flag(7860, "port (default: 7860)", "PORT")
    share: bool = _declare_flag(False, "a public share link")
    auth: str = _declare_flag("", "log in to the page", "USER:PASS", secret=True)
    profile: str = _declare_flag("", "checkpoint profile (default: the best fit)", "PROFILE")
    data: Path = _declare_flag(Path("data"), "jobs and pictures live here", "DIR")
    owner_data: Path = Field(default_factory=lambda values: values["data"])
    files: str = _declare_flag(
        "",
        "keep pictures on a store that several studios and machines share: a mounted folder, or any fsspec URL "
        "(default: in the data folder; with URL that is a cache)",
        "URL",
        secret=True,
    )
    database: Annotated[str, AfterValidator(check_url)] = _declare_flag(
        "",
        "keep jobs, batches, keys and what is known of files in Postgres, for several studios together: "
        "postgresql://USER:PASSWORD@HOST/DATABASE (default: SQLite in --data)",
        "URL",
        secret=True,
    )
    require_key: bool = _declare_flag(False, "the API needs a key")
    queue: Annotated[int, Field(ge=1)] = _declare_flag(16, "jobs that may wait", "N")
    devices: Count = _declare_flag(0, "work on so many GPUs at once, a job on each (default: all that are there)", "N")
    engine: Annotated[Literal["local", "ray", "ray-data"], Lowercase] = _declare_flag(
        "local",
        "draw here, or on a Ray cluster: the one at RAY_ADDRESS, else one of our own on this machine",
        "local|ray",
    )
    ray_store: str = _declare_flag(
        "",
        "with Ray: where pictures lie on their way, a folder that every machine has or any fsspec URL (default: they "
        "travel in the calls)",
        "URL",
        secret=True,
    )
    worker_idle: Amount = _declare_flag(
        0.0, "with Ray: give a worker's GPU back after so many seconds without a job; 0: never", "S"
    )
    idle: Annotated[Amount, Field(gt=0)] = _declare_flag(
        600.0, "give a model's memory back after so many seconds without a job (default: 600)", "SECONDS"
    )
    together: Count = _declare_flag(
        0,
        "pictures of waiting jobs that one call of a model may draw, where that is faster; 1: each job alone, so that "
        "the same seed gives the same bytes (default: 8 on a GPU; on a processor jobs take turns)",
        "N",
    )
    keep_days: Amount = _declare_flag(
        default_keep_days,
        "forget jobs and pictures after so many days, starred ones excepted; 0: never (default: never on a machine of "
        "your own, 30 on a public address, 1 on Spaces)",
        "D",
    )
    webhooks_private: bool = _declare_flag(
        False, "let webhooks call addresses of this machine and its network (default: public ones only)"
    )
    keep_gb: Amount = _declare_flag(0.0, "forget the oldest when pictures take more than this (default: no limit)", "G")
    matting: Annotated[Literal["both", "small"], Lowercase] = _declare_flag(
        "both",
        "nets that cut out what is kept: both, or the small one alone, faster and more often wrong (default: both)",
        "both|small",
    )
    watermark: bool = _declare_flag(False, "put an invisible mark into pictures whose subject is not Exact")
    compile: bool = _declare_flag(
        False, "compile the blocks of diffusion models: the first picture waits, later ones come faster"
    )
    speed: Annotated[str, AfterValidator(check_speed_ups)] = _declare_flag(
        "",
        "speed-ups of diffusion models that change pictures or gain on some machines only, by name and with commas: "
        "channels-last, step-cache, tf32, parallel-loading, fp8, attention=NAME (default: none)",
        "NAMES",
    )
    commercial: bool = _declare_flag(True, "hide models whose licence forbids commercial use (default: on)", "on|off")
    log: Annotated[Literal["text", "json"], Lowercase] = _declare_flag(
        "text", "how the log is written: for people, or one JSON object a line (default: text)", "text|json"
    )

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the port."""
        return is_loopback(self.host)

    @property
    def is_public(self) -> bool:
        """Whether other people can reach the studio: a share link, a host that is not loopback, or a Space."""
        return self.share or self.spaces or not self.is_loopback

    @classmethod
    def from_args(cls, argv: Sequence[str] = ()) -> Settings:
        """Read flags, then `DESIGNERBOX_…` variables, then defaults. Exits as `from_namespace` does."""
        parser = argparse.ArgumentParser("app.py", allow_abbrev=False)
        add_arguments(parser)
        return cls.from_namespace(parser.parse_args(argv))

    @classmethod
    def from_namespace(cls, args: argparse.Namespace) -> Settings:
        """Make settings from parsed flags. A bad value ends the program with one sentence and exit code 2."""
        flags = {name: value for name, value in vars(args).items() if name in cls.model_fields}
        try:
            return cls(**flags)
        except ValidationError as error:
            sys.stderr.write(f"app.py: error: {_describe_bad_value(error, flags)}.\n")
            sys.exit(2)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of all settings to `parser`. The namespace holds only those that are given."""
    for name, field in Settings.model_fields.items():
        if field.description:
            form: dict[str, Any] = {"action": "store_true"} if field.default is False else {"metavar": field.title}
            parser.add_argument(_flag_name(name), default=argparse.SUPPRESS, help=field.description, **form)


def _flag_name(field: str) -> str:
    return f"--{field.replace('_', '-')}"


def _describe_bad_value(error: ValidationError, flags: dict[str, Any]) -> str:
    """Say which flag or variable is wrong, and what it should be. The value may be a password and is left out."""
    fault = error.errors(include_url=False, include_input=False)[0]
    field = str(fault["loc"][0])
    source = _flag_name(field) if field in flags else f"{_ENV_PREFIX}{field.upper()}"
    reason = fault["msg"].partition(", unable to ")[0].replace("a valid boolean", "on or off")
    return reason.replace("Input should be", f"{source} must be").replace("Value error,", f"{source}:")
