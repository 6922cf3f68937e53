"""The rewrite engine: plans as values, and their application."""

from surgeon.rewrite.planfile import plan_from_json, plan_to_json, read_plan, write_plan
from surgeon.rewrite.planning import Plan, PlannedStep, apply, plan

__all__ = [
    "Plan",
    "PlannedStep",
    "apply",
    "plan",
    "plan_from_json",
    "plan_to_json",
    "read_plan",
    "write_plan",
]
