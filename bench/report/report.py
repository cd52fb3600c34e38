#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What a run of the benchmarks found, as Markdown that can be read on a terminal as well.

    bench/report/report.py RESULT.json
"""
import json
import sys


def table(headers, rows):
    """The first column is text, the others are numbers."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [headers] + rows) for i in range(len(headers))]

    def line(row):
        cells = [row[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(row[1:], widths[1:])]
        return "| " + " | ".join(cells) + " |"

    rule = ["-" * widths[0]] + ["-" * (w - 1) + ":" for w in widths[1:]]
    return "\n".join([line(headers), line(rule)] + [line(row) for row in rows]) + "\n"


def number(value, digits=0):
    return f"{value:,.{digits}f}"


def spread(low, high, digits=0):
    return f"{number(low, digits)} to {number(high, digits)}"


class Results:
    """The rows of a run, found by what they are about."""

    def __init__(self, rows, cpus=None):
        self.rows = rows
        self.cpus = cpus  # of the machine

    def all(self, suite, **what):
        return [row for row in self.rows if row["suite"] == suite and
                all(row.get(key) == value for key, value in what.items())]

    def one(self, suite, **what):
        found = self.all(suite, **what)
        return found[0] if found else None


# --- A verdict ------------------------------------------------------------------------------------

VERDICT_CASE = ("shape", "prefixes", "databases", "hits", "sources", "caches")


def verdicts(results):
    """By case, the programs by name."""
    cases = {}
    for row in results.all("verdict"):
        cases.setdefault(tuple(row[key] for key in VERDICT_CASE), {})[row["program"]] = row
    return cases


def verdict_section(results):
    rows = []
    for case, programs in verdicts(results).items():
        shape, prefixes, databases, hits, sources, caches = case
        moat, flat, trie = (programs.get(name) for name in ("moat", "flat", "lpm"))
        rows.append([f"{shape}, {sources}, {caches}", number(prefixes), databases, f"{hits} %",
                     number(moat["over"], 1), spread(moat["low"], moat["high"], 1),
                     number(flat["over"], 1) if flat else "",
                     number(trie["over"], 1) if trie else "",
                     times_faster(moat, trie) if trie else "",
                     number(-programs["empty"]["over"], 1)])
    if not rows:
        return ""
    text = """## A verdict

The XDP program under BPF_PROG_TEST_RUN, another source on every run: ns over an empty program that
only writes the source into the frame ("writing": what that takes over one that does nothing), median
and quartiles of the differences within a round. Beside it the same program with its policy in a plain
array, which could not be swapped at once, and with the kernel's LPM trie as its table. "Listed" are
the sources that the first database allows; of several, each frame is for any, and a further one
allows about half of them.

""" + table(["prefixes, sources, caches", "count", "databases", "listed", "Moat", "quartiles",
             "plain array", "LPM trie", "ratio", "writing"], rows)
    rows = [[row["reason"], row["action"], number(row["over"], 1),
             spread(row["low"], row["high"], 1)] for row in results.all("reason", program="moat")]
    if rows:
        text += "\nOne frame over and over, 30 rules; ns over an empty program:\n\n"
        text += table(["reason", "action", "ns", "quartiles"], rows)
    return text


def times_faster(moat, trie):
    return f"{trie['over'] / max(moat['over'], 0.1):.1f}x"


# --- Seeing drops ---------------------------------------------------------------------------------

def drops_section(results):
    rows = results.all("drops")
    if not rows:
        return ""
    text = f"""## Seeing drops

The XDP program under a flood of sources that are not listed, {number(rows[0]["sources"])} runs, beside
the same program with the telling of drops left out: ns a run, the benchmark's own part included, and
the median and quartiles of the difference within a round.

"""
    return text + table(
        ["flood", "silent", "telling", "difference", "quartiles", "events"],
        [[row["flood"], number(row["silent"], 1), number(row["telling"], 1),
          number(row["difference"], 1), spread(row["low"], row["high"], 1), number(row["events"])]
         for row in rows])


# --- Packets a second -----------------------------------------------------------------------------

BARE = {"drop": "xdp-drop", "pass": "xdp-pass"}


def wire_section(results):
    if not results.all("wire"):
        return ""
    text = """## Packets a second on a veth

TCP SYNs from random sources, sent and received by one CPU, in millions received for a second of that
CPU's time, of which sending takes a part that is the same for all (median; quartiles); ns a packet
over a program that only drops or passes. By the clock it is fewer: each call of the sender ends with
a wait for RCU, which is nobody's work. Every contender has the same list, and drops what is not
listed, or hands what is listed to a sink that is the same for all.

"""
    for case in ("drop", "pass"):
        for size in sorted({row["prefixes"] for row in results.all("wire", case=case)}):
            found = results.all("wire", case=case, prefixes=size)
            bare = results.one("wire", case=case, prefixes=size, contender=BARE[case])
            moat = results.one("wire", case=case, prefixes=size, contender="moat")
            text += f"{number(size)} prefixes, {'dropped' if case == 'drop' else 'passed'}:\n\n"
            text += table(
                ["contender", "Mpps", "quartiles", "by the clock", "ns over bare", "Moat is", "lost",
                 "CPUs, %"],
                [[row["contender"], number(row["mpps"], 2), spread(row["low"], row["high"], 2),
                  number(row["by_clock"], 2),
                  number(row["ns"] - bare["ns"]) if bare else "",
                  f"{moat['mpps'] / row['mpps']:.2f}x" if moat else "",
                  f"{row['lost']} of {number(row['sent'])}",
                  " ".join(map(str, row["cpu"]))]
                 for row in sorted(found, key=lambda row: -row["mpps"])]) + "\n"
    return text + """Lost: sent and not received, for the queue of the veth was full; "CPUs": how busy each was, others'
work included. xdp-filter knows no prefixes: it has their first addresses.
"""


# --- Transactions under a flood -------------------------------------------------------------------

def flood_section(results):
    rows = results.all("flood")
    if not rows:
        return ""
    text = """## Transactions under a flood

pgbench from a listed client (4 sessions, select only) against PostgreSQL on the same machine, while
SYNs from unlisted sources come in: transactions a second, and the latency that 99 of 100 keep within.
The flood takes its CPUs before all others do. Where it was more than could be received, the rate
that came is in brackets. Without a flood all should be much the same: how far apart they are there is
what else went on on the machine, and how far to trust the other rows.

"""
    names = list(dict.fromkeys(row["contender"] for row in rows))
    for cpus in sorted({row["cpus"] for row in rows} - {0}):
        text += f"The flood is received by {cpus} of {results.cpus} CPUs:\n\n"
        lines = []
        for rate in sorted({row["rate"] for row in rows}):
            line = [number(rate / 1000)]
            for name in names:
                row = results.one("flood", contender=name, rate=rate, cpus=cpus if rate else 0)
                short = row and rate and row["flooded"] < 0.9 * rate
                line += [number(row["tps"]) + (f" ({number(row['flooded'] / 1000)})" if short else ""),
                         number(row["p99_us"] / 1000, 1)] if row else ["", ""]
            lines.append(line)
        headers = ["thousand SYNs a second"]
        for name in names:
            headers += [f"{name}, tps", "p99 ms"]
        text += table(headers, lines) + "\n"
    return text


# --- The backstop ---------------------------------------------------------------------------------

def backstop_section(results):
    text = ""
    packets = {row["what"]: row["ns"] for row in results.all("backstop-packet")}
    if packets:
        text += "## The backstop\n\nns a packet in the kernel: "
        text += ", ".join(f"{what} {number(ns)}" for what, ns in packets.items()) + ".\n"
    rows = results.all("backstop")
    if rows:
        text += """
pgbench (one session, select only) with the backstop on and off, in turns; CPU time is that of pgbench
and its backend for a transaction. Of the ratios in a round, the median and the quartiles:

"""
        text += table(["over", "tps on", "off", "ratio", "CPU us on", "off", "ratio"],
                      [[row["place"], number(row["tps_on"]), number(row["tps_off"]),
                        in_quartiles(row["tps_ratio"]), number(row["cpu_us_on"], 2),
                        number(row["cpu_us_off"], 2), in_quartiles(row["cpu_us_ratio"])]
                       for row in rows])
    return text


def in_quartiles(found):
    low, median, high = found
    return f"{number(median, 3)} ({spread(low, high, 3)})"


# --- A change of the rules ------------------------------------------------------------------------

def reload_section(results):
    text = ""
    rows = results.all("reload")
    if rows:
        text += """## A change of the rules

From a rule file being written to a later generation being enforced, as moatd's status tells it, asked every millisecond:

"""
        text += table(["prefixes", "changed", "settle", "changes", "p50 ms", "p99 ms", "longest ms"],
                      [[number(row["prefixes"]), row["what"], row["settle"], row["count"],
                        number(row["p50_ms"]), number(row["p99_ms"]), number(row["max_ms"])]
                       for row in rows])
    rows = results.all("traffic")
    if rows:
        text += "\nWhat a listed client notices, one request after the other over TCP:\n\n"
        text += table(["prefixes", "changes", "requests", "p50 us", "p99 us", "longest us",
                       "over 1 ms", "segments lost"],
                      [[number(row["prefixes"]), row["changes"], number(row["count"]),
                        row["p50_us"], row["p99_us"], number(row["longest_us"]), row["late"],
                        row["resent"]] for row in rows])
    rows = results.all("stall")
    if rows:
        text += """
What a task before all others on its CPU notices, which reads the clock and nothing else:

"""
        text += table(["prefixes", "changes", "seconds", "longest stall us", "over 100 us"],
                      [[number(row["prefixes"]), row["changes"], number(row["seconds"]),
                        number(row["longest_us"]), row["late"]] for row in rows])
    return text


def daemon_section(results):
    rows = []
    for memory in results.all("memory"):
        size = memory["prefixes"]
        starts = [results.one("start", prefixes=size, how=how) for how in ("cold", "adopting")]
        idle = results.one("idle", prefixes=size)
        rows.append([number(size)] +
                    [number(memory[key] / 1e6, 1) for key in ("moatd", "moatd_peak", "maps")] +
                    [number(start["p50_ms"]) if start else "" for start in starts] +
                    [f"{idle['percent']:.3f} in {idle['seconds']} s" if idle else ""])
    if not rows:
        return ""
    return "## The daemon\n\n" + table(
        ["prefixes", "moatd MB", "at its peak", "kernel maps MB", "cold start ms",
         "adopting ms", "idle, % of a CPU"], rows)


def process_section(results):
    text = ""
    rows = [[row["shape"], number(row["prefixes"]), row["databases"], number(row["ms"], 2),
             number(row["bytes"] / 1024)] for row in results.all("compile")]
    if rows:
        text += "## From policy to table\n\n"
        text += table(["shape", "prefixes", "databases", "ms", "KiB"], rows) + "\n"
    rows = [[row["case"], number(row["ns"], 2),
             number(row["bytes"] / 1024) if row["bytes"] else ""] for row in results.all("lookup")]
    if rows:
        text += "## Lookups in a process\n\n" + table(["case", "ns", "KiB"], rows) + "\n"
    rows = [[number(row["prefixes"]), number(row["bytes"] / 1024), number(row["p50_ms"], 1),
             number(row["p99_ms"], 1), number(row["max_ms"], 1)] for row in results.all("publish")]
    if rows:
        text += "## From table to enforced\n\n"
        text += table(["prefixes", "KiB", "p50 ms", "p99 ms", "longest ms"], rows)
    return text


DESIGN_CASES = {
    "misses": {"hits": 0, "sources": "random"},
    "half hits": {"hits": 50, "sources": "random"},
    "sequential": {"hits": 50, "sources": "sequential"},
    "single": {"hits": 50, "sources": "single"},
    "cold": {"hits": 50, "sources": "random", "caches": "cold"},
    "dependent misses": {"hits": 0, "sources": "random", "lookups": "dependent"},
    "dependent half hits": {"hits": 50, "sources": "random", "lookups": "dependent"},
}


def designs_section(results):
    rows = results.all("designs")
    if not rows:
        return ""
    text = """## Designs of the source table

The product's table, others on the same ranges and the kernel's LPM trie: ns a lookup over the same
loop without one, in the kernel and, in the last two columns, in a process; dependent means that each
key waits for the last result, and sequential, single and cold sources are half hits.

"""

    def cell(case, key):
        row = results.one("designs", **{"lookups": "independent", "caches": "warm"} | case)
        return number(row[key], 1) if row and row[key] is not None else ""

    for shape, prefixes in dict.fromkeys((row["shape"], row["prefixes"]) for row in rows):
        lines = []
        names = dict.fromkeys(row["program"] for row in
                              results.all("designs", shape=shape, prefixes=prefixes))
        for name in names:
            what = {"shape": shape, "prefixes": prefixes, "program": name}
            size = results.one("designs", **what)["bytes"]
            lines.append([name, number(size / 1024) if size else ""] +
                         [cell(what | case, "over") for case in DESIGN_CASES.values()] +
                         [cell(what | DESIGN_CASES[case], "native")
                          for case in ("misses", "half hits")])
        text += f"{number(prefixes)} prefixes, {shape}:\n\n"
        text += table(["design", "KiB", *DESIGN_CASES, "native misses", "native half hits"],
                      lines) + "\n"
    return text


# --- The DPDK fast path ---------------------------------------------------------------------------

def dpdk_lookups(results):
    """By size and hits: the rows by contender, the best of Moat's own, the best of DPDK's."""
    cases = {}
    for row in results.all("dpdk-lookup"):
        cases.setdefault((row["prefixes"], row["hits"]), {})[row["contender"]] = row
    for (size, hits), rows in cases.items():
        own = [row for name, row in rows.items() if name.startswith("moat")]
        rivals = [row for name, row in rows.items() if not name.startswith("moat")]
        if own and rivals:
            yield (size, hits, rows, min(own, key=lambda row: row["ns"]),
                   min(rivals, key=lambda row: row["ns"]))


def dpdk_path(results, size):
    """The worker's row and that of bare forwarding."""
    return (results.one("dpdk-path", prefixes=size, contender="forwarder"),
            results.one("dpdk-path", prefixes=size, contender="io"))


def dpdk_process(results, about):
    """What dpdk_bench found in one thread."""
    def ns(rows, start):
        return " / ".join(number(row["ns"], 1) for name, row in rows.items()
                          if name.startswith(start))

    pages = "with hugepages" if about["hugepages"] else "WITHOUT hugepages"
    text = f"""In one thread, {pages}; TSC {about["tsc_ghz"]:.2f} GHz. Look-ups in bursts of 64, ns each; rte_fib is the
smallest of 1, 2 and 4 bytes that holds the prefixes, scalar and with AVX512:

"""
    text += table(["prefixes", "listed", "table", "lines", "rte_fib", "rte_lpm", "ratio"],
                  [[number(size), f"{hits} %", ns(rows, "moat, one"), ns(rows, "moat, lines"),
                    ns(rows, "rte_fib"), ns(rows, "rte_lpm"), f"{rival['ns'] / own['ns']:.1f}x"]
                   for size, hits, rows, own, rival in dpdk_lookups(results)])
    text += "\nParse, verdict and counter, ns a packet:\n\n"
    rows = []
    for row in results.all("dpdk-verdict", contender="one by one"):
        burst = results.one("dpdk-verdict", contender="burst", prefixes=row["prefixes"],
                            hits=row["hits"])
        rows.append([number(row["prefixes"]), f"{row['hits']} %", number(row["ns"], 1),
                     number(burst["ns"], 1)])
    text += table(["prefixes", "listed", "one by one", "in bursts"], rows)
    text += ("\nThe whole path from a pcap feed to a sink, half of it listed; io is the same ports "
             "without a verdict:\n\n")
    paths = [dpdk_path(results, one["prefixes"])
             for one in results.all("dpdk-path", contender="io")]
    text += table(["prefixes", "Mpps", "cycles", "io, Mpps", "io, cycles", "share"],
                  [[number(row["prefixes"]), number(row["mpps"], 1), number(row["cycles"]),
                    number(io["mpps"], 1), number(io["cycles"]),
                    f"{row['mpps'] / io['mpps']:.0%}"] for row, io in paths])
    testpmd = results.one("dpdk-testpmd")
    if testpmd:
        text += f"\ndpdk-testpmd, io mode, on the same ports: {testpmd['mpps']:.1f} Mpps.\n"
    return text


def dpdk_section(results):
    about, rows = results.one("dpdk"), results.all("dpdk-latency")
    if not about and not rows:
        return ""
    text = "## The DPDK fast path\n\n"
    if about:
        text += dpdk_process(results, about) + "\n"
    if rows:
        text += "One request after the other over TCP, microseconds:\n\n"
        text += table(["path", "p50", "p99", "rounds"],
                      [[row["path"], number(row["p50_us"]), number(row["p99_us"]), row["rounds"]]
                       for row in rows])
    return text


# --- What is aimed at -----------------------------------------------------------------------------

def add_dpdk_targets(results, add):
    for size, hits, _, own, rival in dpdk_lookups(results):
        least = 1.5 if size > 100_000 else 2
        add(f"DPDK: look-ups, {size:,} prefixes, {hits} % listed", f"{least}x",
            f"{rival['ns'] / own['ns']:.1f}x",
            f"{own['ns']:.1f} ns; {rival['contender']} {rival['ns']:.1f}",
            rival["ns"] >= least * own["ns"])
    for size, hits, most in ((30, 0, 12), (1_000_000, 0, 30), (1_000_000, 50, 30)):
        row = results.one("dpdk-verdict", prefixes=size, hits=hits, contender="burst")
        if row:
            add(f"DPDK: verdict, {size:,} prefixes, {hits} % listed", f"{most} ns",
                f"{row['ns']:.1f} ns", "", row["ns"] <= most)
    row, io = dpdk_path(results, 30)
    if row and io:
        add("DPDK: whole path against bare forwarding, 30 prefixes", "60 %",
            f"{row['mpps'] / io['mpps']:.0%}", f"{row['mpps']:.1f}, {io['mpps']:.1f} Mpps",
            row["mpps"] >= 0.6 * io["mpps"])


def targets(results):
    """Each aim with the figure, its spread or rival, and whether it is met."""
    rows = []

    def add(what, aim, figure=None, beside="", is_met=False):
        rows.append([what, aim, figure or "not measured", beside,
                     "" if figure is None else "yes" if is_met else "NO"])

    for shape, size, most, least in (("mixed", 30, (12, 20), 4), ("mixed", 100_000, (30, 30), 20),
                                     ("mixed", 1_000_000, (50, 50), None),
                                     ("scattered", 1_000_000, (50, 50), None)):
        for hits, ns in zip((0, 50), most):
            what = f"{size:,} {shape} prefixes, {hits} % listed"
            found = verdicts(results).get((shape, size, 1, hits, "random", "warm"), {})
            moat, trie = found.get("moat"), found.get("lpm")
            add(f"verdict, {what}", f"{ns} ns",
                *([f"{moat['over']:.1f} ns", spread(moat["low"], moat["high"], 1),
                   moat["over"] <= ns] if moat else []))
            if least:
                add(f"against the LPM trie, {what}", f"{least}x",
                    *([times_faster(moat, trie), f"trie {trie['over']:.1f} ns",
                       trie["over"] >= least * moat["over"]] if moat and trie else []))
    moat = results.one("wire", contender="moat", case="drop", prefixes=30)
    for rival, least in (("xdp-drop", 0.85), ("nft-ingress", 4.5)):
        row = results.one("wire", contender=rival, case="drop", prefixes=30)
        add(f"drop rate against {rival}, sending included", f"{least}x",
            *([f"{moat['mpps'] / row['mpps']:.2f}x",
               f"{moat['mpps']:.2f}, {row['mpps']:.2f} Mpps",
               moat["mpps"] >= least * row["mpps"]] if moat and row else []))
    for size, settle, most in ((30, "50ms", 100), (1_000_000, "1ms", 1000)):
        row = results.one("reload", prefixes=size, what="a rule", settle=settle)
        add(f"enforced, {size:,} prefixes, settle {settle}, p99", f"{most} ms",
            *([f"{row['p99_ms']:.0f} ms", f"p50 {row['p50_ms']:.0f} ms, {row['count']} changes",
               row["p99_ms"] < most] if row else []))
    for shape in ("mixed", "scattered"):
        row = results.one("compile", shape=shape, prefixes=1_000_000)
        add(f"compile 1,000,000 {shape} prefixes", "500 ms, 64 MiB",
            *([f"{row['ms']:.0f} ms", f"{row['bytes'] / 2**20:.1f} MiB",
               row["ms"] < 500 and row["bytes"] <= 64 * 2**20] if row else []))
    add_dpdk_targets(results, add)
    return """## What is aimed at

Packets misjudged over changes and kills are told by the end-to-end tests, see bench/README.md.

""" + table(["what", "aim", "figure", "beside it", "met"], rows)


def machine_section(machine):
    text = (f"{machine['cpu']}, {machine['cpus']} CPUs, {machine['virtual']}, "
            f"Linux {machine['kernel']}, commit {machine['commit']}, {machine['date']}, "
            f"load {machine['load']:.1f} at the end.\n\n"
            f"{machine['compiler']}; {machine['bpf_compiler']}; libbpf {machine['libbpf']}")
    for name, version in machine.get("versions", {}).items():
        text += f"; {name} {version}"
    text += ".\n"
    if machine["mitigations"]:
        text += "\n" + "".join(f"- {name}: {what}\n" for name, what in machine["mitigations"].items())
    return text


def report(run):
    results = Results(run["results"], run["machine"]["cpus"])
    sections = [machine_section(run["machine"]), targets(results), verdict_section(results),
                drops_section(results), wire_section(results), flood_section(results), backstop_section(results),
                reload_section(results), daemon_section(results), process_section(results),
                dpdk_section(results), designs_section(results)]
    return "\n".join(section for section in sections if section)


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        print(report(json.load(file)), end="")
