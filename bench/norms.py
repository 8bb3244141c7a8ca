"""Ways to give the cohort's percentiles, scored by cross-validation: ``python -m bench.norms``.

Pinball loss (HU, lower is better) and coverage (the share of held-out patients at or below the
percentile) over three times five folds, mean of the six vertebrae.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import typer
from sklearn.linear_model import QuantileRegressor
from sklearn.metrics import mean_pinball_loss
from sklearn.model_selection import RepeatedKFold

from modeling import read_cohort, without_duplicates
from modeling.cohort import AGE_COLUMN, SEX_COLUMN
from modeling.norms import CENTRE_YEARS, PERCENTILES, VERTEBRAE

Values = npt.NDArray[np.float64]
Way = Callable[[pd.DataFrame, pd.DataFrame, str, float], Values]


def sex_alone(train: pd.DataFrame, test: pd.DataFrame, name: str, quantile: float) -> Values:
    by_sex = train.groupby(SEX_COLUMN)[name].quantile(quantile)
    return test[SEX_COLUMN].map(by_sex).to_numpy()


def window(years: float) -> Way:
    def found(train: pd.DataFrame, test: pd.DataFrame, name: str, quantile: float) -> Values:
        values = []
        for age, sex in zip(test[AGE_COLUMN], test[SEX_COLUMN], strict=True):
            same = train[train[SEX_COLUMN] == sex]
            nearest = (same[AGE_COLUMN] - age).abs().sort_values(kind="stable")
            within = nearest[nearest <= years]
            chosen = within if len(within) >= 10 else nearest[:20]
            values.append(same.loc[chosen.index, name].quantile(quantile))
        return np.array(values)

    return found


def regression(design: Callable[[pd.DataFrame], Values]) -> Way:
    def found(train: pd.DataFrame, test: pd.DataFrame, name: str, quantile: float) -> Values:
        model = QuantileRegressor(quantile=quantile, alpha=0.0)
        return np.asarray(model.fit(design(train), train[name]).predict(design(test)))

    return found


def columns(*, product: bool = False, square: bool = False) -> Callable[[pd.DataFrame], Values]:
    def design(rows: pd.DataFrame) -> Values:
        decades = ((rows[AGE_COLUMN] - CENTRE_YEARS) / 10.0).to_numpy()
        sex = rows[SEX_COLUMN].to_numpy()
        terms = [decades, sex]
        terms += [decades * sex] if product else []
        terms += [decades**2] if square else []
        return np.column_stack(terms)

    return design


WAYS: dict[str, Way] = {
    "sex alone": sex_alone,
    "window of 5 years each way, by sex": window(5.0),
    "window of 8 years each way, by sex": window(8.0),
    "line in age, sexes a constant apart (taken)": regression(columns()),
    "line in age for each sex": regression(columns(product=True)),
    "parabola in age, sexes a constant apart": regression(columns(square=True)),
}


def main(cohort: Path) -> None:
    """Print the scores as a table in Markdown."""
    rows = without_duplicates(read_cohort(cohort))
    folds = list(RepeatedKFold(n_splits=5, n_repeats=3, random_state=42).split(rows))
    sexes = (("women", 0.0), ("men", 1.0))
    heads = [f"loss P{p}" for p in PERCENTILES] + [
        f"{who} <= P{p}" for who, _ in sexes for p in PERCENTILES
    ]
    print(f"{len(rows)} patients\n\n| | {' | '.join(heads)} |\n|{'---|' * (len(heads) + 1)}")
    for words, way in WAYS.items():
        loss: dict[int, list[float]] = {p: [] for p in PERCENTILES}
        below: dict[tuple[float, int], list[bool]] = {(s, p): [] for _, s in sexes for p in loss}
        for name in VERTEBRAE:
            for train, test in folds:
                held = rows.iloc[test]
                for p in PERCENTILES:
                    given = way(rows.iloc[train], held, name, p / 100)
                    loss[p].append(mean_pinball_loss(held[name], given, alpha=p / 100))
                    for _, sex in sexes:
                        of_sex = (held[SEX_COLUMN] == sex).to_numpy()
                        below[sex, p] += list((held[name].to_numpy() <= given)[of_sex])
        cells = [f"{np.mean(loss[p]):.2f}" for p in PERCENTILES]
        cells += [f"{np.mean(found):.3f}" for found in below.values()]
        print(f"| {words} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    typer.run(main)
