from __future__ import annotations

import pytest

from fedsnap.clients.errors import Misconfigured
from fedsnap.runtime.assembly import hub_vault, own_vault, store_settings
from fedsnap.runtime.settings import load


def _settings(**environment):
    return load(
        ["coordinator", "--namespace", "hub"], {f"FEDSNAP_{name}": value for name, value in environment.items()}
    )


def test_jobs_are_told_where_the_store_is_but_not_where_our_credentials_lie():
    settings = _settings(STORE_ENDPOINT="https://store.example", STORE_CREDENTIALS="/mounted")
    told = store_settings(settings, "models")
    assert (told.endpoint, told.bucket, told.credentials_directory) == ("https://store.example", "models", None)


def test_a_missing_store_is_a_wrong_setting():
    with pytest.raises(Misconfigured, match="FEDSNAP_STORE_ENDPOINT"):
        store_settings(_settings(), "models")


def test_the_hubs_vault_is_the_own_one_where_no_other_is_set():
    settings = _settings(VAULT_ADDRESS="https://vault.example", VAULT_ROLE="operator", VAULT_TOKEN_FILE="/token")
    found = hub_vault(settings, "")
    assert found == own_vault(settings, "operator")
    assert found is not None
    assert found.token_file is None


def test_without_an_address_there_is_no_vault():
    assert own_vault(_settings(), "operator") is None


def test_an_address_without_a_role_is_a_wrong_setting():
    with pytest.raises(Misconfigured, match="FEDSNAP_VAULT_ROLE"):
        own_vault(_settings(VAULT_ADDRESS="https://vault.example"), "")
