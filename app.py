"""Command line: the studio, a batch, API keys, licences, the audit log. Also the Spaces entry point."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
from collections.abc import Sequence

from pipelines.core import log_setup
from pipelines.core.malloc import limit_arenas
from pipelines.core.thread_waiting import limit_spinning
from pipelines.settings import Settings, add_arguments
from ui.server.batch_command import add_batch_arguments, run_batch


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name (default: serve the studio) and return the exit code."""
    parser = argparse.ArgumentParser("app.py", description="DesignerBox, an image studio of your own.")
    add_arguments(parser)
    commands = parser.add_subparsers(dest="command")
    key = commands.add_parser("key", help="API keys")
    key.add_argument("action", choices=["new"])
    key.add_argument("name")
    key.add_argument("--scopes", default="read,create", metavar="S", help="read, create, admin (default: %(default)s)")
    licence = commands.add_parser("licence", help="licences with a cap, which the owner confirms once")
    licence.add_argument("action", choices=["list", "confirm"])
    licence.add_argument("model", nargs="?", default="", help="the id of the model")
    audit = commands.add_parser("audit", help="read the log of refusals and reports, and prove it whole")
    for command in (key, licence, audit):
        command.add_argument("--data", default=argparse.SUPPRESS, metavar="DIR")
    add_batch_arguments(commands.add_parser("batch", help="a table or folder of pictures, without a browser"))
    args = parser.parse_args(sys.argv[1:] if argv is None else argv)
    settings = Settings.from_namespace(args)
    log_setup.configure_logging(settings.log)
    limit_arenas()
    limit_spinning()
    if args.command == "batch":
        return run_batch(settings, args)
    if args.command == "audit":
        return print_audit(settings)
    if args.command == "licence":
        return run_licences_command(settings, args.action, args.model)
    return create_key(settings, args.name, args.scopes) if args.command == "key" else run_server(settings)


def run_server(settings: Settings) -> int:
    """Serve the page and the API on one port until interrupted."""
    from ui.gradio_patches.light_start import import_gradio

    logging.getLogger("designerbox").info("starting: the page is ready in a few seconds")
    import_gradio()
    # A service manager stops with SIGTERM, and what a shell starts in the background inherits an ignored SIGINT.
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, signal.default_int_handler)
    from ui.server.serve import serve_studio

    return serve_studio(settings)


def create_key(settings: Settings, name: str, scopes: str = "read,create") -> int:
    """Create a key and print it. Returns 2 where no scope is named, or the database cannot be opened."""
    from pipelines.storage.database import DatabaseUnavailable
    from ui.api.auth.keys import SCOPES, KeyStore, parse_scopes

    key_scopes = parse_scopes(scopes.replace(" ", "").split(","))
    if not key_scopes:
        print(f"--scopes takes some of: {', '.join(SCOPES)}", file=sys.stderr)  # noqa: T201
        return 2
    try:
        keys = KeyStore(settings.data, settings.database)
    except DatabaseUnavailable as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    print(keys.create_key(name, key_scopes))  # noqa: T201
    keys.close()
    return 0


def run_licences_command(settings: Settings, action: str, model: str) -> int:
    """List the models whose licence has a cap, or note that the owner is below it. Returns 2 for another model."""
    from pipelines.models.registry import list_all_specs
    from pipelines.service.licence_caps import LicenceConfirmations

    capped = {spec.id: spec for spec in list_all_specs() if spec.revenue_cap}
    licences = LicenceConfirmations(settings.data)
    if action == "confirm" and model not in capped:
        print(f"Which of them: {', '.join(capped)}?", file=sys.stderr)  # noqa: T201
        return 2
    if action == "confirm":
        licences.confirm_cap(capped[model])
    for spec in capped.values():
        state = "confirmed" if licences.is_confirmed(spec) else "not confirmed"
        print(f"{spec.id}: {spec.licence}, commercial use below {spec.revenue_cap}: {state}")  # noqa: T201
    return 0


def print_audit(settings: Settings) -> int:
    """Print every entry, oldest first, then whether the hash chain is unbroken. Returns 1 where it is broken."""
    from pipelines.security.audit_log import AuditLog

    log = AuditLog(settings.data)
    for entry in log.read_entries():
        print(json.dumps(entry))  # noqa: T201
    state = log.verify_chain()
    broken = f"line {state.broken_line} does not follow from the one before it" if state.broken_line else "unbroken"
    print(f"{state.entry_count} entries, {broken}. Last link: {state.last_link or 'none'}", file=sys.stderr)  # noqa: T201
    return 1 if state.broken_line else 0


if __name__ == "__main__":
    sys.exit(main())
