"""A golden is input from strangers: each bad file is one clear error that names it and the fix."""

import json
import os
import re
import resource

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import example, given, settings
from hypothesis import strategies as st
from store_recordings import NAME, digest, joined, record, recording, sample, split
from test_codec import as_bytes

from pytest_keras_golden.errors import CorruptGoldenError, StoreError
from pytest_keras_golden.store import codec
from pytest_keras_golden.store.codec import Golden
from pytest_keras_golden.store.files import verify_file
from pytest_keras_golden.store.header import checksum

RAW = as_bytes(sample())
HEADER, BODY = split(RAW)
DOCUMENT = json.loads(HEADER["__metadata__"]["keras_golden"])
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


def with_header(**changes):
    """The sample with the container's header changed; None removes a key."""
    changed = {key: value for key, value in (HEADER | changes).items() if value is not None}
    return joined(changed, BODY)


def with_place(name, **changes):
    return with_header(**{name: HEADER[name] | changes})


def with_document(checked=False, **changes):
    """checked: the checksum fits, as if a writer meant it."""
    document = {k: v for k, v in (DOCUMENT | changes).items() if v is not ...}
    if checked:
        document["checksum"] = checksum(document)
    return with_header(__metadata__={"keras_golden": json.dumps(document)})


def with_text(text):
    return with_header(__metadata__={"keras_golden": text})


def with_entry(**changes):
    return with_document(tensors=[DOCUMENT["tensors"][0] | changes, *DOCUMENT["tensors"][1:]])


def with_raw(old, new):
    """The sample with a piece of its metadata's text changed."""
    text = json.dumps(DOCUMENT)
    assert old in text
    return with_text(text.replace(old, new, 1))


def renamed(name):
    """The sample with a tensor under another name in the container."""
    return with_header(**{name: HEADER[FIRST], FIRST: None})


def foreign():
    return safetensors.numpy.save({"weight": np.zeros((2, 2), np.float32)}, {"format": "np"})


FIRST = "blocks/0/attention"
HUGE = 3_000_000
NESTED = "[" * 50_000 + "]" * 50_000
CALL = DOCUMENT["calls"][0]
BAD = {
    "LFS pointer": (LFS, "git-LFS pointer"),
    "empty": (b"", "0 bytes"),
    "seven bytes": (RAW[:7], "7 bytes"),
    "cut in the header": (RAW[:100], "truncated"),
    "cut in the body": (RAW[:-1], "truncated"),
    "longer": (RAW + b"\0", "bytes after the last tensor"),
    "header beyond the file": ((10**6).to_bytes(8, "little") + RAW[8:], "truncated"),
    "header of exabytes": (b"\xff" * 8 + RAW[8:], "truncated"),
    "header is a list": (joined(b"[1]", b""), "no JSON object"),
    "header is text": (joined(b"<html>", b""), "no JSON"),
    "header is no UTF-8": (joined(b'{"\xff": 1}', b""), "no JSON"),
    "header is UTF-16": (joined("{}".encode("utf-16"), b""), "no JSON"),
    "header nested": (joined(NESTED.encode(), b""), "nested too deeply"),
    "header nested in objects": (joined(b'{"a":' * 90_000, b""), "nested too deeply|no JSON"),
    "header repeats a key": (joined(b'{"a": 1, "a": 1}', b""), "repeats"),
    "header with NaN": (joined(b'{"a": NaN}', b""), "NaN"),
    "digits without end": (joined(b'{"a": ' + b"9" * 10_000 + b"}", b""), "no JSON|expected"),
    "foreign safetensors": (foreign(), "no golden"),
    "metadata a list": (with_header(__metadata__=[]), "metadata"),
    "metadata of numbers": (with_header(__metadata__={"keras_golden": 1}), "metadata"),
    "metadata no JSON": (with_text("{"), "no JSON"),
    "metadata nested": (with_text('{"schema": 1, "stack": ' + NESTED + "}"), "nested"),
    "metadata rather deep": (with_document(stack=json.loads("[" * 40 + "]" * 40)), "nested"),
    "newer schema": (with_document(schema=2), "schema is 2, this version reads 1"),
    "schema true": (with_document(schema=True), "schema"),
    "schema missing": (with_document(schema=...), "schema"),
    "stack missing": (with_document(stack=...), "stack"),
    "mode unknown": (with_document(mode="graph"), "mode"),
    "observer unknown": (with_document(observer=[]), "observer"),
    "tensors an object": (with_document(tensors={}), "tensors"),
    "tensors of numbers": (with_document(tensors=[1]), "tensors"),
    "weights of numbers": (with_document(weights={"a": 1}), "weights"),
    "reason a number": (with_document(reason=3), "reason"),
    "escape sequence": (with_document(reason="\x1b[2J"), "control character"),
    "escape sequence in the stack": (with_document(stack={"\x1b]0;x\x07": 1}), "control character"),
    "surrogate": (with_document(isolation="\ud800"), "control character"),
    "tensor unlisted": (with_document(tensors=DOCUMENT["tensors"][1:]), "not in its metadata"),
    "tensor absent": (with_entry(name="other"), "not in the file"),
    "tensor twice": (with_document(tensors=DOCUMENT["tensors"] * 2), "twice"),
    "tensor without a name": (with_entry(name=""), "no name"),
    "tensor with the container's name": (with_entry(name="@reference/x"), "no name"),
    "tensor with control characters": (with_entry(name="a\x1bb"), "no name|control"),
    "tensor with another dtype": (with_entry(dtype="float16"), "float16"),
    "tensor with another shape": (with_entry(shape=[2, 4]), r"\(2, 4\)"),
    "tensor with a negative shape": (with_entry(shape=[-4, -2]), "shape"),
    "tensor with a shape of texts": (with_entry(shape=["4", 2]), "shape"),
    "tensor of a kind unknown": (with_entry(kind="weird"), "kind"),
    "tensor at order -1": (with_entry(order=-1), "order"),
    "tensor at order true": (with_entry(order=True), "order"),
    "judged a number": (with_entry(judged=1), "judged"),
    "digest too short": (with_entry(digest="ab"), "digest"),
    "rms a text": (with_entry(rms="big"), "rms"),
    "rms a list": (with_entry(rms=[]), "rms"),
    "rms beyond floats": (with_entry(rms=10**400), "rms"),
    "rms 1e999": (with_raw('"rms": 1.0', '"rms": 1e999'), "'1e999', which is beyond any number"),
    "stack 1e999": (with_raw('"keras": "3.5.0"', '"keras": 1e999'), "beyond any number"),
    "rms of 400 digits": (with_raw('"rms": 1.0', f'"rms": {"9" * 400}.0'), "beyond any number"),
    "a key of the metadata twice": (with_raw('"rms": 1.0', '"rms": 1.0, "rms": 2.0'), "repeats"),
    "keras a list": (with_document(stack={"keras": []}), "'keras' of the stack should be a text"),
    "stack of novels": (with_document(stack={"x": "y" * 900}), "'x' should be one short fact"),
    "text of megabytes": (with_document(reason="x" * HUGE), "a text of 3000000 characters"),
    "key of megabytes": (with_document(**{"x" * HUGE: 1}), "a text of 3000000 characters"),
    "unknown key nested": (with_document(later=json.loads("[" * 40 + "]" * 40)), "nested"),
    "dtype nested": (with_place(FIRST, dtype=json.loads("[" * 900 + "]" * 900)), "dtype"),
    "dtype of megabytes": (with_place(FIRST, dtype="x" * HUGE), "dtype 'x"),
    "offsets by the million": (with_place(FIRST, data_offsets=[0] * HUGE), "do not fit"),
    "shape of huge numbers": (with_place(FIRST, shape=[10**4000]), "larger than any array"),
    "name of megabytes": (with_header(**{"x" * HUGE: 1}), "expected dtype"),
    "name of escape sequences": (with_header(**{"\x1b[2J": 1}), "expected dtype"),
    "unlisted name of megabytes": (renamed("x" * HUGE), "not in the file"),
    "checksum missing": (with_document(checksum=...), "checksum on record"),
    "checksum a number": (with_document(checksum=1), "checksum on record"),
    "tolerance negative": (with_entry(tolerance={"k": -1}), "tolerance"),
    "tolerance infinite": (with_entry(tolerance={"k": "inf"}), "tolerance"),
    "tolerance NaN": (with_entry(tolerance={"k": "nan"}), "tolerance"),
    "tolerance a text": (with_entry(tolerance="k=5"), "tolerance"),
    "reference of nothing": (with_document(references={"x": "0" * 32}), "reference"),
    "reference unlisted": (with_document(references={}), "not in its metadata"),
    "call without digests": (with_document(calls=[CALL | {"inputs": ["x"]}]), "digest"),
    "call of other tensors": (
        with_document(calls=[CALL | {"inputs": ["0" * 32]}]),
        "isolation tensor is missing",
    ),
    "isolation uncalled": (with_document(calls=[]), "not in its metadata"),
    "place a number": (with_header(**{FIRST: 1}), "expected dtype"),
    "place with more keys": (with_place(FIRST, x=1), "expected dtype"),
    "dtype unknown": (with_place(FIRST, dtype="C64"), "C64"),
    "dtype a list": (with_place(FIRST, dtype=[]), "dtype"),
    "shape a number": (with_place(FIRST, shape=8), "shape"),
    "shape negative": (with_place(FIRST, shape=[-4, -2]), "shape"),
    "shape of floats": (with_place(FIRST, shape=[4.0, 2]), "shape"),
    "shape of 33 dimensions": (with_place(FIRST, shape=[1] * 33), "larger than any array"),
    "shape overflowing": (with_place(FIRST, shape=[2**40, 2**40]), "larger than any array"),
    "shape empty, overflowing": (with_place(FIRST, shape=[0, 2**62, 9]), "larger than any array"),
    "shape larger than its bytes": (with_place(FIRST, shape=[4, 3]), "do not fit"),
    "offsets of three": (with_place(FIRST, data_offsets=[0, 1, 32]), "do not fit"),
    "offsets backwards": (with_place(FIRST, data_offsets=[32, 0]), "do not fit"),
    "offsets negative": (with_place(FIRST, data_offsets=[-32, 0]), "no list of sizes"),
    "offsets true": (with_place(FIRST, data_offsets=[True, 33]), "no list of sizes"),
    "overlap": (with_place(FIRST, data_offsets=[0, 32]), "overlaps"),
    "beyond the end": (with_place(FIRST, data_offsets=[2**40, 2**40 + 32]), "gap|expected"),
    "name leads nowhere": (with_header(**{"": HEADER[FIRST], FIRST: None}), "not in the file"),
}


@pytest.fixture
def golden(tmp_path):
    path = tmp_path / NAME
    path.write_bytes(RAW)
    return path


def test_the_sample_itself_is_good(golden):
    golden.write_bytes(with_header())  # through the same functions that make the bad ones
    assert verify_file(golden, golden.parent) == []


@pytest.mark.parametrize("kind", BAD)
def test_bad_files_are_clear_errors(golden, kind):
    raw, message = BAD[kind]
    golden.write_bytes(raw)
    with pytest.raises(CorruptGoldenError, match=message) as caught:
        Golden.open(golden)
    assert str(golden) in caught.value.problem
    assert caught.value.path == golden
    assert re.search("git lfs pull|--update-goldens|goldens folder", caught.value.fix)
    assert len(str(caught.value)) < 1000
    assert str(caught.value).replace("\n", "").isprintable()
    problems = verify_file(golden)
    assert len(problems) == 1
    assert re.search(message, problems[0])


def test_a_header_beyond_the_limit_is_not_parsed(golden):
    with golden.open("wb") as file:
        file.write((1 << 30).to_bytes(8, "little"))
        file.truncate(2 << 30)
    with pytest.raises(CorruptGoldenError, match="more than 33554432"):
        Golden.open(golden)


@given(st.integers(0, len(RAW) - 1))
def test_every_truncation_is_found(tmp_path_factory, length):
    path = tmp_path_factory.mktemp("golden") / NAME
    path.write_bytes(RAW[:length])
    with pytest.raises(CorruptGoldenError):
        Golden.open(path)


@settings(max_examples=300)
@given(st.integers(0, 8 * len(RAW) - 1))
@example(8 * (len(RAW) - 1))
@example(8 * 7)
def test_every_flipped_bit_is_found(tmp_path_factory, position):
    flipped = bytearray(RAW)
    flipped[position // 8] ^= 1 << position % 8
    path = tmp_path_factory.mktemp("golden") / NAME
    path.write_bytes(flipped)
    assert verify_file(path) != []


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda raw: joined(raw, b"")))
def test_noise_is_an_error_and_nothing_else(tmp_path_factory, raw):
    path = tmp_path_factory.mktemp("golden") / NAME
    path.write_bytes(raw)
    with pytest.raises(CorruptGoldenError):
        Golden.open(path)


def flipped(name):
    """The sample with the last bit of one tensor's bytes flipped."""
    raw = bytearray(RAW)
    raw[len(RAW) - len(BODY) + HEADER[name]["data_offsets"][1] - 1] ^= 1
    return raw


def read_as_a_judge(golden, name):
    """How comparisons get at a tensor of the file."""
    kind, _, rest = name.partition("/")
    if kind == "@reference":
        return golden.reference(rest)
    return golden.pooled(rest) if kind == "@isolation" else golden.array(name)


@pytest.mark.parametrize("name", [name for name in HEADER if name != "__metadata__"])
def test_damaged_bytes_are_refused_when_they_are_read_and_not_before(golden, name):
    golden.write_bytes(flipped(name))
    with Golden.open(golden) as opened:
        for other in HEADER:
            if other not in (name, "__metadata__"):
                assert read_as_a_judge(opened, other) is not None
        with pytest.raises(CorruptGoldenError, match="digest on record") as caught:
            read_as_a_judge(opened, name)
    assert caught.value.path == golden
    assert name in caught.value.problem
    assert "under Keras 3.5.0: pytest --update-goldens" in caught.value.fix
    assert verify_file(golden) == [f"{name}: its bytes do not have the digest on record"]


def test_a_tensor_is_hashed_once(golden, monkeypatch):
    hashed = []
    monkeypatch.setattr(codec, "digest", lambda array: hashed.append(array) or digest(array))
    with Golden.open(golden) as opened:
        assert hashed == []
        for _ in range(3):
            opened.array("logits")
        assert len(hashed) == 1


def test_a_bool_with_other_bytes_is_an_error(golden):
    """Whoever wrote them gave them a digest that fits."""
    bad = np.array([1, 2], np.uint8).view(bool)
    golden.write_bytes(as_bytes(recording(record("mask", bad))))
    with Golden.open(golden) as opened, pytest.raises(CorruptGoldenError, match="mask: it is bool"):
        opened.array("mask")
    assert verify_file(golden) == ["mask: it is bool, and has other bytes"]


def test_a_changed_number_in_the_metadata_is_found(golden):
    golden.write_bytes(with_entry(rms=2.0))
    assert verify_file(golden) == ["its metadata does not have the checksum on record"]


def test_unknown_keys_are_left_to_later_versions(golden):
    golden.write_bytes(with_document(checked=True, later={"x": 1}))
    with Golden.open(golden) as opened:
        assert opened.header.tensors[0].name == FIRST


def test_a_link_out_of_the_folder_is_refused(golden, tmp_path):
    root = tmp_path / "goldens"
    root.mkdir()
    link = root / NAME
    link.symlink_to(golden)
    with pytest.raises(CorruptGoldenError, match="outside") as caught:
        Golden.open(link, root)
    assert str(link) in caught.value.problem
    assert "link" in caught.value.fix
    (problem,) = verify_file(link, root)
    assert "outside" in problem


def test_a_linked_folder_out_of_the_folder_is_refused(golden, tmp_path):
    root = tmp_path / "goldens"
    root.mkdir()
    (root / "test_a").symlink_to(golden.parent)
    with pytest.raises(CorruptGoldenError, match="outside"):
        Golden.open(root / "test_a" / NAME, root)
    with pytest.raises(CorruptGoldenError, match="outside"):
        Golden.open(root / ".." / NAME, root)


def test_links_within_the_folder_are_followed(golden, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / NAME).symlink_to(golden)
    linked_root = tmp_path.with_name(tmp_path.name + "-link")
    linked_root.symlink_to(tmp_path)
    for path, root in [(tmp_path / "a" / NAME, tmp_path), (linked_root / NAME, linked_root)]:
        with Golden.open(path, root) as opened:
            assert opened.header.tensors


def test_a_link_in_a_circle_is_an_error(tmp_path):
    (tmp_path / NAME).symlink_to(tmp_path / NAME)
    with pytest.raises(StoreError, match=NAME):
        Golden.open(tmp_path / NAME, tmp_path)


def test_a_folder_or_a_pipe_is_an_error_and_no_hang(tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "pipe"):
        for root, fix in ((None, "name a golden"), (tmp_path, "move it out of the goldens folder")):
            with pytest.raises(CorruptGoldenError, match="folder or device") as caught:
                Golden.open(tmp_path / name, root)
            assert caught.value.fix == fix


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(StoreError, match="No such file"):
        Golden.open(tmp_path / NAME)


def test_a_nonsense_size_costs_no_memory(golden):
    golden.write_bytes(with_place(FIRST, shape=[2**50], data_offsets=[0, 2**52]))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CorruptGoldenError):
        Golden.open(golden)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10
