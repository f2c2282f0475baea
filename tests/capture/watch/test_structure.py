"""Structural names: of the model's code alone, not of what was built before."""

from __future__ import annotations

from itertools import permutations

import keras
import numpy as np
import pytest
import zoo
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_keras_golden.capture.watch.calls import watching
from pytest_keras_golden.capture.watch.structure import Structure, snake_case, walk


def names(model) -> list[str]:
    return sorted(path for path, _ in walk(model) if path)


class Holder(keras.layers.Layer):
    def __init__(self) -> None:
        super().__init__()
        self._hidden = keras.layers.Dense(2)
        self.b_list = [keras.layers.Dense(2), (keras.layers.Dense(2),)]
        self.a_dict = {"x": keras.layers.Dense(2), "deep": {"y": keras.layers.Dense(2)}}
        self.alias = self.b_list[0]


def test_attributes_lists_and_dicts():
    assert names(Holder()) == ["a_dict/deep/y", "a_dict/x", "alias", "b_list/1/0", "hidden"]


@pytest.mark.parametrize("order", [*permutations(["a", "_b", "c"])])
def test_a_layer_goes_by_its_first_attribute_in_whatever_order_they_were_set(order):
    made, layer = {"a": keras.layers.Dense(2), "_b": keras.layers.Dense(2)}, keras.layers.Layer()
    for name in order:
        setattr(layer, name, made.get(name, made["_b"]))
    assert list(walk(layer)) == [("", layer), ("a", made["a"]), ("b", made["_b"])]


def test_attributes_that_differ_in_underscores_alone_do_not_share_a_name():
    layer = keras.layers.Layer()
    for name in ("__a", "_a", "a"):
        setattr(layer, name, keras.layers.Dense(2))
    assert [path for path, _ in walk(layer)] == ["", "a", "_a", "__a"]


def test_names_do_not_depend_on_models_built_before():
    before = names(zoo.functional()), names(zoo.Decoder()), names(zoo.sequential())
    for _ in range(3):
        keras.layers.Dense(2)
        zoo.functional()
    assert (names(zoo.functional()), names(zoo.Decoder()), names(zoo.sequential())) == before


def test_shared_layer_has_one_name():
    model = zoo.functional()
    assert names(model).count("shared") == 1
    assert not any("shared" in name and name != "shared" for name in names(model))


def test_user_given_names_win_over_attributes_and_counters():
    class Named(keras.Model):
        def __init__(self):
            inputs = keras.Input((3,))
            layer = keras.layers.Dense(2, name="mine")
            plain = keras.layers.Dense(2)
            super().__init__(inputs, plain(layer(inputs)))
            self.attribute = layer
            self.plain = plain

    assert names(Named()) == ["mine", "plain"]


def test_layers_added_in_build_are_found():
    model = zoo.Decoder(blocks=1)
    seen = []

    class Paths:
        def around(self, call, run, args, kwargs):
            seen.append(call.path)
            return run(*args, **kwargs)

    with watching(model, Paths()):
        model(zoo.TOKENS)
    assert "blocks/0/down" in seen


def test_layers_out_of_reach_go_by_the_order_of_their_calls():
    hidden = [keras.layers.Dense(3), keras.layers.Dense(3)]

    class Closure(keras.layers.Layer):
        def call(self, x):
            return hidden[1](hidden[0](x)) + hidden[0](x)

    seen = []

    class Paths:
        def around(self, call, run, args, kwargs):
            seen.append(call.name)
            return run(*args, **kwargs)

    layer = Closure()
    with watching(layer, Paths()):
        layer(np.ones((1, 3), "float32"))
    assert seen == ["<model>", "dense#0", "dense#1", "dense#0@1"]


def test_keys_that_say_the_same_give_names_that_do_not():
    layer = Holder()
    layer.a_dict = {"x/y": keras.layers.ReLU(), "x": {"y": keras.layers.ReLU()}}
    layer.numbers = {1: keras.layers.ReLU(), "1": keras.layers.ReLU()}
    assert {"a_dict/x/y", "a_dict/x/y#1", "numbers/1", "numbers/1#1"} <= set(names(layer))


def test_a_key_that_is_an_object_goes_by_its_class():
    class FirstKey:
        pass

    layer = Holder()
    layer.a_dict = {FirstKey(): keras.layers.ReLU(), FirstKey(): keras.layers.ReLU()}
    found = [name for name in names(layer) if name.startswith("a_dict/")]
    assert found == ["a_dict/first_key", "a_dict/first_key#1"]


def test_cycles_end():
    layer = Holder()
    layer.a_dict["x"].owner = layer
    assert "a_dict/x" in names(layer)


def test_aliases_rename_and_say_so():
    structure = Structure(aliases=[("a_dict/*", "renamed/*")])
    layer = Holder()
    structure.add_root(layer)
    assert structure.path(layer.a_dict["x"]) == "renamed/x"
    assert structure.renamed["a_dict/x"] == "renamed/x"


def test_dead_layers_lose_their_path():
    structure = Structure()
    layer = keras.layers.Dense(2)
    structure.add_root(layer, "root")
    other = keras.layers.Dense(2)
    structure._paths[id(other)] = structure._paths[id(layer)]
    assert structure.path(layer) == "root"
    assert structure.path(other) is None


@given(st.from_regex(r"[A-Z][A-Za-z0-9]{0,20}", fullmatch=True))
def test_snake_case_is_that_of_keras(name):
    from keras.src.utils.naming import to_snake_case

    assert snake_case(name) == to_snake_case(name)


TREES = st.recursive(
    st.just(None),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab_"), inner),
    max_leaves=6,
)


@settings(max_examples=30, deadline=None)
@given(TREES)
def test_any_nest_of_containers_gives_each_layer_one_name(tree):
    def grown(node):
        if node is None:
            return keras.layers.Dense(1)
        if isinstance(node, list):
            return [grown(part) for part in node]
        return {key: grown(part) for key, part in node.items()}

    layer = keras.layers.Layer()
    layer.tree = grown(tree)
    found = [path for path, _ in walk(layer)]
    assert len(set(found)) == len(found) == 1 + len(list(leaves(tree)))


def leaves(tree):
    if tree is None:
        yield tree
    else:
        for part in tree if isinstance(tree, list) else tree.values():
            yield from leaves(part)
