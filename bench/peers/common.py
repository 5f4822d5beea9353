"""What the peer scripts share: the starting point written by `tiebreak bench --out`, timing, one JSON line a result.

BENCH_CORES (1) says how many threads a peer may take; bench/compare sets it and pins them."""
import json
import os
import statistics
import sys
import time

CORES = int(os.environ.get("BENCH_CORES", "1"))
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, str(CORES))
if CORES == 1:
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
else:  # a device a core, for those who spread a batch over them
    os.environ.setdefault("XLA_FLAGS", f"--xla_force_host_platform_device_count={CORES}")

import numpy as np  # noqa: E402  (after the thread settings)


def load(path):
    return dict(np.load(path))


def layers(start):
    """[(weights in×out, bias)] of the arrays W1 [out×in], b1 [out×1], W2, b2, …"""
    count = sum(1 for name in start if name.startswith("W"))
    return [(np.ascontiguousarray(start[f"W{k}"].T), start[f"b{k}"].reshape(-1)) for k in range(1, count + 1)]


def unpack(flat, start):
    """A vector over all parameters in our order (W1, b1, W2, …) as [(weights in×out, bias)]."""
    parts, at = [], 0
    for w, b in layers(start):
        parts.append((np.ascontiguousarray(flat[at:at + w.size].reshape(w.T.shape).T), flat[at + w.size:at + w.size + b.size]))
        at += w.size + b.size
    return parts


def median_seconds(call, least=0.4, most=4000):
    """Median over calls; `call` does its work completely before it returns."""
    call()
    times, begin = [], time.perf_counter()
    while len(times) < 5 or (time.perf_counter() - begin < least and len(times) < most):
        t = time.perf_counter()
        call()
        times.append(time.perf_counter() - t)
    return statistics.median(times)


def report(peer, way, row, seconds, **more):
    print(json.dumps({"peer": peer, "way": way, "bench": row, "seconds": seconds, **more}), flush=True)


def main(rows):
    """usage: script ROW START.npz: one JSON line for each way in which the peer does the row."""
    name, path = sys.argv[1], sys.argv[2]
    if name in rows:
        rows[name](name, load(path))
