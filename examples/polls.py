"""What people think of polls: latent classes of answers in words, each pattern of which is one row.

1,202 persons were asked what polls are for and whether they are accurate; the interviewers noted
how well they had understood and how they had behaved. A table of the 36 possible patterns, with the
number of persons as weights, is all of the data.
"""

from itertools import product

import pandas as pd

import daskem

# General Social Survey 1982, white respondents: McCutcheon (1987), Latent Class Analysis. Of the
# persons the last question varies fastest.
ANSWERS = {
    "purpose": ["good", "depends", "waste of time"],
    "accuracy": ["mostly true", "not true"],
    "understanding": ["good", "fair or poor"],
    "cooperation": ["interested", "cooperative", "impatient"],
}
# fmt: off
PERSONS = [
    419, 35, 2, 71, 25, 5, 270, 25, 4, 42, 16, 5,
    23, 4, 1, 6, 2, 0, 43, 9, 2, 9, 3, 2,
    26, 3, 0, 1, 2, 0, 85, 23, 6, 13, 12, 8,
]
# fmt: on


def polls():
    """A row for each pattern of answers, in words, and how many persons gave it."""
    table = pd.DataFrame(product(*ANSWERS.values()), columns=list(ANSWERS))
    words = {name: pd.CategoricalDtype(answers) for name, answers in ANSWERS.items()}
    return table.astype(words).assign(persons=PERSONS)


def main():
    """The three classes that the literature has, and the class of some persons."""
    table = polls()
    result = daskem.fit(
        daskem.Mixture(daskem.Categorical()),
        table,
        n_components=3,
        features=list(ANSWERS),
        sample_weight="persons",
        n_init=4,
        tol=1e-7,
        max_passes=1000,
        random_state=0,
    )
    print(result)
    labelled = result.to_dataset()
    for k in range(3):
        print(f"\nclass {k}, {labelled['weights'].values[k]:.0%} of the persons")
        for feature in ANSWERS:
            shares = labelled["probabilities"].sel(feature=feature, component=k)
            levels = labelled["level"].sel(feature=feature).values
            told = zip(levels, shares.values, strict=True)
            print(f"  {feature:>13}: " + ", ".join(f"{w} {p:.0%}" for w, p in told if w))
    # New answers, in words too.
    persons = pd.DataFrame(
        {
            "purpose": ["good", "waste of time"],
            "accuracy": ["mostly true", "not true"],
            "understanding": ["good", "fair or poor"],
            "cooperation": ["interested", "impatient"],
        }
    )
    labels = result.predict(persons)
    print(persons.assign(group=labels))
    return result, labels


if __name__ == "__main__":
    main()
