"""The image in a request: its whole body, or one file of a form. Nothing is written to disk."""

from __future__ import annotations

from dataclasses import dataclass, field

from .inference.refusal import Refusal

_FORM = b"multipart/form-data"
_MOST_PARTS = 16
_LONGEST_HEADER = 2000


def uploaded_image(content_type: str, body: bytes) -> bytes:
    """The bytes of the image in a body.

    Raises:
        Refusal: there is none, the form is damaged, or it has no file or several.
    """
    from python_multipart.multipart import parse_options_header

    kind, options = parse_options_header(content_type)
    if kind != _FORM:
        if not body:
            raise Refusal(400, "send an image: as the body, or as one file of a form")
        return body
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise Refusal(400, "the form is damaged: its content type names no boundary")
    files = [part for part in _parts(boundary, body) if part.is_file]
    if len(files) != 1:
        raise Refusal(400, f"the form has {len(files)} files; send one image")
    return bytes(files[0].content)


@dataclass
class _Part:
    """One part of a form while it is read."""

    name: bytearray = field(default_factory=bytearray)
    value: bytearray = field(default_factory=bytearray)
    content: bytearray = field(default_factory=bytearray)
    is_file: bool = False

    def end_header(self) -> None:
        from python_multipart.multipart import parse_options_header

        if bytes(self.name).lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self.value))
            self.is_file = b"filename" in options
        self.name, self.value = bytearray(), bytearray()


def _parts(boundary: bytes, body: bytes) -> list[_Part]:
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser

    parts: list[_Part] = []
    ended: list[bool] = []

    def begin() -> None:
        if len(parts) >= _MOST_PARTS:
            raise Refusal(400, f"the form has more than {_MOST_PARTS} parts")
        parts.append(_Part())

    def add(kind: str, data: bytes, start: int, end: int) -> None:
        held = getattr(parts[-1], kind)
        held += data[start:end]
        if kind != "content" and len(held) > _LONGEST_HEADER:
            raise Refusal(400, "the form is damaged: a header of it is too long")

    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": begin,
                "on_header_field": lambda data, start, end: add("name", data, start, end),
                "on_header_value": lambda data, start, end: add("value", data, start, end),
                "on_header_end": lambda: parts[-1].end_header(),
                "on_part_data": lambda data, start, end: add("content", data, start, end),
                "on_end": lambda: ended.append(True),
            },
        )
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise Refusal(400, f"the form is damaged: {str(error)[:200]}") from error
    if not ended:
        raise Refusal(400, "the form is damaged: it does not end")
    return parts
