"""Parameters: `params.yaml` read into pydantic models that refuse what cannot work."""

from forge.config.load import Params, load_params, parse_yaml, read_yaml, set_param

__all__ = ["Params", "load_params", "parse_yaml", "read_yaml", "set_param"]
