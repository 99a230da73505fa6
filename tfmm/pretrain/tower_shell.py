"""What stands for an encoder while a saved SCL model is being put together."""

import keras


class TowerShell:
    """A tower without its preprocessing: all that SCL needs to build its layers.

    A `.keras` file gives a model's configuration before its assets, and the
    preprocessing (a vocabulary, say) is among the assets.

    Args:
        modality: `"image"`, `"text"`, `"vector"` or `"fused"`.
        tower: The encoder's tower.
    """

    def __init__(self, modality: str, tower: keras.Model) -> None:
        self.modality = modality
        self.tower = tower

    @property
    def dimension(self) -> int:
        """Length d of the vectors."""
        return self.tower.output_shape[-1]

    def new_tower(self) -> keras.Model:
        """A model of the tower's architecture with fresh weights."""
        return self.tower.__class__.from_config(self.tower.get_config())
