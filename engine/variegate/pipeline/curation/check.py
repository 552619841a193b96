"""How far labels agree with the oracle, before and after a curation. Knows items and the oracle; knows no files."""

from __future__ import annotations

from typing import Any

from variegate.curation.judging import Items
from variegate.pipeline.curation.inputs import ORACLE, Inputs
from variegate.proportions import wilson


def check_against_oracle(inputs: Inputs, given: Items, final: Items) -> dict[str, Any]:
    """Labels that are the oracle's: `given` of all records, `given_kept` of those that stay, `final` of those; each {accuracy, n, ci95}.

    oracle_test: the oracle's own evaluation on the task's test split, where there is one: an oracle that errs in a tenth of
    all texts disagrees with right labels too. doubt: why it is hardly an oracle, or None.
    Raises UsageError where the task has no real train split.
    Reference: Chung et al. 2023, section 4 ("label accuracy").
    """
    said = dict(zip(given.ids, inputs.oracle_labels(given.texts), strict=True))
    given_of = dict(zip(given.ids, given.labels, strict=True))

    def agreement(pairs: list[tuple[str, str]]) -> dict[str, Any]:
        agreed = sum(label == said[id] for id, label in pairs)
        return {"accuracy": agreed / len(pairs), "n": len(pairs), "ci95": list(wilson(agreed, len(pairs)))}

    taught = [
        stage.kind for stage in inputs.config.stages if getattr(stage, "labels", None) == ORACLE and stage.kind == "label_replacement"
    ]
    test = _evaluate(inputs)
    return {
        "oracle": inputs.config.oracle.model_dump(mode="json"),
        "oracle_test": test,
        "doubt": inputs.doubt_oracle(None if test is None else test["accuracy"]),
        "given": agreement(list(zip(given.ids, given.labels, strict=True))),
        "given_kept": agreement([(id, given_of[id]) for id in final.ids]),
        "final": agreement(list(zip(final.ids, final.labels, strict=True))),
        "note": "a stage took labels from this very oracle, which then agrees with them by construction" if taught else None,
    }


def _evaluate(inputs: Inputs) -> dict[str, Any] | None:
    if not inputs.has_split("test"):
        return None
    from variegate.students.evaluate import evaluate

    test = inputs.split("test")
    out = inputs.task.data.out_of_scope_label if inputs.task.data else None
    if out is not None and not inputs.oracle_knows_scope:
        test = test.without_labels((out,))
    return evaluate(inputs.oracle.predict(test.texts), test, seed=inputs.config.seed)
