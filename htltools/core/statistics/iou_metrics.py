"""Localization metrics of one box per sample, from IoU alone."""

import numpy as np

THRESHOLDS = 0.3, 0.5, 0.7, 0.75, 0.9
FAILURE = 0.1
LOWER_IS_BETTER = {"failure_rate", "fp_per_image", "hd95", "assd"}


def metric_values(iou: np.ndarray, times: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Every metric by name, float [R]: one value for each row of `times`; all lie in [0, 1].

    iou: [N], in [0, 1], 1 = the same box; NaN = a missing prediction, which counts as 0.
    times: whole numbers [R, N], how often each sample is taken; absent: each once, R = 1. A row needs at least one sample.
    Quantiles are those of the repeated samples, linear between neighbours, as in `numpy.quantile`.

    >>> values = metric_values(np.array([0.05, 0.5, 0.8, np.nan]))
    >>> values["iou_mean"], values["iou_median"], values["acc@0.5"], values["failure_rate"]
    (array([0.3375]), array([0.275]), array([0.5]), array([0.5]))
    """
    iou = np.nan_to_num(np.asarray(iou, float))
    times = np.ones((1, len(iou)), np.int64) if times is None else times
    right = iou[:, None] >= np.array(THRESHOLDS)  # [N, T]
    sums = times @ np.column_stack([iou, right, iou < FAILURE]).astype(float)  # [R, 1 + T + 1]
    mean, *shares, failures = (sums / times.sum(1)[:, None]).T
    median, low = repeated_quantiles(iou, times, (0.5, 0.1))
    return {
        "iou_mean": mean,
        "iou_median": median,
        "iou_p10": low,
        **{f"acc@{threshold:g}": share for threshold, share in zip(THRESHOLDS, shares)},
        "failure_rate": failures,
    }


def repeated_quantiles(values: np.ndarray, times: np.ndarray, shares: tuple[float, ...]) -> list[np.ndarray]:
    """Quantiles of values [N] repeated `times` [R, N]: one array [R] for each share in [0, 1].

    >>> repeated_quantiles(np.array([3., 1., 2.]), np.array([[1, 1, 1], [0, 2, 2]]), (0.5,))
    [array([2. , 1.5])]
    """
    order = values.argsort()
    ordered = values[order]
    ends = times[:, order].cumsum(1)  # [R, N], position after the last repeat of each value

    def at(place: np.ndarray) -> np.ndarray:
        return ordered[(ends <= place[:, None]).sum(1)]

    quantiles = []
    for share in shares:
        place = share * (ends[:, -1] - 1)
        below = np.floor(place)
        low, high = at(below), at(np.ceil(place))
        quantiles.append(low + (place - below) * (high - low))
    return quantiles
