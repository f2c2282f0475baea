"""As `record`, of every layer; what draws random numbers does so from the stream that backends
share."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from history.further import EVERY
from history.record import record
from pytest_keras_golden.capture.stream.shared import share

if __name__ == "__main__":
    share()
    record(EVERY)
