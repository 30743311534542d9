"""The faster dropout and attention have the distributions and gradients of the slow ones."""

import pytest
import torch
from conftest import WIDTH
from transformers import BertConfig, BertForMaskedLM

from lingraft.train.fast import FastDropout, attention, fast_dropout, keep_mask


def scaled(values: torch.Tensor, drop: float) -> torch.Tensor:
    dropout = FastDropout(drop)
    return dropout(values)


@pytest.mark.parametrize("drop", [0.1, 0.25, 0.5, 0.9])
def test_the_rate_is_right_and_draws_are_independent(drop: float):
    torch.manual_seed(0)
    mask = keep_mask(torch.Size([1000, 401]), drop).bool().float()
    deviation = (drop * (1 - drop) / mask.numel()) ** 0.5
    assert abs(mask.mean().item() - (1 - drop)) < 5 * deviation + 1 / 65536
    centred = mask - mask.mean()
    for lag in (1, 2, 3, 4):  # four draws come from one number
        correlation = (centred[:, lag:] * centred[:, :-lag]).mean() / centred.square().mean()
        assert abs(correlation.item()) < 0.01


def test_the_mean_is_kept_and_the_rest_is_scaled():
    torch.manual_seed(0)
    out = scaled(torch.ones(400, 400), 0.1)
    assert abs(out.mean().item() - 1) < 0.01
    assert torch.unique(out).tolist() == pytest.approx([0, 1 / 0.9])


def test_the_gradient_is_the_mask():
    values = torch.randn(30, 7, requires_grad=True)
    out = scaled(values, 0.3)
    out.backward(torch.ones_like(out))
    torch.testing.assert_close(values.grad * values.detach(), out.detach())


def test_the_seed_decides_and_evaluation_drops_nothing():
    dropout, values = FastDropout(0.5), torch.randn(50, 50)
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(dropout(values))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
    assert dropout.eval()(values) is values
    assert FastDropout(0.0)(values) is values


def heads(seed: int = 0) -> list[torch.Tensor]:
    torch.manual_seed(seed)
    return [torch.randn(2, 2, 8, 16) for _ in range(3)]


def test_attention_without_dropout_is_pytorchs():
    query, key, value = heads()
    module = torch.nn.Identity()
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value).transpose(1, 2)
    torch.testing.assert_close(attention(module, query, key, value, None, dropout=0.0, is_causal=False)[0], expected)


def test_attention_with_dropout_has_the_same_mean():
    query, key, value = heads()
    module = torch.nn.Identity()
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value).transpose(1, 2)
    found = torch.stack([attention(module, query, key, value, None, dropout=0.2, is_causal=False)[0] for _ in range(3000)])
    assert not torch.equal(found[0], found[1])
    deviation = found.std(dim=0) / len(found) ** 0.5
    assert ((found.mean(dim=0) - expected).abs() / deviation).max() < 5


def test_a_model_is_as_it_was_afterwards():
    model = BertForMaskedLM(BertConfig(vocab_size=50, **WIDTH)).eval()
    ids = torch.arange(16).reshape(2, 8)
    kinds = [type(module) for module in model.modules()]
    with torch.no_grad():
        before = model(input_ids=ids).logits
        with fast_dropout(model):
            assert any(type(module) is FastDropout for module in model.modules())
            torch.testing.assert_close(model(input_ids=ids).logits, before)
        assert torch.equal(model(input_ids=ids).logits, before)
    assert [type(module) for module in model.modules()] == kinds
    assert model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("heads", [4, 2], ids=["own keys", "shared keys"])
@pytest.mark.parametrize("kind", ["open", "causal", "padding", "numbers"])
def test_training_in_bfloat16_gives_pytorchs_values_and_gradients(kind: str, heads: int):
    torch.manual_seed(0)
    shapes = [(2, count, 8, 16) for count in (4, heads, heads)]
    exact = [torch.randn(shape, requires_grad=True) for shape in shapes]
    half = [states.detach().bfloat16().requires_grad_() for states in exact]
    seen = torch.arange(8).expand(2, 1, 8, 8) < torch.tensor([8, 5]).view(2, 1, 1, 1)
    masks = {"padding": seen, "numbers": torch.zeros(2, 1, 8, 8).masked_fill(~seen, -1e9)}
    module = torch.nn.Identity().train()
    module.num_key_value_groups = 4 // heads
    for states in (exact, half):
        mask = masks.get(kind)
        mask = mask.to(states[0].dtype) if kind == "numbers" and mask is not None else mask
        attention(module, *states, mask, is_causal=kind == "causal")[0].square().sum().backward()
    expected = torch.nn.functional.scaled_dot_product_attention(
        *exact, attn_mask=masks.get(kind), is_causal=kind == "causal", enable_gqa=True
    )
    found = attention(module, *half, mask, is_causal=kind == "causal")[0]
    torch.testing.assert_close(found.float(), expected.transpose(1, 2), atol=0.03, rtol=0.03)
    for one, other in zip(half, exact, strict=True):
        torch.testing.assert_close(one.grad.float(), other.grad, atol=0.1, rtol=0.05)
