"""An assignment policy: shards go round the active nodes. The pattern for one of your own.

The contract, with every rule that the host checks, is `wit/policy/0.1.0/policy.wit`. A policy imports nothing: no
clock, no randomness. What it may depend on is in the snapshot, so every node gets the same answer.
"""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.assignment import (
    Answer_Plan,
    Description,
    PolicyError_InvalidConfig,
    Proposal,
    SnapshotStatus,
    Unplaced,
)


def candidates(role, shard):
    """The ids that may own a shard; None if every node may."""
    ends = role.candidate_ends
    if not ends:
        return None
    at = 0 if len(ends) == 1 else shard
    return role.candidates[ends[at - 1] if at else 0 : ends[at]]


class Assignment(exports.Assignment):
    def describe(self):
        return Description(
            name="round-python",
            version="0.1.0",
            summary="Shards go round the active nodes, in the order of their ids.",
            considers=["candidates", "replicas"],
        )

    def validate(self, config):
        try:
            options = json.loads(config)
        except ValueError as error:
            raise Err(PolicyError_InvalidConfig(f"the configuration is no JSON: {error}"))
        if options != {}:
            raise Err(PolicyError_InvalidConfig(f"there are no options; leave out {', '.join(options)}"))

    def assign(self, config, snapshot):
        role = snapshot.role
        able = [n.id for n in snapshot.nodes if n.status == SnapshotStatus.ACTIVE and n.capacity > 0]
        owners, unplaced = [], []
        for shard in range(role.shards):
            listed = candidates(role, shard)
            here = able if listed is None else [node for node in able if node in listed]
            if not here:
                unplaced.append(Unplaced(shard, "none of its candidates is active"))
            first = (shard + snapshot.seed) % max(len(here), 1)
            row = (here[first:] + here[:first])[: role.replicas]
            owners += row + [0] * (role.replicas - len(row))
        return Answer_Plan(Proposal(owners, unplaced))
