"""Parameters: `params.yaml` read into pydantic models that refuse what cannot work."""

from forge.config.load import (
    Params,
    edited,
    load_params,
    parse_params,
    parse_params_yaml,
    read_params_yaml,
    replace_params,
    set_param,
)

__all__ = [
    "Params",
    "edited",
    "load_params",
    "parse_params",
    "parse_params_yaml",
    "read_params_yaml",
    "replace_params",
    "set_param",
]
