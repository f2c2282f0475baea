"""Which suites, which of their tests, and under which two Keras releases."""

from __future__ import annotations

from dataclasses import dataclass

HUB_FAMILIES = (
    *("albert", "bart", "bert", "bloom", "deberta_v3", "distil_bert", "electra", "f_net"),
    *("falcon", "gemma", "gemma3", "gpt2", "gpt_neo_x", "llama", "mistral", "mixtral"),
    *("moonshine", "opt", "phi3", "qwen3_moe", "resnet", "roberta", "roformer_v2", "smollm3"),
    *("t5", "vit", "whisper"),
)
SCIKERAS = ("basewrapper", "callbacks", "param_routing", "random_state")
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
        # They import pandas, grain, orbax and TensorBoard; the last compiles for half a minute.
        without=("array_data", "grain_data", "orbax", "tensorboard", "optimizer_sparse"),
        # Half of the time for variants of one loop.
        deselected="grain or steps_per or weigth_decay",
    ),
    Suite(
        "keras-geometric",
        "KERAS_GOLDEN_KERAS_GEOMETRIC_REPO",
        "3357e4d",
        ("src", "tests"),
        ("tests",),
        old="3.9.2",
        new="3.15.1",
        # Times, and programs that other processes run.
        without=("performance", "large_graphs", "backend_compatibility"),
        backend="torch",
        source=("src",),
    ),
    Suite(
        "keras-crf",
        "KERAS_GOLDEN_KERAS_CRF_REPO",
        "f03e2f8",
        ("src", "examples", "tests"),
        ("tests",),
        old="3.10.0",
        new="3.15.1",
        backend="torch",
        source=("src", ""),
    ),
    Suite(
        "keras-tcn",
        "KERAS_GOLDEN_KERAS_TCN_REPO",
        "7576256",
        ("tcn", "tasks/tcn_call_test.py"),
        ("tasks",),
        old="3.10.0",
        new="3.15.1",
        backend="tensorflow",
        source=("",),
    ),
    Suite(
        "scikeras",
        "KERAS_GOLDEN_SCIKERAS_REPO",
        "e92a7dc",
        ("tests",),
        tuple(f"tests/test_{part}.py" for part in SCIKERAS),
        old="3.8.0",
        new="3.15.1",
        # Data sets that are downloaded.
        deselected="mnist or SaveModel or Autoencoder",
        backend="tensorflow",
        requires=(
            ("scikeras", "0.13.0"),
            ("scikit-learn", "1.5.2"),
            ("joblib", "1.6.0"),
            ("threadpoolctl", "3.8.0"),
        ),
    ),
    Suite(
        "keras-rs",
        "KERAS_GOLDEN_KERAS_RS_REPO",
        "812d35b",
        ("keras_rs",),
        ("keras_rs/src/layers/feature_interaction", "keras_rs/src/layers/retrieval"),
        old="3.10.0",
        new="3.15.1",
        # Three quarters of the time for one layer.
        without=("remove_accidental_hits",),
        backend="torch",
        source=("",),
    ),
)
