"""Flows and reference solvers as a scientist writes them with SciPy and scikit-learn."""
from common import main, median_seconds, report

import numpy as np


def flow(row, start):
    """Gradient flow of a linear model on logistic loss to margin 20, in log(1 + t), at the accuracy of our default."""
    from scipy.integrate import solve_ivp

    z = start["x"] * start["y"][:, None]
    n = z.shape[0]

    def velocity(s, b):
        m = z @ b
        return np.exp(s - np.logaddexp(0, m)) @ z / n

    def reached(s, b):
        return (z @ b).min() - 20
    reached.terminal = True

    for method in ("DOP853", "LSODA"):
        solve = lambda: solve_ivp(velocity, (0, 400), np.zeros(z.shape[1]), method=method, rtol=1e-12, atol=1e-14, events=reached)  # noqa: B023
        end = solve()
        report("scipy", method, row, median_seconds(solve, least=1), log_t=float(end.t_events[0][0]))


def svm(row, start):
    """Hard-margin support vector machine: libsvm (C = 1e10), quadratic programme by SLSQP is far slower."""
    x, y = start["x"], start["y"]
    try:
        from sklearn.svm import SVC
    except ImportError:
        return
    fit = lambda: SVC(kernel="linear", C=1e10, tol=1e-8).fit(x, y)
    b = fit().coef_[0]
    report("scikit-learn", "SVC with intercept", row, median_seconds(fit, least=1), norm=float(np.linalg.norm(b)))


if __name__ == "__main__":
    main({"flow": flow, "svm": svm})
