"""Latent classes that others have published: tables of answers, and the likelihoods of their fits.

The tables and the log-likelihoods are those of the examples of poLCA (Linzer and Lewis 2011,
Journal of Statistical Software 42), which repeats the books that are named.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Answers:
    """How many persons, or slides, gave each pattern of answers.

    Attributes
    ----------
    patterns : tuple of str
        A digit for each question, 1 for yes; or which of several answers.
    counts : tuple of int
    published : dict
        The total log-likelihood of the best fit, by the number of classes.
    """

    patterns: tuple[str, ...]
    counts: tuple[int, ...]
    published: dict[int, float]

    @property
    def table(self) -> tuple[np.ndarray, np.ndarray]:
        """Each pattern once, (sample, feature), and how often it was given, (sample,)."""
        return np.array([list(map(float, p)) for p in self.patterns]), np.array(self.counts, float)

    @property
    def rows(self) -> np.ndarray:
        """One for each person, (sample, feature)."""
        patterns, counts = self.table
        return patterns.repeat(counts.astype(int), axis=0)


_FOUR = tuple(f"{i:04b}" for i in range(16))

PUBLISHED = {
    # Seven pathologists on 118 slides: carcinoma of the cervix? Agresti (2002), table 13.1.
    "carcinoma": Answers(
        [
            "0000000",
            "0000100",
            "0100000",
            "0100001",
            "0100100",
            "0100101",
            "1000000",
            "1010101",
            "1100000",
            "1100001",
            "1100100",
            "1100101",
            "1100111",
            "1101001",
            "1101101",
            "1101111",
            "1110101",
            "1110111",
            "1111101",
            "1111111",
        ],
        (34, 2, 6, 1, 4, 5, 2, 1, 2, 1, 2, 7, 1, 1, 2, 3, 13, 5, 10, 16),
        {2: -317.2568, 3: -293.705, 4: -289.2858},
    ),
    # 319 students: lied about an exam, a paper, bought a paper, copied? Dayton (1998), table 3.4.
    "cheating": Answers(
        _FOUR, (207, 46, 7, 5, 13, 4, 1, 2, 10, 3, 1, 2, 11, 4, 1, 2), {2: -440.0271}
    ),
    # 216 students: a friend or the rule? Stouffer and Toby (1951), in Goodman (2002), table 4.
    "values": Answers(
        _FOUR,
        (42, 23, 6, 25, 6, 24, 7, 38, 1, 4, 1, 6, 2, 9, 2, 20),
        {1: -543.6498, 2: -504.4677, 3: -503.3011},
    ),
}

# 1202 persons on polls: their purpose is good, depends, a waste; they are accurate, or not; the
# questions were understood well, or not; interested, cooperative, impatient? McCutcheon (1987).
SEVERAL = Answers(
    tuple(f"{p}{a}{u}{c}" for p in range(3) for a in range(2) for u in range(2) for c in range(3)),
    (
        *(419, 35, 2, 71, 25, 5, 270, 25, 4, 42, 16, 5),
        *(23, 4, 1, 6, 2, 0, 43, 9, 2, 9, 3, 2),
        *(26, 3, 0, 1, 2, 0, 85, 23, 6, 13, 12, 8),
    ),
    {2: -2783.268, 3: -2754.545, 4: -2746.621},
)
