"""The methods: one file each, pure, with its templates beside it as data. `find` names them."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from engine.core.faults import PlanError
from engine.core.recipe import Recipe


def names() -> list[str]:
    """The recipes that come with the product."""
    return sorted(module.name for module in iter_modules(__path__) if not module.ispkg)


def find(name: str) -> Recipe:
    """The recipe called `name`: a file of this folder, or a dotted module of the user's own with a `RECIPE` in it."""
    try:
        module = import_module(name if "." in name else f"engine.recipes.{name}")
    except (ImportError, TypeError, ValueError) as error:
        raise PlanError(f"there is no recipe {name!r} ({error}); the recipes here are {', '.join(names())}") from error
    recipe = getattr(module, "RECIPE", None)
    if not isinstance(recipe, Recipe):
        raise PlanError(f"the module {module.__name__} has no RECIPE, so it is not a recipe")
    return recipe
