"""Answers that are kept by their questions."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class Remembered(Generic[Answer]):
    """The answers that were last asked for; threads may ask at once, and do not wait for another.

    Args:
        most: answers that are kept, ≥ 1.

    Examples:
        >>> squares = Remembered(most=2)
        >>> [squares.of(number, lambda: number**2) for number in (3, 4, 3)]
        [9, 16, 9]
    """

    def __init__(self, *, most: int) -> None:
        self.most = most
        self._lock = threading.Lock()
        self._answers: OrderedDict[Hashable, Answer] = OrderedDict()

    def of(self, question: Hashable | None, find: Callable[[], Answer]) -> Answer:
        """The answer to a question.

        Args:
            question: all that the answer depends on; of None nothing is kept.
            find: finds the answer, where it is not known. Two threads may find the same.
        """
        if question is None:
            return find()
        with self._lock:
            if question in self._answers:
                self._answers.move_to_end(question)
                return self._answers[question]
        answer = find()
        with self._lock:
            self._answers[question] = answer
            if len(self._answers) > self.most:
                self._answers.popitem(last=False)
        return answer
