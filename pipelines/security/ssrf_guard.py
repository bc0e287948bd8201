"""POST to URLs of strangers with protection against server-side request forgery (SSRF)."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import httpx

from pipelines.core.errors import BadInput

CALL_TIMEOUT_SECONDS = 15.0  # total time of one call, however slow the answer is
MAX_HOP_COUNT = 3  # calls, redirects included
MAX_URL_LENGTH = 2000
_NAT64_NETWORK = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class ResolvedTarget:
    """A URL whose host was resolved once. The call goes to `pinned_url`, so that DNS rebinding has no effect."""

    url: str
    host: str
    pinned_url: str


def resolve_target(url: str, *, private: bool = False) -> ResolvedTarget:
    """Resolve `url`. Raises `BadInput` unless it is http(s) and all addresses of its host are public.

    `private` also accepts addresses of this machine and its network. The rules are from OWASP:
    https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet
    """
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise BadInput("This is no address.", param="webhook") from error
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or len(url) > MAX_URL_LENGTH
        or not url.isprintable()
    ):
        raise BadInput("A webhook's address begins with http:// or https://.", param="webhook")
    if parts.username is not None or parts.password is not None:
        raise BadInput("A webhook's address holds no password.", param="webhook")
    found = _resolve_host(parts.hostname, port)
    if not private and not all(is_public_address(address) for address in found):
        raise BadInput("A webhook's address must be a public one.", param="webhook")
    ip = f"[{found[0]}]" if found[0].version == 6 else str(found[0])
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return ResolvedTarget(url, parts.netloc, f"{parts.scheme}://{ip}:{port}{path}")


def _resolve_host(host: str, port: int) -> list[Address]:
    try:
        rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return [ipaddress.ip_address(str(row[4][0]).partition("%")[0]) for row in rows]
    except (OSError, UnicodeError, ValueError) as error:
        raise BadInput("A webhook's address leads nowhere.", param="webhook") from error


def is_public_address(address: Address) -> bool:
    """Return whether an address is public. An IPv6 address that embeds IPv4 needs both to be public."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in _NAT64_NETWORK:
            inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if not all(is_public_address(each) for each in inner if each is not None):
            return False
        return address.ipv4_mapped is not None or (address.is_global and not address.is_multicast)
    return address.is_global and not address.is_multicast


def post_guarded(url: str, body: bytes, headers: Mapping[str, str], *, private: bool = False) -> int:
    """Send `body` and return the status of the answer, whose body is not read.

    Follows redirects 307 and 308 and checks each target again. Raises `BadInput` for an address that may not be called,
    `OSError` if it does not answer in time.
    """
    status = 0
    for _ in range(MAX_HOP_COUNT):
        target = resolve_target(url, private=private)
        status, location = asyncio.run(_send_request(target, body, headers))
        if status not in (307, 308) or not location:
            return status
        url = urljoin(target.url, location)
    return status


async def _send_request(target: ResolvedTarget, body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
    headers = {**headers, "Host": target.host}
    # TLS must check the certificate of the host name, although the call goes to the checked address.
    extensions = {"sni_hostname": urlsplit(target.url).hostname or ""}
    try:
        async with httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=CALL_TIMEOUT_SECONDS) as client:
            call = client.build_request("POST", target.pinned_url, content=body, headers=headers, extensions=extensions)
            answer = await asyncio.wait_for(client.send(call, stream=True), CALL_TIMEOUT_SECONDS)
            await answer.aclose()
            return answer.status_code, answer.headers.get("location", "")
    except (TimeoutError, httpx.HTTPError, httpx.InvalidURL) as error:
        raise OSError(type(error).__name__) from error
