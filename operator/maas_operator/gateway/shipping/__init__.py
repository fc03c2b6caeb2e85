"""From Envoy's access log to the ledger: every line counted once, and let go only when it is acknowledged.

The shipper keeps no state of its own. The ledger knows, for each log, up to which byte it has counted; a stretch that
begins elsewhere it does not count, and its answer says where to go on. So it does not matter who is killed when. What a
killed Envoy had under way is written to the end of its log first.
"""
