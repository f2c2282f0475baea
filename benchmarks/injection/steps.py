"""Changes of a training step's components, and the ways of training that they are tried on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pytest_keras_golden.capture.block import capture_block
from pytest_keras_golden.capture.tap.request import Request
from pytest_keras_golden.case.against import CaseGolden
from pytest_keras_golden.case.collected import Case
from pytest_keras_golden.case.finish import finish
from pytest_keras_golden.config import Settings
from pytest_keras_golden.outcomes import TestOutcome

Applied = Callable[[], "AbstractContextManager[None]"]


@dataclass(frozen=True, eq=False)
class Way:
    """One way of training. net: how layers are made, by keyword."""

    optimizer: Callable[[], Any] = lambda: keras.optimizers.Adam(0.01)
    loss: Callable[[], Any] = keras.losses.MeanSquaredError
    metrics: Callable[[], list[Any]] = list
    model: str = "perceptron"
    net: Mapping[str, Any] = field(default_factory=dict)
    fit: Mapping[str, Any] = field(default_factory=dict)
    begins: int = 0
    shuffled: int = 1


@dataclass(frozen=True, eq=False)
class StepChange:
    """component: pattern of what has to be blamed. changed: the way with the change in it; else
    it is applied around the same way."""

    name: str
    component: str
    way: Way
    changed: Way | None = None
    applied: Applied = nullcontext
    harmless: bool = False


class Steps:
    """A way of training under a policy, its golden, and changes tried on it."""

    def __init__(self, way: Way, policy: str, folder: Path, seed: int = 0) -> None:
        self._way, self._policy, self._folder, self._seed = way, policy, folder, seed

    def record(self) -> None:
        outcome = self._run(self._way, nullcontext(), update=True)
        if outcome.outcome not in ("recorded", "passed"):
            raise RuntimeError(f"{self._policy}: {outcome.reason}")

    def try_out(self, change: StepChange) -> dict[str, Any]:
        outcome = self._run(change.changed or self._way, change.applied(), update=False)
        blamed = list(outcome.local_drift)
        sizes = [t.rel_l2 for t in outcome.tensors if t.judged and _early(t.name)]
        broken = any(t.verdict in ("structure", "nonfinite") for t in outcome.tensors)
        size = max((abs(size) for size in sizes if size is not None), default=0.0)
        return {
            "name": change.name,
            "policy": self._policy,
            "harmless": change.harmless,
            "component": change.component,
            "caught": outcome.outcome == "failed",
            "blamed": blamed,
            "right": bool(blamed) and all(re.fullmatch(change.component, b) for b in blamed),
            "size": min(1e9, 1.0 if broken else float(size)),
        }

    def _run(self, way: Way, applied: AbstractContextManager[None], update: bool) -> TestOutcome:
        settings = Settings(self._folder / "goldens", update=update, max_size=64 << 20)
        case = Case(f"test_steps.py::test_{self._policy}_{self._seed}", settings)
        with applied:
            model, data = _made(way, self._policy, self._seed)
            request = Request(select=("training",), isolation_bytes=64 << 20)
            with capture_block(model, request, CaseGolden(case)) as block:
                keras.utils.set_random_seed(way.shuffled)
                model.fit(*data, **{"batch_size": 8, "verbose": 0, "shuffle": False, **way.fit})
            case.add_block(block)
        return finish(case, self._folder / "cache")


def _early(name: str) -> bool:
    return name.startswith("step_00")


# -- models ---------------------------------------------------------------------------------


def _made(way: Way, policy: str, seed: int) -> tuple[Any, tuple[Any, ...]]:
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    model, data = _NETS[way.model](rng, policy, way.net)
    model.compile(way.optimizer(), way.loss(), metrics=way.metrics())
    if way.begins:
        model.optimizer.build(model.trainable_variables)
        model.optimizer.iterations.assign(way.begins)
    return model, data


def _perceptron(rng: Any, policy: str, net: Mapping[str, Any]) -> tuple[Any, tuple[Any, ...]]:
    layers = keras.layers
    units = net.get("units", 1)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(16, name="hidden", dtype=policy),
            layers.BatchNormalization(
                name="norm",
                momentum=net.get("momentum", 0.9),
                epsilon=net.get("epsilon", 1e-3),
                dtype=policy,
            ),
            layers.LeakyReLU(net.get("slope", 0.1), name="leak", dtype=policy),
            layers.Dropout(net.get("rate", 0.3), name="drop", dtype=policy),
            layers.Dense(8, activation="tanh", name="middle", dtype=policy),
            layers.Dense(units, activation=net.get("activation"), name="head", dtype="float32"),
        ]
    )
    x = rng.normal(size=(32, 6)).astype("float32")
    y = rng.uniform(0.1, 0.9, size=(32, units)).astype("float32")
    if net.get("onehot"):
        y = np.eye(units, dtype="float32")[rng.integers(0, units, 32)]
    return model, (x, y)


def _transformer(rng: Any, policy: str, net: Mapping[str, Any]) -> tuple[Any, tuple[Any, ...]]:
    layers = keras.layers
    entry = keras.Input((6,), dtype="int32")
    hidden = layers.Embedding(20, 16, mask_zero=True, name="tokens", dtype=policy)(entry)
    normed = layers.LayerNormalization(name="norm", epsilon=net.get("epsilon", 1e-3), dtype=policy)(
        hidden
    )
    attended = layers.MultiHeadAttention(2, 8, name="attention", dtype=policy)(normed, normed)
    hidden = layers.Add(name="add", dtype=policy)([hidden, attended])
    hidden = layers.Dense(16, activation="gelu", name="feed", dtype=policy)(hidden)
    model = keras.Model(entry, layers.Dense(20, name="head", dtype="float32")(hidden))
    tokens = rng.integers(1, 20, (32, 6)).astype("int32")
    tokens[:, 4:] *= rng.integers(0, 2, (32, 2)).astype("int32")
    return model, (tokens, rng.integers(0, 20, (32, 6)).astype("int32"))


def _convolutional(rng: Any, policy: str, net: Mapping[str, Any]) -> tuple[Any, tuple[Any, ...]]:
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(8, 3, name="conv", dtype=policy),
            layers.GroupNormalization(
                2, name="norm", epsilon=net.get("epsilon", 1e-3), dtype=policy
            ),
            layers.Activation("silu", name="silu", dtype=policy),
            layers.DepthwiseConv2D(3, name="deep", dtype=policy),
            layers.AveragePooling2D(2, name="pool", dtype=policy),
            layers.Flatten(name="flat", dtype=policy),
            layers.Dense(1, name="head", dtype="float32"),
        ]
    )
    images = rng.normal(size=(32, 8, 8, 3)).astype("float32")
    return model, (images, rng.uniform(0.1, 0.9, size=(32, 1)).astype("float32"))


_NETS = {
    "perceptron": _perceptron,
    "transformer": _transformer,
    "convolutional": _convolutional,
}


# -- how changes are put in -----------------------------------------------------------------


@contextmanager
def replaced(owner: Any, name: str, make: Callable[[Any], Any]) -> Iterator[None]:
    """The attribute is what `make` makes of it, inside."""
    original = vars(owner)[name]
    setattr(owner, name, make(original))
    try:
        yield
    finally:
        setattr(owner, name, original)


def returning(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def make(original: Any) -> Any:
        def changed(self: Any, *args: Any, **kwargs: Any) -> Any:
            returned = original(self, *args, **kwargs)
            many = isinstance(returned, list)
            return [_of_slices(r, change) for r in returned] if many else change(returned)

        return changed

    return make


def given(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Of the gradients that an update is made of."""

    def make(original: Any) -> Any:
        def changed(self: Any, grads: Any, *args: Any, **kwargs: Any) -> Any:
            return original(self, [_of_slices(grad, change) for grad in grads], *args, **kwargs)

        return changed

    return make


def _of_slices(grad: Any, change: Callable[[Any], Any]) -> Any:
    """Gradients of embeddings come as slices on TensorFlow."""
    if type(grad).__name__ != "IndexedSlices":
        return change(grad)
    return type(grad)(change(grad.values), grad.indices, grad.dense_shape)


def owner_of(optimizer: Any, name: str) -> Any:
    return next(kind for kind in type(optimizer).__mro__ if name in vars(kind))


def larger(value: Any) -> Any:
    return value * 1.01


def in_optimizer(way: Way, name: str, make: Callable[[Any], Any]) -> Applied:
    def applied() -> AbstractContextManager[None]:
        return replaced(owner_of(way.optimizer(), name), name, make)

    return applied


def backward(kind: type, layer: str) -> Applied:
    """Cotangents that a layer is given are larger than they should be."""

    @keras.ops.custom_gradient
    def scaled(x: Any) -> Any:
        def grad(*args: Any, upstream: Any = None) -> Any:
            upstream = args[0] if upstream is None else upstream
            return upstream * 1.01

        return x, grad

    def make(original: Any) -> Any:
        @wraps(original)  # Keras asks for its arguments
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            returned = original(self, *args, **kwargs)
            return scaled(returned) if self.name == layer else returned

        return call

    return lambda: replaced(kind, "call", make)


# -- changes --------------------------------------------------------------------------------


def _optimizers() -> Iterator[StepChange]:
    made = keras.optimizers
    options: list[tuple[Any, dict[str, Any], list[dict[str, Any]]]] = [
        (made.SGD, {"momentum": 0.9}, [{"momentum": 0.89}, {"nesterov": True}, {"momentum": 0.0}]),
        (
            made.RMSprop,
            {},
            [{"rho": 0.91}, {"epsilon": 1e-3}, {"momentum": 0.1}, {"centered": True}],
        ),
        (made.Adam, {}, [{"beta_1": 0.91}, {"beta_2": 0.99}, {"epsilon": 1e-3}, {"amsgrad": True}]),
        (made.AdamW, {}, [{"weight_decay": 0.005}, {"beta_1": 0.91}, {"epsilon": 1e-3}]),
        (made.Adamax, {}, [{"beta_1": 0.91}, {"beta_2": 0.99}, {"epsilon": 1e-3}]),
        (made.Nadam, {}, [{"beta_1": 0.91}, {"beta_2": 0.99}, {"epsilon": 1e-3}]),
        (made.Adagrad, {}, [{"initial_accumulator_value": 0.11}, {"epsilon": 1e-3}]),
        (made.Adadelta, {}, [{"rho": 0.96}, {"epsilon": 1e-5}]),
        (made.Ftrl, {}, [{"l2_regularization_strength": 0.01}, {"learning_rate_power": -0.6}]),
        (made.Lion, {}, [{"beta_1": 0.7}, {"beta_2": 0.9}]),
        (made.Lamb, {}, [{"beta_1": 0.91}, {"epsilon": 1e-3}]),
    ]
    for kind, base, changes in options:
        way = Way(_with(kind, base))
        for change in changes:
            changed = replace(way, optimizer=_with(kind, {**base, **change}))
            name = f"{kind.__name__} {' '.join(f'{k}={v}' for k, v in change.items())}"
            yield StepChange(name, f"optimizer:{kind.__name__}", way, changed)
        yield StepChange(
            f"{kind.__name__} counts from one", f"optimizer:{kind.__name__}", way,
            replace(way, begins=1),
        )  # fmt: skip
        applied = in_optimizer(way, "_backend_update_step", given(larger))
        if kind in (made.SGD, made.Adagrad):
            yield StepChange(
                f"{kind.__name__} update", f"optimizer:{kind.__name__}", way, applied=applied
            )


def _with(kind: Any, options: Mapping[str, Any]) -> Callable[[], Any]:
    return lambda: kind(0.01, **options)


def _clipping() -> Iterator[StepChange]:
    for option, value in (("clipnorm", 0.05), ("clipvalue", 0.02), ("global_clipnorm", 0.05)):
        for kind in (keras.optimizers.SGD, keras.optimizers.Adam):
            way = Way(_with(kind, {option: value}))
            name, component = f"{kind.__name__} {option}", f"clipping:{kind.__name__}"
            changed = replace(way, optimizer=_with(kind, {option: 1.1 * value}))
            yield StepChange(f"{name} larger", component, way, changed)
            clips = in_optimizer(way, "_clip_gradients", returning(larger))
            yield StepChange(f"{name} scaled", component, way, applied=clips)
    for kind in (keras.optimizers.SGD, keras.optimizers.Adam):
        way = Way(_with(kind, {"gradient_accumulation_steps": 2}))
        component = f"accumulation:{kind.__name__}"
        # What a listener is told of as applied.
        wrong = in_optimizer(way, "_clip_gradients", returning(lambda grad: grad * 2))
        yield StepChange(f"{kind.__name__} accumulates sums", component, way, applied=wrong)


def _schedules() -> Iterator[StepChange]:
    made = keras.optimizers.schedules
    schedules = {
        "ExponentialDecay": lambda: made.ExponentialDecay(0.01, 5, 0.9),
        "CosineDecay": lambda: made.CosineDecay(0.01, 10),
        "PolynomialDecay": lambda: made.PolynomialDecay(0.01, 10),
        "InverseTimeDecay": lambda: made.InverseTimeDecay(0.01, 5, 0.5),
        "PiecewiseConstantDecay": lambda: made.PiecewiseConstantDecay([1], [0.01, 0.02]),
        "CosineDecayRestarts": lambda: made.CosineDecayRestarts(0.01, 10),
    }
    for name, schedule in schedules.items():
        way = Way(lambda schedule=schedule: keras.optimizers.SGD(schedule()))
        kind = getattr(made, name)
        scaled = lambda kind=kind: replaced(kind, "__call__", returning(larger))  # noqa: E731
        yield StepChange(f"{name} scaled", f"schedule:{name}", way, applied=scaled)
        late = lambda kind=kind: replaced(kind, "__call__", _one_later)  # noqa: E731
        yield StepChange(f"{name} off by one", f"schedule:{name}", way, applied=late)


def _of_other_models() -> Iterator[StepChange]:
    """What makes an update of gradients, with the gradients of other models."""
    models = {"text": ("transformer", _of_tokens), "images": ("convolutional", Way.loss)}
    ways: dict[tuple[int, str], Way] = {}
    for change in (*_optimizers(), *_clipping(), *_schedules()):
        for name, (model, loss) in models.items():
            own = replace(change.way, model=model, loss=loss)
            way = ways.setdefault((id(change.way), name), own)
            changed = change.changed and replace(change.changed, model=model, loss=loss)
            yield replace(change, name=f"{change.name}, {name}", way=way, changed=changed)


def _of_tokens() -> Any:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _one_later(original: Any) -> Any:
    return lambda self, step: original(self, step + 1)


def _losses() -> Iterator[StepChange]:
    made = keras.losses
    for kind, net in {
        made.MeanSquaredError: {},
        made.MeanAbsoluteError: {},
        made.Huber: {},
        made.LogCosh: {},
        made.Poisson: {"activation": "sigmoid"},
        made.Hinge: {},
        made.BinaryCrossentropy: {"activation": "sigmoid"},
        made.CategoricalCrossentropy: {"activation": "softmax", "units": 3, "onehot": True},
        made.KLDivergence: {"activation": "softmax", "units": 3, "onehot": True},
        made.CosineSimilarity: {"units": 3},
    }.items():
        way = Way(loss=kind, net=net)
        component = f"loss:{kind().name}"
        scaled = lambda kind=kind: replaced(_defines(kind, "call"), "call", returning(larger))  # noqa: E731
        yield StepChange(f"{kind.__name__} scaled", component, way, applied=scaled)
        summed = replace(way, loss=lambda kind=kind: kind(reduction="sum"))
        yield StepChange(f"{kind.__name__} summed", component, way, summed)
    way = Way(loss=made.BinaryCrossentropy, net={"activation": "sigmoid"})
    smooth = replace(way, loss=lambda: made.BinaryCrossentropy(label_smoothing=0.01))
    yield StepChange("smoothing", "loss:binary_crossentropy", way, smooth)
    way = Way(loss=made.Huber)
    other = replace(way, loss=lambda: made.Huber(delta=0.2))
    yield StepChange("Huber delta", "loss:huber_loss", way, other)
    way = Way(
        loss=lambda: made.SparseCategoricalCrossentropy(from_logits=True), model="transformer"
    )
    component = "loss:sparse_categorical_crossentropy"
    reduce = lambda: replaced(made.Loss, "__call__", _unmasked)  # noqa: E731
    yield StepChange("mask ignored by the loss", component, way, applied=reduce)


def _defines(kind: Any, name: str) -> Any:
    return next(base for base in kind.__mro__ if name in vars(base))


def _unmasked(original: Any) -> Any:
    def call(self: Any, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        return original(self, y_true, y_pred + 0.0, sample_weight)

    return call


def _metrics() -> Iterator[StepChange]:
    made = keras.metrics
    for kind in (
        made.MeanAbsoluteError, made.MeanSquaredError, made.RootMeanSquaredError,
        made.LogCoshError, made.CosineSimilarity, made.MeanAbsolutePercentageError,
    ):  # fmt: skip
        way = Way(metrics=lambda kind=kind: [kind(name="measured")])
        scaled = lambda kind=kind: replaced(_defines(kind, "result"), "result", returning(larger))  # noqa: E731
        # The base class's result is that of the loss as well.
        component = "metric:(measured|loss)"
        yield StepChange(f"{kind.__name__} scaled", component, way, applied=scaled)


def _layers() -> Iterator[StepChange]:
    way = Way(lambda: keras.optimizers.SGD(0.01))
    for name, net, component in (
        ("statistics' momentum", {"momentum": 0.89}, "statistics:norm"),
        ("epsilon of a normalisation", {"epsilon": 1e-2}, "norm"),
        ("slope", {"slope": 0.11}, "leak"),
        ("dropout rate", {"rate": 0.31}, "drop"),
    ):
        yield StepChange(name, component, way, replace(way, net=net))
    ordered = replace(way, fit={"shuffle": True})
    # The seed that orders them is also the one that torch draws dropout from.
    yield StepChange("order", "data|drop", ordered, replace(ordered, shuffled=2))
    yield StepChange("draws", r"drop|random:.*", way, applied=_other_draws)
    for layer, kind in (
        ("hidden", "Dense"),
        ("norm", "BatchNormalization"),
        ("middle", "Dense"),
        ("head", "Dense"),
    ):
        applied = backward(getattr(keras.layers, kind), layer)
        yield StepChange(f"backward of {layer}", f"backward:{layer}", way, applied=applied)
    loss = lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True)  # noqa: E731
    text = Way(lambda: keras.optimizers.SGD(0.01), loss, model="transformer")
    for layer, kind in (
        ("norm", "LayerNormalization"),
        ("feed", "Dense"),
        ("head", "Dense"),
        ("tokens", "Embedding"),
    ):
        applied = backward(getattr(keras.layers, kind), layer)
        yield StepChange(f"backward of {layer}, text", f"backward:{layer}", text, applied=applied)
    changed = replace(text, net={"epsilon": 1e-2})
    yield StepChange("epsilon of a normalisation, text", "norm", text, changed)
    images = Way(lambda: keras.optimizers.SGD(0.01), model="convolutional")
    for layer, kind in (
        ("conv", "Conv2D"),
        ("norm", "GroupNormalization"),
        ("silu", "Activation"),
        ("deep", "DepthwiseConv2D"),
        ("pool", "AveragePooling2D"),
    ):
        applied = backward(_defines(getattr(keras.layers, kind), "call"), layer)
        yield StepChange(
            f"backward of {layer}, images", f"backward:{layer}", images, applied=applied
        )
    changed = replace(images, net={"epsilon": 1e-2})
    yield StepChange("epsilon of a normalisation, images", "norm", images, changed)


def _other_draws() -> AbstractContextManager[None]:
    def make(original: Any) -> Any:
        def following(self: Any, *args: Any, **kwargs: Any) -> Any:
            original(self, *args, **kwargs)
            return original(self, *args, **kwargs)

        return following

    return replaced(keras.random.SeedGenerator, "next", make)


def _harmless() -> Iterator[StepChange]:
    ways = {
        "perceptron, Adam": Way(),
        "perceptron, SGD": Way(lambda: keras.optimizers.SGD(0.01, momentum=0.9, clipnorm=0.1)),
        "perceptron, RMSprop": Way(lambda: keras.optimizers.RMSprop(0.01)),
        "text, AdamW": Way(lambda: keras.optimizers.AdamW(0.01), _of_tokens, model="transformer"),
    }
    third = lambda value: value * 3.0 / 3.0  # noqa: E731
    for name, way in ways.items():
        loss = type(way.loss())
        parts: dict[str, Applied] = {
            "the same again": nullcontext,
            "split sums": lambda: replaced(keras.layers.Dense, "call", _split),
            "rounded loss": lambda loss=loss: replaced(
                _defines(loss, "call"), "call", returning(third)
            ),
            "rounded gradients": in_optimizer(way, "_backend_update_step", given(third)),
        }
        for part, applied in parts.items():
            yield StepChange(f"{part}: {name}", "", way, applied=applied, harmless=True)


def _split(original: Any) -> Any:
    def call(self: Any, inputs: Any, training: Any = None) -> Any:
        kernel, half = keras.ops.convert_to_tensor(self.kernel), inputs.shape[-1] // 2
        dtype = self.compute_dtype
        kernel, inputs = keras.ops.cast(kernel, dtype), keras.ops.cast(inputs, dtype)
        first = keras.ops.matmul(inputs[..., :half], kernel[:half])
        summed = first + keras.ops.matmul(inputs[..., half:], kernel[half:])
        summed = summed + keras.ops.cast(keras.ops.convert_to_tensor(self.bias), dtype)
        return summed if self.activation is None else self.activation(summed)

    return call


CHANGES: tuple[StepChange, ...] = (
    *_optimizers(), *_clipping(), *_schedules(), *_losses(), *_metrics(), *_layers(),
    *_of_other_models(),
)  # fmt: skip
HARMLESS: tuple[StepChange, ...] = tuple(_harmless())
