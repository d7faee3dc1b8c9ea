"""Parameters: `params.yaml` read into pydantic models that refuse what cannot work."""

from forge.config.load import Params, load_params, parse_yaml, read_yaml, set_param
from forge.config.schema import (
    BakingParams,
    BitnetParams,
    CognateParams,
    CompressParams,
    DataParams,
    EdgeParams,
    EvaluationParams,
    EvomergeParams,
    ForgeParams,
    Mix,
    QuietstarParams,
)

__all__ = [
    "BakingParams",
    "BitnetParams",
    "CognateParams",
    "CompressParams",
    "DataParams",
    "EdgeParams",
    "EvaluationParams",
    "EvomergeParams",
    "ForgeParams",
    "Mix",
    "Params",
    "QuietstarParams",
    "load_params",
    "parse_yaml",
    "read_yaml",
    "set_param",
]
