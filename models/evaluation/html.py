"""The report as one HTML file: nothing outside is needed, no script runs."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from models.evaluation import charts, words
from models.evaluation.page import bullets, document, figure, grid, table
from models.evaluation.report import SCORES
from models.evaluation.table import title, with_deviation


def to_html(report: Mapping[str, Any], pictures: Mapping[str, bytes]) -> str:
    """The report with plots, and ``pictures``: PNGs by the names that the steps gave them."""
    facts = report["facts"]
    sizes = facts["pairs"]
    heading = f"Evaluation of {title(report)}"
    lead = (
        f"{sizes['synthetic']} generated pairs at {facts['size']} px, beside {len(sizes['train'])} real pairs "
        f"that the model learned from and {len(sizes['test'])} held out. {facts['created'][:10]}."
    )
    parts = [
        f"<h1>{escape(heading)}</h1><p class='soft'>{escape(lead)}</p>",
        _verdicts(report),
        _useful(report["useful"], pictures) if report["useful"] else "",
        _real(report["real"]) if report["real"] else "",
        _private(report["private"], pictures) if report["private"] else "",
        bullets("Before you quote this", report["caveats"]),
        _facts(report),
    ]
    return document(heading, "".join(parts))


def _verdicts(report: Mapping[str, Any]) -> str:
    """The few figures that answer the three questions."""
    tiles = []
    if useful := report["useful"]:
        for arm in ("synthetic", "mixed", "fine-tuned"):
            if (found := useful["arms"].get(arm)) and found["ratio"]:
                tiles.append(
                    (f"{found['ratio']:.3f}", f"of the F1 of real pairs: {words.ARMS[arm]}")
                )
    if report["real"]:
        for kind in ("maps", "photographs"):
            found = report["real"][kind].values()
            apart = sum(each["beyond_chance"] for each in found)
            tiles.append((f"{apart} of {len(found)}", f"measures of {kind} differ beyond chance"))
        for kind, found in report["private"].items():
            tiles.append((str(len(found["copies"])), f"copies among {kind}"))
    cards = (
        f'<div class="card"><p class="large">{escape(figure)}</p><p>{escape(text)}</p></div>'
        for figure, text in tiles
    )
    return f'<div class="grid">{"".join(cards)}</div>'


def _useful(useful: Mapping[str, Any], pictures: Mapping[str, bytes]) -> str:
    arms = useful["arms"]
    rows = []
    for arm, found in arms.items():
        scores = found["in_field"]
        cells = [with_deviation(scores["f1"]), f"{found['ratio']:.3f}" if found["ratio"] else ""]
        cells += [
            with_deviation(scores[s]) for s in ("auc", "sensitivity", "specificity", "cl_dice")
        ]
        cells.append(with_deviation(found["whole_image"]["f1"]))
        beside = found["beside_real"]
        cells.append(beside["sentence"] if beside else "")
        rows.append([f"{arm}: {words.ARMS[arm]}", *cells])
    head = ["trained on", "F1", "of real", "AUC", "sensitivity", "specificity", "clDice"]
    head += ["F1, whole image", "beside real pairs alone"]
    plot = charts.dots([(arm, found["each_f1"]) for arm, found in arms.items()], "F1 of each seed")
    sheets = (
        figure(pictures[name], words.FIT_SHEET.format(arm=arm))
        for arm in arms
        if (name := f"{arm}-0.png") in pictures
    )
    explained = words.USEFUL.format(network=words.NETWORKS[useful["network"]["class"]])
    return (
        f"<h2>Useful: do segmenters learn from it?</h2><p>{explained}</p>"
        f"<div class='card'><h3>F1 of each seed</h3>{plot}</div>{table(head, rows)}"
        f"{_found_again(useful)}{grid(sheets)}"
    )


def _found_again(useful: Mapping[str, Any]) -> str:
    """What segmenters of real pairs find in generated photographs, beside real ones held out."""
    if not useful["found_again"]:
        return ""
    kinds = {**useful["found_again"], "held out": useful["arms"]["real"]["in_field"]}
    rows = [
        [words.FOUND_AGAIN[kind], *(with_deviation(scores[score]) for score in SCORES)]
        for kind, scores in kinds.items()
    ]
    head = ["found in", "F1", "AUC", "sensitivity", "specificity", "clDice"]
    return f"<p>{words.FOUND}</p>{table(head, rows)}"


def _real(real: Mapping[str, Any]) -> str:
    key = (
        '<p><span class="key" style="--k:var(--made)"></span>generated'
        '<span class="key" style="--k:var(--real)"></span>real</p>'
    )
    parts = [f"<h2>Real: is it like real pairs?</h2><p>{words.REAL}</p>{key}"]
    for kind, explained in (("maps", words.MAPS), ("photographs", words.PHOTOGRAPHS)):
        cards = (_comparison(real[kind][name], *explained[name]) for name in real[kind])
        parts.append(f"<h2>{kind.capitalize()}</h2>{grid(cards)}")
    shown = real["label_shown"]
    parts.append(
        f"<p>The vessels of the label are darker than their rim in {shown['generated']['vessel_contrast']:.0%} "
        f"of generated photographs ({shown['real']['vessel_contrast']:.0%} of real ones); after the label was "
        f"moved aside, in {shown['generated']['shifted_contrast']:.0%}.</p>"
    )
    return "".join(parts) + _kid(real["kid"])


def _comparison(found: Mapping[str, Any], name: str, explanation: str) -> str:
    beyond = " <b class='beyond'>beyond chance</b>" if found["beyond_chance"] else ""
    made, real = found["generated"], found["real"]
    return (
        f"<h3>{name}</h3>{charts.histogram(found, name)}<p>{explanation}</p>"
        f"<p>Generated {made['mean']:.4g} ± {made['deviation']:.3g}, real {real['mean']:.4g} ± "
        f"{real['deviation']:.3g}. Distance {found['distance']:.2f}, halves of real up to "
        f"{found['real_halves']['high']:.2f}.{beyond}</p>"
    )


def _kid(kid: Mapping[str, Any]) -> str:
    heading = f"<h2>KID</h2><p>{words.KID}</p>"
    if reason := kid.get("not_computed"):
        return f"{heading}<p class='beyond'>Not computed: {escape(reason)}.</p>"
    names = {
        "generated_train": "gen., train",
        "generated_test": "gen., held out",
        "rendered_train": "real labels",
        "train_test": "train, held out",
        "train_halves": "train, halves",
    }
    rows = [
        (
            text,
            kid[name]["mean"],
            *(kid[name]["mean"] + s * kid[name]["deviation"] for s in (-1, 1)),
        )
        for name, text in names.items()
        if name in kid
    ]
    values = "".join(f"<li>{row[0]}: {row[1]:.4f} ± {row[3] - row[1]:.4f}</li>" for row in rows)
    how = (
        f"{kid['network']}; {kid['resize']}; {kid['estimator']}; mean and deviation over {kid['draws']} draws of "
        f"{kid['subset']} photographs from each side (of {kid['pictures']['generated']} generated, "
        f"{kid['pictures']['train']} training, {kid['pictures']['test']} held out), seed {kid['seed']}. "
        "Real labels: photographs of training labels by stage two, against training photographs."
    )
    plot = charts.spans(rows, "KID of pairs of sets")
    return (
        f"{heading}<div class='card'>{plot}<ul>{values}</ul></div><p class='soft'>{escape(how)}</p>"
    )


def _private(private: Mapping[str, Any], pictures: Mapping[str, bytes]) -> str:
    parts = [f"<h2>Private: does it repeat what it learned from?</h2><p>{words.NEAREST}</p>"]
    rows, cards, lists = [], [], []
    for kind, found in private.items():
        near = found["nearer_to_training"]
        chance = near["by_chance"]
        rows.append(
            [
                kind,
                f"{near['generated']:.2f}",
                f"{near['hold_out_left_out']:.2f} (held out), {near['training_left_out']:.2f} (training)",
                f"{chance['low']:.2f} to {chance['high']:.2f}",
                f"{found['largest']['generated']:.3f} (real {found['largest']['real']:.3f})",
                f"{len(found['copies'])}, {len(found['duplicates'])}",
            ]
        )
        plot = charts.scatter(found["each"], found["copy_from"], f"{kind}: nearest neighbours")
        cards.append(f"<h3>{kind.capitalize()}</h3>{plot}")
        lists.append(_flagged(kind, found))
    head = [
        "",
        "nearer to training",
        "real, left out",
        "by chance",
        "nearest of all",
        "copies, duplicates",
    ]
    sheets = (
        figure(pictures[name], text) for name, text in words.SHEETS.items() if name in pictures
    )
    parts += [grid(cards), f"<p>{words.NEARER}</p>", table(head, rows), *lists, grid(sheets)]
    return "".join(parts)


def _flagged(kind: str, found: Mapping[str, Any]) -> str:
    copies = [
        f"pair {each['index']} of {each['of']} ({each['score']:.3f})" for each in found["copies"]
    ]
    twice = [
        f"pairs {each['index']} and {each['of']} ({each['score']:.3f})"
        for each in found["duplicates"]
    ]
    texts = ((f"Copies of training {kind}", copies), (f"Duplicate {kind}", twice))
    return "".join(bullets(heading, lines) for heading, lines in texts if lines)


def _facts(report: Mapping[str, Any]) -> str:
    rows = []
    for name, value in {**report["facts"], "settings": report["settings"]}.items():
        if isinstance(value, Mapping):
            value = "; ".join(f"{key} {_plain(each)}" for key, each in value.items())
        rows.append([name, _plain(value)])
    return f"<h2>How it was made</h2>{table(['', ''], rows)}"


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
