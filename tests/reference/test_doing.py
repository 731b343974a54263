"""The answer of a job: what it found before it crashed, what was warned of, and who did it."""

from __future__ import annotations

import logging
import warnings
from importlib import metadata

from harness.records.jobs import LoadReport
from reference.doing import Found, Progress, answer
from reference.environment import installed_versions


def test_an_answer_names_its_stack_and_keeps_what_was_found_before_a_crash() -> None:
    """The stage, the exception, the losses until then, and each warning once."""

    def work(progress: Progress, found: Found) -> None:
        with progress.at("train"):
            found["losses"] = (1.5,)
            for _ in range(2):
                warnings.warn("first line\nsecond line", stacklevel=1)
            logging.getLogger("transformers.somewhere").warning("a log line")
            raise ValueError("no")

    said = answer("job", "jax_stacked", work)
    assert ("job", "jax_stacked", (1.5,), LoadReport()) == (said.job, said.stack, said.losses, said.loading)
    assert said.crash is not None
    assert ("train", "ValueError", "no") == (said.crash.stage, said.crash.exception, said.crash.message)
    assert ("first line", "a log line") == said.warnings
    assert ["train"] == list(said.timings_s)


def test_the_versions_of_both_stacks_packages_are_told() -> None:
    """Those that are installed here, and nothing of those that are not."""
    installed = {name for distribution in metadata.distributions() if (name := distribution.metadata["Name"])}
    found = installed_versions()
    assert set(found) <= installed
    assert {"torch", "transformers", "peft", "jax", "jaxlib", "flax", "optax"} & installed <= set(found)
