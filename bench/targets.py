"""The promises of docs/SPECIFICATION.md that the bench can judge, and whether a measurement keeps them.

Medians are judged: against fork() of the same process, stock CRIU, zstd and the disk, all of the same run.
"""
import dataclasses
import statistics

FORK_FACTOR, FORK_PLUS_MS = 1.2, 15
FURTHER_PROCESS_MS = 5
HUGE_MS, HUGE_MS_PER_GIB = 20, 2
SHORTER_THAN_STOCK, SHORTER_AT_MEBIBYTES = 50, 2048
DRAIN_SHARE = 0.80
PROGRESS_SHARE = 0.60
RESTART_FASTER, RESTART_FROM_MEBIBYTES = 2, 1024
STEADY_COST = 0.02


@dataclasses.dataclass(frozen=True)
class Verdict:
    case: str
    promise: str
    target: str
    measured: str
    met: bool


def median(runs, key):
    return statistics.median(run[key] for run in runs)


def least(runs, key):
    return min(run[key] for run in runs)


def freeze_target_ms(case):
    """What the freeze of this case may take."""
    further = (case["processes"] - 1) * FURTHER_PROCESS_MS
    if case["pages"] == "huge":
        return HUGE_MS + HUGE_MS_PER_GIB * case["mebibytes"] / 1024 + further
    return FORK_FACTOR * statistics.median(case["fork_ms"]) + FORK_PLUS_MS + further


def drain_limit(case):
    """(bytes of memory per second, "zstd" or "disk"): the slower of the two; the disk sees only what is stored."""
    run = case["holdfast"][-1]
    disk = case["disk_bytes_per_s"] * run["bytes_captured"] / run["bytes_stored"]
    return min((case["zstd_bytes_per_s"], "zstd"), (disk, "disk"))


def drain_rate(case):
    """Bytes of memory per second from the release until the snapshot is durable."""
    return statistics.median(run["bytes_captured"] / run["drain_commit_ms"] * 1000 for run in case["holdfast"])


def shorter_than_stock(case):
    return median(case["stock"], "freeze_ms") / median(case["holdfast"], "freeze_ms")


def faster_than_stock(case):
    return median(case["stock_restart"], "wall_ms") / median(case["holdfast_restart"], "wall_ms")


def judge_freeze(case):
    freeze = median(case["holdfast"], "freeze_ms")
    target = freeze_target_ms(case)
    name = "20 ms + 2 ms/GiB" if case["pages"] == "huge" else "1.2 x fork() + 15 ms"
    if case["processes"] > 1:
        name += " + 5 ms for each further process"
    yield Verdict(case["label"], f"freeze <= {name}", f"<= {target:.1f} ms", f"{freeze:.1f} ms", freeze <= target)
    single = case["pages"] == "4k" and case["threads"] == case["processes"] == 1
    if single and case["mebibytes"] == SHORTER_AT_MEBIBYTES:
        ratio = shorter_than_stock(case)
        yield Verdict(
            case["label"],
            "freeze 50 x shorter than stock CRIU's",
            f">= {SHORTER_THAN_STOCK} x",
            f"{ratio:.0f} x",
            ratio >= SHORTER_THAN_STOCK,
        )


def judge_case(case):
    yield from judge_freeze(case)
    limit, which = drain_limit(case)
    share = drain_rate(case) / limit
    yield Verdict(
        case["label"],
        f"drain >= 80% of the slower of zstd -1 and the disk (here: {which})",
        ">= 80%",
        f"{share:.0%}",
        share >= DRAIN_SHARE,
    )
    progress = median(case["holdfast_writing"], "progress")
    yield Verdict(
        case["label"],
        "a job that rewrites all its memory keeps 60% of its progress while draining",
        ">= 60%",
        f"{progress:.0%}",
        progress >= PROGRESS_SHARE,
    )
    if case["mebibytes"] >= RESTART_FROM_MEBIBYTES:
        ratio = faster_than_stock(case)
        yield Verdict(
            case["label"], "restart 2 x as fast as stock CRIU's", ">= 2 x", f"{ratio:.1f} x", ratio >= RESTART_FASTER
        )


def judge_further_processes(cases):
    """A tree against one process of the same size."""
    for many in cases:
        for one in cases:
            alike = all(one[key] == many[key] for key in ("mebibytes", "pages", "threads"))
            if not (alike and many["processes"] > one["processes"] == 1):
                continue
            more = median(many["holdfast"], "freeze_ms") - median(one["holdfast"], "freeze_ms")
            each = more / (many["processes"] - 1)
            yield Verdict(
                many["label"],
                "each further process costs <= 5 ms of freeze",
                f"<= {FURTHER_PROCESS_MS} ms",
                f"{each:.1f} ms",
                each <= FURTHER_PROCESS_MS,
            )


def judge_training(training):
    cost = training["slowdown"]["slowdown_every_60_s"]
    yield Verdict(
        "PyTorch training",
        "a checkpoint every 60 s costs < 2% of the job's speed (scaled from one every"
        f" {training['slowdown']['every_s']} s)",
        "< 2%",
        f"{cost:.1%}",
        cost < STEADY_COST,
    )


def judge(results):
    cases = results["cases"]
    verdicts = [verdict for case in cases for verdict in judge_case(case)]
    verdicts += judge_further_processes(cases)
    if results.get("training"):
        verdicts += judge_training(results["training"])
    return verdicts
