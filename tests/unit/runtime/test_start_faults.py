"""What a person must mend is told in one line, and everything else stays a defect with its traceback."""

import pytest

from services.runtime.config import ConfigError, StartFault, reading, told


def test_a_fault_of_a_person_is_one_line(capsys):
    def main(_):
        raise ConfigError("FILMGATE_A is\n  no number")

    assert told(main, ["serve"]) == 1
    assert capsys.readouterr().err == "cannot start: FILMGATE_A is no number\n"


def test_a_defect_is_none(capsys):
    def main(_):
        raise RuntimeError("of ours")

    with pytest.raises(RuntimeError, match="of ours"):
        told(main, ["serve"])
    assert capsys.readouterr().err == ""


def test_what_main_answers_is_answered():
    assert told(len, ["a", "b"]) == 2


@pytest.mark.parametrize(
    "fault", [OSError("gone"), ValueError("odd"), KeyError("a"), TypeError("b"), UnicodeError("c")]
)
def test_reading_names_the_file(fault):
    with pytest.raises(StartFault, match=r"^the list cannot be used: ."), reading("the list"):
        raise fault


def test_reading_leaves_a_sentence_as_it_is_and_defects_alone():
    with pytest.raises(ConfigError, match=r"^as it is$"), reading("the list"):
        raise ConfigError("as it is")
    with pytest.raises(ZeroDivisionError), reading("the list"):
        raise ZeroDivisionError
