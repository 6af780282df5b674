"""Webhooks: telling a receiver of the user's, by signed requests, that a job has ended.

The row of a delivery is written in the transaction that ends the job. A process of its own sends
what is due, again and again where it must (:mod:`app.webhooks.sender`). So nothing that a receiver
does, or fails to do, touches a job.
"""
