"""Answers are found once, the oldest are forgotten, and threads find what they would find alone."""

from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from fpdm.runtime.remembered import Remembered


@given(questions=st.lists(st.integers(0, 6), max_size=40), most=st.integers(1, 8))
def test_what_was_asked_last_is_known(questions, most):
    remembered, found, known = Remembered(most=most), [], []
    for question in questions:
        before = len(found)
        answer = remembered.of(question, lambda q=question: (found.append(q), q * q)[1])
        assert answer == question**2
        assert len(found) - before == (question not in known[-most:])
        known = [*(each for each in known if each != question), question]


def test_of_none_nothing_is_kept():
    remembered = Remembered(most=3)
    assert [remembered.of(None, lambda n=number: n) for number in range(3)] == [0, 1, 2]


def test_a_failure_is_not_an_answer():
    remembered = Remembered(most=3)
    for divisor, answer in ((0, None), (2, 3.0)):
        try:
            assert remembered.of("question", lambda by=divisor: 6 / by) == answer
        except ZeroDivisionError:
            assert answer is None


def test_threads_may_ask_at_once():
    remembered = Remembered(most=4)
    with ThreadPoolExecutor(8) as pool:
        numbers = [n % 7 for n in range(400)]
        answers = pool.map(lambda n: remembered.of(n, lambda: n**2), numbers)
        assert list(answers) == [n**2 for n in numbers]
