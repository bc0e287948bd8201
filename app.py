"""Settings -> engine -> doors, all on one port. Also the Spaces entry point."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pipelines.settings import Settings, arguments
from ui import logs
from ui.command import batch_arguments, run_batch


def main(argv: Sequence[str] | None = None) -> int:
    """Serve the studio, `batch JOBS --out DIR`, or `key new NAME`. Returns the exit code."""
    parser = argparse.ArgumentParser("app.py", description="DesignerBox, an image studio of your own.")
    arguments(parser)
    commands = parser.add_subparsers(dest="command")
    key = commands.add_parser("key", help="API keys")
    key.add_argument("action", choices=["new"])
    key.add_argument("name")
    key.add_argument("--scopes", default="read,create", metavar="S", help="read, create, admin (default: %(default)s)")
    key.add_argument("--data", default=argparse.SUPPRESS, metavar="DIR")
    batch_arguments(commands.add_parser("batch", help="a table or folder of pictures, without a browser"))
    args = parser.parse_args(sys.argv[1:] if argv is None else argv)
    settings = Settings.from_namespace(args)
    logs.set_up(settings.log)
    if args.command == "batch":
        return run_batch(settings, args)
    return new_key(settings, args.name, args.scopes) if args.command == "key" else serve(settings)


def serve(settings: Settings) -> int:
    """Open every door on one port and stay until interrupted."""
    from ui.serve import open_doors

    return open_doors(settings)


def new_key(settings: Settings, name: str, scopes: str = "read,create") -> int:
    """Make a key and print it, once. Returns 2 where no scope was named."""
    from ui.rest.keys import SCOPES, Keys, scopes_of

    found = scopes_of(scopes.replace(" ", "").split(","))
    if not found:
        print(f"--scopes takes some of: {', '.join(SCOPES)}", file=sys.stderr)  # noqa: T201
        return 2
    keys = Keys(settings.data)
    print(keys.new(name, found))  # noqa: T201
    keys.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
