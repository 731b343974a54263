"""What a model computes on the case's tokens: logits, greedy samples, chosen experts, every stage of the forward pass.

Suffixes: `B` sequences, `T` tokens, `V` vocabulary, `D` hidden, `M` MoE layers, `K` chosen experts, `S` samples,
`N` new tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from peft.tuners.lora.layer import LoraLayer, ParamWrapper

from harness.metrics.decoding import forced_margins
from harness.metrics.initial import scales
from harness.metrics.observed import Outputs
from reference.data import NEW_TOKENS, Tokens
from reference.torch_peft.effective import plain_name, to_numpy

STAGE = re.compile(r"model\.(embed_tokens|layers\.\d+(\.(self_attn|linear_attn|mlp))?|norm)")
GATE = re.compile(r"layers\.(\d+)\.mlp\.gate$")
EXPERTS = re.compile(r"layers\.(\d+)\.mlp\.experts$")
PADDED = -1
NUM_PADDING = 2
"""Prompts are padded on the left, as a batch of unequal ones would be; what is computed must not feel it."""
NUM_DRAWN, DRAWN_TOKENS, HOT = 4, 3, 20.0
"""So many samples of so many tokens; at this temperature even a trained model draws from all of its vocabulary."""


def observe(model: Any, tokens: Tokens) -> Outputs:
    """Run `model` (a transformers model, or PEFT's wrapper of one) on the evaluation sequences and the prompts."""
    model.eval()
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    with _without_router_loss(inner.config):
        return _observe(model, inner, tokens)


def _observe(model: Any, inner: Any, tokens: Tokens) -> Outputs:
    stages: dict[str, np.ndarray] = {}
    routing: dict[int, np.ndarray] = {}
    hooks = _watch(inner, stages, routing)
    try:
        with torch.no_grad():
            logits_BTV = model(input_ids=torch.from_numpy(tokens.sequences_BT)).logits
    finally:
        for hook in hooks:
            hook.remove()
    with torch.no_grad():
        again_BTV = model(input_ids=torch.from_numpy(tokens.sequences_BT)).logits
    num_sequences, num_tokens = tokens.sequences_BT.shape
    chosen = [np.sort(routing[layer].reshape(num_sequences, num_tokens, -1), axis=-1) for layer in sorted(routing)]
    tokens_SN, margins_SN = _generate(model, tokens)
    return Outputs(
        logits_BTV=_array(logits_BTV),
        tokens_SN=tokens_SN,
        margins_SN=margins_SN,
        routing_MBTK=np.stack(chosen) if chosen else np.zeros((0, num_sequences, num_tokens, 0), np.int64),
        stages=stages,
        sequences_BT=tokens.sequences_BT,
        forced_SN=_forced(model, tokens, tokens_SN),
        # torch refuses to draw where there are no probabilities; the logits themselves say so.
        drawn_SN=_drawn(model, tokens) if bool(torch.isfinite(logits_BTV).all()) else None,
        # Bits are compared, and a NaN is equal to itself.
        unrepeated=np.asarray(int((_array(logits_BTV).view(np.int32) != _array(again_BTV).view(np.int32)).sum())),
    )


@contextmanager
def beginning(model: Any) -> Iterator[dict[str, list[float]]]:
    """What the factors A of an adapter, put into `model` within the block, are like before its first forward pass."""
    found: dict[str, list[float]] = {}

    def look(*_: Any) -> None:
        hook.remove()
        factors = {}
        for path, module in model.named_modules():
            if isinstance(module, LoraLayer) and len(module.lora_A):
                name = plain_name(path) + (
                    f".{module.parameter_name}" if isinstance(module, ParamWrapper) else ".weight"
                )
                factors[name] = next(iter(module.lora_A.values())).weight
        found.update(scales(to_numpy(factors)))

    # PEFT calls the model's own forward and not the model, whose hooks would not be run.
    hook = model.model.register_forward_pre_hook(look)
    try:
        yield found
    finally:
        hook.remove()


@contextmanager
def _without_router_loss(config: Any) -> Iterator[None]:
    """TRL 1.16 asks for the router's loss and leaves it asked for. Then transformers 5.23 cannot generate from padded
    prompts: that loss takes the mask of the whole sequence for the mask of its last token.
    """
    asked = getattr(config, "output_router_logits", None)
    try:
        if asked:
            config.output_router_logits = False
        yield
    finally:
        if asked:
            config.output_router_logits = asked


def _watch(inner: Any, stages: dict[str, np.ndarray], routing: dict[int, np.ndarray]) -> list[Any]:
    """Hooks that record every stage and every routing decision of one forward pass."""
    hooks = []
    top_k = getattr(inner.config, "num_experts_per_tok", 0)
    for name, module in inner.named_modules():
        if found := STAGE.fullmatch(name):
            hooks.append(module.register_forward_hook(_stage_recorder(stages, found[1])))
        if found := EXPERTS.search(name):
            # transformers 5 hands the chosen experts to one module for all of them: (tokens, indices, weights).
            hooks.append(module.register_forward_pre_hook(_experts_recorder(routing, int(found[1]))))
        if found := GATE.search(name):
            hooks.append(module.register_forward_hook(_gate_recorder(routing, int(found[1]), top_k)))
    return hooks


def _stage_recorder(stages: dict[str, np.ndarray], stage: str) -> Any:
    def record(_module: Any, _inputs: Any, output: Any) -> None:
        tensor = output[0] if isinstance(output, tuple) else output
        stages[stage] = _array(tensor)

    return record


def _experts_recorder(routing: dict[int, np.ndarray], layer: int) -> Any:
    def record(_module: Any, inputs: tuple[Any, ...]) -> None:
        for value in inputs:
            if isinstance(value, torch.Tensor) and not value.is_floating_point():
                routing[layer] = value.detach().numpy().copy()

    return record


def _gate_recorder(routing: dict[int, np.ndarray], layer: int, top_k: int) -> Any:
    def record(_module: Any, _inputs: Any, output: Any) -> None:
        values = output if isinstance(output, tuple) else (output,)
        for value in values:
            if not value.is_floating_point():
                routing[layer] = value.detach().numpy().copy()
                return
        # Only logits: softmax keeps their order, so the top of the logits is the top of the scores. Where the block
        # chooses otherwise (groups, correction bias), the experts' hook runs later and overwrites this.
        routing[layer] = values[0].detach().float().topk(top_k, dim=-1).indices.numpy().copy()

    return record


def _generate(model: Any, tokens: Tokens) -> tuple[np.ndarray, np.ndarray]:
    pad = model.generation_config.pad_token_id
    prompts = torch.nn.functional.pad(torch.from_numpy(tokens.prompts_SP), (NUM_PADDING, 0), value=pad or 0)
    mask = torch.nn.functional.pad(torch.ones(tokens.prompts_SP.shape, dtype=torch.int64), (NUM_PADDING, 0))
    with torch.no_grad():
        out = model.generate(
            input_ids=prompts,
            attention_mask=mask,
            max_new_tokens=NEW_TOKENS,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
        )
    made = out.sequences[:, prompts.shape[1] :].numpy()
    tokens_SN = np.full((len(made), NEW_TOKENS), PADDED, np.int64)
    margins_SN = np.zeros((len(made), NEW_TOKENS), np.float64)
    stops = _stop_tokens(model)
    for row, sample in enumerate(made):
        for step, token in enumerate(sample):
            top2 = out.logits[step][row].double().topk(2).values
            tokens_SN[row, step] = token
            margins_SN[row, step] = float(top2[0] - top2[1])
            if int(token) in stops:
                break
    return tokens_SN, margins_SN


def _forced(model: Any, tokens: Tokens, tokens_SN: np.ndarray) -> np.ndarray:
    """Margins of generated tokens, from one pass over prompts and continuations."""
    whole_ST = np.concatenate([tokens.prompts_SP, np.maximum(tokens_SN, 0)], axis=1)
    with torch.no_grad():
        logits_STV = model(input_ids=torch.from_numpy(whole_ST)).logits
    logits_SNV = _array(logits_STV)[:, tokens.prompts_SP.shape[1] - 1 : -1]
    return forced_margins(logits_SNV, tokens_SN)


def _drawn(model: Any, tokens: Tokens) -> np.ndarray:
    """Continuations of one prompt, drawn under one seed; the state of the random numbers is as it was."""
    prompts = torch.from_numpy(np.repeat(tokens.prompts_SP[:1], NUM_DRAWN, axis=0))
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        out = model.generate(
            input_ids=prompts,
            attention_mask=torch.ones_like(prompts),
            max_new_tokens=DRAWN_TOKENS,
            min_new_tokens=DRAWN_TOKENS,
            do_sample=True,
            temperature=HOT,
            top_k=0,
            top_p=1.0,
        )
    drawn_SN: np.ndarray = out[:, prompts.shape[1] :].numpy()
    return drawn_SN


def _stop_tokens(model: Any) -> set[int]:
    eos = model.generation_config.eos_token_id
    return set(eos) if isinstance(eos, list) else {eos}


def _array(tensor: torch.Tensor) -> np.ndarray:
    array: np.ndarray = tensor.detach().float().numpy().copy()
    return array
