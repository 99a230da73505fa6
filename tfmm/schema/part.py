"""What every part of a schema or a recipe is: frozen, and strict about its keys."""

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A frozen model that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)
