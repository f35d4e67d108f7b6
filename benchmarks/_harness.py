"""What every benchmark shares: contenders timed in turn (ABAB), medians, and a result that says where it is from."""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # a peer's idle threads do not spin into the next one's turn
os.environ.setdefault("KMP_BLOCKTIME", "0")
RESULTS = Path(__file__).parent / "results"
Json = dict[str, Any]


def rounds(contenders: Mapping[str, Callable[[], object]], n: int, at_least_s: float = 0.05) -> dict[str, Json]:
    """Each contender once a round, `n` rounds, so that a slow moment of the machine falls on all alike.

    In a round a quick one runs again until `at_least_s` have passed, and its mean counts. Seconds: the median of the
    rounds, the least, the quartiles; and the processor's own time, which busy neighbours do not lengthen.
    """
    wall: dict[str, list[float]] = {name: [] for name in contenders}
    cpu: dict[str, list[float]] = {name: [] for name in contenders}
    for contender in contenders.values():
        contender()  # what is done once only is no part of it
    for _ in range(n):
        for name, contender in contenders.items():
            start, busy, times = time.perf_counter(), _busy(), 0
            while not times or time.perf_counter() - start < at_least_s:
                contender()
                times += 1
            cpu[name].append((_busy() - busy) / times)
            wall[name].append((time.perf_counter() - start) / times)
    return {name: _summary(wall[name], cpu[name]) for name in contenders}


def _busy() -> float:
    """Processor seconds of this process and of those it has waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _summary(wall: list[float], cpu: list[float]) -> Json:
    low, _, high = statistics.quantiles(wall, n=4) if len(wall) > 1 else (wall[0],) * 3
    figures = {"median_s": statistics.median(wall), "least_s": min(wall), "quartiles_s": [low, high]}
    return {**figures, "cpu_median_s": statistics.median(cpu), "n": len(wall)}


def ratios(timed: Mapping[str, Json], ours: str, what: str = "median_s") -> dict[str, float]:
    """How many times as long each of the others takes."""
    return {name: of[what] / timed[ours][what] for name, of in timed.items() if name != ours}


def machine() -> Json:
    """Where the numbers are from; the load says whether the machine was ours alone."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_average": [round(n, 2) for n in os.getloadavg()],
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def versions(*packages: str) -> dict[str, str]:
    found = {}
    for package in ("striate", *packages):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


def record(name: str, question: str, result: Json, *packages: str) -> Path:
    """benchmarks/results/NAME.json, with machine, versions and date."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    about = {"question": question, "date": datetime.now(UTC).date().isoformat(), "machine": machine()}
    text = json.dumps({**about, "versions": versions(*packages), **result}, indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
    return path
