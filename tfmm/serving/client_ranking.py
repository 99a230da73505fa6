"""A user's ranking: what a client sends for it, and what it makes of the answer."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from tfmm.serving.client_calls import Answer, TensorInfo
from tfmm.serving.client_values import check_one_each, complete


class Ranked(NamedTuple):
    """One candidate of a ranking.

    Args:
        item_id: Its raw id, text or integer as it was sent.
        score: Its click probability.
        known: Whether the model has a vector of it.
        others: Probabilities of further labels, where the model has several heads.
    """

    item_id: str | int
    score: float
    known: bool
    others: Mapping[str, float] = MappingProxyType({})


class Ranking(list[Ranked]):
    """Candidates, best first.

    Attributes:
        history_known: Share of the history's events whose item has a vector; None
            where the model does not say.
        version: The version that ranked; None over REST, which does not say.
    """

    def __init__(
        self,
        ranked: Iterable[Ranked],
        history_known: float | None = None,
        version: int | None = None,
    ) -> None:
        super().__init__(ranked)
        self.history_known = history_known
        self.version = version


def rank_inputs(
    model: str,
    wanted: Mapping[str, TensorInfo],
    items: Sequence[str | int],
    user_key: int,
    history: Sequence[str | int],
    history_type: Sequence[str] | None,
    context: Mapping[str, Any],
    candidates: Mapping[str, Sequence[Any]],
) -> dict[str, Any]:
    """The inputs of `rank` for one user; see `Client.rank`.

    Args:
        model: The model's name, for messages.
        wanted: The signature's inputs.
        items: Raw ids of the candidates.
        user_key: The user's keyed hash.
        history: Raw ids of the user's events.
        history_type: Their types; missing when absent.
        context: Values of `user_<f>` and `context_<f>`.
        candidates: Values of `candidate_<f>` and `base_score`.

    Raises:
        TfmmError: If they do not fit the model or each other.
    """
    types = {} if history_type is None else {"history_type": history_type}
    check_one_each(types, len(history), "event of the history")
    check_one_each(candidates, len(items), "candidate")
    # An empty history is left out and gets one column of padding: in a server's batch
    # a tensor without elements would fail beside others.
    events = {"history_item_id": history, **types} if len(history) else {}
    given: dict[str, Any] = {
        "user_key": [user_key],
        **{name: [list(value)] for name, value in events.items()},
        "n_history": [len(history)],
        "item_id": [list(items)],
        "n_items": [len(items)],
        **{name: [value] for name, value in context.items()},
        **{name: [list(value)] for name, value in candidates.items()},
    }
    return complete(model, wanted, given, len(history), len(items))


def ranking(answer: Answer, count: int) -> Ranking:
    """The first request's candidates, best first; other outputs are left alone.

    Args:
        answer: Outputs of `rank`; wider than the request where a server asked the model
            for several requests at once.
        count: How many candidates were sent.
    """
    found = {name: values[0].tolist() for name, values in answer.outputs.items()}
    heads = {
        name.removeprefix("score_"): scores
        for name, scores in found.items()
        if name.startswith("score_")
    }
    columns = [found[name][:count] for name in Ranked._fields[:3]]
    ranked = [
        Ranked(item, score, known, {head: x[place] for head, x in heads.items()})
        for place, (item, score, known) in enumerate(zip(*columns, strict=True))
    ]
    ranked.sort(key=lambda r: -r.score)
    return Ranking(ranked, found.get("history_known"), answer.version)
