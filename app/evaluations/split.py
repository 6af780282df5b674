"""Which of an upload's pairs an evaluation trains on, and which it holds out."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

from app.errors import invalid_field
from app.evaluations.schemas import RealPair

FEWEST = 4  # pairs on each side, as models/evaluation/gather.py has it: halves of fewer say nothing
LISTED = 3  # names in a message


def split_pairs(
    pairs: Sequence[RealPair],
    learned: Collection[str],
    train: int | list[str] | None,
    hold_out: int | list[str] | None,
) -> tuple[list[RealPair], list[RealPair]]:
    """The pairs to train on and to hold out, each in the upload's order.

    ``pairs`` are all of the upload, by number. ``learned`` are the names, without folders, of the
    photographs that the model has learned from. ``train`` and ``hold_out`` are those of the order.
    What goes by a learned name is held out only if the order names both sides: photographs of other
    people may have the same names.

    Raises:
        ProblemError: a side has too few pairs; the problem names the field.
    """
    stems = {PurePosixPath(name).stem for name in learned}  # pictures change their format
    known = {pair.number for pair in pairs if PurePosixPath(pair.file).stem in stems}
    if isinstance(hold_out, list):
        named = _find(pairs, hold_out, "hold_out")
        if train is None and (bad := named & known):
            detail = f"The model has learned from {_list(pairs, bad)}: leave it out."
            raise invalid_field("hold_out", detail)
        kept = _to_train_on(pairs, known, train, named)
        if bad := named & kept:
            raise invalid_field("hold_out", f"Also in train: {_list(pairs, bad)}.")
        held, wanted = sorted(named), FEWEST
    else:
        kept = _to_train_on(pairs, known, train)
        held = sorted({pair.number for pair in pairs} - kept - known)
        wanted = max(FEWEST, hold_out or 0)
    if len(held) < wanted:
        learned = " or that the model has learned from" if known else ""
        raise invalid_field(
            "hold_out",
            f"{wanted} pairs are needed; there are {len(held)} beside the {len(kept | known)} to "
            f"train on{learned}. Upload pairs of other people too, or name fewer in train.",
        )
    if isinstance(hold_out, int):
        held = held[-wanted:]
    if len(kept) < FEWEST:
        raise invalid_field("train", f"{FEWEST} pairs are needed; there are {len(kept)}.")
    return [pairs[number] for number in sorted(kept)], [pairs[number] for number in held]


def _to_train_on(
    pairs: Sequence[RealPair],
    known: set[int],
    train: int | list[str] | None,
    named_to_hold_out: set[int] | None = None,
) -> set[int]:
    if isinstance(train, list):
        return _find(pairs, train, "train")
    if train is not None:
        if train > len(pairs):
            raise invalid_field("train", f"The upload has {len(pairs)} pairs.")
        return set(range(train))
    if known:
        return known
    if named_to_hold_out is not None:
        return {pair.number for pair in pairs} - named_to_hold_out
    raise invalid_field(
        "train",
        "The model has learned from none of these pairs, going by their names: say which or how many "
        "to train on, or name those to hold out.",
    )


def _find(pairs: Sequence[RealPair], names: Sequence[str], field: str) -> set[int]:
    """The pairs whose photographs have these names, in full or without their folders."""
    numbers = defaultdict(set)
    for pair in pairs:
        for name in (pair.file, _name(pair)):
            numbers[name].add(pair.number)
    for name in names:
        if name not in numbers:
            raise invalid_field(field, f"The upload has no photograph {name!r}.")
    return set().union(*(numbers[name] for name in names))


def _list(pairs: Sequence[RealPair], numbers: set[int]) -> str:
    names = [pairs[number].file for number in sorted(numbers)[:LISTED]]
    more = len(numbers) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _name(pair: RealPair) -> str:
    return PurePosixPath(pair.file).name
