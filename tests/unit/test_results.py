"""Result codes in words, and which of them are worth asking again."""

from __future__ import annotations

from drivers.dlms import results
from drivers.dlms.apdu import ConfirmedServiceError, ExceptionResponse


def test_results_are_told_in_words_and_unknown_ones_by_their_number() -> None:
    assert results.data_access_text(4) == "object undefined"
    assert results.data_access_text(77) == "data-access-result 77"
    assert results.action_text(15) == "long action aborted"
    assert results.action_text(77) == "action-result 77"
    assert ExceptionResponse(1, 6).text == "service not allowed: invocation counter error"
    assert ExceptionResponse(9, 9).text == "state error 9: service error 9"
    assert ConfirmedServiceError(1, 6, 1).text == "initiate: DLMS version too low"
    assert ConfirmedServiceError(1, 6, 9).text == "initiate: code 9"
    assert ConfirmedServiceError(1, 42, 9).text == "error kind 42: code 9"


def test_only_a_busy_or_confused_meter_is_asked_again() -> None:
    assert [code for code in range(256) if results.is_worth_a_retry(code)] == [2, 14, 15, 16, 19]
