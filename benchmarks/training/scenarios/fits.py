"""Every option of `compile`, `fit` and `evaluate`, in float32 and both mixed precisions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from training import POLICIES
from training.scenarios import models
from training.scenarios.models import SAMPLES, perceptron, real
from training.scenarios.scenario import Named, Scenario, filled, floats, given, slots, weights
from training.scenarios.steps import custom_loss, custom_step

Build = Callable[[str], Any]
Compiled = Callable[[], dict[str, Any]]

FIT = {"batch_size": 4, "epochs": 2, "shuffle": False, "verbose": 0}


def compiled(model: Any, options: Mapping[str, Any]) -> None:
    """XLA would take most of the time on TensorFlow: there it is left to scenarios of its own."""
    plain = {"jit_compile": False} if keras.backend.backend() == "tensorflow" else {}
    model.compile(**{"optimizer": _adam(), "loss": "mse", **plain, **options})


def _adam(**options: Any) -> Any:
    return keras.optimizers.Adam(0.02, **options)


def _sgd(**options: Any) -> Any:
    return keras.optimizers.SGD(0.05, **options)


def history(logs: Mapping[str, Any], name: str = "history") -> Named:
    return {f"{name}/{key}": np.asarray(values, "float64") for key, values in logs.items()}


def trained(model: Any) -> Named:
    return {**weights(model), **slots(model.optimizer)}


def fit(
    build: Build = perceptron,
    data: Callable[[], Any] = real,
    of: Compiled = dict,
    given_to: Callable[[], dict[str, Any]] = dict,
    twin: bool = True,
) -> Scenario:
    """of, given_to: options of `compile` and of `fit`, made anew for every run."""

    def run(policy: str) -> Named:
        model = filled(build(policy))
        compiled(model, of())
        made = model.fit(*data(), **{**FIT, **given_to()})
        return {**history(made.history), **trained(model)}

    return Scenario(run, POLICIES, twin)


def by_hand(of: Compiled = dict) -> Scenario:
    """`train_on_batch`, the last batch smaller, then `test_on_batch` and `predict_on_batch`."""

    def run(policy: str) -> Named:
        model = filled(perceptron(policy))
        compiled(model, of())
        x, y = models.odd()
        losses = [model.train_on_batch(x[at : at + 4], y[at : at + 4]) for at in (0, 4, 8)]
        tested = model.test_on_batch(x, y)
        numbers = {"losses": np.asarray(losses, "float64"), "tested": np.asarray(tested, "float64")}
        return {**numbers, "predicted": model.predict_on_batch(x), **trained(model)}

    return Scenario(run, POLICIES)


def evaluated(of: Compiled = dict, **options: Any) -> Scenario:
    def run(policy: str) -> Named:
        model = filled(perceptron(policy))
        compiled(model, of())
        x, y = models.odd()
        logs = model.evaluate(x, y, batch_size=4, verbose=0, return_dict=True, **options)
        return {**history(logs), "predicted": model.predict(x, batch_size=4, verbose=0)}

    return Scenario(run, POLICIES)


def twice() -> Scenario:
    """`fit`, another `compile`, and `fit` once more."""

    def run(policy: str) -> Named:
        model = filled(perceptron(policy))
        compiled(model, {})
        first = model.fit(*real(), **FIT)
        compiled(model, {"optimizer": _sgd(momentum=0.9)})
        second = model.fit(*real(), **FIT)
        made = history(second.history, "second")
        return {**history(first.history, "first"), **made, **trained(model)}

    return Scenario(run, POLICIES)


def between(name: str, *arguments: Any, **options: Any) -> Build:
    """The perceptron with one layer more."""

    def layer(policy: str) -> Any:
        return getattr(keras.layers, name)(*arguments, dtype=policy, name="between", **options)

    return lambda policy: perceptron(policy, layer)


def hidden(**options: Callable[[], Any]) -> Build:
    """The perceptron with options of its hidden layer."""
    return lambda policy: perceptron(policy, **{key: make() for key, make in options.items()})


def _sample_weight() -> dict[str, Any]:
    return {"sample_weight": given((np.arange(SAMPLES) % 4 / 4).astype("float32"))}


def _validation() -> dict[str, Any]:
    return {"validation_data": (floats(7, 6, seed=3), floats(7, 1, seed=4))}


class _Batches(keras.utils.PyDataset if hasattr(keras.utils, "PyDataset") else object):
    def __init__(self) -> None:
        super().__init__()
        self._data = models.odd()

    def __len__(self) -> int:
        return 3

    def __getitem__(self, at: int) -> Any:
        return tuple(array[4 * at : 4 * at + 4] for array in self._data)


def _from_batches(make: Callable[[], Any], **options: Any) -> Scenario:
    def run(policy: str) -> Named:
        model = filled(perceptron(policy))
        compiled(model, {})
        made = model.fit(make(), epochs=2, shuffle=False, verbose=0, **options)
        return {**history(made.history), **trained(model)}

    return Scenario(run, POLICIES)


def _endless() -> Any:
    x, y = real()
    while True:
        for at in (0, 4, 8):
            yield x[at : at + 4], y[at : at + 4]


def _optimizer(make: Callable[[], Any], **options: Any) -> Scenario:
    return fit(of=lambda: {"optimizer": make(), **options})


def _callback(make: Callable[[], Any], epochs: int = 4, **options: Any) -> Scenario:
    made = lambda: {"callbacks": [make()], "epochs": epochs, **_validation(), **options}  # noqa: E731
    return fit(given_to=made)


_regularizers = keras.regularizers
_losses = keras.losses
CLASS_WEIGHT = {0: 1.0, 1: 0.5, 2: 2.0, 3: 0.1, 4: 1.5}
_MIXED: dict[str, Any] = {"value": "mse", "kind": "sparse_categorical_crossentropy"}


def _two(**options: Any) -> Scenario:
    return fit(models.two_outputs, models.both, lambda: {"loss": dict(_MIXED), **options})


SCENARIOS: dict[str, Scenario] = {
    f"fit: {name}": scenario
    for name, scenario in {
        "Adam": fit(),
        "SGD": _optimizer(_sgd),
        "SGD, momentum": _optimizer(lambda: _sgd(momentum=0.9, nesterov=True)),
        **{name: _optimizer(lambda name=name: getattr(keras.optimizers, name)(0.02))
           for name in ("RMSprop", "AdamW", "Adafactor", "Lion", "Muon", "Ftrl", "Nadam")},
        "schedule": _optimizer(lambda: keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(0.05, 5))),
        "gradient accumulation, Adam": _optimizer(lambda: _adam(gradient_accumulation_steps=2)),
        "gradient accumulation, SGD": _optimizer(lambda: _sgd(gradient_accumulation_steps=2)),
        "gradient accumulation, odd": fit(data=models.odd, of=lambda: {
            "optimizer": _adam(gradient_accumulation_steps=4)}),
        "clipnorm": _optimizer(lambda: _sgd(clipnorm=0.1)),
        "clipvalue": _optimizer(lambda: _sgd(clipvalue=0.1)),
        "global_clipnorm": _optimizer(lambda: _sgd(global_clipnorm=0.1)),
        "EMA": _optimizer(lambda: _adam(use_ema=True, ema_momentum=0.8)),
        "EMA, overwrite": _optimizer(
            lambda: _adam(use_ema=True, ema_momentum=0.8, ema_overwrite_frequency=2)),
        "weight_decay": _optimizer(lambda: _adam(weight_decay=0.05)),
        "loss_scale_factor": _optimizer(lambda: _sgd(loss_scale_factor=16.0)),
        "LossScaleOptimizer": _optimizer(lambda: keras.optimizers.LossScaleOptimizer(
            _adam(), initial_scale=16.0, dynamic_growth_steps=2)),
        "auto_scale_loss off": _optimizer(_adam, auto_scale_loss=False),
        "sample_weight": fit(given_to=_sample_weight),
        "sample_weight, odd last batch": fit(data=models.odd, given_to=lambda: {
            "sample_weight": given((np.arange(10) % 4 / 4).astype("float32"))}),
        "class_weight": fit(models.classifier, models.classes,
                            lambda: {"loss": "sparse_categorical_crossentropy"},
                            lambda: {"class_weight": dict(CLASS_WEIGHT)}),
        "class_weight, one hot": fit(models.classifier, models.one_hot,
                                     lambda: {"loss": "categorical_crossentropy"},
                                     lambda: {"class_weight": dict(CLASS_WEIGHT)}),
        "masked sequences": fit(models.masked_recurrent, models.sequences),
        "masked sequences, sample_weight": fit(
            models.masked_recurrent, models.sequences, given_to=lambda: {
                "sample_weight": given((np.arange(60) % 4 / 4).astype("float32").reshape(12, 5))}),
        "masked tokens": fit(models.transformer, models.tokens, lambda: {
            "loss": _losses.SparseCategoricalCrossentropy(from_logits=True)}),
        "masked tokens, metrics": fit(models.transformer, models.tokens, lambda: {
            "loss": _losses.SparseCategoricalCrossentropy(from_logits=True),
            "metrics": ["accuracy"], "weighted_metrics": ["accuracy"]}),
        "odd last batch": fit(data=models.odd),
        "odd last batch, metrics": fit(data=models.odd, of=lambda: {"metrics": ["mae"]}),
        "last batch of one": fit(data=models.single),
        "odd last batch, reduction sum": fit(data=models.odd, of=lambda: {
            "loss": _losses.MeanSquaredError(reduction="sum")}),
        "two outputs": _two(),
        "two outputs, loss_weights": _two(loss_weights={"value": 0.3, "kind": 2.0}),
        "two outputs, metrics": _two(metrics={"value": ["mae"], "kind": ["accuracy"]}),
        "two outputs, one loss": fit(models.two_outputs, models.both, lambda: {
            "loss": {"value": "mse"}}),
        "validation_data": fit(given_to=_validation),
        "validation_data, batch size": fit(given_to=lambda: {
            **_validation(), "validation_batch_size": 3, "validation_freq": 2}),
        "validation_split": fit(given_to=lambda: {"validation_split": 0.25}),
        "validation_split, sample_weight": fit(given_to=lambda: {
            "validation_split": 0.25, **_sample_weight()}),
        "steps_per_execution": fit(data=models.odd, of=lambda: {"steps_per_execution": 2}),
        "run_eagerly": fit(of=lambda: {"run_eagerly": True}),
        "jit_compile off": fit(of=lambda: {"jit_compile": False}),
        "jit_compile": fit(of=lambda: {"jit_compile": keras.backend.backend() != "torch"}),
        "shuffle": fit(given_to=lambda: {"shuffle": True}),
        "batch_size by itself": fit(given_to=lambda: {"batch_size": None}),
        "initial_epoch": fit(given_to=lambda: {"initial_epoch": 1, "epochs": 3}),
        "ReduceLROnPlateau": _callback(lambda: keras.callbacks.ReduceLROnPlateau(
            patience=1, min_delta=10.0, factor=0.3)),
        "EarlyStopping": _callback(lambda: keras.callbacks.EarlyStopping(
            patience=1, min_delta=10.0, restore_best_weights=True)),
        "LearningRateScheduler": _callback(lambda: keras.callbacks.LearningRateScheduler(
            lambda epoch, rate: rate * 0.5)),
        "SwapEMAWeights": fit(of=lambda: {"optimizer": _adam(use_ema=True, ema_momentum=0.8)},
                              given_to=lambda: {"callbacks": [keras.callbacks.SwapEMAWeights()],
                                                **_validation()}),
        "metrics": fit(of=lambda: {
            "metrics": ["mae", "mse", keras.metrics.RootMeanSquaredError()]}),
        "weighted_metrics": fit(of=lambda: {"metrics": ["mae"], "weighted_metrics": ["mae"]},
                                given_to=_sample_weight),
        "accuracy, classes": fit(models.classifier, models.classes, lambda: {
            "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}),
        "crossentropy, classes": fit(models.classifier, models.classes, lambda: {
            "loss": "sparse_categorical_crossentropy", "metrics": ["crossentropy"]}),
        "accuracy, one hot": fit(models.classifier, models.one_hot, lambda: {
            "loss": "categorical_crossentropy", "metrics": ["accuracy", "AUC", "Precision"]}),
        "accuracy, binary": fit(models.binary, models.bits, lambda: {
            "loss": "binary_crossentropy", "metrics": ["accuracy", "AUC"]}),
        "label_smoothing": fit(models.classifier, models.one_hot, lambda: {
            "loss": _losses.CategoricalCrossentropy(label_smoothing=0.1)}),
        "kernel and bias regularizer": fit(hidden(
            kernel_regularizer=lambda: _regularizers.L1L2(0.01, 0.02),
            bias_regularizer=lambda: _regularizers.L2(0.1))),
        "activity regularizer": fit(hidden(activity_regularizer=lambda: _regularizers.L2(0.05))),
        "activity regularizer, odd last batch": fit(
            hidden(activity_regularizer=lambda: _regularizers.L2(0.05)), models.odd),
        "constraint": fit(hidden(kernel_constraint=lambda: keras.constraints.MaxNorm(0.7))),
        "ActivityRegularization": fit(between("ActivityRegularization", l1=0.01, l2=0.02)),
        "BatchNormalization": fit(between("BatchNormalization")),
        "BatchNormalization, odd last batch": fit(between("BatchNormalization"), models.odd),
        "LayerNormalization": fit(between("LayerNormalization")),
        "Dropout": fit(between("Dropout", 0.3, seed=5), twin=False),
        "Dropout, no seed": fit(between("Dropout", 0.3), twin=False),
        "GaussianNoise": fit(between("GaussianNoise", 0.3, seed=5), twin=False),
        "convolutions": fit(models.convolutional, models.images),
        "stateful LSTM": fit(models.stateful, models.last_of_sequences),
        "shared and frozen layers": fit(models.shared),
        "custom train_step": fit(custom_step),
        "add_loss and compute_loss": fit(custom_loss),
        "fit again": twice(),
        "PyDataset": _from_batches(_Batches),
        "generator, steps_per_epoch": _from_batches(_endless, steps_per_epoch=3),
        "train_on_batch": by_hand(),
        "train_on_batch, metrics": by_hand(lambda: {"metrics": ["mae"]}),
        "evaluate": evaluated(),
        "evaluate, metrics": evaluated(lambda: {"metrics": ["mae"], "weighted_metrics": ["mse"]}),
        "evaluate, sample_weight": evaluated(
            lambda: {"metrics": ["mae"], "weighted_metrics": ["mse"]},
            sample_weight=(np.arange(10) % 4 / 4).astype("float32")),
    }.items()
}  # fmt: skip
