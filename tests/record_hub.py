"""Records the configurations of every repository that profiles name, on a machine that reaches the hub.

`python -m tests.record_hub [REPOSITORY…] [--out FOLDER]` writes for each repository the JSON files that loading reads,
and `files.json`: the size of every file of its pinned commit. No weights are fetched.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from pipelines.models import pinned_revisions
from pipelines.models.checkpoint import hub_client_errors, hub_url

HUB_FOLDER = Path(__file__).parent / "data" / "hub"
MAX_JSON_BYTES = 200_000  # tokenizer.json and vocab.json are larger, and no configuration

log = logging.getLogger("designerbox")


def main(arguments: Sequence[str]) -> int:
    """Record the named repositories, or all; return the number of those that could not be had."""
    parser = argparse.ArgumentParser(prog="python -m tests.record_hub", description="Record configurations of the hub.")
    parser.add_argument("repositories", nargs="*", help="as owner/name; without any, all of them")
    parser.add_argument("--out", type=Path, default=HUB_FOLDER, help="folder to write to")
    args = parser.parse_args(arguments)
    failed = 0
    for repo in args.repositories or pinned_revisions.PINS:
        try:
            count = record_repository(repo, args.out)
        except hub_client_errors() as error:
            failed += 1
            log.warning("%s could not be recorded: %s", repo, str(error).partition("\n")[0])
        else:
            log.warning("%s: %d files recorded", repo, count)
    return failed


def record_repository(repo: str, out: Path) -> int:
    """Write the JSON files of a repository's pinned commit and `files.json`; return the number of files written."""
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.hf_api import RepoFile

    commit = pinned_revisions.pinned_commit(repo)
    listed = HfApi(endpoint=hub_url()).list_repo_tree(repo, recursive=True, revision=commit)
    sizes = {entry.path: entry.size for entry in listed if isinstance(entry, RepoFile)}
    folder = folder_of(repo, out)
    wanted = [name for name, size in sizes.items() if name.endswith(".json") and size <= MAX_JSON_BYTES]
    for name in wanted:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(hf_hub_download(repo, name, revision=commit, endpoint=hub_url()), target)
    (folder / "files.json").write_text(json.dumps(dict(sorted(sizes.items())), indent=2) + "\n")
    return len(wanted) + 1


def folder_of(repo: str, root: Path = HUB_FOLDER) -> Path:
    """Return the folder of a repository's records."""
    return root / repo.replace("/", "--")


if __name__ == "__main__":
    logging.basicConfig(format="%(message)s")
    sys.exit(main(sys.argv[1:]))
