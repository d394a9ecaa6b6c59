"""Whether a run of the store shows what its plan says, or how busy the machine was with something else.

An experiment needs a control: what must go well whatever is done to the store. Here that is the run in which nothing
happens, the customers who come before anything happens, and visits to a part that nobody touches.
"""

from __future__ import annotations

from drydock.model.layer import counted
from drydock.model.shop import PARTS, Comparison, Plan, Window

SETTINGS = (1, 2, 4, 8)  # how many times as long all times may be as on a quiet machine
SERVED = 0.95  # the share of customers that a store in which nothing happens must serve
IN_TIME = 0.8  # the share of visits to the untouched part that must be answered within the timeout
VISIT = 0.1  # seconds between two of them, on a quiet machine
UNTOUCHED = ("users", "catalogue")  # the part that is visited; the second where the plan is about the first


def untouched(plan: Plan) -> str:
    """Return the part that is visited as the control.

    >>> untouched(Plan("crash")), untouched(Plan("crash", "users"))
    ('users', 'catalogue')
    """
    assert plan.part in PARTS
    return next(part for part in UNTOUCHED if part != plan.part)


def lost(comparison: Comparison) -> bool:
    """Return whether a run in which nothing happens has already failed too many customers to be calm."""
    most = (1 - SERVED) * comparison.plan.seconds * comparison.plan.rate
    return any(sum(not request.ok for request in run.requests) > most for run in comparison.runs)


def unrest(calm: Comparison) -> str:
    """Return why a run in which nothing happens is not calm; "" where it is.

    Calm: nearly all are served, and 95 of 100 pages are there within the time that the lesson's timeout gives one call.

    >>> from drydock.model.shop_rule import predict
    >>> unrest(predict(Plan(seconds=3))), unrest(predict(Plan(seconds=3, rate=100)))[:54]
    ('', '')
    """
    for run in calm.runs:
        if failed := _failed(run.after):
            return f"the {run.design} {failed}"
        if run.after.p95 is None or run.after.p95 > 1000 * calm.plan.timeout:
            return f"the {run.design} needed {run.after.p95 or 0:.0f} ms (p95) for a page"
    return ""


def disturbance(comparison: Comparison) -> str:
    """Return what shows that something else kept the machine busy during a run; "" where nothing does."""
    plan = comparison.plan
    for run in comparison.runs:
        seen = run.after if plan.deed == "nothing" else run.before
        if failed := _failed(seen):
            return f"the {run.design} {failed}{'' if plan.deed == 'nothing' else ' before anything happened'}"
    late = sum(not (visit.ok and visit.ms <= 1000 * plan.timeout) for visit in comparison.control)
    longest = max((visit.ms for visit in comparison.control), default=0.0)
    if late > (1 - IN_TIME) * len(comparison.control) or longest > 500 * plan.patience:
        return (
            f"of {counted(len(comparison.control), 'visit')} to {untouched(plan)}, which nobody touched, {late} took "
            f"longer than {1000 * plan.timeout:.0f} ms, one {longest:.0f} ms"
        )
    return ""


def control_sentence(comparison: Comparison) -> str:
    """Return how the untouched part fared; "" where it was not visited.

    >>> from drydock.model.shop import Request, Run
    >>> visits = (Request(0.1, "users", True, 4.0), Request(0.2, "users", True, 60.0))
    >>> control_sentence(Comparison((Run("services", Plan("slow")),), visits))
    'users, which nobody touched, answered 1 of 2 visits within 50 ms'
    """
    plan, visits = comparison.plan, comparison.control
    good = sum(visit.ok and visit.ms <= 1000 * plan.timeout for visit in visits)
    told = f"{untouched(plan)}, which nobody touched, answered {good} of {counted(len(visits), 'visit')}"
    return f"{told} within {1000 * plan.timeout:.0f} ms" if visits else ""


def _failed(seen: Window) -> str:
    if seen.success is None or seen.success >= SERVED:
        return ""
    return f"served {100 * seen.success:.0f} % of {seen.sent}"
