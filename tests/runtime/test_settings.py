from __future__ import annotations

import json

import pytest

from fedsnap.runtime.settings import SettingsError, load


def test_a_flag_wins_over_its_variable():
    settings = load(["coordinator", "--namespace", "a"], {"FEDSNAP_NAMESPACE": "b"})
    assert settings.namespace == "a"


def test_a_variable_wins_over_the_default():
    assert load(["coordinator"], {"FEDSNAP_NAMESPACE": "b", "FEDSNAP_RESYNC": "90s"}).resync_s == 90.0


def test_a_coordinator_watches_everywhere_and_a_participant_its_own_namespace(tmp_path):
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"hub:v1": "AAAA"}))
    environment = {"FEDSNAP_HUB_NAMESPACE": "org-a", "FEDSNAP_ORGANIZATION": "a", "FEDSNAP_HUB_PUBLIC_KEYS": str(keys)}
    assert load(["coordinator", "--namespace", "hub"], {}).namespaces == ()
    participant = load(["participant", "--namespace", "jobs"], environment)
    assert participant.namespaces == ("jobs",)
    assert participant.hub_public_keys == {"hub:v1": "AAAA"}


def test_a_participant_that_trusts_no_hub_key_does_not_start():
    with pytest.raises(SettingsError, match=r"--hub-public-keys \(FEDSNAP_HUB_PUBLIC_KEYS\)"):
        load(["participant", "--namespace", "a", "--hub-namespace", "b", "--organization", "c"], {})


@pytest.mark.parametrize(
    ("flag", "value"),
    [("--metrics-port", "70000"), ("--workers", "0"), ("--resync", "soon"), ("--hub-public-keys", "/nowhere")],
)
def test_a_wrong_value_is_refused_with_the_name_of_its_flag(flag, value):
    with pytest.raises(SettingsError, match=flag):
        load(["participant", "--namespace", "a", flag, value], {})


def test_a_wrong_variable_is_refused_as_a_wrong_flag_would_be():
    with pytest.raises(SettingsError, match=r"FEDSNAP_LEASE.*true, false"):
        load(["coordinator", "--namespace", "a"], {"FEDSNAP_LEASE": "perhaps"})


def test_help_names_every_variable_and_no_flag_takes_a_secret(capsys):
    with pytest.raises(SystemExit, match="0"):
        load(["participant", "--help"])
    shown = capsys.readouterr().out
    assert "FEDSNAP_HUB_KUBECONFIG" in shown
    assert not any(word in shown for word in ("--vault-token ", "--token ", "--secret"))
