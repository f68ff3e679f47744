import json
import random
from dataclasses import replace

import pytest

from beautygan_cli.errors import ModelError
from beautygan_cli.model.signature import FILE_NAME, MAX_FILE_BYTES, Signature


def refusal(folder, content):
    """The message with which `content` as model.json is refused."""
    (folder / FILE_NAME).write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    with pytest.raises(ModelError) as caught:
        Signature.load(folder)
    message = str(caught.value)
    assert str(folder / FILE_NAME) in message
    assert "\n" not in message
    return message


def test_defaults_are_the_published_models():
    signature = Signature()
    assert (signature.source, signature.reference) == ("X:0", "Y:0")
    assert (signature.made_up, signature.removed) == ("generator/xs:0", "generator/ys:0")
    assert (signature.size, signature.padding, signature.low, signature.high) == (256, 0.35, -1.0, 1.0)
    assert not signature.warp_reference
    assert not signature.mask


def test_a_folder_without_model_json_has_the_defaults(tmp_path):
    assert Signature.load(tmp_path) == Signature()


@pytest.mark.parametrize(
    "signature",
    [
        Signature(),
        Signature(name="Größe", size=128, padding=0.5, low=0.0, warp_reference=True, mask=True),
        Signature(sha256="0123456789abcdef" * 4, about={"data": ["a", {"b": None}], "seed": 3}),
    ],
)
def test_load_gives_back_what_save_wrote(tmp_path, signature):
    signature.save(tmp_path)
    assert Signature.load(tmp_path) == signature


def test_model_json_may_name_a_few_keys_only(tmp_path):
    (tmp_path / FILE_NAME).write_text('{"size": 128, "high": 2}')
    loaded = Signature.load(tmp_path)
    assert loaded == replace(Signature(), size=128, high=2.0)
    assert isinstance(loaded.high, float)


@pytest.mark.promise("Hostile models")
@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("size", 15, "from 16 to 2048"),
        ("size", 2049, "from 16 to 2048"),
        ("size", 256.0, "whole number"),
        ("size", True, "whole number"),
        ("size", "256", "whole number"),
        ("size", None, "whole number"),
        ("padding", -0.1, "from 0 to 2"),
        ("padding", 2.1, "from 0 to 2"),
        ("padding", True, "from 0 to 2"),
        ("low", "0", "from -1000 to 1000"),
        ("high", 10**400, "from -1000 to 1000"),
        ("warp_reference", 1, "true or false"),
        ("mask", "yes", "true or false"),
        ("name", "", "printable"),
        ("name", "a\nb", "printable"),
        ("name", "a" * 101, "printable"),
        ("name", 3, "printable"),
        ("source", "X", "tensor's name"),
        ("reference", "^Y:0", "tensor's name"),
        ("made_up", "a b:0", "tensor's name"),
        ("removed", ["generator/ys:0"], "tensor's name"),
        ("sha256", "A" * 64, "hexadecimal"),
        ("sha256", "a" * 63, "hexadecimal"),
        ("about", "text", "object"),
        ("about", [], "object"),
    ],
)
def test_each_bad_value_is_named_with_what_is_allowed(tmp_path, key, value, allowed):
    message = refusal(tmp_path, {key: value})
    assert f"'{key}'" in message
    assert allowed in message


@pytest.mark.parametrize(("low", "high"), [(1, 1), (1, -1), (0, 1e-300)])
def test_the_range_must_not_be_empty(tmp_path, low, high):
    assert "'low' must be less than 'high'" in refusal(tmp_path, {"low": low, "high": high})


@pytest.mark.promise("Hostile models")
def test_an_unknown_key_is_named_with_the_known_ones(tmp_path):
    message = refusal(tmp_path, {"chip_size": 256})
    assert "'chip_size'" in message
    assert "size, padding" in message


@pytest.mark.promise("Hostile models")
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"size": 256, "size": 128}',
        b'{"padding": NaN}',
        b'{"about": {"a": -Infinity}}',
        b"\xff\xfe{}",
        b"[" * 60_000,
        b'{"size": ' + b"1" * 10_000 + b"}",
    ],
)
def test_what_is_no_json_is_refused(tmp_path, content):
    assert "not valid JSON" in refusal(tmp_path, content)


@pytest.mark.promise("Hostile models")
@pytest.mark.parametrize("content", [b"[]", b"3", b"null", b'"text"'])
def test_json_that_is_no_object_is_refused(tmp_path, content):
    assert "one JSON object" in refusal(tmp_path, content)


@pytest.mark.promise("Hostile models")
def test_an_infinite_number_is_refused(tmp_path):
    assert "'high'" in refusal(tmp_path, b'{"high": 1e999}')


@pytest.mark.promise("Hostile models")
def test_a_large_file_is_refused(tmp_path):
    assert "larger" in refusal(tmp_path, b" " * MAX_FILE_BYTES + b"{}")


@pytest.mark.promise("Hostile models")
def test_a_folder_in_place_of_the_file_is_refused(tmp_path):
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(ModelError, match="not a regular file"):
        Signature.load(tmp_path)


def test_a_signature_out_of_range_is_not_saved(tmp_path):
    with pytest.raises(ModelError, match="'size'"):
        Signature(size=3).save(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.promise("Hostile models", trials=300)
def test_damaged_files_are_read_or_refused(tmp_path, trials):
    whole = Signature(about={"data": "x"}, sha256="0" * 64).save(tmp_path).read_bytes()
    chance = random.Random(1)
    for _ in range(trials):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        (tmp_path / FILE_NAME).write_bytes(damaged)
        try:
            assert isinstance(Signature.load(tmp_path), Signature)
        except ModelError as error:
            assert "\n" not in str(error)
