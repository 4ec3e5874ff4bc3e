"""The only door to the dashboard library.

Since 0.0.18 it warns in the class body of the classic dashboard model, the one model that every Grafana loads from a
file; importing any panel builder warns. The warning is silenced here, at the import, and nowhere else.
"""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, table
    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models import common as common_models
    from grafana_foundation_sdk.models import dashboard as models
    from grafana_foundation_sdk.models import prometheus as prometheus_models
    from grafana_foundation_sdk.models import units

__all__ = [
    "Builder",
    "JSONEncoder",
    "bargauge",
    "common",
    "common_models",
    "dashboard",
    "models",
    "prometheus",
    "prometheus_models",
    "stat",
    "table",
    "units",
]
