"""What the model's calls are worth among patients of the stated prevalence."""

from dicom_node.reporting.report_model import CallValueReport, PredictiveValuesReport
from modeling import Stage, StagePrediction
from modeling.bundle.nested_calls import CallValue

__all__ = ["reported_values", "worth_line", "worth_words"]


def reported_values(prediction: StagePrediction) -> PredictiveValuesReport | None:
    """Give the predictive values of a prediction's calls; None where there are none."""
    values = prediction.predictive_values
    if values is None or prediction.predicted is None:
        return None

    def reported(value: CallValue) -> CallValueReport:
        return CallValueReport(ppv=value.positive, npv=value.negative)

    return PredictiveValuesReport(
        stage=reported(values.stages[prediction.predicted]),
        osteoporosis_call=reported(values.osteoporosis_call),
        osteoporosis_answer=reported(values.osteoporosis_answer),
    )


def worth_words(predicted: Stage, values: PredictiveValuesReport) -> str:
    """Say what calls are worth where the stages are as frequent as the report states.

    Examples
    --------
    >>> values = PredictiveValuesReport(
    ...     stage=CallValueReport(ppv=0.62, npv=0.9),
    ...     osteoporosis_call=CallValueReport(ppv=0.72, npv=0.8),
    ...     osteoporosis_answer=CallValueReport(ppv=0.8, npv=None),
    ... )
    >>> worth_words(Stage.D, values)[:70]
    'Among such patients, by cross-validation: stage D is right in 62 % (an'
    """
    stage, call, answer = values.stage, values.osteoporosis_call, values.osteoporosis_answer
    return (
        f"Among such patients, by cross-validation: stage {predicted} is right in "
        f"{_share(stage.ppv)} (another stage in {_share(stage.npv)}), C or D in "
        f"{_share(call.ppv)} (A or B in {_share(call.npv)}); osteoporosis yes in "
        f"{_share(answer.ppv)}, no in {_share(answer.npv)}."
    )


def worth_line(predicted: Stage, values: PredictiveValuesReport) -> str:
    """Say the same in one line of print.

    Examples
    --------
    >>> values = PredictiveValuesReport(
    ...     stage=CallValueReport(ppv=0.62, npv=0.9),
    ...     osteoporosis_call=CallValueReport(ppv=0.72, npv=0.8),
    ...     osteoporosis_answer=CallValueReport(ppv=0.8, npv=None),
    ... )
    >>> worth_line(Stage.D, values)[:68]
    'Predictive values among them, cross-validated: D 62 %, not D 90 %; C'
    """
    stage, call, answer = values.stage, values.osteoporosis_call, values.osteoporosis_answer
    return (
        f"Predictive values among them, cross-validated: {predicted} {_number(stage.ppv)}, not "
        f"{predicted} {_number(stage.npv)}; C or D {_number(call.ppv)}, A or B "
        f"{_number(call.npv)}; osteoporosis yes {_number(answer.ppv)}, no {_number(answer.npv)}."
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f} %"


def _share(value: float | None) -> str:
    return "an unknown share" if value is None else _number(value)
