"""The stages that `dvc.yaml` runs: thin scripts that open inputs, call one function of `forge`, publish
outputs.
"""

from __future__ import annotations

import os

from forge.host.signals import die_with_dvc

if "DVC_STAGE" in os.environ:
    die_with_dvc()
