"""The figures of a suite on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RECORDING = 1.3
CHECKING = 1.15
ALARMS = ("false_alarms", "false_alarms_shuffled", "false_alarms_workers")


def show(found: dict[str, Any]) -> None:
    old, new = found["releases"]
    print(
        f"\n{found['suite']} {found['revision']}, {found['files']} files, "
        f"under Keras {old} on {found['backend']}"
    )
    print(f"  passed without the plugin   {found['passed_plain']}")
    print(f"  failed without the plugin   {len(found['failed_plain'])}")
    print(f"  captured                    {found['captured']}, {found['tensors']} tensors")
    print(f"  goldens                     {found['golden_bytes'] / 2**20:.1f} MiB")
    print(f"  checked, by worst verdict   {_counts(found['verdicts'])}")
    print(f"  observer, tests that train  {_counts(found['observer'])}")
    for kind in ("broken_recording", *ALARMS):
        if kind in found:
            print(f"  {kind.replace('_', ' '):<27} {len(found[kind])}")
            for name, reason in found[kind].items():
                print(f"    {name}: {reason}")
    _show_blind(found)
    for clock, times in found["time"].items():
        print(
            f"  {clock:<10} plain {times['plain']} s, noise {times['noise']}, "
            f"recording × {times['recording']}, as a gate's old side × {times['golden_side']} "
            f"(target {RECORDING}), checking × {times['checking']} (target {CHECKING})"
        )
    if "gate" in found:
        _show_gate(found["gate"], f"{old} → {new}")


def _show_blind(found: dict[str, Any]) -> None:
    blind = found["blind"]
    print(f"  call no Keras               {blind['without_calls']}")
    print(f"  only not looked at          {blind['tests']} ({_counts(blind['kinds'])})")
    print(f"  compared, with such calls   {blind['beside']} ({_counts(blind['kinds_beside'])})")
    for warning, times in found["left_alone"].items():
        print(f"    {times} × {warning}")


def _show_gate(gate: dict[str, Any], bump: str) -> None:
    print(f"  gate {bump}: {gate['verdict']}; {_counts(gate['counts'])}")
    print(f"    identical {gate['identical']}, carried over in {gate['carried']}")
    for name, (status, layers, reason) in gate["claims"].items():
        print(f"    {status}: {name} {', '.join(layers)}: {reason}")


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in counts.items()) or "none"
