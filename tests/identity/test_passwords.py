"""Which passwords staff may choose."""

import pytest

from kit.core.errors import InvalidFields
from services.identity.accounts.passwords import check_choice
from tests.support.staffing import PASSWORD


@pytest.mark.parametrize(
    "password",
    [
        PASSWORD,
        "twelve chars",
        "x" * 64 + "y" * 64,
        "　全角空格也可以用作密码　的",
        "🪁🧮🪵🚂 four pictures",
        "all lower case",
    ],
)
def test_any_characters_may_be_chosen(password: str) -> None:
    check_choice(password, "clerk", "password")


@pytest.mark.parametrize(
    ("password", "username", "code"),
    [
        ("11 characte", "clerk", "password_too_short"),
        ("x" * 129, "clerk", "too_long"),
        ("123456789012", "clerk", "password_breached"),
        ("PassWord1234", "clerk", "password_breached"),
        ("the clerk was here", "Clerk", "password_guessable"),
        ("从业人员自助服务的密码", "clerk", "password_too_short"),
        ("从业人员自助服务的一个密码", "clerk", "password_guessable"),
    ],
)
def test_an_easily_guessed_password_is_refused(password: str, username: str, code: str) -> None:
    with pytest.raises(InvalidFields) as caught:
        check_choice(password, username, "new_password")
    assert [(each.field, each.code) for each in caught.value.fields] == [("new_password", code)]


def test_a_short_name_may_be_part_of_a_word() -> None:
    check_choice("alligators and lily pads", "li", "password")
