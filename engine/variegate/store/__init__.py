"""The run folder: rounds committed atomically, a ledger, a manifest, curations. Every file is JSONL, JSON or YAML.

run.yaml                      the resolved configuration
format.json, about.json       the folder's format, written first; what its strategy says of itself
seeds/                        an entry of the shelf (`entry`): the real examples that the run started from
rounds/000000/                an entry: one row per request, in request order: what was asked, what came back, its items; facts
parts/000000-000000/          an entry: a shard of the round in progress
records.jsonl                 the kept records (written when the run ends, from the rounds)
dropped.jsonl                 the others, each with its reason
manifest.json                 hashes, versions, seeds, ledger, speed
report.html
set-aside/                    rounds of earlier configurations, whose unchanged rows are reused
inspected.jsonl               what a person judged, appended by `variegate inspect`
curations/NAME/               verdicts on the records; the records themselves are never changed
    curation.yaml                 its resolved configuration
    001-relabel/                  an entry: a verdict per record the stage was given, in record order; facts
    observations/000000/          entries: what a language model answered, chunk by chunk (`answers`)
    curated.jsonl                 the records that stay, with their final label
    curation.json                 the whole in numbers; written last: with it the curation is done
    set-aside/000/                stages of earlier configurations (`shelf`)
lock                          held while a process works in the folder
"""
