# SPDX-License-Identifier: BSD-2-Clause
"""Plots of a run as SVG, by gnuplot. Each is given its data in its script, so there is no file else."""
import subprocess

import report

COLOURS = {"moat": "#0b6e4f", "xdp-drop": "#808080", "xdp-pass": "#808080", "nothing": "#b3261e",
           "nft-ingress": "#d98200", "nft-input": "#7d5ba6", "trie": "#d98200"}
HEAD = """\
set terminal svg size {width},{height} font 'sans-serif,13' background '#ffffff'
set output '{file}'
set border 3 lc rgb '#555555'
set tics nomirror
set grid ytics lc rgb '#dddddd' lw 1 lt 1
set style line 100 lc rgb '#dddddd'
set key top left Left reverse samplen 2
"""


def block(name, rows):
    return f"${name} << END\n" + "\n".join(" ".join(map(str, row)) for row in rows) + "\nEND\n"


def gnuplot(file, script, width=760, height=420):
    text = HEAD.format(file=file, width=width, height=height) + script
    subprocess.run(["gnuplot"], input=text, text=True, check=True)


def lines(series, using="1:2"):
    """One line with points each: (block, title, colour, dash type)."""
    return "plot " + ", \\\n  ".join(
        f"${name} using {using} with linespoints pt 7 ps 0.6 lw 2 dt {dash} lc rgb '{colour}' "
        f"title '{title}'" for name, title, colour, dash in series) + "\n"


SIZES = """\
set logscale x
set format x "10^{%L}"
set xlabel 'prefixes'
"""


def draw_verdict(results, file):
    points = {}
    for case, programs in report.verdicts(results).items():
        shape, prefixes, databases, hits, sources, caches = case
        if (shape, databases, sources, caches) != ("mixed", 1, "random", "warm") or hits == 100:
            continue
        for program, name in (("moat", "Moat"), ("lpm", "kernel LPM trie")):
            if program in programs:
                over = max(programs[program]["over"], 1)
                points.setdefault((name, hits), []).append((prefixes, over))
    if not points:
        return False
    script, series = SIZES + "set logscale y\nset ylabel 'ns over an empty program'\n", []
    script += "set title 'A verdict in the kernel'\n"
    for i, ((name, hits), rows) in enumerate(sorted(points.items())):
        script += block(f"d{i}", rows)
        colour = COLOURS["moat" if name == "Moat" else "trie"]
        series.append((f"d{i}", f"{name}, {hits} % listed", colour, 1 if hits else 2))
    gnuplot(file, script + lines(series))
    return True


def colour_of_bar(name):
    return COLOURS[name] if name in ("moat", *report.BARE.values()) else "#c0c0c0"


def bars(results, case, count):
    """A bar each, the fastest of each size on top; `count` bars fit."""
    rows, ticks = [], []
    for size in sorted({row["prefixes"] for row in results.all("wire")}):
        for row in sorted(results.all("wire", prefixes=size, case=case),
                          key=lambda row: -row["mpps"]):
            at = count - len(rows)
            rows.append((at, row["mpps"], int(colour_of_bar(row["contender"])[1:], 16)))
            ticks.append(f"'{row['contender']}, {size:,}' {at}")
    return (block(case, rows) + f"set yrange [0:{count + 1}]\nset ytics ({', '.join(ticks)})\n"
            f"plot ${case} using ($2/2):1:($2/2):(0.38):3 with boxxyerror lc rgb variable, "
            f"${case} using 2:1:(sprintf('%.2f', $2)) with labels left offset 0.5 font ',11'\n")


def draw_wire(results, file):
    if not results.all("wire"):
        return False
    count = max(len(results.all("wire", case=case)) for case in report.BARE)
    script = "set multiplot layout 1,2 title 'Packets a second on a veth, by contender and prefixes' " \
             "font ',15'\n"
    script += "unset grid\nset grid xtics lc rgb '#dddddd' lt 1\nset offsets graph 0, graph 0.1\n"
    script += "set xlabel 'millions received for a second of a CPU'\nset xrange [0:*]\n"
    script += "unset key\nset style fill solid\n"
    for case, title in (("drop", "not listed, dropped"), ("pass", "listed, passed")):
        script += f"set title '{title}'\n" + bars(results, case, count)
    gnuplot(file, script + "unset multiplot\n", width=960, height=150 + 22 * count)
    return True


def draw_flood(results, file):
    rows = results.all("flood")
    if not rows:
        return False
    names = list(dict.fromkeys(row["contender"] for row in rows))
    counts = sorted({row["cpus"] for row in rows} - {0})
    script = f"set multiplot layout 1,{len(counts)} title 'Transactions under a flood' font ',15'\n"
    script += "set xlabel 'thousand SYNs a second that came'\nset yrange [0:*]\n"
    script += "set ylabel 'transactions a second'\nset format y '%.0f'\nset key bottom left\n"
    for cpus in counts:
        script += f"set title 'received by {cpus} of {results.cpus} CPUs'\n"
        series = []
        for i, name in enumerate(names):
            script += block(f"d{cpus}_{i}", sorted(
                (row["flooded"] / 1000, row["tps"]) for row in rows
                if row["contender"] == name and row["cpus"] in (0, cpus)))
            series.append((f"d{cpus}_{i}", name, COLOURS[name], 1))
        script += lines(series)
    gnuplot(file, script + "unset multiplot\n", width=480 * len(counts))
    return True


def draw_reload(results, file):
    if not results.all("reload"):
        return False
    script, series = SIZES + "set title 'From a rule file to its being enforced'\n", []
    script += "set ylabel 'ms'\nset yrange [0:*]\n"
    for i, settle in enumerate(sorted({row["settle"] for row in results.all("reload")})):
        script += block(f"d{i}", [(row["prefixes"], row["p50_ms"], row["p99_ms"])
                                  for row in results.all("reload", what="a rule", settle=settle)])
        colour = (COLOURS["moat"], COLOURS["trie"])[i % 2]
        series.append((f"d{i}", f"settle {settle}", colour))
    drawn = lines([(name, title + ", median", colour, 1) for name, title, colour in series])
    drawn = drawn.rstrip("\n") + ", \\\n" + lines(
        [(name, title + ", p99", colour, 2) for name, title, colour in series], "1:3")[5:]
    gnuplot(file, script + drawn)
    return True


def draw(rows, stem, cpus):
    """Draws what there is data for, each into STEM-NAME.svg; (title, file) of each."""
    results = report.Results(rows, cpus)
    drawn = []
    for name, title, how in (("verdict", "ns a verdict by prefixes", draw_verdict),
                             ("wire", "packets a second by contender", draw_wire),
                             ("flood", "transactions a second by flood", draw_flood),
                             ("reload", "time to enforce by prefixes", draw_reload)):
        file = stem.with_name(f"{stem.name}-{name}.svg")
        if how(results, file):
            drawn.append((title, file))
    return drawn
