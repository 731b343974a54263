"""config.json, taken field by field: whatever nobody took, and nobody may ignore, is an error that names it.

Knows no family. A field with several spellings is one field: all spellings that are present must agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.errors import ArtifactError

REQUIRED = object()

NOT_COMPUTED_WITH = frozenset({
    "architectures", "model_type", "transformers_version", "dtype", "torch_dtype", "use_cache", "bos_token_id",
    "pad_token_id", "max_position_embeddings", "router_aux_loss_coef", "num_nextn_predict_layers", "num_mtp_layers",
    "_name_or_path", "return_dict", "output_hidden_states", "output_attentions", "attn_implementation",
    "_attn_implementation", "task_specific_params", "id2label", "label2id", "problem_type", "tokenizer_class",
})  # fmt: skip
"""Fields that change nothing that this stack computes. Prediction layers (`num_nextn_predict_layers`) do have weights:
a checkpoint that holds them is refused for those, by name."""

ONLY_SUPPORTED: Mapping[str, tuple[Any, ...]] = {
    "attention_dropout": (0, 0.0, None),
    "pretraining_tp": (1, None),
    "output_router_logits": (False, None),
    "quantization_config": (None,),
    "is_encoder_decoder": (False, None),
    "add_cross_attention": (False, None),
    "chunk_size_feed_forward": (0, None),
}
"""Fields that would change the computation, with the values at which they do not."""


class Fields:
    """The fields of one configuration (or of a table in it) that have not been taken yet."""

    def __init__(self, config: Mapping[str, Any], where: str) -> None:
        self._config = dict(config)
        self._left = set(config)
        self.where = where

    def take(self, *names: str, default: Any = REQUIRED) -> Any:
        """The value of the field that goes by `names`. Raises ArtifactError if it is missing or contradicts itself."""
        present = [name for name in names if name in self._config]
        self._left -= set(present)
        values = [self._config[name] for name in present]
        if any(value != values[0] for value in values[1:]):
            spelt = ", ".join(f"{name} = {self._config[name]!r}" for name in present)
            raise ArtifactError("one field has two values", where=self.where, got=spelt)
        if values and values[0] is not None:
            return values[0]
        if default is REQUIRED:
            raise ArtifactError(f"field {names[0]!r} is missing", where=self.where)
        return default

    def table(self, name: str) -> Fields | None:
        """The table called `name` as fields of its own, or None if there is none."""
        value = self.take(name, default=None)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise ArtifactError(f"field {name!r} is no table", where=self.where, got=repr(value)[:80])
        return Fields(value, f"{self.where}: {name}")

    def peek(self, name: str) -> Any:
        """The value of a field, left for whoever takes it; None if it is missing."""
        return self._config.get(name)

    def only(self, name: str, *supported: Any, default: Any = None) -> Any:
        """Take a field that may have the `supported` values alone."""
        value = self.take(name, default=default)
        if value not in supported:
            choices = " or ".join(repr(choice) for choice in supported)
            raise self.refusal(name, f"{choices}", value)
        return value

    def refusal(self, name: str, expected: str, got: Any) -> ArtifactError:
        """The error for a field whose value asks for something that this stack does not do."""
        return ArtifactError(
            f"field {name!r} asks for what jax_stacked does not implement",
            where=self.where,
            expected=expected,
            got=repr(got)[:80],
        )

    def finish(self, ignored: frozenset[str] = frozenset()) -> None:
        """Check that nothing is left which could matter. Raises ArtifactError with the names of what is."""
        for name, supported in ONLY_SUPPORTED.items():
            if name in self._left:
                self.only(name, *supported)
        unknown = sorted(self._left - NOT_COMPUTED_WITH - ignored)
        if unknown:
            raise ArtifactError(
                f"unknown fields: {', '.join(unknown)}",
                where=self.where,
                next_step="Nothing is ignored in silence: teach reference/jax_stacked/families what they mean.",
            )
