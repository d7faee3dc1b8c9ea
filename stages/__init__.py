"""The stages that `dvc.yaml` runs: thin scripts that open inputs, call one function of `forge`, publish
outputs.
"""

from __future__ import annotations

import os

from forge.host.signals import exit_on_parent_death_signal

if "DVC_STAGE" in os.environ:
    exit_on_parent_death_signal()
