"""Which suites, which of their tests, and under which two Keras releases."""

from __future__ import annotations

from dataclasses import dataclass

HUB_FAMILIES = (
    *("albert", "bart", "bert", "bloom", "deberta_v3", "distil_bert", "electra", "f_net"),
    *("falcon", "gemma", "gemma3", "gpt2", "gpt_neo_x", "llama", "mistral", "mixtral"),
    *("moonshine", "opt", "phi3", "qwen3_moe", "resnet", "roberta", "roformer_v2", "smollm3"),
    *("t5", "vit", "whisper"),
)
TRAINING = ("trainers", "optimizers", "losses", "callbacks")


@dataclass(frozen=True)
class Suite:
    """Where the tests come from, which of them run, and under which two Keras releases.

    revision: a tag or commit of the clone that the environment variable names. exported: folders
    and files of it. strip: leading folders that the exported tests lose, so that their own package
    does not shadow the release under test. without: parts of file names that are left out.
    deselected: the names of tests that are, too, as `-k` takes them. source: folders, or "" for
    the clone's root, from which the suite imports what it tests. requires: what else it
    imports, laid in front without its dependencies. ini: further lines of its pytest.ini.
    """

    name: str
    variable: str
    revision: str
    exported: tuple[str, ...]
    tests: tuple[str, ...]
    old: str
    new: str
    strip: int = 0
    without: tuple[str, ...] = ()
    deselected: str = ""
    backend: str = "jax"
    source: tuple[str, ...] = ()
    requires: tuple[tuple[str, str], ...] = ()
    ini: str = ""


SUITES = (
    Suite(
        "keras",
        "KERAS_GOLDEN_KERAS_REPO",
        "v3.14.1",
        ("keras/src/layers", "conftest.py"),
        ("activations", "attention", "normalization"),
        old="3.14.1",
        new="3.15.1",
        strip=3,
    ),
    Suite(
        "keras-hub",
        "KERAS_GOLDEN_KERAS_HUB_REPO",
        "v0.23.0",
        ("keras_hub", "conftest.py"),
        tuple(f"keras_hub/src/models/{family}" for family in HUB_FAMILIES),
        old="3.10.0",
        new="3.15.1",
        # No models in the first two; the rest takes minutes each, or fails on a jax of today.
        without=("tokenizer", "preprocessor", "classifier"),
        deselected="causal_lm_basics or generate or stopping or beam_search or lora or session",
    ),
    Suite(
        "keras-training",
        "KERAS_GOLDEN_KERAS_REPO",
        "v3.14.1",
        (*(f"keras/src/{part}" for part in TRAINING), "conftest.py"),
        TRAINING,
        old="3.14.1",
        new="3.15.1",
        strip=2,
        # They import pandas, grain, orbax and TensorBoard.
        without=("array_data_adapter", "grain_dataset_adapter", "orbax", "tensorboard"),
        deselected="grain",
    ),
)
