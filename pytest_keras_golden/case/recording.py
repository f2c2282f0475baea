"""What a case produced, as a golden holds it: digests, scales and sensitivities worked out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import xxhash

from ..compare.metrics import measure
from ..compare.sampling import fitting
from ..compare.scale import root_mean_square
from ..compare.training import part_of
from ..compare.vacuity import detects
from ..records import GoldenHeader, Recording, TensorEntry, TensorRecord, Tolerance
from ..store.digest import digest as digest_of

if TYPE_CHECKING:
    from ..records import Array
    from .collected import CapturedBlock, Case


def recording(case: Case, candidate: bool = False) -> Recording:
    """Everything that the body produced. candidate: what its tolerances detect is worked out when
    it is accepted."""
    records = tuple(case.records.values())
    pool, isolation = _pool(case)
    header = GoldenHeader(
        stack=case.goldens.stack(),
        mode=case.mode,
        tensors=tuple(
            entry(case, record, order, candidate) for order, record in enumerate(records)
        ),
        weights=case.weights,
        inputs=case.inputs,
        outermost=case.outermost,
        calls=tuple(call for block in case.blocks for call in block.calls) if pool else (),
        isolation=isolation,
        reason=case.settings.reason,
        observer=case.observer,
        programs=tuple(
            replace(program, digest=judged_alike(case, program.digest))
            for block in case.blocks
            for program in block.programs
        ),
    )
    return _sampled(case, Recording(header, records, pool))


def _sampled(case: Case, made: Recording) -> Recording:
    """With samples of large tensors, where all together are more than a golden may have. Parts of
    training steps are small already, and what isolation stores is there as a whole."""
    if not case.settings.samples:
        return made
    records = [replace(record, digest=case.digest(record)) for record in made.records]
    whole = [r.name for r in records if part_of(r.name) is not None or r.digest in made.pool]
    records = fitting(records, case.settings.max_size, {*whole, *case.kept_whole})
    entries = [
        replace(entry, sample=record.sample)
        for entry, record in zip(made.header.tensors, records, strict=True)
    ]
    header = replace(made.header, tensors=tuple(entries))
    return replace(made, header=header, records=tuple(records))


def judged_alike(case: Case, digest: str) -> str:
    """The digest of a run, and of what its tensors are judged by."""
    rules = case.settings.tolerances, case.marker.tolerances, case.settings.systematic
    return xxhash.xxh3_128_hexdigest(f"{digest} {rules}".encode())


def entry(case: Case, record: TensorRecord, order: int, candidate: bool = False) -> TensorEntry:
    """The metadata of one of its tensors."""
    return describe(
        record,
        order,
        case.tolerance(record),
        noise=noise(case, record),
        digest=case.digest(record),
        sensitive=not candidate,
    )


def noise(case: Case, record: TensorRecord) -> float | None:
    """Largest k between repeats of the body (`--golden-noise`); None without repeats."""
    repeats = [run[record.name] for run in case.repeats if record.name in run]
    tolerance, precision = case.tolerance(record), record.arithmetic
    ks = [measure(run, record.value, tolerance, precision).k for run in repeats]
    return max(ks, default=None)


def describe(
    record: TensorRecord,
    order: int,
    tolerance: Tolerance,
    noise: float | None = None,
    *,
    digest: str | None = None,
    sensitive: bool = True,
) -> TensorEntry:
    """What a golden's metadata says about one tensor. digest is computed where None; sensitive:
    whether to find out which drift is detected."""
    precision = record.arithmetic
    return TensorEntry(
        name=record.name,
        order=order,
        kind=record.kind,
        dtype=record.value.dtype.name,
        shape=record.shape,
        precision=precision,
        judged=record.judged,
        source=record.source,
        digest=digest_of(record.value) if digest is None else digest,
        rms=float(f"{root_mean_square(record.value):.6g}"),
        detects=detects(record.value, tolerance, precision, noise)
        if record.judged and sensitive
        else None,
        noise=noise,
        tolerance=tolerance if record.judged else None,
    )


def _pool(case: Case) -> tuple[dict[str, Array], str]:
    """The isolation tensors, and `complete` or why there are none."""
    pool = {key: array for block in case.blocks for key, array in block.pool.items()}
    unavailable = [_isolation(block) for block in case.blocks]
    unavailable = [why for why in unavailable if why != "complete"]
    if unavailable or not pool:
        return {}, unavailable[0] if unavailable else "unavailable: nothing captured for it"
    size = sum(array.nbytes for array in pool.values())
    if size > case.settings.max_size:
        return {}, "unavailable: size"
    return pool, "complete"


def _isolation(block: CapturedBlock) -> str:
    return block.isolation if block.isolates else "unavailable: not asked for"
