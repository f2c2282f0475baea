import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_keras_golden.errors import StoreError
from pytest_keras_golden.names import Slot, golden_folder


@pytest.mark.parametrize(
    ("nodeid", "folder"),
    [
        ("tests/test_a.py::test_b", "tests/test_a/test_b"),
        ("test_a.py::test_b[2-bfloat16]", "test_a/test_b[2-bfloat16]"),
        ("tests/test_a.py::TestDecoder::test_b", "tests/test_a/TestDecoder.test_b"),
        ("tests/test_a.py::DecoderTest::test_b", "tests/test_a/DecoderTest.test_b"),
        ("tests/test_a.py::DecoderTestCase::test_b", "tests/test_a/DecoderTestCase.test_b"),
        ("tests/test_a.py::TestA::TestB::test_b", "tests/test_a/TestA.TestB.test_b"),
        ("tests/test_a.py::test_b[1.5-x,y=(2+1)@]", "tests/test_a/test_b[1.5-x,y=(2+1)@]"),
        ("examples/gpt-2/test_a.b.py::test_b[[]]", "examples/gpt-2/test_a.b/test_b[[]]"),
    ],
)
def test_plain_ids_stay_as_they_are(nodeid, folder):
    assert str(golden_folder(nodeid)) == folder


@pytest.mark.parametrize(
    ("nodeid", "start"),
    [
        ("test_a.py::test_b[A]", "test_a/test_b[A]~"),
        ("test_a.py::TestMultiHead::test_b", "test_a/TestMultiHead.test_b~"),
        ("../x/test_a.py::test_b", "._/x/test_a/test_b~"),
        ("/etc/test_a.py::test_b", "_/etc/test_a/test_b~"),
        ("a/aux.py::test_b", "a/_aux/test_b~"),
        ("COM1/test.py::test_b", "_COM1/test/test_b~"),
        ("a/con.x.py::test_b", "a/_con.x/test_b~"),
        ("a /test.py::test_b", "a_/test/test_b~"),
        ("a./test.py::test_b", "a_/test/test_b~"),
        ('test.py::test_b[/\\:*?"<>|]', "test/test_b[_________]~"),
        ("test.py::test_b[..]", "test/test_b[..]"),
        ("test.py::test_b[a.]x.", "test/test_b[a.]x_~"),
        ("test.py::test_é", "test/test_é~"),
        ("test.py::test_e\u0301", "test/test_é~"),
        ("test.py::test_\ud800", "test/test__~"),
        ("x.safetensors/test.py::test_b", "x.safetensor_/test/test_b~"),
        ("test.py::test_b[" + "x" * 500 + "]", "test/test_b[xxx"),
        ("test.txt::test_b", "test.txt/test_b~"),
        ("test.py", "test/_~"),
        ("", "_/_~"),
    ],
)
def test_others_are_made_portable_and_hashed(nodeid, start):
    assert str(golden_folder(nodeid)).startswith(start)


names = st.text(
    st.sampled_from("aAbBtesTéÉe\u0301ı İ.:/\\[]~_-*|\n\0ßſ") | st.characters(codec=None),
    max_size=12,
)
nodeids = st.builds(
    "{}::{}".format,
    st.sampled_from(["t.py", "T.py", "a/t.py", "a/T.py", "a", "../t.py", "a//t.py"]) | names,
    st.sampled_from(["test", "Test::t", "TEST::t", "Test.t", "con"]) | names,
) | st.builds("t.py::t[{}]".format, names)


@given(nodeids, nodeids)
@example("t.py::TestAb::t", "t.py::TestAB::t")
@example("t.py::TestAb::t", "t.py::Testab::t")
@example("t.py::FooTest::t", "t.py::Footest::t")
@example("t.py::a::b", "t.py::a.b")
@example("t.py::T::b", "t.py::T.b")
@example("t.py::_a::b", "t.py::_a.b")
@example("t.py::::b", "t.py::.b")
@example("t/b.py::c", "t.py::b::c")
@example("t.py::é", unicodedata.normalize("NFD", "t.py::é"))
@example("t.py::t[a/b]", "t.py::t[a_b]")
@example("t.py::t", "t::t")
@example("t.py::t[A]", str(golden_folder("t.py::t[A]")).replace("t/", "t.py::", 1))
@example("t.py::t" + "x" * 200, "t.py::t" + "x" * 201)
@example("t.py::", "t.py::_")
@example("t.py", "t.py::")
@example("a.py::::c", "a.py::.c")
def test_different_ids_never_share_a_folder(one, other):
    if one != other:
        first, second = (_folded(golden_folder(nodeid)) for nodeid in (one, other))
        assert first != second


def _folded(folder):
    """As the least able file system sees it: no case, one unicode form."""
    text = unicodedata.normalize("NFD", str(folder)).casefold()
    return unicodedata.normalize("NFD", text)


@given(nodeids)
@example("con.py::nul")
@example("t.py::e\u0301")
@example("t.py::t[" + "." * 300)
@example("é" * 300 + ".py::" + "é" * 300)
def test_every_component_is_acceptable_everywhere(nodeid):
    folder = golden_folder(nodeid)
    assert not folder.is_absolute()
    assert ".." not in folder.parts
    assert unicodedata.is_normalized("NFC", str(folder))
    for part in folder.parts:
        assert 0 < len(part.encode()) <= 120
        assert not set(part) & set('/\\:*?"<>|\0\n')
        assert part[-1] not in ". "
        assert part.split(".")[0].upper() not in {"CON", "NUL", "AUX", "PRN", "COM1", "LPT9"}
        assert not part.lower().endswith(".safetensors")
    assert golden_folder(nodeid) == folder


@pytest.mark.parametrize(
    ("slot", "filename"),
    [
        (Slot("3.5.0", "jax", "cpu", "bfloat16"), "keras-3.5.0-jax-cpu-bfloat16.safetensors"),
        (
            Slot("3.16.0.dev2025+g1a", "torch", "cuda:0", "int4/128_from_float32"),
            "keras-3.16.0.dev2025+g1a-torch-cuda~3a0-int4~2f128_from_float32.safetensors",
        ),
        (
            Slot("3.6.0rc1", "numpy", "CPU", "a-b"),
            "keras-3.6.0rc1-numpy-~43~50~55-a~2db.safetensors",
        ),
    ],
)
def test_slot_names_its_file(slot, filename):
    assert slot.filename == filename
    assert Slot.parse(filename) == slot


fields = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)


@given(st.builds(Slot, fields, fields, fields, fields))
def test_slot_round_trips(slot):
    try:
        filename = slot.filename
    except StoreError:
        return
    assert Slot.parse(filename) == slot
    assert filename == filename.lower()
    assert set(filename) <= set("abcdefghijklmnopqrstuvwxyz0123456789_.+-~")


@pytest.mark.parametrize(
    "filename",
    [
        "README.md",
        "keras-3.5.0-jax-cpu.safetensors",
        "keras-3.5.0-jax-cpu-float32-x.safetensors",
        "keras-3.5.0-jax-CPU-float32.safetensors",
        "keras-3.5.0-jax-cpu-~61.safetensors",
        "keras-3.5.0-jax-cpu-~ff.safetensors",
        "keras-3.5.0-jax-cpu-~.safetensors",
        ".keras-3.5.0-jax-cpu-float32.safetensors.abc.tmp",
        "keras-3.5.0-jax-cpu-float32.safetensors.abc.tmp",
    ],
)
def test_other_files_are_no_slots(filename):
    assert Slot.parse(filename) is None


def test_a_slot_that_fits_no_file_name_is_an_error():
    with pytest.raises(StoreError, match="no file name"):
        _ = Slot("3.5.0", "jax", "cpu", "x" * 300).filename
    with pytest.raises(StoreError, match="no file name"):
        _ = Slot("3.5.0", "jax", "cpu", "").filename
