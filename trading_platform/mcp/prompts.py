"""Prompts for three common tasks; an assistant offers them to its user by name."""

from __future__ import annotations

from typing import Annotated

from mcp.server.mcpserver.prompts import Prompt
from pydantic import Field


def explain_decision(decision_id: Annotated[str, Field(description="id of the decision")]) -> str:
    """Explain a decision: what was known when it was taken, and what is different now."""
    return (
        f"Call explain_decision with decision_id {decision_id!r}. Say in a few sentences what was decided and for which"
        " stated reasons, which of the recorded bars, features, positions, limits and news support them and which do"
        " not, and what of it was corrected since. Use only what the tool returns; name what was not recorded."
    )


def check_data() -> str:
    """Check whether today's data can be relied on."""
    return (
        "Call data_health, then instrument_info for the instruments of the portfolio, and latest_quotes for those whose"
        " market is open. Report first whether live data can be relied on; then each warning with its time; then each"
        " instrument whose newest price is older than its market's hours explain. Say that all is well only if nothing"
        " of this was found."
    )


def prepare_training_set(
    symbols: Annotated[str, Field(description="instruments, separated by commas")],
    start: Annotated[str, Field(description="first day")],
    end: Annotated[str, Field(description="day after the last")],
) -> str:
    """Prepare a training set of features without look-ahead."""
    return (
        f"Prepare a training set of {symbols} from {start} to {end}. Read the resource features://catalog and propose"
        " features whose history suffices; then call training_set. Report where the file is, how many rows it has, and"
        " which features are empty in the beginning because of their warm-up. It has no labels: they look ahead."
    )


def prompts() -> list[Prompt]:
    """All prompts."""
    return [Prompt.from_function(each) for each in (explain_decision, check_data, prepare_training_set)]
