import pytest

from infra.environment import Environment, SettingError


def test_values_are_read_by_their_types() -> None:
    env = Environment({"NUMBER": " 42 ", "FLAG": "yes", "WORD": "b", "WORDS": "a, b,,c"})
    assert env.whole("NUMBER", 1, low=0, high=100) == 42
    assert env.flag("FLAG", default=False)
    assert env.choice("WORD", "a", ("a", "b")) == "b"
    assert env.words("WORDS") == ("a", "b", "c")


def test_empty_values_count_as_unset() -> None:
    env = Environment({"NUMBER": "", "FLAG": "  ", "WORDS": " , "})
    assert env.whole("NUMBER", 7, low=0, high=9) == 7
    assert env.flag("FLAG", default=True)
    assert env.words("WORDS", ("a",)) == ("a",)


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("abc", "N: must be a whole number, not 'abc'"),
        ("1.5", "N: must be a whole number, not '1.5'"),
        ("²", "N: must be a whole number, not '²'"),
        ("--1", "N: must be a whole number, not '--1'"),
        ("9" * 5_000, f"N: must be a whole number, not '{'9' * 5_000}'"),
        ("-1", "N: must be from 0 to 9, not -1"),
        ("10", "N: must be from 0 to 9, not 10"),
    ],
)
def test_a_number_that_is_none_or_out_of_bounds_is_refused_by_name(value: str, line: str) -> None:
    with pytest.raises(SettingError) as refused:
        Environment({"N": value}).whole("N", 0, low=0, high=9)
    assert str(refused.value) == line


def test_a_flag_or_a_word_that_is_neither_is_refused() -> None:
    env = Environment({"FLAG": "perhaps", "WORD": "c"})
    with pytest.raises(SettingError, match="FLAG: must be 1 or 0, not 'perhaps'"):
        env.flag("FLAG", default=False)
    with pytest.raises(SettingError, match="WORD: must be one of a, b, not 'c'"):
        env.choice("WORD", "a", ("b", "a"))


def test_a_name_that_nothing_asked_for_is_refused_with_the_nearest_that_is_known() -> None:
    env = Environment({"CHAT_PROT": "1", "OTHER": "1"})
    env.whole("CHAT_PORT", 1, low=1, high=2)
    with pytest.raises(SettingError, match=r"CHAT_PROT: no such setting; CHAT_PORT is meant\?"):
        env.refuse_unknown("CHAT_")
