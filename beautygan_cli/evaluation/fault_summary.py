"""What the faults of results are called, what each means, how much is too much, and their summary over many pairs.

Nothing heavy is imported here, so that the command's help can show it at once; `faults` measures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

LEAST_LID_CHANGE = 4.0  # L*a*b* by which the stronger lid changes, from where a weaker one is seen
LEAST_LID_RATIO = 0.5  # of the stronger lid's change
MOST_PATCHES = 3.0  # per cent of the face's skin
MOST_CHANGE = 1.0  # mean L*a*b* of what takes no paint: hair, eyeballs, teeth; about 1 is just visible
DARK = 0.5  # density above the lashes from where a lid is dark and its upper edge is judged
MOST_SMUDGE = 0.3  # of the density above the lashes
LEAST_STEP = 0.35  # of the density above the lashes
LEAST_ALIKE = 0.85  # of both eyes
MOST_LOPSIDED_PAIRS, MOST_PATCHED_PAIRS = 2.0, 3.0  # per cent of all pairs
MOST_OF_GROUP = 1.5  # times the faults a pair has on average
LEAST_GROUP = 10  # pairs, below which a group's number of faults is chance

FAULTS = {  # by name, what is seen
    "lopsided": "one eyelid took much less makeup than the other",
    "patches": "patches of skin stayed as they were",
    "hair": "hair, or what else lies before the face, took makeup",
    "eyes": "the eyeballs took makeup",
    "teeth": "the teeth took makeup",
    "smudge": "eye makeup is smudged up to the brow",
    "step": "the edge of the eye makeup is blurred",
    "unlike": "the two eyes came out unlike",
}
# Of one result by itself: the others are judged by a reference's own photo, which tells too little of a single one.
TOLD = ("lopsided", "patches", "hair", "eyes", "teeth")


class Definition(NamedTuple):
    """What is measured: its names in JSON, and its meaning with its unit."""

    names: tuple[str, ...]
    meaning: str


DEFINITIONS = (
    Definition(
        ("lid_left", "lid_right", "lids_ratio"),
        "change of the picture's left and right upper lid, and the weaker by the stronger one. Change: mean distance "
        "in L*a*b* (D65) of the pixels of source and result; lid: from 0.05 to 1.05 of the way from the inner to the "
        "outer corner and 0.02 to 0.2 eye widths above the upper rim, where nothing lies before it.",
    ),
    Definition(
        ("reference_lids_apart",),
        "L*a*b* distance between the reference's two lids, each less the cheek below; with --rendered between the "
        "changes of the true answer's. Fault `lopsided`: lids_ratio below 0.5 with the stronger change at least 4, "
        "unless the reference's lids are as far apart as half of that change.",
    ),
    Definition(
        ("patches", "skin_change"),
        "per cent of the face's skin (without lips, eyes and brows and what lies before the face) whose change, "
        "blurred by a sigma of 0.03 of the distance between the eyes, is below 0.3 of the median, skin_change (L*a*b*)."
        " Known where skin_change is 3 or more. Fault `patches`: over 3.",
    ),
    Definition(
        ("hair",),
        "change of hair and of all else before the face: what the occlusion network is sure of (above 0.7) and whose "
        "colour is unlike the skin's, as far as 0.1 of the distance between the eyes past the face's outline; within "
        "0.12 of it inside the outline, above the nose's base, what the network suspects (above 0.3) and whose "
        "colour is no skin's. In L*a*b*. Fault `hair`: over 1.",
    ),
    Definition(
        ("eyes", "teeth"),
        "change inside both eyes' openings, 0.06 eye widths from their rims, and inside the mouth's, 0.03 of its width "
        "from the lips. In L*a*b*; not known where they are shut. Faults `eyes`, `teeth`: over 1.",
    ),
    Definition(
        ("near", "smudge"),
        "density D = log(source + 0.004) - log(result + 0.004) in linear light 0..1, the mean of red, green and blue "
        "less the cheeks' own: near, from 0.2 to 0.9 of the eye and 0.02 to 0.10 eye widths above the rim; smudge, the "
        "mean over the last 0.12 eye widths below the brow's lower edge by near. Both eyes together; known where near "
        "is 0.5 or more.",
    ),
    Definition(
        ("reference_smudge",),
        "the same of the reference, by how much darker than its cheeks it is, below its brow or, where that is nearer "
        "to the lid, at the height of the source's; with --rendered of source and true answer. "
        "Fault `smudge`: over 0.3 where the reference's is at most 0.3.",
    ),
    Definition(
        ("step", "reference_step"),
        "largest fall of D, averaged along the lid, over 0.05 eye widths of height, by near; of the eye with the "
        "larger one, at most 1. Fault `step`: below 0.35 where the reference's is 0.35 or more and its smudge "
        "at most 0.3.",
    ),
    Definition(
        ("alike", "reference_alike"),
        "1 - |l - r| / (l + r) of near of the left and the right eye, l and r. Fault `unlike`: below 0.85 where the "
        "reference's is 0.85 or more.",
    ),
    Definition(("brows",), "change on the brows (brow mask above 0.7) in L*a*b*; reported only."),
)
LIMITS_TEXT = (
    "limits: at most 2 % of the pairs lopsided and 3 % with patches; means of hair, eyes and teeth at most 1; of "
    "smudge at most 0.3, step at least 0.35, alike at least 0.85, over the pairs where they are judged; with --groups, "
    "no group of 10 pairs and more has over 1.5 times as many faults a pair as all."
)


def faults_of(figures: Mapping[str, float]) -> list[str]:
    """The names of a result's faults, of FAULTS; a figure that is not known (NaN) is none."""
    stronger = max(figures["lid_left"], figures["lid_right"])
    found = {
        "lopsided": figures["lids_ratio"] < LEAST_LID_RATIO
        and stronger >= LEAST_LID_CHANGE
        and not figures["reference_lids_apart"] >= LEAST_LID_RATIO * stronger,
        "patches": figures["patches"] > MOST_PATCHES,
        **{name: figures[name] > MOST_CHANGE for name in ("hair", "eyes", "teeth")},
        "smudge": judged(figures, "smudge") and figures["smudge"] > MOST_SMUDGE,
        "step": judged(figures, "step") and figures["step"] < LEAST_STEP,
        "unlike": judged(figures, "alike") and figures["alike"] < LEAST_ALIKE,
    }
    return [name for name in FAULTS if found[name]]


def judged(figures: Mapping[str, float], name: str) -> bool:
    """Whether the reference is such that `smudge`, `step` or `alike` can be a fault; True of every other figure."""
    if math.isnan(figures[name]):
        return False
    if name == "alike":
        return figures["reference_alike"] >= LEAST_ALIKE
    if name in ("smudge", "step"):
        ends = figures["reference_smudge"] <= MOST_SMUDGE
        return ends and (name == "smudge" or figures["reference_step"] >= LEAST_STEP)
    return True


class Summary(NamedTuple):
    """Many pairs in a few figures.

    pairs: their number; shares: per cent of the pairs with each fault, and with any; means: of each figure over the
    pairs where it is known and judged (NaN: in none); counts: in how many that is; a_pair: faults of a pair on average.
    """

    pairs: int
    shares: dict[str, float]
    means: dict[str, float]
    counts: dict[str, int]
    a_pair: float


def summarise(rows: Sequence[Mapping[str, float]]) -> Summary:
    """The summary of the figures of at least one pair."""
    found = [faults_of(row) for row in rows]
    shares = {name: 100 * sum(name in faults for faults in found) / len(rows) for name in FAULTS}
    shares["any"] = 100 * sum(bool(faults) for faults in found) / len(rows)
    means, counts = {}, {}
    for name in rows[0]:
        values = [row[name] for row in rows if judged(row, name)]
        means[name] = sum(values) / len(values) if values else math.nan
        counts[name] = len(values)
    return Summary(len(rows), shares, means, counts, sum(map(len, found)) / len(rows))


def beyond(whole: Summary, groups: Mapping[str, Summary] | None = None) -> list[str]:
    """What is beyond the limits (LIMITS_TEXT), a sentence each; empty where all is within."""
    said = []
    for name, most in (("lopsided", MOST_LOPSIDED_PAIRS), ("patches", MOST_PATCHED_PAIRS)):
        if whole.shares[name] > most:
            said.append(f"{name}: {whole.shares[name]:.1f} % of the pairs, at most {most:g} %")
    limits = {**dict.fromkeys(("hair", "eyes", "teeth"), MOST_CHANGE), "smudge": MOST_SMUDGE}
    said += [
        f"{name}: {whole.means[name]:.2f} on average, at most {most:g}"
        for name, most in limits.items()
        if whole.means[name] > most
    ]
    said += [
        f"{name}: {whole.means[name]:.2f} on average, at least {least:g}"
        for name, least in (("step", LEAST_STEP), ("alike", LEAST_ALIKE))
        if whole.means[name] < least
    ]
    for label, group in (groups or {}).items():
        if group.pairs >= LEAST_GROUP and group.a_pair > MOST_OF_GROUP * whole.a_pair:
            said.append(f"{label}: {group.a_pair:.2f} faults a pair, over {MOST_OF_GROUP:g} times {whole.a_pair:.2f}")
    return said
