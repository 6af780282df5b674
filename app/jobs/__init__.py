"""The life of jobs, and of the items they are cut into.

Job:  queued -> running -> packaging -> succeeded
      queued -> cancelled; running, packaging -> failed, or -> cancelling -> cancelled
      cancelled, failed -> queued (a training run that is resumed)

Item: waiting -> ready -> leased -> done
      leased -> ready (released, failed, or its lease ran out), -> failed (that happened too often)
      waiting, ready, leased -> dropped (its job ended without it)

The items of a data set are its shards, which wait for nobody, and the packings, which wait for them;
an evaluation has steps and a report in their places.

Each function is one transaction (a sweep is one for each job it touches), and each change is made
only if the state it starts from still holds.
"""
