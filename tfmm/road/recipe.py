"""A recipe: which input, and the settings of every stage."""

from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr, model_validator

from tfmm.road.pretrain_recipe import Positive, Pretrain, Rate
from tfmm.road.ranking_recipe import Ranking
from tfmm.schema import Part, read_yaml, validated


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


class TaobaoMM(Part):
    """The public files of Taobao-MM as input; see `tfmm.datasets.taobao_mm`.

    Args:
        source: Folder of the public files; `$TFMM_DATA` is replaced.
        users_fraction: 1, 0.1, 0.01 or another `1 / n`: that share of the users.
        max_history: Newest behaviours kept of each user.
        max_items: Most candidates of a request.
        min_count: Occurrences in training from which an item has its own embedding.
    """

    source: str
    users_fraction: float = 1.0
    max_history: Positive = 1000
    max_items: Positive = 64
    min_count: Positive = 1


class Input(Part):
    """Where the tables come from: exactly one of the four.

    Args:
        schema: Path of a schema file: your own data.
        marketplace: The simulator.
        movielens: MovieLens with posters.
        taobao_mm: Taobao-MM, which brings its vectors.
    """

    schema_file: str | None = Field(None, alias="schema")
    marketplace: Marketplace | None = None
    movielens: MovieLens | None = None
    taobao_mm: TaobaoMM | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> "Input":
        names = ("schema_file", "marketplace", "movielens", "taobao_mm")
        if sum(getattr(self, name) is not None for name in names) != 1:
            raise ValueError(
                "needs exactly one of schema, marketplace, movielens, taobao_mm"
            )
        return self


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


class Audit(Part):
    """What the audit of the logs may let pass; see `tfmm.evaluation.audit_timelines`.

    Args:
        allow: Names of findings that are known to be right: `own_click`, or features
            such as `candidate_discount`.
    """

    allow: list[str] = []


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


SIGNATURES = (
    *("rank_flat", "rank_examples", "rank_rows", "rank_with_vectors"),
    *("explain", "similar_items"),
)


class Export(Part):
    """What is exported; see `tfmm.export.export_ranker`.

    Args:
        signatures: Signatures besides `rank`.
        tables: How embedding tables are stored. With other than `float32` the price in
            GAUC is measured on the test requests, printed and kept in the manifest.
    """

    signatures: list[Literal[SIGNATURES]] = []  # type: ignore[valid-type]
    tables: Literal["float32", "float16", "int8"] = "float32"


class Publish(Part):
    """How much worse than the served version a new one may be, on the test requests.

    Args:
        max_gauc_fall: The most that GAUC may fall.
        max_calibration_rise: The most that the calibration's distance from 1 may rise.
    """

    max_gauc_fall: Annotated[float, Field(ge=0)] = 0.005
    max_calibration_rise: Annotated[float, Field(ge=0)] = 0.1


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
        pretrain: SCL. Absent with `vectors` or an input that brings its vectors.
        vectors: Vectors of your own. Absent with `pretrain` or such an input.
        audit: Findings of the audit that may pass.
        make: MAKE.
        ranking: The rankers.
        export: What is exported.
        publish: How much worse than the served version a new one may be.
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
    audit: Audit = Audit()
    make: Make = Make()
    ranking: Ranking = Ranking()
    export: Export = Export()
    publish: Publish = Publish()

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
        given = sum(part is not None for part in (self.pretrain, self.vectors))
        if self.input.taobao_mm and given:
            raise ValueError("taobao_mm brings its vectors: no pretrain, no vectors")
        if not self.input.taobao_mm and given != 1:
            raise ValueError("needs exactly one of pretrain and vectors")
        return self
