"""What a model expects and gives: tensor names, chip size, value range, crop.

The defaults are those of the published BeautyGAN. A `model.json` beside a checkpoint overrides them.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from beautygan_cli.errors import ModelError

FILE_NAME = "model.json"
MAX_FILE_BYTES = 64 * 1024  # some thirty times what a full description with prose takes


@dataclass(frozen=True)
class Signature:
    """The contract of a model.

    `source`, `reference`: tensors that are fed, NHWC float32 RGB in [`low`, `high`], `size` pixels square.
    `made_up`: the source wearing the reference's makeup. `removed`: the reference wearing the source's, which is
    its makeup taken off when the source is bare. Both have the layout and range of what is fed.
    """

    name: str = "BeautyGAN"
    source: str = "X:0"
    reference: str = "Y:0"
    made_up: str = "generator/xs:0"
    removed: str = "generator/ys:0"
    size: int = 256  # pixels, both sides of a chip
    padding: float = 0.35  # as dlib.get_face_chip takes it: of the face's width, added on each side
    low: float = -1.0  # the network's value for black
    high: float = 1.0  # the network's value for full brightness
    warp_reference: bool = False  # the reference's chip is warped onto the source's landmarks
    mask: bool = False  # both chips are masked to the face
    sha256: str | None = None  # of the checkpoint's data shard, in hexadecimal
    about: Mapping[str, Any] = field(default_factory=dict, hash=False)  # free-form description, any JSON

    @classmethod
    def load(cls, folder: Path) -> "Signature":
        """The signature that `model.json` in `folder` gives, or the defaults without one. Raises ModelError."""
        path = Path(folder) / FILE_NAME
        if not path.exists() and not path.is_symlink():
            return cls()
        values = _read_json_object(path)
        complaint = _complaint(values)
        if complaint:
            raise ModelError(f"{path}: {complaint}")
        known: dict[str, Any] = {key: float(value) if key in _FLOATS else value for key, value in values.items()}
        return cls(**known)

    def save(self, folder: Path) -> Path:
        """Write `model.json` into `folder`, for `load` to read back as an equal signature. Raises ModelError."""
        path = Path(folder) / FILE_NAME
        values = {key: value for key, value in asdict(self).items() if value is not None}
        complaint = _complaint(values)
        if complaint:
            raise ModelError(f"{path}: {complaint}")
        text = json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False)
        path.write_text(text + "\n", encoding="utf-8")
        return path


_FLOATS = frozenset({"padding", "low", "high"})
_LEAST_RANGE = 0.01  # from 'low' to 'high'; a smaller one drowns in float32's rounding
_TENSOR_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_./\\-]{0,199}:[0-9]{1,3}")  # TensorFlow's rule for names


class _Rule(NamedTuple):
    allowed: str
    accepts: Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_TENSOR = _Rule(
    "a tensor's name such as 'X:0'", lambda value: isinstance(value, str) and bool(_TENSOR_NAME.fullmatch(value))
)
_RANGE_END = _Rule("a number from -1000 to 1000", lambda value: _is_number(value) and -1000 <= value <= 1000)
_YES_NO = _Rule("true or false", lambda value: isinstance(value, bool))

_SCHEMA: dict[str, _Rule] = {
    "name": _Rule(
        "1 to 100 printable characters",
        lambda value: isinstance(value, str) and 1 <= len(value) <= 100 and value.isprintable(),
    ),
    "source": _TENSOR,
    "reference": _TENSOR,
    "made_up": _TENSOR,
    "removed": _TENSOR,
    "size": _Rule(
        "a whole number from 16 to 2048",
        lambda value: isinstance(value, int) and not isinstance(value, bool) and 16 <= value <= 2048,
    ),
    "padding": _Rule("a number from 0 to 2", lambda value: _is_number(value) and 0 <= value <= 2),
    "low": _RANGE_END,
    "high": _RANGE_END,
    "warp_reference": _YES_NO,
    "mask": _YES_NO,
    "sha256": _Rule(
        "64 lower-case hexadecimal digits",
        lambda value: isinstance(value, str) and bool(re.fullmatch("[0-9a-f]{64}", value)),
    ),
    "about": _Rule("an object", lambda value: isinstance(value, Mapping)),
}


def _complaint(values: Mapping[str, Any]) -> str | None:
    """What is wrong with the values of a `model.json`, as the end of a sentence; None when nothing is."""
    for key, value in values.items():
        rule = _SCHEMA.get(key)
        if rule is None:
            return f"unknown key {key[:80]!r}; allowed are {', '.join(_SCHEMA)}"
        if not rule.accepts(value):
            return f"'{key}' must be {rule.allowed}"
    low, high = values.get("low", Signature.low), values.get("high", Signature.high)
    if high - low < _LEAST_RANGE:
        return f"'low' must be less than 'high' by {_LEAST_RANGE} or more, but they are {low} and {high}"
    return None


def _read_json_object(path: Path) -> dict[str, Any]:
    try:
        if not path.is_file():
            raise ModelError(f"{path} is not a regular file; replace it by the model's own {FILE_NAME}")
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ModelError(f"{path} can't be read ({error.strerror}); check its permissions") from error
    if len(content) > MAX_FILE_BYTES:
        raise ModelError(f"{path} is larger than the {MAX_FILE_BYTES // 1024} KB that a {FILE_NAME} may take")
    try:
        values = json.loads(content.decode("utf-8"), object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not valid JSON; repair it, or delete it if the model is BeautyGAN's") from error
    if not isinstance(values, dict):
        raise ModelError(f"{path} must hold one JSON object")
    return values


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key occurs twice")
    return values


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
