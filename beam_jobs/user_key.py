"""The key of the user hashes: where workers find it, so that it never travels."""

from dataclasses import dataclass

from beam_jobs import files
from tfmm.errors import TfmmError
from tfmm.identity import VARIABLE, as_secret, key_check, read_secret


@dataclass(frozen=True)
class UserKey:
    """Names the key, and tells it from others; holds nothing of it.

    What runs on workers is pickled, and clusters keep that in their staging folders.

    Args:
        file: Path or URI of the key, which workers must reach; `None` for the variable
            `TFMM_USER_KEY` of every process.
        check: What `tfmm.identity.key_check` says of it.
    """

    file: str | None
    check: str

    @classmethod
    def of(cls, file: str | None) -> "UserKey":
        """The key of a file, or of the variable.

        Raises:
            TfmmError: If there is none, or it is too short.
        """
        place = None if file is None else files.checked(file)
        return cls(place, key_check(_read(place)))

    def read(self) -> bytes:
        """The key itself.

        Raises:
            TfmmError: If this process finds none, or another one.
        """
        try:
            secret = _read(self.file)
            found = key_check(secret)
        except TfmmError as error:
            found = str(error)
        if found == self.check:
            return secret
        raise TfmmError(
            "A worker does not find the key of the user hashes that the launcher has. "
            f"Expected: key check {self.check} in `{self.file or VARIABLE}`. Received: "
            f"{found} Give a key file that launcher and workers reach, such as "
            f"gs://, or set {VARIABLE} for all of them."
        )


def _read(file: str | None) -> bytes:
    if file is None or files.is_local(file):
        return read_secret(file)
    return as_secret(files.read(file) if files.facts(file) else b"")
