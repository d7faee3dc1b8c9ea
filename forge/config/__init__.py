"""Parameters: `params.yaml` read into pydantic models that refuse what cannot work."""

from forge.config.load import (
    Params,
    ParamsChanged,
    edited,
    load_params,
    parse_params,
    read_params_bytes,
    replace_params,
    set_param,
)
from forge.interface.yaml12 import parse_yaml as parse_params_yaml
from forge.interface.yaml12 import read_yaml as read_params_yaml

__all__ = [
    "Params",
    "ParamsChanged",
    "edited",
    "load_params",
    "parse_params",
    "parse_params_yaml",
    "read_params_bytes",
    "read_params_yaml",
    "replace_params",
    "set_param",
]
