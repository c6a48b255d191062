"""What was measured, as tables for a terminal and for a document, and as a chart."""
import statistics

import chart
import machine
import targets
from cases import size_text
from targets import median

MIB = machine.MIB
BUSY_SHARE = 0.15  # of the processors, by others: above it timings mean little
COLOURS = {"Holdfast": "#1a7f37", "stock CRIU": "#cf222e", "fork()": "#0969da"}


def milliseconds(value):
    if value < 10:
        return f"{value:.1f} ms"
    return f"{value:.0f} ms" if value < 10_000 else f"{value / 1000:.1f} s"


def with_least(runs, key):
    """The median, and the least where there is more than one."""
    shown = milliseconds(median(runs, key))
    return shown if len(runs) == 1 else f"{shown} (min {milliseconds(targets.least(runs, key))})"


def rate(value):
    return f"{value / 1e6:.0f} MB/s"


def size(value):
    return f"{value / MIB:.0f} MiB"


def word(met):
    return "met" if met else "MISSED"


def freeze_table(cases):
    head = ("freeze", "Holdfast", "felt by the job", "fork()", "target", "", "stock CRIU", "shorter")
    rows = []
    for case in cases:
        target = targets.freeze_target_ms(case)
        rows.append(
            (
                case["label"],
                with_least(case["holdfast"], "freeze_ms"),
                milliseconds(median(case["holdfast"], "felt_ms")),
                milliseconds(statistics.median(case["fork_ms"])),
                f"<= {milliseconds(target)}",
                word(median(case["holdfast"], "freeze_ms") <= target),
                milliseconds(median(case["stock"], "freeze_ms")),
                f"{targets.shorter_than_stock(case):.1f} x",
            )
        )
    return head, rows


def drain_table(cases):
    head = ("drain", "until durable", "memory/s", "zstd -1", "disk", "of the slower", "", "stored", "stock CRIU", "smaller")
    rows = []
    for case in cases:
        limit, which = targets.drain_limit(case)
        share = targets.drain_rate(case) / limit
        stored, images = median(case["holdfast"], "bytes_stored"), median(case["stock"], "bytes_stored")
        rows.append(
            (
                case["label"],
                with_least(case["holdfast"], "drain_commit_ms"),
                rate(targets.drain_rate(case)),
                rate(case["zstd_bytes_per_s"]),
                rate(case["disk_bytes_per_s"]),
                f"{share:.0%} ({which})",
                word(share >= targets.DRAIN_SHARE),
                size(stored),
                size(images),
                f"{images / stored:.1f} x",
            )
        )
    return head, rows


def progress_table(cases):
    head = (
        "rewriting all its memory",
        "alone",
        "while draining",
        "",
        "afterwards",
        "drain",
        "freeze",
        "worst stall",
        "worst alone",
        "stock CRIU's freeze",
    )
    rows = []
    for case in cases:
        runs = case["holdfast_writing"]
        progress = median(runs, "progress")
        rows.append(
            (
                case["label"],
                rate(median(runs, "pages_per_s") * 4096),
                f"{progress:.0%}",
                word(progress >= targets.PROGRESS_SHARE),
                f"{median(runs, 'progress_after'):.0%}",
                milliseconds(median(runs, "drain_commit_ms")),
                milliseconds(median(runs, "freeze_ms")),
                milliseconds(median(runs, "worst_stall_ms")),
                milliseconds(median(runs, "worst_stall_before_ms")),
                milliseconds(median(case["stock_writing"], "freeze_ms")),
            )
        )
    return head, rows


def restart_table(cases):
    head = ("restart", "Holdfast", "as reported", "stock CRIU", "faster", "", "memory")
    rows = []
    for case in cases:
        ratio = targets.faster_than_stock(case)
        judged = case["mebibytes"] >= targets.RESTART_FROM_MEBIBYTES
        rows.append(
            (
                case["label"],
                with_least(case["holdfast_restart"], "wall_ms"),
                milliseconds(median(case["holdfast_restart"], "restart_ms")),
                with_least(case["stock_restart"], "wall_ms"),
                f"{ratio:.1f} x",
                word(ratio >= targets.RESTART_FASTER) if judged else "no target",
                "verified" if case["verified"] else "DIFFERS",
            )
        )
    return head, rows


def training_table(training):
    head = (f"PyTorch training, {size(training['resident_bytes'])} resident", "Holdfast", "stock CRIU", "ratio")
    holdfast, stock, slow = training["holdfast"], training["stock"], training["slowdown"]

    def row(name, mine, theirs, show, say):
        return name, show(mine), show(theirs), f"{theirs / mine:.1f} x {say}"

    return head, [
        row("freeze", median(holdfast, "freeze_ms"), median(stock, "freeze_ms"), milliseconds, "shorter"),
        ("drain, until durable", milliseconds(median(holdfast, "drain_commit_ms")), "within the freeze", ""),
        row("stored", median(holdfast, "bytes_stored"), median(stock, "bytes_stored"), size, "smaller"),
        row(
            "restart, the whole command",
            median(training["holdfast_restart"], "wall_ms"),
            median(training["stock_restart"], "wall_ms"),
            milliseconds,
            "faster",
        ),
        ("steps/s without checkpoints", f"{slow['steps_per_s_without']:.2f}", "", ""),
        (f"steps/s, one every {slow['every_s']} s", f"{slow['steps_per_s_with']:.2f}", "", f"{slow['slowdown']:.1%} slower"),
        ("time lost for each", milliseconds(slow["lost_ms_per_checkpoint"]), "", f"{slow['slowdown_every_60_s']:.1%} every 60 s"),
    ]


def verdict_table(verdicts):
    rows = [(verdict.case, verdict.promise, verdict.target, verdict.measured, word(verdict.met)) for verdict in verdicts]
    return ("case", "promise", "target", "measured", ""), rows


def tables(results):
    """(title, head, rows) of each."""
    cases, found = results["cases"], []
    if cases:
        found = [freeze_table(cases), drain_table(cases), progress_table(cases), restart_table(cases)]
    if results.get("training"):
        found.append(training_table(results["training"]))
    return [*found, verdict_table(targets.judge(results))]


def notes(results):
    repeat = results["repeat"]
    lines = [
        f"Measured on: {machine.sentence(results['machine'])}.",
        f"Medians of {repeat}; fork() is the median of 5 in the same process. Content of the memory: {results['content']}"
        + (" (half of each page random, half one word over and over)." if results["content"] == "half" else " bytes."),
        "Restarts " + ("with the page cache dropped before." if results["cold"] else "with a warm page cache, both programs."),
    ]
    lines += [f"Not measured: {name}: {why}." for name, why in results["skipped"]]
    measured = [*results["cases"], *([results["training"]] if results.get("training") else [])]
    noisy = [f"{one['label']} ({one['busy_before']:.0%})" for one in measured if one["busy_before"] > BUSY_SHARE]
    if noisy:
        lines.append(f"Others kept the processors busy just before these, so do not trust them: {'; '.join(noisy)}.")
    return lines


def summary(verdicts):
    missed = sum(not verdict.met for verdict in verdicts)
    return f"{len(verdicts) - missed} of {len(verdicts)} targets met, {missed} missed"


def for_terminal(results):
    out = []
    for head, rows in tables(results):
        table = [head, *rows]
        widths = [max(len(row[column]) for row in table) for column in range(len(head))]
        for row in table:
            out.append("  ".join([row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]))
        out.append("")
    return "\n".join([*out, *notes(results), summary(targets.judge(results))])


def for_document(results):
    out = ["# bench/checkpoint", ""]
    for head, rows in tables(results):
        out.append("| " + " | ".join(head) + " |")
        out.append("|---" + "|---:" * (len(head) - 1) + "|")
        out += ["| " + " | ".join(row) + " |" for row in rows]
        out.append("")
    return "\n".join([*out, *(f"- {line}" for line in notes(results)), f"- {summary(targets.judge(results))}", ""])


def freeze_chart(results):
    """The freeze over the size, one thread and one process."""
    cases = [case for case in results["cases"] if case["threads"] == case["processes"] == 1]
    lines = []
    for pages, dashed in (("4k", False), ("huge", True)):
        sorted_ = sorted((case for case in cases if case["pages"] == pages), key=lambda case: case["mebibytes"])
        figures = {
            "stock CRIU": lambda case: median(case["stock"], "freeze_ms"),
            "Holdfast": lambda case: median(case["holdfast"], "freeze_ms"),
            "fork()": lambda case: statistics.median(case["fork_ms"]),
        }
        for name, figure in figures.items():
            points = tuple((case["mebibytes"], figure(case)) for case in sorted_)
            if points:
                kind = "4 KiB pages" if pages == "4k" else "huge pages"
                lines.append(chart.Line(f"{name}, {kind}", COLOURS[name], dashed, points))
    if not lines:
        return None
    sizes = sorted({case["mebibytes"] for case in cases})
    return chart.draw(
        "How long a job stands still for a checkpoint",
        f"medians of {results['repeat']}; shorter is better; both axes logarithmic",
        [(mebibytes, size_text(mebibytes)) for mebibytes in sizes],
        "memory of the job",
        "time frozen",
        lines,
        machine.sentence(results["machine"]),
    )
