"""HTML tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def render_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Render a table. The cells must be escaped HTML."""
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<table class="dbx-keys"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
