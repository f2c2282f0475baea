"""Sides of every kind through the real command: what is compared, proved, refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from suites import NORM, as_json, keras_golden, suite

pytestmark = pytest.mark.overlay

LAYERS = """
import keras
import numpy as np

X = np.random.default_rng(0).normal(size=(4, 16)).astype("float32")


def test_dense():
    model = keras.Sequential([keras.Input((16,)), keras.layers.Dense(8, activation="gelu")])
    assert model(X).shape == (4, 8)


def test_dropout():
    assert keras.layers.Dropout(0.5, seed=1)(X, training=True).shape == X.shape
"""

TRAINING = """
import keras
import numpy as np

TOKENS = np.arange(32).reshape(8, 4) % 7


def test_fit():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Embedding(7, 5),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01, gradient_accumulation_steps=2), "mse")
    model.fit(TOKENS, np.ones((8, 1)), batch_size=2, shuffle=False, verbose=0)


class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden = keras.layers.Dense(8, activation="relu", dtype="mixed_bfloat16")
        self.norm = keras.layers.LayerNormalization(dtype="mixed_bfloat16")
        self.head = keras.layers.Dense(3)

    def call(self, inputs):
        return self.head(self.norm(self.hidden(inputs)))


def test_subclassed():
    keras.utils.set_random_seed(0)
    model, inputs = Net(), np.random.default_rng(0).normal(size=(12, 6))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(inputs, np.arange(12) % 3, batch_size=4, epochs=2, shuffle=False, verbose=0)


def test_shuffled():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(TOKENS, np.ones((8, 1)), batch_size=2, verbose=0)
    model.evaluate(TOKENS, np.ones((8, 1)), verbose=0)


def test_indices():
    given = keras.Input((6,))
    sorted_in = keras.layers.Discretization([-0.5, 0.0, 0.5])(given)
    model = keras.Model(given, [sorted_in, keras.ops.argmax(given, -1)])
    assert len(model(np.linspace(-1, 1, 12, dtype="float32").reshape(2, 6))) == 2
"""


def lock(folder: Path, name: str, *lines: str) -> str:
    (folder / name).write_text("\n".join(lines) + "\n")
    return name


def gated(folder: Path, *arguments: str, **env: str) -> Any:
    env = {"KERAS_BACKEND": "numpy", **env}
    return as_json(keras_golden(folder, "gate", *arguments, "--json", "-", env=env))


def test_a_lock_file_is_gated_and_its_culprit_found(tmp_path: Path) -> None:
    folder = suite(tmp_path / "suite", test_norm=NORM)
    old = lock(folder, "old.txt", "keras==3.5.0", "optree==0.14.0", "namex==0.0.8")
    new = lock(folder, "new.txt", "keras==3.7.0", "optree==0.15.0", "namex==0.1.0")
    done = keras_golden(
        folder,
        "gate",
        old,
        new,
        "--html",
        "page.html",
        "--",
        "test_norm.py",
        env={"KERAS_BACKEND": "numpy"},
    )
    assert done.returncode == 1, done.stderr
    said = " ".join(done.stdout.split())
    assert (
        "from old.txt to new.txt: DRIFT: NaN or Inf in other places. 1 of 2 compared tests moved"
        in said
    )
    assert "The culprit is keras 3.5.0 → 3.7.0 (of 3 changes, 2 probes)." in said
    since = "They move since keras 3.6.0, and not under 3.5.0 (1 probe of 3 releases)."
    assert since in said
    assert "keras-golden bisect old.txt 3.6.0 --repo CLONE -- test_norm.py" in said
    page = (folder / "page.html").read_text()
    assert "The culprit is keras 3.5.0 → 3.7.0" in page
    assert since in page


def test_changes_and_the_culprit_are_in_the_json_and_no_culprit_stops_it(tmp_path: Path) -> None:
    folder = suite(tmp_path / "suite", test_norm=NORM)
    sides = "keras==3.5.0,namex==0.0.8", "keras==3.6.0,namex==0.1.0"
    told = gated(folder, *sides, "--no-culprit")
    assert told["changes"] == [
        {"name": "keras", "old": "3.5.0", "new": "3.6.0"},
        {"name": "namex", "old": "0.0.8", "new": "0.1.0"},
    ]
    assert (told["verdict"], told["culprit"]) == ("drift", None)


def test_another_backend_is_compared_on_purpose(tmp_path: Path) -> None:
    folder = suite(tmp_path / "suite", test_layers=LAYERS)
    told = gated(folder, "backend=jax", "backend=numpy")
    statuses = {test["nodeid"].rpartition("::")[2]: test["status"] for test in told["tests"]}
    assert (told["verdict"], statuses) == (
        "holds",
        {"test_dense": "holds", "test_dropout": "holds"},
    )
    assert told["changes"] == [{"name": "backend", "old": "jax", "new": "numpy"}]


DRAWS = """
import keras
import numpy as np

X = np.random.default_rng(0).normal(size=(12, 6)).astype("float32")


def test_layers():
    for layer in (
        keras.layers.Dropout(0.3, seed=1),
        keras.layers.GaussianNoise(0.2),
        keras.layers.AlphaDropout(0.2),
        keras.layers.LSTM(5, dropout=0.3, recurrent_dropout=0.2),
        keras.layers.SpatialDropout1D(0.3),
    ):
        layer(X.reshape(2, 6, 6), training=True)


def test_fit():
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dropout(0.4),
            keras.layers.GaussianDropout(0.1),
            keras.layers.Dense(3),
        ]
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(X, np.arange(12) % 3, batch_size=4, epochs=3, shuffle=False, verbose=0)


class Noise(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.seed = keras.random.SeedGenerator(3)

    def call(self, x):
        noise = keras.random.gamma((6,), 2.0, seed=self.seed)
        return x * noise * keras.random.binomial((6,), 5, 0.5, seed=self.seed)


def test_noise():
    Noise()(X)
"""


@pytest.mark.parametrize(
    ("other", "changed"),
    [
        pytest.param("torch", None, marks=pytest.mark.slow),
        ("tensorflow", None),
        pytest.param("torch", "0.4", id="another rate"),
    ],
)
def test_what_is_drawn_is_the_same_on_another_backend(
    tmp_path: Path, other: str, changed: str | None
) -> None:
    """Masks, noise and three epochs of dropout."""
    text = DRAWS
    if changed is not None:
        rate = f'{changed} if keras.backend.backend() == "{other}" else 0.3'
        text = text.replace("Dropout(0.3, seed=1)", f"Dropout({rate}, seed=1)")
    folder = suite(tmp_path / "suite", test_draws=text)
    told = gated(folder, "backend=jax", f"backend={other}", TF_CPP_MIN_LOG_LEVEL="3")
    tests = {test["nodeid"].rpartition("::")[2]: test for test in told["tests"]}
    statuses = {name: test["status"] for name, test in tests.items()}
    assert statuses == {
        "test_layers": "holds" if changed is None else "moved",
        "test_fit": "holds",
        "test_noise": "holds",
    }
    if changed is not None:
        assert tests["test_layers"]["local_drift"] == ["dropout"]


def test_training_is_the_same_on_another_backend(tmp_path: Path) -> None:
    """Counters of steps, sorting layers and `argmax` are of other integers there; a model that
    only its training builds has its weights inside of a program; in bfloat16 some tensors are too
    coarse to be judged."""
    folder = suite(tmp_path / "suite", test_training=TRAINING)
    told = gated(folder, "backend=jax", "backend=tensorflow", TF_CPP_MIN_LOG_LEVEL="3")
    statuses = {test["nodeid"].rpartition("::")[2]: test["status"] for test in told["tests"]}
    held = dict.fromkeys(("test_fit", "test_subclassed", "test_indices"), "holds")
    assert statuses == {**held, "test_shuffled": "skipped"}
    (skipped,) = [test["reason"] for test in told["tests"] if test["status"] == "skipped"]
    assert "with shuffle=False they can be compared" in skipped


UPSAMPLING = (
    "def test_upsampling():\n"
    '    layer = keras.layers.UpSampling2D(2, interpolation="bicubic", name="up")\n'
    "    assert layer(X.reshape(1, 4, 4, 4)).shape == (1, 8, 8, 4)\n"
)
# torch's trees return mappings by key, those of other backends as they were made.
BY_NAME = (
    "def test_named():\n"
    "    given = keras.Input(X.shape[1:])\n"
    "    first = keras.layers.Dense(3)(given)\n"
    '    outputs = {"sequence": first, "pooled": keras.layers.Dense(2)(first)}\n'
    '    assert keras.Model(given, outputs)(X)["pooled"].shape[-1] == 2\n'
)


@pytest.mark.parametrize(
    ("test", "status", "blamed"),
    [(UPSAMPLING, "moved", ["up_sampling2d"]), (BY_NAME, "holds", [])],
    ids=["disagrees", "outputs by name"],
)
def test_what_disagrees_between_backends_is_blamed(
    tmp_path: Path, test: str, status: str, blamed: list[str]
) -> None:
    folder = suite(tmp_path / "suite", test_one=LAYERS.partition("def test_dense")[0] + test)
    (told,) = gated(folder, "backend=numpy", "backend=torch")["tests"]
    assert (told["status"], told["local_drift"]) == (status, blamed)


def test_what_no_stream_draws_has_no_counterpart(tmp_path: Path) -> None:
    head, _, noise = DRAWS.partition("\n\ndef test_layers")
    noise = noise[noise.index("class Noise") :].replace("(6,), 5, 0.5", "(6,), 5000, 0.5")
    folder = suite(tmp_path / "suite", test_draws=f"{head}\n\n{noise}")
    told = gated(folder, "backend=jax", "backend=numpy")
    (test,) = told["tests"]
    assert test["status"] == "skipped"
    assert "no counterpart on another backend" in test["reason"]


@pytest.mark.parametrize(
    ("side", "said"),
    [
        ("3.5.0,flash=off", "Keras 3.5.0 has no switch for flash attention"),
        ("3.6.0,policy=float4", "Keras 3.6.0 knows no dtype policy 'float4'"),
        ("3.6.0,jit=on", "numpy backend compiles nothing"),
        ("3.6.0,threads=4096", "this process may run on no more than"),
    ],
)
def test_a_switch_that_cannot_be_set_is_refused(tmp_path: Path, side: str, said: str) -> None:
    folder = suite(tmp_path / "suite", test_layers=LAYERS)
    done = keras_golden(folder, "gate", side, "3.7.0", env={"KERAS_BACKEND": "numpy"})
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_switch_that_the_suite_undoes_is_no_switch(tmp_path: Path) -> None:
    text = 'import keras\n\nkeras.config.set_dtype_policy("float32")\n' + LAYERS
    folder = suite(tmp_path / "suite", test_layers=text)
    sides = "policy=mixed_bfloat16", "policy=mixed_bfloat16,jit=off"
    done = keras_golden(folder, "gate", *sides, env={"KERAS_BACKEND": "numpy"})
    assert done.returncode == 2
    assert "policy=mixed_bfloat16 and ended with policy=float32" in done.stderr


def test_switches_are_set_before_the_suites_modules(tmp_path: Path) -> None:
    text = LAYERS + (
        "\n\nPOLICY = keras.config.dtype_policy().name\n\n\n"
        "def test_switches():\n"
        "    import os\n"
        '    assert POLICY == "mixed_bfloat16"\n'
        "    assert keras.Sequential([]).jit_compile is False\n"
        "    assert len(os.sched_getaffinity(0)) == 1\n"
        '    assert os.environ["SPEED"] in ("fast,very", "slow")\n'
    )
    folder = suite(tmp_path / "suite", test_layers=text)
    shared = "policy=mixed_bfloat16,jit=off,threads=1"
    told = gated(folder, f"{shared},env.SPEED=slow", rf"{shared},env.SPEED=fast\,very")
    assert told["verdict"] == "holds"
    assert {test["status"] for test in told["tests"]} == {"holds", "no tensors"}
    assert told["changes"] == [{"name": "env.SPEED", "old": "slow", "new": "fast,very"}]


def test_a_side_that_cannot_be_imported_names_the_package(tmp_path: Path) -> None:
    from zipfile import ZipFile

    folder = suite(tmp_path / "suite", test_layers=LAYERS)
    wheel = folder / "optree-9.0-py3-none-any.whl"
    info = "optree-9.0.dist-info"
    with ZipFile(wheel, "w") as archive:
        archive.writestr("optree.py", "raise ImportError('built for another world')\n")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: optree\nVersion: 9.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "optree.py,,\n")
    done = keras_golden(
        folder, "gate", "3.6.0", f"3.6.0,optree@{wheel}", env={"KERAS_BACKEND": "jax"}
    )
    assert done.returncode == 2
    assert "cannot be imported: optree" in done.stderr
    assert "ImportError: built for another world" in done.stderr


BAD = {
    "no lock": ("no.txt", "old.txt"),
    "no revision": ("nowhere:old.txt", "old.txt"),
    "not at that revision": ("HEAD:new.txt", "old.txt"),
    "does not parse": ("old.txt", "broken.txt"),
    "pins nothing here": ("old.txt", "windows.txt"),
    "a private index": ("old.txt", "private.txt"),
    "equal": ("old.txt", "old.txt"),
    "equal versions": ("3.6.0", "keras==3.6.0"),
    "no part": ("3.6.0", "newest"),
    "contradicts itself": ("3.6.0", "keras==3.5.0,keras==3.6.0"),
    "two locks that contradict each other": ("old.txt", "old.txt,new.txt"),
    "not in the index": ("3.6.0", "3.6.0,six==99.0"),
    "no such interpreter": ("3.6.0", "python=/nowhere/python"),
    "no clone": ("3.6.0", "keras@/nowhere:main"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_leaves_nothing(tmp_path: Path, case: str) -> None:
    folder = suite(tmp_path / "suite", test_layers=LAYERS)
    lock(folder, "old.txt", "keras==3.6.0")
    for command in (["init", "-q"], ["add", "old.txt"], ["commit", "-q", "-m", "x"]):
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *who, *command], cwd=folder, check=True, capture_output=True)
    lock(folder, "new.txt", "keras==3.7.0")
    lock(folder, "broken.txt", "keras==3.7.0", "<<<<<<< HEAD")
    lock(folder, "windows.txt", 'keras==3.7.0 ; sys_platform == "win32"')
    lock(folder, "private.txt", "--index-url https://pypi.corp.example/simple", "keras==3.7.0")
    cache = tmp_path / "cache"
    done = keras_golden(folder, "gate", *BAD[case], env={"KERAS_GOLDEN_CACHE": str(cache)})
    assert done.returncode == 2, done.stdout
    assert done.stderr.startswith("keras-golden: ")
    assert "unexpected" not in done.stderr
    assert not list(cache.rglob(".partial-*"))
    assert done.stdout == ""


def test_a_lock_that_did_not_change_holds_at_once(tmp_path: Path) -> None:
    folder = suite(tmp_path / "suite", test_layers=LAYERS)
    lock(folder, "old.txt", "keras==3.6.0", 'pywin32==306 ; sys_platform == "win32"')
    lock(folder, "new.txt", "keras==3.6.0", 'pywin32==307 ; sys_platform == "win32"')
    done = keras_golden(folder, "gate", "old.txt", "new.txt", "--html", "page.html")
    assert (done.returncode, done.stderr) == (0, "wrote page.html\n")
    assert "nothing differs on this platform" in done.stdout
    assert "nothing differs on this platform" in (folder / "page.html").read_text()


IMPORTS = (
    LAYERS
    + """

def test_paths():
    import pathspec
    assert pathspec
"""
)


@pytest.mark.parametrize(("code", "untouched"), [(LAYERS, True), (IMPORTS, False)])
def test_a_package_that_the_suite_does_not_read_is_not_run(
    tmp_path: Path, code: str, untouched: bool
) -> None:
    folder = suite(tmp_path / "suite", test_layers=code)
    lock(folder, "old.txt", "pathspec==0.12.0", "iniconfig==2.1.0")
    lock(folder, "new.txt", "pathspec==0.12.1", "iniconfig==2.1.0")
    told = gated(folder, "old.txt", "new.txt", "--html", "page.html")
    assert (told["verdict"], told["untouched"]) == ("holds", untouched)
    assert list(told["seconds"]) == (["old"] if untouched else ["old", "new"])
    said = "The suite reads nothing of what differs (pathspec)"
    assert (said in (folder / "page.html").read_text()) == untouched


def test_a_matrix_has_columns_of_any_side(tmp_path: Path) -> None:
    folder = suite(tmp_path / "suite", test_norm=NORM)
    side = lock(folder, "new.txt", "keras==3.6.0", "namex==0.0.8")
    done = keras_golden(
        folder,
        "matrix",
        "3.5.0",
        side,
        "3.5.0,jit=off",
        "--json",
        "-",
        env={"KERAS_BACKEND": "numpy"},
    )
    told = as_json(done)
    assert told["versions"] == ["3.5.0", "new.txt", "3.5.0,jit=off"]
    red = {cell["version"] for cell in told["cells"] if cell["status"] == "moved"}
    assert (done.returncode, red) == (1, {"new.txt"})


def test_bisect_varies_one_package_of_a_lock(tmp_path: Path) -> None:
    folder = suite(tmp_path / "suite", test_norm=NORM)
    old = lock(folder, "old.txt", "keras==3.5.0", "namex==0.0.8")
    new = lock(folder, "new.txt", "keras==3.7.0", "namex==0.1.0")
    done = keras_golden(
        folder,
        "bisect",
        old,
        new,
        "--json",
        "-",
        "--",
        "-k",
        "norm",
        env={"KERAS_BACKEND": "numpy"},
    )
    assert as_json(done)["first_bad"] == "3.6.0"


@pytest.mark.slow
def test_another_environment_is_a_side(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """What it has installed is its stack; its interpreter runs the suite."""
    python = tmp_path / "old" / "bin" / "python"
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "-q", "--python", sys.executable, tmp_path / "old"], check=True)
    packages = ("keras==3.5.0", "jax", "pytest", f"-e{pytestconfig.rootpath}")
    command = [*uv, "pip", "install", "-q", "--python", python, *packages]
    subprocess.run(list(map(str, command)), check=True)
    folder = suite(tmp_path / "suite", test_norm=NORM)
    told = gated(folder, f"python={python}", "3.6.0")
    statuses = {test["nodeid"].rpartition("::")[2]: test["status"] for test in told["tests"]}
    assert statuses == {"test_norm": "moved", "test_dense": "holds"}
    changed = {change["name"]: (change["old"], change["new"]) for change in told["changes"]}
    assert changed["keras"] == ("3.5.0", "3.6.0")
    assert changed["python"] == (str(python), sys.executable)
    assert told["culprit"] is None
