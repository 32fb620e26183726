"""The report as one HTML document: nothing from elsewhere, light and dark, paper and phone."""

from __future__ import annotations

import math
from collections.abc import Mapping

from labctl import __version__
from labctl.reproduction import comparing
from labctl.reproduction.drawing import Picture
from labctl.reproduction.markup import Markup, element, join
from labctl.reproduction.report import (
    LEFT_OUT,
    Chapter,
    Line,
    Report,
    Section,
    ours_text,
    printed_text,
    pull_text,
    total_counts,
    weaker,
)
from labctl.reproduction.style import STYLE

#: How a verdict looks; the word says it, sign and colour only repeat it.
_LOOK = {
    comparing.AGREES: ("✓", "good"),
    comparing.DIFFERS: ("≠", "bad"),
    comparing.INCONSISTENT: ("⚠", "odd"),
    comparing.NOT_GIVEN: ("", "dim"),
    comparing.NOT_COMPARABLE: ("", "dim"),
    comparing.NO_VALUE: ("✗", "bad"),
}
_ORIGIN = {
    "put in": "put in",  # the simulated world was given this very number
    "adjusted": "adjusted",  # the simulated world was adjusted so that it comes out
}
_HOW = """\
Every number of ours was measured on a simulated bench: drivers, procedures and analysis are those
of the laboratory, the instruments' far ends are physics models. “Agrees” means within 2 combined
standard errors; a number that is printed without error counts as known to its last digit. Where
the publication contradicts itself, what follows from its own equations or columns stands beside
what it prints. Agreement proves little for rows marked “put in” (the simulated device was given
this number) or “adjusted” (a free parameter was chosen so that it comes out): they test the
measurement, not the physics. Unmarked rows follow."""


def page(report: Report) -> str:
    """The whole document."""
    head = join(
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="Content-Security-Policy",
                content="default-src 'none'; style-src 'unsafe-inline'; img-src data:"),
        element("title", "Publications reproduced"),
        element("style", Markup(STYLE)),
    )  # fmt: skip
    body = join(
        element("h1", "Publications reproduced"),
        _about(report),
        *(_chapter(chapter) for chapter in report.chapters),
    )
    document = element("html", element("head", head), element("body", body), lang="en")
    return f"<!doctype html>\n{document}\n"


def _about(report: Report) -> Markup:
    written = f"{report.written:%Y-%m-%d %H:%M}"
    pieces = [element("p", f"labctl {__version__}, {written}", class_="dim")]
    if report.quick:
        pieces.append(
            element(
                "p", "Quick: measured shorter than published. Errors are larger than they need be.",
                class_="odd verdict",
            )
        )  # fmt: skip
    pieces.append(element("p", " ".join(_HOW.split())))
    if report.failed:
        names = ", ".join(f"{s.entry.full_name} ({s.made.status})" for s in report.failed)
        pieces.append(element("p", f"Without a finished run: {names}.", class_="bad verdict"))
    if len(report.commits) > 1:
        states = ", ".join(commit[:9] or "unknown" for commit in report.commits)
        text = f"The runs were made by different states of the program: {states}."
        pieces.append(element("p", f"{text} An empty -o DIR makes all of them anew.", class_="odd"))
    pieces.append(_overview(report))
    return element("section", *pieces)


def _overview(report: Report) -> Markup:
    """How many rows have which verdict, and what the agreements are worth."""
    verdicts = [verdict for verdict in comparing.VERDICTS if verdict in total_counts(report)]
    heads = ["", *verdicts]
    if any(chapter.assumed() for chapter in report.chapters):
        heads.insert(2, _WORTH)
    body = []
    for chapter in report.chapters:
        name = element("a", chapter.paper.name, href=f"#{chapter.paper.name}")
        body.append(_counts(name, heads, chapter.counts(), chapter.assumed()))
    assumed = sum(chapter.assumed() for chapter in report.chapters)
    body.append(_counts(Markup("all"), heads, total_counts(report), assumed))
    head = element("tr", *(element("th", name) for name in heads))
    return element(
        "table", element("thead", head), element("tbody", *body), class_="rows counts"
    )  # fmt: skip


_WORTH = "of these put in or adjusted"


def _counts(name: Markup, heads: list[str], counts: Mapping[str, int], assumed: int) -> Markup:
    cells = [element("td", name)]
    for head in heads[1:]:
        count = assumed if head == _WORTH else counts.get(head, 0)
        cells.append(element("td", str(count or ""), data_head=head))
    return element("tr", *cells)


def _chapter(chapter: Chapter) -> Markup:
    paper = chapter.paper
    reference: Markup | str = paper.reference
    if paper.link:
        reference = element("a", paper.reference, href=paper.link, rel="noreferrer")
    pieces = [
        element("h2", paper.title, id=paper.name),
        element("p", f"{paper.authors}. ", reference),
    ]
    if paper.remark:
        pieces.append(element("p", paper.remark))
    links = [element("a", s.entry.figure, href=f"#{_anchor(s)}") for s in chapter.sections]
    pieces.append(element("nav", *(join(one, " ") for one in links), class_="small"))
    pieces += [_section(section) for section in chapter.sections]
    if paper.missing:
        listed = [
            element("li", element("b", f"{figure}: "), why) for figure, why in paper.missing
        ]  # fmt: skip
        pieces.append(
            element("section", element("h3", "Not reproduced"), element("ul", *listed))
        )  # fmt: skip
    return join(*pieces)


def _anchor(section: Section) -> str:
    return section.entry.full_name.replace("/", "-")


def _section(section: Section) -> Markup:
    entry, made = section.entry, section.made
    pieces = [element("h3", f"{entry.figure}: {entry.title}")]
    if made.status == "finished":
        pieces.append(element("p", _origin(section), class_="dim small"))
    else:
        left_out = made.status == LEFT_OUT
        reason = f": {made.reason}" if made.reason else ""
        said = f"{'' if left_out else '✗ '}{entry.procedure} {made.status}{reason}"
        pieces.append(element("p", said, class_="dim" if left_out else "bad verdict"))
    if entry.remark:
        pieces.append(element("p", entry.remark))
    if section.lines:
        pieces.append(_rows(section.lines))
    pieces += [element("p", trouble, class_="bad") for trouble in section.troubles]
    pieces += [_figure(one, entry.figure) for one in section.pictures]
    return element("section", *pieces, id=_anchor(section))


def _origin(section: Section) -> str:
    facts, entry = section.facts, section.entry
    said = [f"{facts['procedure']} on {facts['bench']}"]
    values = {**entry.parameters, **(entry.quick or {}), **facts["world"]}
    said += [f"{name} = {_short(facts['parameters'].get(name, v))}" for name, v in values.items()]
    said.append(f"seed {facts['seed']}")
    said.append(f"{facts['points']} points, {_duration(facts['bench_seconds'])} of bench time")
    made = f"{facts['run']}, labctl {facts['labctl']}"
    said.append(made + (f" ({facts['commit'][:9]})" if facts["commit"] else ""))
    return "; ".join(said)


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _duration(seconds: float) -> str:
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def _figure(picture: Picture, where: str) -> Markup:
    return element(
        "figure",
        element("img", src=picture.url, alt=f"{where}: {picture.name}", width=picture.width,
                height=picture.height, loading="lazy"),
        element("figcaption", picture.name),
    )  # fmt: skip


_HEADS = ("quantity", "ours", "publication", "difference", "verdict", "remark")


def _rows(lines: tuple[Line, ...]) -> Markup:
    cells = [_cells(line) for line in lines]
    remarked = any(line.spec.remark or line.spec.because or line.trouble for line in lines)
    width = len(_HEADS) if remarked else len(_HEADS) - 1
    body = [element("tr", *one[:width]) for one in cells]
    head = element("tr", *(element("th", name) for name in _HEADS[:width]))
    return element("table", element("thead", head), element("tbody", *body), class_="rows")


def _cells(line: Line) -> list[Markup]:
    spec, comparison = line.spec, line.comparison
    name = [element("b", spec.name)]
    if spec.origin in _ORIGIN:
        name += [Markup(" "), element("span", _ORIGIN[spec.origin], class_="tag")]
    theirs = [element("span", printed_text(spec.printed, spec.unit), class_="number")]
    if spec.where:
        theirs.append(element("span", f" ({spec.where})", class_="dim small"))
    difference = [_difference(comparison.pull)]
    sign, look = _LOOK[comparison.verdict]
    verdict = [element("span", f"{sign} {comparison.verdict}".strip(), class_=f"verdict {look}")]
    if (ratio := weaker(line)) is not None and comparison.verdict == comparing.AGREES:
        verdict.append(
            element("span", f", but our error is {ratio:.1f} times theirs", class_="small")
        )  # fmt: skip
    remark = [spec.remark, f" {line.trouble}" if line.trouble else ""]
    if spec.follows is not None:
        follows = printed_text(spec.follows, spec.unit)
        theirs += [element("br"), element("span", f"follows: {follows}", class_="odd")]
        if comparison.follows_verdict not in ("", comparing.NO_VALUE):
            sign, look = _LOOK[comparison.follows_verdict]
            text = f"{comparison.follows_verdict} with what follows"
            if comparison.follows_verdict == comparing.DIFFERS:
                text = "differs from what follows"
            beside = element("span", f"{sign} {text}", class_=f"small {look}")
            away = _difference(comparison.follows_pull)
            alone = spec.printed is None  # then it is the verdict
            verdict = [beside] if alone else [*verdict, element("br"), beside]
            difference = [away] if alone else [*difference, element("br"), away]
        remark.insert(0, f"Follows from: {spec.because}. ")
    cells = [
        ("", name, ""), ("ours", [element("b", ours_text(line))], "number"),
        ("publication", theirs, ""), ("difference", difference, "number"), ("", verdict, ""),
        ("", [element("span", *remark, class_="small")] if any(remark) else [], "remark"),
    ]  # fmt: skip
    return [
        element("td", *content, **({"data_head": head} if head else {}), class_=kind)
        for head, content, kind in cells
    ]


def _difference(pull: float | None) -> Markup:
    """The difference in sigmas as text, and as a dot on a scale with the band of agreement."""
    if pull is None:
        return Markup("")
    reach, half = 5.0, 55.0
    clipped = max(-reach, min(reach, pull)) if not math.isnan(pull) else 0.0
    x = half + clipped / reach * (half - 6.0)
    edge = comparing.AGREE / reach * (half - 6.0)
    drawn = element(
        "svg",
        element("rect", x=half - edge, y=1, width=2 * edge, height=12, class_="band"),
        element("line", x1=6, y1=7, x2=2 * half - 6, y2=7, class_="axis"),
        element("line", x1=half, y1=1, x2=half, y2=13, class_="axis"),
        element("circle", cx=round(x, 1), cy=7, r=4, class_="dot"),
        viewBox="0 0 110 14", class_="pull", aria_hidden="true",
    )  # fmt: skip
    return join(element("span", pull_text(pull), class_="sigma"), " ", drawn)
