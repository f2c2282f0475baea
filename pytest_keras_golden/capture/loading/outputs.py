"""What every layer of a loaded model gives on one case, for telling what that covers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...saved.formats import ModelFile
from ...saved.inputs.made import InputCase
from ..block import capture_block
from ..tap.request import Request
from .run import called

if TYPE_CHECKING:
    from ...records import Array


def layer_outputs(model: Any, case: InputCase, file: ModelFile) -> Mapping[str, Array]:
    """Name → output of each layer and operation, from a call of its own."""
    with capture_block(model, Request(select=("all",), isolate=False)) as block:
        called(model, case, file)
    return {record.name: record.value for record in block.records if ":" not in record.name}
