"""Print what beautygan-cli needs beside TensorFlow, as pip takes it."""

import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).resolve().parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
print(" ".join(name for name in PROJECT["project"]["dependencies"] if not name.startswith("tensorflow")))
