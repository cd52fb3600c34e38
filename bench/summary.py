#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Puts the results of the benchmarks together: one JSON file, a table, what moved.

    bench/summary.py FOLDER RESULT [REFERENCE]

FOLDER holds what the benchmarks wrote (verdict.json, lookup.json, ...). RESULT is written. Where
REFERENCE, an earlier RESULT, is there, the ratios that moved by more than 10 % are printed.
"""
import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys

MOVED = 0.10


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
        "commit": first_line("git", "-C", str(here), "describe", "--always", "--dirty"),
    }


def read(folder, name):
    file = folder / f"{name}.json"
    return json.loads(file.read_text()) if file.exists() and file.stat().st_size else []


def collect(folder):
    results = []
    for name in ("verdict", "publish", "drops", "designs"):
        results += read(folder, name)
    for name in ("lookup", "compile"):
        for run in (read(folder, name) or {"benchmarks": []})["benchmarks"]:
            if "error_occurred" in run:
                continue
            results.append({
                "suite": name, "case": run["name"], "time": run["cpu_time"]
                if "manual_time" not in run["name"] else run["real_time"],
                "unit": run["time_unit"], "bytes": run.get("image_bytes")})
    lines = folder / "propagation.json"  # an object a line
    if lines.exists():
        results += map(json.loads, lines.read_text().splitlines())
    return results


def verdict_case(row):
    return tuple(row[key] for key in
                 ("shape", "prefixes", "databases", "hits", "sources", "caches"))


def print_verdicts(results):
    """One line a case: each program over the empty one, and how much faster Moat is than the trie.

    The writing of the source belongs to the benchmark, so it is taken off.
    """
    cases = {}
    for row in results:
        if row["suite"] == "verdict":
            cases.setdefault(verdict_case(row), {})[row["program"]] = row
    print("\nVerdict in the kernel: ns over an empty program (median; quartiles), by prefixes")
    print(f"{'shape':<10}{'prefixes':>9}{'dbs':>4}{'hits':>6}  {'sources':<11}{'caches':<6}"
          f"{'Moat':>8}{'quartiles':>16}{'LPM trie':>10}{'ratio':>7}")
    for case, programs in cases.items():
        base, moat = programs["patch"]["ns"], programs["moat"]
        shape, prefixes, databases, hits, sources, caches = case
        line = (f"{shape:<10}{prefixes:>9}{databases:>4}{hits:>5}%  {sources:<11}{caches:<6}"
                f"{moat['ns'] - base:>8.1f}{moat['low'] - base:>8.1f}{moat['high'] - base:>8.1f}")
        if "lpm" in programs:
            lpm = programs["lpm"]["ns"] - base
            line += f"{lpm:>10.1f}{lpm / max(moat['ns'] - base, 0.1):>6.1f}x"
        print(line)


def print_others(results):
    rows = [row for row in results if row["suite"] == "reason" and row["program"] == "moat"]
    if rows:
        print("\nBy reason, 30 rules, one frame over and over: ns over an empty program")
        print("   ".join(f"{row['reason']} {row['over']:.1f}" for row in rows))
    for suite, title in (("compile", "From policy to image"), ("lookup", "In a process")):
        rows = [row for row in results if row["suite"] == suite]
        if rows:
            print(f"\n{title}")
        for row in rows:
            size = f"{row['bytes'] / 1024:>10.0f} KiB" if row["bytes"] else ""
            print(f"  {row['case']:<64}{row['time']:>9.2f} {row['unit']}{size}")
    rows = [row for row in results if row["suite"] == "drops"]
    if rows:
        print("\nTelling of drops under a flood: ns a verdict without and with, difference, quartiles")
    for row in rows:
        print(f"  {row['flood']:<12}{row['silent']:>8.1f}{row['telling']:>8.1f}"
              f"{row['difference']:>8.1f}{row['low']:>8.1f}{row['high']:>8.1f}"
              f"   {row['events']} events")
    rows = [row for row in results if row["suite"] == "publish"]
    if rows:
        print("\nFrom image to enforced: ms")
    for row in rows:
        print(f"  {row['prefixes']:>9} prefixes{row['bytes'] // 1024:>8} KiB"
              f"   p50 {row['p50_ms']:.1f}   p99 {row['p99_ms']:.1f}   max {row['max_ms']:.1f}")
    rows = [row for row in results if row["suite"] == "propagation"]
    if rows:
        print("\nFrom file written to enforced, the standard policy: ms")
    for row in rows:
        print(f"  {row['case']:<28}{row['prefixes']:>9} prefixes"
              f"   p50 {row['p50_ms']:.0f}   p99 {row['p99_ms']:.0f}   max {row['max_ms']:.0f}")


def ratios(results):
    """What can be compared between machines: each figure in terms of a neighbour of its run."""
    found = {}
    empty = {verdict_case(row): row["ns"] for row in results
             if row["suite"] == "verdict" and row["program"] == "empty"}
    trie = {verdict_case(row): row["ns"] for row in results
            if row["suite"] == "verdict" and row["program"] == "lpm"}
    for row in results:
        if row["suite"] == "verdict" and row["program"] == "moat":
            case = verdict_case(row)
            name = "verdict " + " ".join(map(str, case))
            found[name + " / empty"] = row["ns"] / empty[case]
            if case in trie:
                found[name + " / trie"] = row["ns"] / trie[case]
        if row["suite"] == "reason" and row["program"] == "moat":
            found[f"reason {row['reason']} / empty"] = row["ns"] / (row["ns"] - row["over"])
        if row["suite"] == "compile" and row["bytes"]:
            found[f"bytes of {row['case']}"] = row["bytes"]
    return found


def print_moved(results, reference):
    before, now = ratios(json.loads(reference.read_text())["results"]), ratios(results)
    moved = [(name, before[name], now[name]) for name in now
             if name in before and abs(now[name] / before[name] - 1) > MOVED]
    print(f"\nAgainst {reference.name}: {len(moved)} of {len(set(now) & set(before))} ratios moved "
          f"by more than {MOVED:.0%}")
    for name, old, new in moved:
        print(f"  {name:<72}{old:>9.2f} ->{new:>9.2f}  {new / old - 1:+.0%}")


def main():
    folder, result = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    host, results = machine(), collect(folder)
    result.write_text(json.dumps({"schema": 1, "machine": host, "results": results}, indent=1) + "\n")
    print(f"\n{host['cpu']}, {host['cpus']} CPUs, {host['virtual']}, Linux {host['kernel']}, "
          f"commit {host['commit']}\n{host['compiler']}; {host['bpf_compiler']}; "
          f"libbpf {host['libbpf']}; load {host['load']:.1f}")
    for name, text in host["mitigations"].items():
        print(f"  {name}: {text}")
    print_verdicts(results)
    print_others(results)
    if len(sys.argv) > 3 and pathlib.Path(sys.argv[3]).exists():
        print_moved(results, pathlib.Path(sys.argv[3]))
    print(f"\nWritten: {result}")


if __name__ == "__main__":
    main()
