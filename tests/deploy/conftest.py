"""One set of secrets for all of these tests, made by the script of an installation."""

from pathlib import Path

import pytest

from tests.support.installation import fill_in_sms_accounts, make_secrets


@pytest.fixture(scope="session")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("secrets") / "made"
    make_secrets(folder)
    fill_in_sms_accounts(folder)
    return folder
