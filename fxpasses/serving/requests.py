"""Bodies of requests, read within limits of size, time and nesting."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from .inference.refusal import Refusal

if TYPE_CHECKING:
    from starlette.requests import Request

_BODIES_AT_ONCE = 8
"""Number of bodies of the largest size that may be in memory at once, while they arrive."""
_LONGEST_ID = 1000


class BodyReader:
    """Reads bodies of at most ``max_body`` bytes, each within ``timeout_s``, and limits the memory of all of them."""

    def __init__(self, max_body: int, timeout_s: float) -> None:
        self.max_body, self._timeout_s = max_body, timeout_s
        self._held = 0

    async def read(self, request: Request) -> bytes:
        """Read the whole body of a request.

        Raises:
            Refusal: 413 too large, 408 too slow, 400 cut short, 429 too many large ones at once.
        """
        claimed = request.headers.get("content-length", "")
        if claimed.isdecimal() and int(claimed[:20]) > self.max_body:
            raise self._too_large()
        try:
            return await asyncio.wait_for(self._read(request), self._timeout_s)
        except asyncio.TimeoutError as error:
            raise Refusal(408, f"the request took more than {self._timeout_s:g} s to arrive") from error

    async def _read(self, request: Request) -> bytes:
        from starlette.requests import ClientDisconnect

        body = bytearray()
        try:
            async for part in request.stream():
                self._held += len(part)
                body += part
                if len(body) > self.max_body:
                    raise self._too_large()
                if self._held > _BODIES_AT_ONCE * self.max_body:
                    raise Refusal(429, "too many large requests arrive at once; try again", retry_after_s=1)
        except ClientDisconnect as error:
            raise Refusal(400, "the request was cut short") from error
        finally:
            self._held -= len(body)
        return bytes(body)

    def _too_large(self) -> Refusal:
        return Refusal(413, f"the body has more than {self.max_body} bytes")


def json_object(body: bytes) -> Mapping[str, Any]:
    """The JSON object of a body.

    Raises:
        Refusal: it is no JSON, or no object; it holds NaN or infinity; it is nested too deeply.
    """
    try:
        document = json.loads(body.decode("utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and numbers of thousands of digits, too
        raise Refusal(400, f"the body is not JSON: {str(error)[:200]}") from error
    if not isinstance(document, dict):
        raise Refusal(400, "the body must be a JSON object")
    return document


def request_id(document: Mapping[str, Any]) -> str | None:
    """The ``id`` of a request, which its answer repeats.

    Raises:
        Refusal: it is no text, or a long one.
    """
    given = document.get("id")
    if given is None:
        return None
    if not isinstance(given, str) or len(given) > _LONGEST_ID or not _is_text(given):
        raise Refusal(400, f"'id' must be text of at most {_LONGEST_ID} characters")
    return given


def _is_text(text: str) -> bool:
    """Whether a text can be encoded; half a surrogate pair cannot, so no answer could repeat it."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")
