"""The configuration file: finding it, reading it, and saying what is wrong with it."""

import difflib
import os
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_settings import SettingsError

from schemas.configuration.config import Config
from schemas.errors import ConfigurationError


def load_config(path: Path | None, overrides: dict[str, dict[str, Any]] | None = None) -> Config:
    """The configuration in `path` (none: defaults and environment alone), with `overrides` (``{"kafka": {"bootstrap":
    …}}``) on top.
    """
    data = _read(path) if path is not None else {}
    _check_secrets(data, path)
    try:
        config = Config(**data)
        # section by section: validating the whole again would let the environment win over the overrides
        for section, values in (overrides or {}).items():
            now = getattr(config, section)
            config = config.model_copy(update={section: type(now).model_validate(now.model_dump() | values)})
        return config.joined()
    except ValidationError as error:
        raise ConfigurationError(_explain(error, path)) from None
    except SettingsError as error:
        raise ConfigurationError(
            f"environment: {error}; write JSON, or name one setting, such as ALPHAWIRE_KAFKA__BOOTSTRAP"
        ) from None
    except ValueError as error:
        raise ConfigurationError(f"{path or 'configuration'}: {error}") from None


LONGEST_KEY = 1024
"""Characters of a YAML key, unless it has a question mark before it."""


class _Loader(yaml.SafeLoader):
    """Refuses a mapping that has a key twice: YAML forbids it, and PyYAML silently keeps the last. Brackets in brackets
    take time by their number, and not by its square: at each token, PyYAML looks at every bracket that is open.
    """

    def next_possible_simple_key(self) -> int | None:
        """Token of the first of them: they are in the order in which they were opened."""
        return next((key.token_number for key in self.possible_simple_keys.values()), None)

    def stale_possible_simple_keys(self) -> None:
        """After the first that is still possible, all are."""
        first = next(iter(self.possible_simple_keys.values()), None)
        if first is not None and (first.line != self.line or self.index - first.index > LONGEST_KEY):
            super().stale_possible_simple_keys()

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"{key.value} is there twice", problem_mark=key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _read(path: Path) -> dict[str, Any]:
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), _Loader) or {}
    except OSError as error:
        raise ConfigurationError(f"cannot read the configuration {path}: {error.strerror or error}") from None
    # PyYAML's constructors raise what they like: for !!timestamp x, !!map [1], numbers of 5,000 digits, deep nesting
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        place, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        where = f"{path}:{place.line + 1}" if place else str(path)
        raise ConfigurationError(f"{where}: not valid YAML{f': {problem}' if problem else ''}") from None
    if not isinstance(data, dict) or not all(isinstance(name, str) for name in data):
        raise ConfigurationError(
            f"{path}: the file is no mapping of sections; it starts with `kafka:` or `strategies:`"
        )
    return data


def _check_secrets(data: dict[str, Any], path: Path | None) -> None:
    """The file is copied, shown and kept under version control."""
    kafka = data.get("kafka")
    _check_registry(kafka, path)
    if isinstance(kafka, dict) and kafka.get("password") is not None:
        raise ConfigurationError(
            f"{path}: kafka.password: a password does not belong in this file; set ALPHAWIRE_KAFKA__PASSWORD,"
            " or name a file with it in kafka.password_file"
        )


def _check_registry(kafka: Any, path: Path | None) -> None:
    registry = kafka.get("registry") if isinstance(kafka, dict) else None
    if isinstance(registry, dict) and registry.get("password") is not None:
        raise ConfigurationError(
            f"{path}: kafka.registry.password: a password does not belong in this file; set"
            " ALPHAWIRE_KAFKA__REGISTRY__PASSWORD, or name a file with it in kafka.registry.password_file"
        )


def _explain(error: ValidationError, path: Path | None) -> str:
    source = str(path) if path else "configuration"
    lines = []
    for fault in error.errors(include_url=False, include_context=True):
        place = ".".join(str(part) for part in fault["loc"] if not str(part).startswith("<")) or "top level"
        unknown = fault["type"] == "extra_forbidden"
        text = (
            f"there is no such setting; {_near(fault['loc'])}"
            if unknown
            else fault["msg"].removeprefix("Value error, ")
        )
        lines.append(f"{source}: {place}: {text}")
    return "; ".join(lines)


def _near(place: tuple[str | int, ...]) -> str:
    """The settings that there are at `place`: those like its last name, else all."""
    kinds: list[type[BaseModel]] = [Config]
    for part in place[:-1]:
        fields = [kind.model_fields[str(part)] for kind in kinds if str(part) in kind.model_fields]
        # not a field: a name or a number in a mapping or list of the same kind
        kinds = [model for field in fields for model in _models(field.annotation)] or kinds
    names = sorted({name for kind in kinds for name in kind.model_fields})
    near = difflib.get_close_matches(str(place[-1]), names, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else f"there is: {', '.join(names)}"


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def config_path(given: str | None) -> Path | None:
    """The file named on the command line, in ``ALPHAWIRE_CONFIG``, or ``alphawire.yaml`` here; none of them: None."""
    if given:
        return Path(given)
    if environment := os.environ.get("ALPHAWIRE_CONFIG"):
        return Path(environment)
    default = Path("alphawire.yaml")
    return default if default.exists() else None


def plugin_paths(config: Config, file: Path | None) -> list[Path]:
    """The files and folders that `config`, read from `file`, names under ``plugins``.

    Raises
    ------
    ConfigurationError
        For one that is not there.
    """
    folder = file.parent if file else Path()
    paths = [folder / path.expanduser() for path in config.plugins]
    if absent := [path for path in paths if not path.exists()]:
        raise ConfigurationError(f"{file or 'environment'}: plugins: there is no file or folder {absent[0]}")
    return paths
