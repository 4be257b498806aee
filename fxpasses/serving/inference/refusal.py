"""The error for a request that cannot be answered: a status code and a sentence for the client."""

from __future__ import annotations


class Refusal(Exception):
    """A request is refused: status code and one sentence, which become ``{"error": sentence}``."""

    def __init__(self, status: int, sentence: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.retry_after_s = status, sentence, retry_after_s
