from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from fedsnap.sdk.errors import Refused
from fedsnap.sdk.weights import layout, load_base, save
from sdk.conftest import build_model


def _refused(container, tensors):
    with pytest.raises(Refused) as caught:
        load_base(build_model(), container.with_base(tensors).root / "base" / "model.safetensors")
    return caught.value


def test_a_base_of_the_same_model_is_loaded(container):
    weights, model = build_model().state_dict(), build_model()
    load_base(model, container.with_base(weights).root / "base" / "model.safetensors")
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in weights.items())


def test_missing_and_unexpected_tensors_of_the_base_are_named(container):
    weights = dict(build_model().state_dict())
    weights["1.weight"] = weights.pop("2.weight")
    error = _refused(container, weights)
    assert error.reason == "BaseMismatch"
    assert "missing 2.weight; unexpected 1.weight" in error.message


def test_a_tensor_of_another_shape_is_named_with_both_shapes(container):
    error = _refused(container, build_model().state_dict() | {"0.bias": torch.zeros(5)})
    assert "0.bias: expected float32[4], found float32[5]" in error.message


def test_a_tensor_of_another_type_is_named_with_both_types(container):
    error = _refused(container, build_model().state_dict() | {"0.bias": torch.zeros(4, dtype=torch.float64)})
    assert "0.bias: expected float32[4], found float64[4]" in error.message


def test_many_differences_are_counted_after_the_first(container):
    error = _refused(container, {f"layer.{index}": torch.zeros(1) for index in range(100)})
    assert "and 96 more" in error.message
    assert len(error.message) < 600


def test_a_base_that_is_not_there_or_no_safetensors_is_refused(tmp_path):
    with pytest.raises(Refused) as missing:
        load_base(build_model(), tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(Refused) as invalid:
        load_base(build_model(), tmp_path / "model.safetensors")
    assert (missing.value.reason, invalid.value.reason) == ("BaseMissing", "BaseInvalid")


def test_transposed_and_shared_weights_are_written_whole(tmp_path):
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[0].weight = nn.Parameter(torch.arange(9.0).reshape(3, 3).T)
    model[1].weight = model[0].weight
    save(model, tmp_path / "model.safetensors", layout(model))
    written = load_file(tmp_path / "model.safetensors")
    assert torch.equal(written["0.weight"], model[0].weight)
    assert torch.equal(written["1.weight"], model[0].weight)


def test_a_failed_save_leaves_what_was_there_before(tmp_path):
    model, path = build_model(), tmp_path / "model.safetensors"
    save(model, path, layout(model))
    before = path.read_bytes()
    with torch.no_grad():
        model[0].weight.fill_(float("nan"))
    with pytest.raises(Refused, match="WeightsNotFinite"):
        save(model, path, layout(model))
    assert path.read_bytes() == before


def test_counters_beside_the_weights_are_kept(tmp_path):
    model = nn.BatchNorm1d(2)
    save(model, tmp_path / "model.safetensors", layout(model))
    assert load_file(tmp_path / "model.safetensors")["num_batches_tracked"].dtype == torch.int64


def test_a_model_without_weights_is_refused():
    with pytest.raises(Refused, match="has no weights"):
        layout(nn.Identity())
