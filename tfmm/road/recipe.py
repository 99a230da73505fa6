"""A recipe: which input, and the settings of every stage."""

from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr, model_validator

from tfmm.schema import Part, read_yaml, validated

Positive = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0)]
VARIANTS = {
    "id_only": (),
    "simtier": ("simtier",),
    "make": ("make",),
    "simtier_make": ("simtier", "make"),
}


class Marketplace(Part):
    """The simulator as input; see `tfmm.datasets.marketplace`."""

    size: Literal["smoke", "demo", "standard", "large"] = "demo"
    seed: int = 7


class MovieLens(Part):
    """MovieLens with posters as input; see `tfmm.datasets.movielens`.

    Args:
        source: Folder of the source files; `$TFMM_DATA` is replaced.
        users: For a reduced size, so many users; all when absent.
    """

    source: str
    users: int | None = None


class Input(Part):
    """Where the tables come from: exactly one of the three.

    Args:
        schema: Path of a schema file: your own data.
        marketplace: The simulator.
        movielens: MovieLens with posters.
    """

    schema_file: str | None = Field(None, alias="schema")
    marketplace: Marketplace | None = None
    movielens: MovieLens | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> "Input":
        given = [self.schema_file, self.marketplace, self.movielens]
        if sum(value is not None for value in given) != 1:
            raise ValueError("needs exactly one of schema, marketplace, movielens")
        return self


class ImageTower(Part):
    """The picture tower: a size trained from scratch, or a preset's backbone.

    Args:
        size: `micro`, `tiny`, `small` or `base`.
        preset: A local preset folder or a hub's name, instead of `size`.
        dimension: Length of the vectors.
        image_size: Side of the pictures that the tower sees.
        augment: Whether training pictures are cropped, flipped and recoloured a
            little.
    """

    size: str = "micro"
    preset: str | None = None
    dimension: Positive = 64
    image_size: Positive = 64
    augment: bool = True


class TextTower(Part):
    """The title tower: a size trained from scratch, or a preset's backbone.

    Args:
        size: `micro`, `tiny`, `small` or `base`.
        preset: A local preset folder or a hub's name, instead of `size`.
        dimension: Length of the vectors.
        sequence_length: Tokens of a title.
    """

    size: str = "micro"
    preset: str | None = None
    dimension: Positive = 64
    sequence_length: Positive = 24


class Pretrain(Part):
    """SCL; see `tfmm.pretrain.SCL`.

    Args:
        image: The picture tower; absent for none.
        text: The title tower; absent for none.
        tasks: Such as `image->image` (query -> item); by default one per tower.
        bank_size: Keys of the memory bank; by default up to 196,800.
        momentum: Of the momentum tower.
        margin: Of the triplet term.
        triplet_weight: Of the triplet term.
        batch_size: Pairs per step.
        epochs: Passes over the pairs.
        learning_rate: Peak of a cosine schedule.
    """

    image: ImageTower | None = None
    text: TextTower | None = None
    tasks: list[str] | None = None
    bank_size: int | None = None
    momentum: float = 0.99
    margin: float = 0.1
    triplet_weight: float = 1.0
    batch_size: Positive = 64
    epochs: Positive = 3
    learning_rate: Rate = 1e-3


class Vectors(Part):
    """Vectors of your own instead of pre-trained towers.

    Args:
        file: Parquet with an id column and a list column, or `.npy` with `ids`.
        name: Name of whatever made them.
        version: Its version.
        modality: Name of the modality.
        ids: File of the ids of a `.npy` matrix's rows.
    """

    file: str
    name: str
    version: str
    modality: str = "vector"
    ids: str | None = None


class Make(Part):
    """MAKE's own training; see `tfmm.ranking.MAKE`.

    Args:
        epochs: Passes over the training requests.
        batch_size: Requests per step.
        learning_rate: Peak of a cosine schedule.
    """

    epochs: Positive = 4
    batch_size: Positive = 256
    learning_rate: Rate = 1e-3


class Ranking(Part):
    """The rankers' training; see `tfmm.ranking.RankingModel`.

    Args:
        interests: Interests of every ranker, the ID-only baseline included.
        embedding_dim: Dimension of the ID embeddings.
        epochs: ID embeddings overfit in the second.
        batch_size: Requests per step.
        learning_rate: Peak of a cosine schedule, for the lazy Adam.
    """

    interests: list[Literal["din"]] = ["din"]
    embedding_dim: Positive = 16
    epochs: Positive = 1
    batch_size: Positive = 256
    learning_rate: Rate = 1e-3


class Recipe(Part):
    """Everything that `tfmm run` needs.

    Args:
        name: Name of the run.
        input: Where the tables come from.
        out: Folder of all outputs, relative to the working directory.
        saved_models: Folder that models are published to; `saved_models` below `out`
            when absent.
        seed: Of every random number.
        user_key: A literal key of the user hashes, for simulated or public data only.
        key_file: File of the user hash key; the variable `TFMM_USER_KEY` when both
            are absent.
        pretrain: SCL. Absent with `vectors`.
        vectors: Vectors of your own. Absent with `pretrain`.
        make: MAKE.
        ranking: The rankers.
    """

    name: str
    input: Input
    out: str
    saved_models: str | None = None
    seed: int = 7
    user_key: str | None = None
    key_file: str | None = None
    pretrain: Pretrain | None = None
    vectors: Vectors | None = None
    make: Make = Make()
    ranking: Ranking = Ranking()

    _folder: Path = PrivateAttr(default=Path("."))

    @property
    def folder(self) -> Path:
        """The folder that paths in the recipe start from: the recipe's own."""
        return self._folder

    @classmethod
    def from_yaml(cls, path: str | Path) -> "Recipe":
        """Reads a recipe file, or one that ships with the package.

        `recipes/demo.yaml` is looked for in the working directory first, then among
        the package's recipes by its file name.

        Raises:
            TfmmError: If there is no such file or it does not fit; the message names
                every wrong key.
        """
        path = Path(path)
        if not path.is_file() and path.parent in (Path(), Path("recipes")):
            shipped = Path(str(resources.files("tfmm.recipes") / path.name))
            path = shipped if shipped.is_file() else path
        recipe = validated(cls, read_yaml(path), path)
        recipe._folder = path.absolute().parent
        return recipe

    @model_validator(mode="after")
    def _one_source_of_vectors(self) -> "Recipe":
        if (self.pretrain is None) == (self.vectors is None):
            raise ValueError("needs exactly one of pretrain and vectors")
        if self.pretrain and not (self.pretrain.image or self.pretrain.text):
            raise ValueError("pretrain needs an image tower, a text tower or both")
        return self
