#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Puts the results of the benchmarks together: JSON, a report, plots, what moved.

    bench/report/summary.py FOLDER RESULT.json [REFERENCE.json]

FOLDER holds what the benchmarks wrote (verdict.json, wire.jsonl, ...). RESULT.json is written, and
beside it RESULT.md and RESULT-*.svg; the report is printed too. Where REFERENCE.json, an earlier
result, is there, the ratios that moved by more than 10 % are printed.
"""
import datetime
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys

import plots
import report

MOVED = 0.10
SCHEMA = 2  # of results; those of another are not compared with


def first_line(*command):
    try:
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "not there"
    return out.strip().splitlines()[0] if out.strip() else ""


def of_cpu(key):
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as lines:
        for line in lines:
            if line.startswith(key):
                return line.split(":", 1)[1].strip()
    return ""


def mitigations():
    folder = pathlib.Path("/sys/devices/system/cpu/vulnerabilities")
    found = {file.name: file.read_text().strip() for file in sorted(folder.glob("*"))}
    return {name: text for name, text in found.items() if "Not affected" not in text}


def machine():
    here = pathlib.Path(__file__).resolve().parent
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "cpu": of_cpu("model name"),
        "cpus": os.cpu_count(),
        "mhz": of_cpu("cpu MHz"),
        "cache": of_cpu("cache size"),
        "virtual": first_line("systemd-detect-virt"),
        "kernel": platform.release(),
        "mitigations": mitigations(),
        "load": os.getloadavg()[0],
        "compiler": first_line("g++", "--version"),
        "bpf_compiler": first_line("clang-19", "--version"),
        "libbpf": first_line("dpkg-query", "-W", "-f=${Version}", "libbpf1"),
        "versions": {name: first_line("dpkg-query", "-W", "-f=${Version}", name) for name in
                     ("nftables", "ipset", "xdp-tools", "postgresql-15")} |
                    {"iptables": first_line("iptables", "--version").removeprefix("iptables v")},
        "commit": first_line("git", "-C", str(here), "describe", "--always", "--dirty"),
    }


def read(folder, name):
    file = folder / f"{name}.json"
    return json.loads(file.read_text()) if file.exists() and file.stat().st_size else []


def read_lines(folder, name):
    file = folder / f"{name}.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def collect(folder):
    results = of_wire(read_lines(folder, "wire")) + of_flood(read_lines(folder, "flood"))
    results += of_fastpath(read_lines(folder, "fastpath")) + read_lines(folder, "testpmd")
    results += read_lines(folder, "reload") + of_backstop(read_lines(folder, "backstop"))
    for name in ("verdict", "publish", "drops", "designs", "dpdk"):
        results += read(folder, name)
    results += [{"suite": "lookup", "case": run["run_name"], "ns": run["time"],
                 "bytes": run.get("table_bytes")} for run in medians(read(folder, "lookup"))]
    results += [{"suite": "compile", "shape": run["label"], "prefixes": int(run["prefixes"]),
                 "databases": int(run["databases"]), "ms": run["time"],
                 "bytes": run["table_bytes"]} for run in medians(read(folder, "compile"))]
    return results


def medians(told):
    """Of what Google Benchmark tells of repetitions, in order: they ran in any."""
    def in_order(run):
        return [int(part) if part.isdigit() else part
                for part in re.split(r"(\d+)", run["run_name"])]

    for run in sorted(told["benchmarks"], key=in_order) if told else []:
        if run.get("aggregate_name") == "median":
            by_hand = "manual_time" in run["run_name"]
            yield {**run, "time": run["real_time" if by_hand else "cpu_time"]}


def quartiles(samples):
    """Low, median, high."""
    if len(samples) == 1:
        return samples * 3
    return statistics.quantiles(samples, n=4, method="inclusive")


def by_case(samples, *keys):
    cases = {}
    for sample in samples:
        cases.setdefault(tuple(sample[key] for key in keys), []).append(sample)
    return [({key: value for key, value in zip(keys, case)}, found)
            for case, found in cases.items()]


def of_wire(samples):
    rows = []
    for case, found in by_case(samples, "suite", "contender", "prefixes", "case"):
        low, median, high = quartiles([one["received"] / one["busy"] / 1e6 for one in found])
        rows.append({**case, "mpps": median, "low": low, "high": high, "ns": 1e3 / median,
                     "by_clock": statistics.median(one["received"] / one["seconds"] / 1e6
                                                   for one in found),
                     "sent": sum(one["sent"] for one in found),
                     "lost": sum(one["sent"] - one["received"] for one in found),
                     "cpu": [round(statistics.mean(cpu)) for cpu in
                             zip(*(one["cpu"] for one in found))],
                     "rounds": len(found)})
    return rows


def of_flood(samples):
    rows = []
    for case, found in by_case(samples, "suite", "contender", "rate", "cpus"):
        low, median, high = quartiles([one["tps"] for one in found])
        rows.append({**case, "tps": median, "low": low, "high": high, "rounds": len(found),
                     **{key: statistics.median(one[key] for one in found)
                        for key in ("p50_us", "p99_us", "flooded", "resent")}})
    return rows


def of_fastpath(samples):
    return [{**case, "rounds": len(found),
             **{key: statistics.median(one[key] for one in found) for key in ("p50_us", "p99_us")}}
            for case, found in by_case(samples, "suite", "path")]


def of_backstop(samples):
    rows = [{**case, "ns": statistics.median(one["ns"] for one in found)}
            for case, found in by_case([one for one in samples if "ns" in one], "suite", "what")]
    for case, found in by_case([one for one in samples if "tps" in one], "suite", "place"):
        rounds = [{one["on"]: one for one in both} for _, both in by_case(found, "round")]
        row = {**case, "rounds": len(rounds)}
        for key in ("tps", "cpu_us"):
            for name, on in (("on", True), ("off", False)):
                row[f"{key}_{name}"] = statistics.median(one[on][key] for one in rounds)
            row[f"{key}_ratio"] = quartiles([one[True][key] / one[False][key] for one in rounds])
        rows.append(row)
    return rows


def ratios(results):
    """What can be compared between machines: each figure in terms of a neighbour of its run."""
    found = {}
    rows = report.Results(results)
    for case, programs in report.verdicts(rows).items():
        if "cold" in case:
            continue  # one run a round tells too little
        name = "verdict " + " ".join(map(str, case))
        moat, trie = programs["moat"], programs.get("lpm")
        found[f"{name} / empty"] = moat["over"] / programs["empty"]["ns"]
        if trie:
            found[f"{name} / trie"] = moat["over"] / trie["over"]
    for row in rows.all("reason", program="moat"):
        found[f"reason {row['reason']} / empty"] = row["over"] / (row["ns"] - row["over"])
    for row in rows.all("wire", contender="moat"):
        for rival in rows.all("wire", case=row["case"], prefixes=row["prefixes"]):
            if rival is not row:
                found[f"Mpps {row['case']} {row['prefixes']} / {rival['contender']}"] = \
                    row["mpps"] / rival["mpps"]
    for size, hits, _, own, rival in report.dpdk_lookups(rows):
        found[f"DPDK's best look-up {size} {hits} / Moat's"] = rival["ns"] / own["ns"]
    for row in rows.all("compile"):
        found[f"KiB of {row['prefixes']} {row['shape']} {row['databases']}"] = row["bytes"] / 1024
    return found


def print_moved(results, reference, name_of_reference):
    before, now = ratios(reference), ratios(results)
    moved = [(name, before[name], now[name]) for name in now
             if name in before and abs(now[name] / before[name] - 1) > MOVED]
    print(f"\nAgainst {name_of_reference}: {len(moved)} of {len(set(now) & set(before))} ratios moved "
          f"by more than {MOVED:.0%}; {len(set(before) - set(now))} of its ratios are not in this run")
    for name, old, new in moved:
        print(f"  {name:<72}{old:>9.2f} ->{new:>9.2f}  {new / old - 1:+.0%}")


def main():
    folder, result = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    reference = pathlib.Path(sys.argv[3]) if len(sys.argv) > 3 else None
    before = json.loads(reference.read_text()) if reference and reference.exists() else None
    run = {"schema": SCHEMA, "machine": machine(), "results": collect(folder)}
    result.write_text(json.dumps(run, indent=1) + "\n")
    text = report.report(run)
    drawn = plots.draw(run["results"], result.with_suffix(""), run["machine"]["cpus"])
    tables = "".join(f"![{title}]({file.name})\n" for title, file in drawn)
    result.with_suffix(".md").write_text(
        "# What was measured\n\nWritten by `scripts/bench.sh`; bench/README.md says how to read it.\n\n"
        + text + "\n" + tables)
    print(f"\n{text}")
    if before and before["schema"] != SCHEMA:
        print(f"\n{reference.name} is of an earlier suite: nothing to compare with")
    elif before:
        print_moved(run["results"], before["results"], reference.name)
    print(f"\nWritten: {result} and what goes with it")


if __name__ == "__main__":
    main()
