"""How well each group of people is made up when the makeup comes from somebody of the same group.

    python benchmarks/groups.py --rendered FACES --groups CSV [--cache people.npz] --count 24

`beautygan-evaluate --rendered --groups` takes references from anybody, and there a dark skin stays far from a pale
reference on purpose. Here sources and references are of one group, each group wears the same styles, and everybody
takes part, also those who were trained on: of some groups too few people are held out. Figures and table are
`beautygan-evaluate`'s.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

import numpy as np

from beautygan_cli import MakeupSession
from beautygan_cli.cli import evaluate
from beautygan_cli.evaluation import metrics
from beautygan_cli.makeup import rendering
from beautygan_cli.training import dataset, validation

FEWEST = 5  # people of a group, to say anything of it


def main() -> int:
    """Print the table."""
    options = evaluate.parser().parse_args()
    groups = evaluate.read_groups(options.groups)
    rows = []
    with MakeupSession(options.model) as session:
        for group, case in cases(options, groups):
            result = metrics.make_up(session, case.source, case.reference)
            figures = metrics.figures(case.source, case.reference, result, case.truth)
            rows.append(evaluate.Row(case.source.name, case.reference.name, group, (figures,)))
    print(evaluate.table(rows, [""]))
    return 0


def cases(options: argparse.Namespace, groups: dict[str, str]) -> Iterator[tuple[str, validation.Case]]:
    """`count` cases of each group."""
    paths = validation.paths_of(options.rendered)
    everyone = dataset.load(options.rendered, options.cache)
    for group in sorted(set(groups.values())):
        members = [person for person in everyone if groups.get(person.person) == group]
        if len({person.person for person in members}) < FEWEST:
            continue
        rng, styles = np.random.default_rng(options.seed), np.random.default_rng(options.seed + 1)
        for source in (members[i] for i in np.resize(rng.permutation(len(members)), options.count)):
            others = [person for person in members if person.person != source.person]
            reference = others[int(rng.integers(len(others)))]
            pair = (validation.bare_of(person, paths[person.name]) for person in (source, reference))
            yield group, validation.make_case(*pair, rendering.random_style(styles))


if __name__ == "__main__":
    sys.exit(main())
