"""What each principal of the plan may do, and what it tries in vain."""

from collections.abc import Iterable

import pytest

from deploy.access.principals import ADMIN, Principal, principals
from tests.support.stack import RunningStack

NAMES = sorted(principals())


@pytest.fixture(params=NAMES)
def principal(request: pytest.FixtureRequest) -> Principal:
    """Each principal in turn."""
    return principals()[request.param]


@pytest.fixture
def password(stack: RunningStack, principal: Principal) -> str:
    return str(stack.facts["principals"][principal.name])


@pytest.fixture
def admin_password(stack: RunningStack) -> str:
    return str(stack.facts["principals"][ADMIN])


def refused(name: str, what: str, tried: Iterable[str], still_open: Iterable[str]) -> None:
    """Prints how many were tried. Fails if any was not refused."""
    opened = sorted(still_open)
    print(f"{name}: {len(list(tried))} {what} tried, {len(opened)} open")
    assert opened == []
