"""`labctl plan-channels`: which wavelengths each user of a network needs."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any

from labctl.cli.arguments import print_json
from labctl.errors import RequestError

if TYPE_CHECKING:
    from labctl.analysis.allocation import Plan


def plan_channels(arguments: Any) -> int:
    from labctl.analysis import allocation

    try:
        pumps = [int(word) for word in arguments.pumps.split(",")]
    except ValueError:
        raise RequestError(
            f"--pumps {arguments.pumps!r} must be whole channel labels, such as 0,10"
        ) from None
    try:
        plan = allocation.plan_channels(arguments.users, pumps)
    except ValueError as error:
        raise RequestError(f"plan-channels: {error}") from None
    if arguments.json:
        print_json(_document(plan))
    else:
        print("\n".join(_lines(plan)))
    return 0


def _names(users: int) -> list[str]:
    letters = string.ascii_uppercase
    return list(letters[:users]) if users <= len(letters) else [f"U{n + 1}" for n in range(users)]


def _document(plan: Plan) -> dict[str, Any]:
    names = _names(plan.users)
    return {
        "users": plan.users,
        "pumps": plan.pumps,
        "channels": plan.channels,
        "lower_bound": plan.lower_bound,
        "proved_optimal": plan.proved_optimal,
        "labels": dict(zip(names, plan.labels, strict=True)),
        "links": [{"users": [names[a], names[b]], "labels": [x, y]} for a, b, x, y in plan.links],
    }


def _lines(plan: Plan) -> list[str]:
    names = _names(plan.users)
    proof = (
        "fewer are impossible"
        if plan.proved_optimal
        else f"at least {plan.lower_bound} are needed; whether {plan.channels - 1} do is not known"
    )
    pumps = ", ".join(map(str, plan.pumps))
    lines = [f"{plan.channels} channels for {plan.users} users, pumps {pumps}: {proof}"]
    width = max(map(len, names))
    for name, labels in zip(names, plan.labels, strict=True):
        lines.append(f"  {name:>{width}}  {'  '.join(f'{label:>4}' for label in labels)}")
    pairs = {(a, b) for a, b, _, _ in plan.links if a != b}
    spare = len(plan.links) - len(pairs)
    lines.append(
        f"{len(pairs)} pairs of users linked"
        + (f", {spare} correlated channel pairs to spare" if spare else "")
    )
    return lines
