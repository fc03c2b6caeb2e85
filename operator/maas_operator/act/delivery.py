"""Delivering a key: it is made here, goes into its Secret, and is forgotten.

Nothing else ever holds it: no log line, no status, no error. A Secret that the API server refuses may come back in its
words, or in a policy's; the key in it never counts, since its digest is written only when its Secret was made.
"""

import structlog

from maas_operator.act.answers import Outdated
from maas_operator.act.cluster import Cluster
from maas_operator.api.decision import Deliver, Withdraw
from maas_operator.api.names import KEY_DATA
from maas_operator.api.seen import Manifest
from maas_operator.keymaking import digest_of, new_key

log = structlog.get_logger()


async def carry_out(delivery: Deliver | Withdraw, cluster: Cluster) -> Manifest:
    """Do it. Returns what the ApiKey's status is to say now. Raises Refused or Gone where it could not be done."""
    if isinstance(delivery, Deliver):
        return await _deliver(delivery, cluster)
    return await _withdraw(delivery, cluster)


async def _deliver(deliver: Deliver, cluster: Cluster) -> Manifest:
    if deliver.leftover:
        await cluster.remove(deliver.leftover)
    key = new_key()
    name = deliver.secret["metadata"]["name"]
    uid = await cluster.create(deliver.secret | {"stringData": {KEY_DATA: key}})
    if uid is None:
        log.info("an earlier attempt to deliver was given up", secret=name)
        return deliver.taken
    log.info("delivered", secret=name)
    delivery = deliver.delivered["delivery"] | {"secretUID": uid}
    return {"sha256": digest_of(key), "delivery": delivery}


async def _withdraw(withdraw: Withdraw, cluster: Cluster) -> Manifest:
    try:
        await cluster.remove(withdraw.secret)
    except Outdated:
        log.info("another Secret has its name", secret=withdraw.secret.name)  # ours is gone, and that one is not ours
    else:
        log.info("withdrawn", secret=withdraw.secret.name)
    return withdraw.withdrawn
