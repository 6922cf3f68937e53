"""Networks of any kind: the family of every graph that no other family takes."""

from surgeon.families.generic.network import GenericNetwork

FAMILY = GenericNetwork
