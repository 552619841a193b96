"""The run folder: rounds committed atomically, a ledger, a manifest. Every file is JSONL, JSON or YAML.

run.yaml                      the resolved configuration
rounds/000000/completions.jsonl   one row per request, in request order: what was asked, what came back, the outcome
rounds/000000/round.json          counts, token counts, seconds
records.jsonl                 the kept records (written when the run ends, from the rounds)
dropped.jsonl                 the others, each with its reason
manifest.json                 hashes, versions, seeds, ledger, speed
report.html
set-aside/                    rounds of earlier configurations, whose unchanged rows are reused
lock                          held while a process works in the folder
"""
