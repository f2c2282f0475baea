"""Files of strangers under models' names: an error with file and reason, never a pass."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from pytest_keras_golden.errors import SavedModelError
from pytest_keras_golden.saved.contents import SavedContents, read_contents
from pytest_keras_golden.saved.formats import ModelFile, format_of
from pytest_keras_golden.saved.trust import demand_trusted

CONFIG = {"class_name": "Sequential", "config": {"name": "s", "layers": []}}


def weights(path: Path, fill: Callable[[h5py.File], None] | None = None) -> bytes:
    with h5py.File(path, "w") as file:
        file["layers/dense/vars/0"] = np.zeros((2, 2), np.float32)
        if fill is not None:
            fill(file)
    return path.read_bytes()


def archive(folder: Path, members: Mapping[str, Any] | None = None, **options: Any) -> Path:
    """A sound archive, with other or more members."""
    path = folder / "m.keras"
    every = {
        "config.json": json.dumps(CONFIG),
        "metadata.json": json.dumps({"keras_version": "3.10.0"}),
        "model.weights.h5": weights(folder / "w.h5"),
        **(members or {}),
    }
    with zipfile.ZipFile(path, "w", **options) as made:
        for name, content in every.items():
            if content is not None:
                made.writestr(name, content)
    return path


def read(path: Path) -> SavedContents:
    kind = format_of(path)
    assert kind is not None
    return read_contents(ModelFile(path, path.name, kind))


def refusal(path: Path) -> str:
    with pytest.raises(SavedModelError) as caught:
        read(path)
    assert caught.value.path is not None
    assert caught.value.path.name in caught.value.problem
    return caught.value.problem


def test_a_sound_archive_is_read(tmp_path: Path) -> None:
    contents = read(archive(tmp_path, {"assets/layers/lookup/vocabulary.txt": "a\nb"}))
    assert list(contents.arrays) == ["layers/dense/vars/0"]
    assert contents.assets == {"layers/lookup/vocabulary.txt": b"a\nb"}
    assert contents.keras == "3.10.0"


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.99])
def test_a_truncated_archive_is_refused(tmp_path: Path, share: float) -> None:
    path = archive(tmp_path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert "no whole .keras archive" in refusal(path)


def test_every_flipped_byte_of_the_members_is_seen(tmp_path: Path) -> None:
    path = archive(tmp_path)
    whole = bytearray(path.read_bytes())
    at = whole.index(b"Sequential")
    whole[at] ^= 0x40
    path.write_bytes(whole)
    assert "no whole .keras archive" in refusal(path)


@pytest.mark.parametrize("missing", ["config.json", "metadata.json", "model.weights.h5"])
def test_a_missing_member_is_named(tmp_path: Path, missing: str) -> None:
    assert f"has no {missing}" in refusal(archive(tmp_path, {missing: None}))


@pytest.mark.parametrize("name", ["../evil.txt", "/etc/evil", "assets/../../evil", "a\\..\\evil"])
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    assert "leads out of it" in refusal(archive(tmp_path, {name: b"x"}))


def test_a_bomb_is_refused_by_its_sizes(tmp_path: Path) -> None:
    path = archive(tmp_path, {"assets/zeros": bytes(200 << 20)}, compression=zipfile.ZIP_DEFLATED)
    assert "unpacks to" in refusal(path)


@pytest.mark.parametrize(
    "config",
    [
        *(b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"a": NaN}', b'{"a": 1, "a": 2}'),
        *(b"{}", b'{"class_name": 3, "config": {}}', b'{"class_name": "A"}', b"[" * 100_000),
    ],
)
def test_a_bad_configuration_is_refused(tmp_path: Path, config: bytes) -> None:
    assert "configuration" in refusal(archive(tmp_path, {"config.json": config}))


def test_weights_that_are_no_hdf5_are_refused(tmp_path: Path) -> None:
    path = archive(tmp_path, {"model.weights.h5": b"not that"})
    assert "no whole HDF5 file" in refusal(path)


@pytest.mark.parametrize("name", ["m.h5", "m.hdf5", "m.weights.h5", "m.keras"])
@pytest.mark.parametrize("content", [b"", b"text", b"\x89HDF\r\n\x1a\n", bytes(5000)])
def test_other_files_under_a_models_name_are_refused(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    refusal(tmp_path / name)


def test_hdf5_that_leads_to_other_files_is_refused(tmp_path: Path) -> None:
    def leads(file: h5py.File) -> None:
        file["elsewhere"] = h5py.ExternalLink("/etc/passwd", "/x")

    path = tmp_path / "m.weights.h5"
    weights(path, leads)
    assert "leads to another place" in refusal(path)


def test_arrays_kept_in_other_files_are_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(400))

    def keeps(file: h5py.File) -> None:
        file.create_dataset("outside", (100,), "f4", external=[(str(secret), 0, 400)])

    path = tmp_path / "m.weights.h5"
    weights(path, keeps)
    assert "in another file" in refusal(path)


def test_a_few_bytes_that_claim_to_be_gigabytes_are_refused(tmp_path: Path) -> None:
    def claims(file: h5py.File) -> None:
        file.create_dataset("large", (1 << 34,), "f4", chunks=(1 << 16,), compression="gzip")

    path = tmp_path / "m.weights.h5"
    weights(path, claims)
    assert "times its own size" in refusal(path)


def test_whole_models_need_a_configuration(tmp_path: Path) -> None:
    weights(tmp_path / "m.h5")
    assert "no model_config" in refusal(tmp_path / "m.h5")


CODE = {
    "lambda": {"class_name": "__lambda__", "config": {"value": "4wAAAA"}},
    "legacy lambda": {"class_name": "Lambda", "config": {"function_type": "lambda"}},
    "legacy lambda of a shape": {"class_name": "Lambda", "config": {"output_shape_type": "lambda"}},
    "module": {"module": "os", "class_name": "function", "config": "system"},
    "subprocess": {"module": "subprocess", "class_name": "Popen", "config": {}},
    "download": {"module": "keras.utils", "class_name": "get_file", "config": {}},
    "inner": {"module": "keras.src.utils.file_utils", "class_name": "get_file", "config": {}},
    "builtin": {"module": "builtins", "class_name": "eval", "config": {}},
    "front door": {"module": "keras", "class_name": "utils", "config": {}},
    "traversal": {"module": "keras.layers/../os", "class_name": "Dense", "config": {}},
}


@pytest.mark.parametrize("code", CODE.values(), ids=CODE)
def test_code_in_a_configuration_is_not_run(tmp_path: Path, code: dict[str, Any]) -> None:
    config = {"class_name": "Sequential", "config": {"layers": [{"x": [code]}]}}
    path = archive(tmp_path, {"config.json": json.dumps(config)})
    with pytest.raises(SavedModelError, match="would run code"):
        demand_trusted(ModelFile(path, path.name, "keras"), read(path), ())


def test_what_keras_saves_is_trusted_and_the_users_own_classes_are(tmp_path: Path) -> None:
    parts = [
        {"module": "keras.layers", "class_name": "Dense", "config": {}},
        {"module": "keras.src.models.functional", "class_name": "Functional", "config": {}},
        {"module": "builtins", "class_name": "function", "config": "my_relu"},
        {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}},
        {"module": "mine.layers", "class_name": "Gate", "config": {}},
        {"module": "__main__", "class_name": "Blend", "registered_name": "p>Blend", "config": {}},
    ]
    config = {"class_name": "Sequential", "config": {"layers": parts}}
    path = archive(tmp_path, {"config.json": json.dumps(config)})
    file = ModelFile(path, path.name, "keras")
    demand_trusted(file, read(path), {"mine", "Blend"})
    with pytest.raises(SavedModelError, match=r"mine\.layers\.Gate|__main__\.Blend"):
        demand_trusted(file, read(path), ())


def test_a_bad_file_is_a_failing_test_with_file_and_reason(suite: pytest.Pytester) -> None:
    (suite.path / "bad.keras").write_bytes(b"PK nonsense")
    for arguments in ((), ("--update-goldens",)):
        run = suite.runpytest_inprocess("-p", "no:randomly", "bad.keras", *arguments)
        run.assert_outcomes(failed=1)
        run.stdout.fnmatch_lines(["bad.keras is no whole .keras archive*"])
