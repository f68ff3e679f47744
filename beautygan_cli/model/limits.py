"""Bounds on what a model may hold.

The published one: a meta-graph of about 12,000 nodes, an index of 10 KB, a shard of 360 MB. One output of its generator
takes some 450 nodes and 7.6 million numbers, and no tensor on the way holds more than 4.2 million numbers for one pair
of chips. The meta-graph may be large: a loss network's weights can be in it.
"""

from __future__ import annotations

MAX_STATE_BYTES = 1 << 20  # the file `checkpoint`, a few lines of text
MAX_META_BYTES = 1 << 30
MAX_INDEX_BYTES = 1 << 24
MAX_SHARD_BYTES = 1 << 33
MAX_SHARDS = 100
MAX_INDEX_ENTRIES = 100_000
MAX_KEY_BYTES = 4096
MAX_ALL_KEYS_BYTES = 1 << 24  # of an index, which stores of each key only what it adds to the one before
MAX_ALL_NAMES = 1 << 25  # characters of all nodes and functions, 128 MB; the published one's have half a million
MAX_DIMENSIONS = 8
MAX_GRAPH_NODES = 500_000
MAX_KEPT_NODES = 20_000
MAX_FIELDS = 3_000_000  # that are looked at to find the nodes; the published one has some 200,000
MAX_PARTS = 500_000  # fields of the kept nodes, with those inside them
MAX_NODE_BYTES = (1 << 28) + (1 << 24)  # of the kept nodes in the file: their constants, and the rest
MAX_CONSTANT_BYTES = 1 << 28  # all constants of the kept part together
MAX_VARIABLES = 5_000
MAX_VARIABLE_NUMBERS = 1 << 27  # all variables of the kept part together
MAX_TENSOR_NUMBERS = 1 << 26  # one tensor, for one pair of chips
MAX_NUMBERS_AT_ONCE = 1 << 29  # of the tensors that may be there at the same time, 2 GB; the published one's 91 million
MAX_ALL_TENSORS_NUMBERS = 1 << 31  # all tensors together, for one pair of chips; most live for a moment only
MAX_ATTRIBUTE = 1 << 16  # any whole number among an operation's settings
MAX_FIXED_BATCH = 256
