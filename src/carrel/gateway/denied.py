"""Why a request goes no further; raised anywhere while a request is admitted, answered there."""

from __future__ import annotations


class Denied(Exception):
    """The text is a sentence for the person; `why` is a word for the metrics."""

    def __init__(self, status: int, why: str, sentence: str, retry_after: int = 0) -> None:
        super().__init__(sentence)
        self.status = status
        self.why = why
        self.sentence = sentence
        self.retry_after = retry_after
