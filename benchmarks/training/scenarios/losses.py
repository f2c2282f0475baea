"""Every loss and every metric, with options and sample weights."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from history.layers import Array, normal

from training.scenarios.autodiff import gradients
from training.scenarios.scenario import Named, Scenario, alike, given

Data = tuple[Array, Array]
"""Targets, predictions."""


def _softmax(logits: Array) -> Array:
    raised = np.exp(logits - logits.max(-1, keepdims=True))
    return (raised / raised.sum(-1, keepdims=True)).astype(np.float32)


def _sigmoid(logits: Array) -> Array:
    return (1 / (1 + np.exp(-logits))).astype(np.float32)


LOGITS = normal(13, 6, seed=3, scale=2.0)
CLASSES = (np.arange(13) * 5 % 6).astype(np.int32)
ONE_HOT = np.eye(6, dtype=np.float32)[CLASSES]
BITS = (normal(13, 6, seed=4) > 0.3).astype(np.float32)
SIGNS = 2 * BITS - 1
REAL: Data = (normal(13, 6, seed=5), normal(13, 6, seed=6))
POSITIVE: Data = (np.abs(REAL[0]) + 0.5, np.abs(REAL[1]) + 0.5)
CATEGORICAL: Data = (ONE_HOT, _softmax(LOGITS))
SPARSE: Data = (CLASSES, _softmax(LOGITS))
BINARY: Data = (BITS, _sigmoid(LOGITS))
MASK = (np.indices((4, 8, 8)).sum(0) // 3 % 3).astype(np.int32)
OVERLAP: Data = (BITS, _sigmoid(LOGITS))
LABELLED: Data = (CLASSES, normal(13, 6, seed=7))
ONE: Data = (BITS[:, 0], _sigmoid(LOGITS)[:, 0])
WEIGHTS = (np.arange(13) % 4 / 4).astype(np.float32)

LOSSES: dict[str, tuple[Data, list[dict[str, Any]]]] = {
    "MeanSquaredError": (REAL, [{}]),
    "MeanAbsoluteError": (REAL, [{}]),
    "MeanAbsolutePercentageError": (POSITIVE, [{}]),
    "MeanSquaredLogarithmicError": (POSITIVE, [{}]),
    "CosineSimilarity": (REAL, [{}, {"axis": 0}]),
    "Huber": (REAL, [{}, {"delta": 0.5}]),
    "LogCosh": (REAL, [{}]),
    "Hinge": ((SIGNS, REAL[1]), [{}]),
    "SquaredHinge": ((SIGNS, REAL[1]), [{}]),
    "CategoricalHinge": (CATEGORICAL, [{}]),
    "KLDivergence": ((_softmax(REAL[0]), CATEGORICAL[1]), [{}]),
    "Poisson": (POSITIVE, [{}]),
    "BinaryCrossentropy": (BINARY, [{}, {"label_smoothing": 0.1}, {"axis": 0}]),
    "BinaryFocalCrossentropy": (BINARY, [{}, {"apply_class_balancing": True}, {"gamma": 3.0},
                                         {"label_smoothing": 0.1}]),
    "CategoricalCrossentropy": (CATEGORICAL, [{}, {"label_smoothing": 0.1}]),
    "CategoricalFocalCrossentropy": (CATEGORICAL, [{}, {"gamma": 3.0}, {"label_smoothing": 0.1}]),
    "SparseCategoricalCrossentropy": (SPARSE, [{}, {"ignore_class": 2}]),
    "Dice": (OVERLAP, [{}, {"axis": (1,)}]),
    "Tversky": (OVERLAP, [{}, {"alpha": 0.3, "beta": 0.7}, {"axis": (1,)}]),
    "Circle": (LABELLED, [{}, {"gamma": 20.0, "margin": 0.2}]),
    "CategoricalGeneralizedCrossEntropy": ((CLASSES, CATEGORICAL[1]), [{}]),
}  # fmt: skip
LOGITED: dict[str, tuple[Data, list[dict[str, Any]]]] = {
    "BinaryCrossentropy": ((BITS, LOGITS), [{}, {"label_smoothing": 0.1}]),
    "BinaryFocalCrossentropy": ((BITS, LOGITS), [{}]),
    "CategoricalCrossentropy": ((ONE_HOT, LOGITS), [{}, {"label_smoothing": 0.1}]),
    "CategoricalFocalCrossentropy": ((ONE_HOT, LOGITS), [{}]),
    "SparseCategoricalCrossentropy": ((CLASSES, LOGITS), [{}, {"ignore_class": 2}]),
}
REDUCTIONS = ("sum", "sum_over_batch_size", "mean", "mean_with_sample_weight", "none")
REDUCED = ("MeanSquaredError", "CategoricalCrossentropy", "SparseCategoricalCrossentropy",
           "CosineSimilarity", "BinaryCrossentropy")  # fmt: skip


def loss(name: str, data: Data, options: dict[str, Any], weighted: bool = False) -> Scenario:
    def run() -> Named:
        called = getattr(keras.losses, name)(**options)
        target = given(data[0])
        weight = {"sample_weight": given(WEIGHTS)} if weighted else {}
        return gradients(lambda t: called(target, t[0], **weight), [given(data[1])])

    return alike(run)


def masked(name: str, data: Data) -> Scenario:
    """As a layer in front of it masks: `_keras_mask` of the predictions."""

    def run() -> Named:
        called = getattr(keras.losses, name)()
        predicted = keras.ops.convert_to_tensor(given(data[1]))
        predicted._keras_mask = keras.ops.convert_to_tensor(WEIGHTS > 0.3)
        return {"loss": called(given(data[0]), predicted)}

    return alike(run)


def function(name: str, data: Data) -> Scenario:
    def run() -> Named:
        called = keras.losses.get(name)
        return gradients(lambda t: called(given(data[0]), t[0]), [given(data[1])])

    return alike(run)


def lowered(name: str, data: Data) -> Scenario:
    """Computed in bfloat16; what is returned says so by its dtype."""

    def run() -> Named:
        called = getattr(keras.losses, name)(dtype="bfloat16")
        return {"output/0": called(given(data[0]), given(data[1]))}

    return alike(run, twin=False)


def ctc(**options: Any) -> Scenario:
    def run() -> Named:
        target = (np.arange(20).reshape(4, 5) % 6 + 1).astype(np.int32)
        called = keras.losses.CTC(**options)
        return gradients(lambda t: called(target, t[0]), [given(normal(4, 14, 8, seed=8))])

    return alike(run)


METRICS: dict[str, tuple[Data, list[dict[str, Any]]]] = {
    **{name: (data, [{}]) for name, (data, _) in LOSSES.items()
       if name in ("MeanSquaredError", "MeanAbsoluteError", "MeanAbsolutePercentageError",
                   "MeanSquaredLogarithmicError", "Hinge", "SquaredHinge", "CategoricalHinge",
                   "KLDivergence", "Poisson", "BinaryCrossentropy", "CategoricalCrossentropy",
                   "SparseCategoricalCrossentropy", "CosineSimilarity")},
    "RootMeanSquaredError": (REAL, [{}]),
    "LogCoshError": (REAL, [{}]),
    "R2Score": (REAL, [{}, {"class_aggregation": "variance_weighted_average"},
                       {"class_aggregation": None}, {"num_regressors": 2}]),
    "Accuracy": ((CLASSES, CLASSES[::-1].copy()), [{}]),
    "BinaryAccuracy": (BINARY, [{}, {"threshold": 0.3}]),
    "CategoricalAccuracy": (CATEGORICAL, [{}]),
    "SparseCategoricalAccuracy": (SPARSE, [{}]),
    "TopKCategoricalAccuracy": (CATEGORICAL, [{"k": 2}]),
    "SparseTopKCategoricalAccuracy": (SPARSE, [{"k": 2}]),
    "AUC": (BINARY, [{}, {"curve": "PR"}, {"multi_label": True}, {"num_thresholds": 11},
                     {"summation_method": "minoring"}]),
    "Precision": (BINARY, [{}, {"thresholds": [0.2, 0.7]}, {"top_k": 2}, {"class_id": 1}]),
    "Recall": (BINARY, [{}, {"thresholds": [0.2, 0.7]}, {"top_k": 2}, {"class_id": 1}]),
    "PrecisionAtRecall": (BINARY, [{"recall": 0.5}]),
    "RecallAtPrecision": (BINARY, [{"precision": 0.5}]),
    "SensitivityAtSpecificity": (BINARY, [{"specificity": 0.5}]),
    "SpecificityAtSensitivity": (BINARY, [{"sensitivity": 0.5}]),
    "TruePositives": (BINARY, [{}]),
    "TrueNegatives": (BINARY, [{}]),
    "FalsePositives": (BINARY, [{}]),
    "FalseNegatives": (BINARY, [{}]),
    "F1Score": (BINARY, [{}, {"average": "micro"}, {"average": "macro"}, {"threshold": 0.4},
                         {"average": "weighted"}]),
    "FBetaScore": (BINARY, [{"beta": 2.0}]),
    "MeanIoU": ((MASK, MASK[::-1].copy()), [{"num_classes": 6}]),
    "IoU": ((MASK, MASK[::-1].copy()), [{"num_classes": 6, "target_class_ids": [1, 2]}]),
    "BinaryIoU": (BINARY, [{"threshold": 0.4}]),
    "OneHotIoU": (CATEGORICAL, [{"num_classes": 6, "target_class_ids": [1, 2]}]),
    "OneHotMeanIoU": (CATEGORICAL, [{"num_classes": 6}]),
    "PearsonCorrelation": (REAL, [{}]),
    "ConcordanceCorrelation": (REAL, [{}]),
}  # fmt: skip


def metric(name: str, data: Data, options: dict[str, Any]) -> Scenario:
    """Two updates, the second with sample weights, and what is kept behind them."""

    def run() -> Named:
        kept = getattr(keras.metrics, name)(**options)
        kept.update_state(*map(given, data))
        first = kept.result()
        half = [given(part[: len(part) // 2 * 2 : 2].copy()) for part in data]
        weight = given(WEIGHTS[1 : len(half[0]) + 1])
        if name in ("IoU", "MeanIoU", "BinaryIoU"):
            # These count element by element.
            weight = np.broadcast_to(weight, half[0].T.shape).T.copy()
        kept.update_state(*half, sample_weight=weight)
        states = {f"state/{at}": state for at, state in enumerate(kept.variables)}
        return {"first": first, "second": kept.result(), **states}

    return alike(run)


def unweighted(name: str, data: Data, options: dict[str, Any]) -> Scenario:
    def run() -> Named:
        kept = getattr(keras.metrics, name)(**options)
        kept.update_state(*map(given, data))
        return {"result": kept.result()}

    return alike(run)


def mean(name: str) -> Scenario:
    def run() -> Named:
        kept = getattr(keras.metrics, name)()
        kept.update_state(given(REAL[0]))
        kept.update_state(given(REAL[1][:, 0]), sample_weight=given(WEIGHTS))
        return {"result": kept.result()}

    return alike(run)


def _words(name: str, options: dict[str, Any], *more: str) -> str:
    return ", ".join([name, *(f"{key} {value}" for key, value in options.items()), *more])


def _losses(table: Any, extra: dict[str, Any], word: str = "") -> dict[str, Scenario]:
    words = [word] if word else []
    made: dict[str, Scenario] = {}
    for name, (data, own) in table.items():
        for options in own:
            made[_words(name, options, *words)] = loss(name, data, {**options, **extra})
        first = {**own[0], **extra}
        made[_words(name, own[0], *words, "weighted")] = loss(name, data, first, True)
    return made


def _functions() -> dict[str, Data]:
    return {
        "mse": REAL, "mae": REAL, "mape": POSITIVE, "msle": POSITIVE, "huber": REAL,
        "log_cosh": REAL, "cosine_similarity": REAL, "binary_crossentropy": BINARY,
        "categorical_crossentropy": CATEGORICAL, "sparse_categorical_crossentropy": SPARSE,
        "kl_divergence": CATEGORICAL, "poisson": POSITIVE, "hinge": (SIGNS, REAL[1]),
    }  # fmt: skip


SCENARIOS: dict[str, Scenario] = {
    f"loss: {name}": scenario
    for name, scenario in {
        **_losses(LOSSES, {}),
        **_losses(LOGITED, {"from_logits": True}, "logits"),
        **{f"{name}, reduction {how}, weighted": loss(
               name, LOSSES[name][0], {"reduction": how}, True)
           for name in REDUCED for how in REDUCTIONS},
        **{f"{name}, masked": masked(name, LOSSES[name][0]) for name in REDUCED},
        **{f"{name} by name": function(name, data) for name, data in _functions().items()},
        **{f"{name}, dtype bfloat16": lowered(name, LOSSES[name][0])
           for name in REDUCED},
        "CTC": ctc(),
        "CTC, reduction none": ctc(reduction="none"),
    }.items()
} | {
    f"metric: {name}": scenario
    for name, scenario in {
        **{_words(name, options): metric(name, data, options)
           for name, (data, own) in METRICS.items() for options in own},
        **{_words(name, own[0], "one update"): unweighted(name, data, own[0])
           for name, (data, own) in METRICS.items()},
        **{name: mean(name) for name in ("Mean", "Sum")},
        "AUC, one output": metric("AUC", ONE, {}),
        "AUC, logits": metric("AUC", (BITS, LOGITS), {"from_logits": True}),
    }.items()
}  # fmt: skip
