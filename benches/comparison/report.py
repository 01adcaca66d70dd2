"""Figures as ratios, as a table in Markdown and as a plot."""

import json
import pathlib
import statistics

LABELS = {
    "tps": "transactions/s", "cpu_us": "CPU µs", "p50_us": "p50 µs", "p99_us": "p99 µs",
    "per_second": "connections/s", "seconds": "seconds", "cpu_s": "CPU s", "kib": "KiB",
    "rss_mib": "peak MiB",
}


def median(rounds, contestant, figure):
    values = [turn[contestant][figure] for turn in rounds if figure in turn.get(contestant, {})]
    return statistics.median(values) if values else None


def ratio(rounds, figure, other, ours="hallpass"):
    """The median of the ratios within each round: what the machine did besides hits both."""
    ratios = [
        turn[ours][figure] / turn[other][figure]
        for turn in rounds
        if turn.get(ours, {}).get(figure) and turn.get(other, {}).get(figure)
    ]
    return statistics.median(ratios) if ratios else None


def number(value, digits=None):
    if value is None:
        return ""
    if digits is None:
        digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def markdown(cells, but=()):
    """One table a kind of cell: hallpass's figures, and each as a ratio to the others'; without
    some of the figures, and without some of the others."""
    parts = []
    for kind in dict.fromkeys(cell["kind"] for cell in cells):
        of_kind = [cell for cell in cells if cell["kind"] == kind]
        parts.append(f"**{kind}**\n\n" + table(of_kind, but))
    return "\n\n".join(parts)


def table(cells, but=()):
    figures = list(dict.fromkeys(
        figure for cell in cells for turn in cell["rounds"] for figure in turn["hallpass"]
        if figure not in but
    ))
    others = list(dict.fromkeys(
        name for cell in cells for turn in cell["rounds"] for name in turn
        if name != "hallpass" and name not in but
    ))
    columns, heads = [], []
    for figure in figures:
        columns.append(lambda cell, figure=figure: number(median(cell["rounds"], "hallpass", figure)))
        heads.append(LABELS[figure])
        for other in others:
            if any(ratio(cell["rounds"], figure, other) is not None for cell in cells):
                columns.append(lambda cell, figure=figure, other=other:
                               number(ratio(cell["rounds"], figure, other), 2))
                heads.append(f"/ {other}")
    lines = ["| hallpass | " + " | ".join(heads) + " |", "|---|" + "--:|" * len(heads)]
    for cell in cells:
        values = " | ".join(column(cell) for column in columns)
        lines.append(f"| {cell['name']} | {values} |")
    return "\n".join(lines)


COLOURS = {"direct": "#9aa0a6", "PgBouncer": "#d98e04", "HAProxy": "#3b7dd8", "hallpass": "#2a9d63"}


def plot(cells, figure="cpu_us"):
    """Bars of one figure, a group a cell; an SVG."""
    cells = [cell for cell in cells if any(figure in it for it in cell["rounds"][0].values())]
    names = [name for name in COLOURS if any(figure in cell["rounds"][0].get(name, {})
                                             for cell in cells)]
    left, bar, gap, width = 170, 13, 12, 720
    group = len(names) * bar + gap
    height = 48 + len(cells) * group
    most = max(median(cell["rounds"], name, figure) or 0 for cell in cells for name in names)
    scale = (width - left - 60) / most
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
           f'font-family="sans-serif" font-size="11">',
           f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
           f'<text x="8" y="18" font-size="13">{LABELS[figure]} of the proxy for a transaction</text>']
    for place, name in enumerate(names):
        x = left + 150 + place * 100
        out.append(f'<rect x="{x}" y="9" width="11" height="11" fill="{COLOURS[name]}"/>'
                   f'<text x="{x + 15}" y="18">{name}</text>')
    for row, cell in enumerate(cells):
        y = 36 + row * group
        out.append(f'<text x="{left - 8}" y="{y + group / 2 - 2:.0f}" text-anchor="end">'
                   f'{cell["name"]}</text>')
        for place, name in enumerate(names):
            value = median(cell["rounds"], name, figure)
            if value is None:
                continue
            top = y + place * bar
            out.append(f'<rect x="{left}" y="{top}" width="{value * scale:.1f}" height="{bar - 2}" '
                       f'fill="{COLOURS[name]}"/><text x="{left + value * scale + 4:.1f}" '
                       f'y="{top + bar - 4}">{number(value)}</text>')
    return "\n".join([*out, "</svg>", ""])


def put_between(path, marker, text):
    """Replaces what stands between `<!-- marker -->` and `<!-- /marker -->`."""
    path = pathlib.Path(path)
    before, begin, rest = path.read_text().partition(f"<!-- {marker} -->\n")
    _, end, after = rest.partition(f"<!-- /{marker} -->")
    if not begin or not end:
        raise SystemExit(f"{path} has no place marked {marker}")
    path.write_text(f"{before}{begin}\n{text}\n\n{end}{after}")


def save(path, result):
    pathlib.Path(path).write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
