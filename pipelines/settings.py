"""Settings of one run, from command-line flags and environment variables."""

from __future__ import annotations

import argparse
import ipaddress
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from pipelines.storage.postgres import check_url

SPACE_KEEP_DAYS = 1.0
"""Days that jobs are kept on a Space, where no flag says so."""
PUBLIC_KEEP_DAYS = 30.0
"""Days that jobs are kept on another public address."""
_TRUE_WORDS = {"1", "true", "yes", "on"}


@dataclass(frozen=True)
class Settings:
    """The settings of one run. Every field has a flag and a variable `DESIGNERBOX_…`, except those that a Space sets.

    `oauth`: visitors of this Space may sign in with Hugging Face. `space_author` is the account that owns the Space.
    """

    host: str = "127.0.0.1"
    port: int = 7860
    share: bool = False
    auth: str = field(default="", repr=False)
    profile: str = ""
    data: Path = Path("data")
    require_key: bool = False
    queue: int = 16
    spaces: bool = False
    database: str = field(default="", repr=False)
    keep_days: float = 0.0
    keep_gb: float = 0.0
    watermark: bool = False
    log: Literal["text", "json"] = "text"
    webhooks_private: bool = False
    devices: int = 0
    engine: Literal["local", "ray", "ray-data"] = "local"
    files: str = field(default="", repr=False)
    ray_store: str = field(default="", repr=False)
    worker_idle: float = 0.0
    together: int = 0
    compile: bool = False
    commercial: bool = True
    oauth: bool = False
    space_author: str = ""

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the port."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def is_public(self) -> bool:
        """Whether other people can reach the studio: a share link, a host that is not loopback, or a Space."""
        return self.share or self.spaces or not self.is_loopback

    @classmethod
    def from_args(cls, argv: Sequence[str] = (), environ: Mapping[str, str] | None = None) -> Settings:
        """Read flags, then `DESIGNERBOX_…` variables, then defaults. Exits with a message on a bad flag."""
        env = os.environ if environ is None else environ
        args = add_arguments(argparse.ArgumentParser("app.py", allow_abbrev=False), env).parse_args(argv)
        return cls.from_namespace(args, env)

    @classmethod
    def from_namespace(cls, args: argparse.Namespace, environ: Mapping[str, str] | None = None) -> Settings:
        """Make settings from parsed flags; `SYSTEM=spaces` binds every interface, as Spaces needs."""
        env = os.environ if environ is None else environ
        spaces = env.get("SYSTEM") == "spaces"
        settings = cls(
            host="0.0.0.0" if spaces and args.host == cls.host else args.host,
            port=args.port,
            share=args.share,
            auth=args.auth,
            profile=args.profile,
            data=Path(args.data),
            database=args.database,
            require_key=args.require_key,
            queue=args.queue,
            spaces=spaces,
            keep_days=args.keep_days or 0.0,
            keep_gb=args.keep_gb,
            log=args.log,
            watermark=args.watermark,
            webhooks_private=args.webhooks_private,
            files=args.files,
            devices=args.devices,
            engine=args.engine,
            ray_store=args.ray_store,
            worker_idle=args.worker_idle,
            together=args.together,
            compile=args.compile,
            commercial=args.commercial,
            oauth=spaces and bool(env.get("OAUTH_CLIENT_ID")),
            space_author=env.get("SPACE_AUTHOR_NAME", "") if spaces else "",
        )
        return settings if args.keep_days is not None else replace(settings, keep_days=default_keep_days(settings))


def default_keep_days(settings: Settings) -> float:
    """Return the days that pictures are kept without a flag: 0, for ever, on a private machine.

    On a Space nobody expects to find last week's photo; on a public host a team may work on for a month.
    """
    if settings.spaces:
        return SPACE_KEEP_DAYS
    return PUBLIC_KEEP_DAYS if settings.is_public else 0.0


def add_arguments(parser: argparse.ArgumentParser, environ: Mapping[str, str] | None = None) -> argparse.ArgumentParser:
    """Add every flag to `parser`, with its default from the environment variable, and return the parser."""
    env = os.environ if environ is None else environ

    def read_env(name: str, fallback: str) -> str:
        return env.get(f"DESIGNERBOX_{name}", fallback)

    def read_env_switch(name: str) -> bool:
        return read_env(name, "").lower() in _TRUE_WORDS

    has_keep_days = "DESIGNERBOX_KEEP_DAYS" in env
    parser.add_argument("--host", default=read_env("HOST", "127.0.0.1"), help="address to bind (default: %(default)s)")
    parser.add_argument("--port", type=int, default=int(read_env("PORT", "7860")), help="port (default: %(default)s)")
    parser.add_argument("--share", action="store_true", default=read_env_switch("SHARE"), help="a public share link")
    parser.add_argument("--auth", default=read_env("AUTH", ""), metavar="USER:PASS", help="log in to the page")
    parser.add_argument("--profile", default=read_env("PROFILE", ""), help="checkpoint profile (default: the best fit)")
    parser.add_argument("--data", default=read_env("DATA", "data"), metavar="DIR", help="jobs and pictures live here")
    parser.add_argument(
        "--files",
        default=read_env("FILES", ""),
        metavar="URL",
        help="keep pictures on a store that several studios and machines share: a mounted folder, or any fsspec URL "
        "(default: in the data folder; with URL that is a cache)",
    )
    parser.add_argument(
        "--database",
        type=_parse_database_url,
        default=_parse_database_url(read_env("DATABASE", "")),
        metavar="URL",
        help="keep jobs, batches, keys and what is known of files in Postgres, for several studios together: "
        "postgresql://USER:PASSWORD@HOST/DATABASE (default: SQLite in --data)",
    )
    parser.add_argument(
        "--require-key", action="store_true", default=read_env_switch("REQUIRE_KEY"), help="the API needs a key"
    )
    parser.add_argument(
        "--queue",
        type=_parse_positive,
        default=_parse_positive(read_env("QUEUE", "16")),
        metavar="N",
        help="jobs that may wait",
    )
    parser.add_argument(
        "--devices",
        type=_parse_count,
        default=_parse_count(read_env("DEVICES", "0")),
        metavar="N",
        help="work on so many GPUs at once, a job on each (default: all that are there)",
    )
    parser.add_argument(
        "--engine",
        type=_parse_engine,
        default=_parse_engine(read_env("ENGINE", "local")),
        metavar="local|ray",
        help="draw here, or on a Ray cluster: the one at RAY_ADDRESS, else one of our own on this machine",
    )
    parser.add_argument(
        "--ray-store",
        default=read_env("RAY_STORE", ""),
        metavar="URL",
        help="with Ray: where pictures lie on their way, a folder that every machine has or any fsspec URL (default: "
        "they travel in the calls)",
    )
    parser.add_argument(
        "--worker-idle",
        type=_parse_amount,
        default=_parse_amount(read_env("WORKER_IDLE", "0")),
        metavar="S",
        help="with Ray: give a worker's GPU back after so many seconds without a job; 0: never",
    )
    parser.add_argument(
        "--together",
        type=_parse_count,
        default=_parse_count(read_env("TOGETHER", "0")),
        metavar="N",
        help="pictures of waiting jobs that one call of a model may draw, where that is faster; 1: each job alone, so "
        "that the same seed gives the same bytes (default: 8 on a GPU; on a processor jobs take turns)",
    )
    parser.add_argument(
        "--keep-days",
        type=_parse_amount,
        default=_parse_amount(env["DESIGNERBOX_KEEP_DAYS"]) if has_keep_days else None,
        metavar="D",
        help="forget jobs and pictures after so many days, starred ones excepted; 0: never (default: never on a "
        "machine of your own, 30 on a public address, 1 on Spaces)",
    )
    parser.add_argument(
        "--webhooks-private",
        action="store_true",
        default=read_env_switch("WEBHOOKS_PRIVATE"),
        help="let webhooks call addresses of this machine and its network (default: public ones only)",
    )
    parser.add_argument(
        "--keep-gb",
        type=_parse_amount,
        default=_parse_amount(read_env("KEEP_GB", "0")),
        metavar="G",
        help="forget the oldest when pictures take more than this (default: no limit)",
    )
    parser.add_argument(
        "--watermark",
        action="store_true",
        default=read_env_switch("WATERMARK"),
        help="put an invisible mark into pictures whose subject is not Exact",
    )
    parser.add_argument(
        "--compile",
        action="store_true",
        default=read_env_switch("COMPILE"),
        help="compile the blocks of diffusion models: the first picture waits, later ones come faster",
    )
    parser.add_argument(
        "--commercial",
        type=_parse_on_off,
        default=_parse_on_off(read_env("COMMERCIAL", "on")),
        metavar="on|off",
        help="hide models whose licence forbids commercial use (default: on)",
    )
    parser.add_argument(
        "--log",
        type=_parse_log_format,
        default=_parse_log_format(read_env("LOG", "text")),
        metavar="text|json",
        help="how the log is written: for people, or one JSON object a line (default: text)",
    )
    return parser


def _parse_log_format(text: str) -> str:
    if text.lower() not in ("text", "json"):
        raise argparse.ArgumentTypeError("must be text or json")
    return text.lower()


def _parse_engine(text: str) -> str:
    if text.lower() not in ("local", "ray"):
        raise argparse.ArgumentTypeError("must be local or ray")
    return text.lower()


def _parse_database_url(text: str) -> str:
    try:
        return check_url(text)
    except ValueError as error:  # argparse's own message would contain the password
        raise argparse.ArgumentTypeError(str(error)) from error


def _parse_amount(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1e6:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return value


def _parse_on_off(text: str) -> bool:
    if text.lower() not in ("on", "off"):
        raise argparse.ArgumentTypeError("must be on or off")
    return text.lower() == "on"


def _parse_count(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 64:
        raise argparse.ArgumentTypeError("must be 0 to 64")
    return value


def _parse_positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value
