"""The embedded model server: TF Serving's REST and gRPC for development."""

import logging
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from tfmm.errors import TfmmError
from tfmm.serving.config import ModelConfig, find_models, has_version
from tfmm.serving.http import MAX_BODY_BYTES, MAX_CONNECTIONS, RestServer
from tfmm.serving.metrics import Metrics
from tfmm.serving.signals import interrupts
from tfmm.serving.versions import ModelManager

HOST = "127.0.0.1"
REST_API_PORT = 8501
GRPC_PORT = 8500
POLL_SECONDS = 1.0
# Beyond the time that a run may take: Python must not end while one is under way.
GRACE_SECONDS = 35.0
_LOG = logging.getLogger("tfmm.serving")
Find = Callable[[], Mapping[str, ModelConfig]]
Models = str | Path | Mapping[str, str | Path | ModelConfig] | Find


class Server:
    """Serves models until it is stopped; a context manager.

    Ports open once all present models are loaded and warmed up. New versions, and new
    models below a folder, are picked up while it runs.

    Args:
        models: A folder of models (`MODEL/VERSION/`), or model name -> folder of its
            versions, or what `parse_model_config` returns, or a function that returns
            the same whenever it is asked, such as a `ModelConfigFile`.
        host: Address to listen on; loopback unless told otherwise, for there is no
            authentication.
        rest_api_port: REST port; 0 takes a free one.
        grpc_port: gRPC port; 0 for no gRPC.
        poll_seconds: Time between two looks at the folders.
        max_body_bytes: Longest REST body, and longest gRPC tensor.
        max_connections: Most REST connections at once.

    Raises:
        TfmmError: If there is no model, a label points at none, or a port is taken.

    Example:
        >>> import tempfile
        >>> Server(tempfile.mkdtemp()).start()  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        tfmm.errors.TfmmError: There is no model to serve. ...
    """

    def __init__(
        self,
        models: Models,
        host: str = HOST,
        rest_api_port: int = REST_API_PORT,
        grpc_port: int = GRPC_PORT,
        poll_seconds: float = POLL_SECONDS,
        max_body_bytes: int = MAX_BODY_BYTES,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self._models = models
        self._host = host
        self._ports = rest_api_port, grpc_port
        self._poll_seconds = poll_seconds
        self._bounds = max_body_bytes, max_connections
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._rest: RestServer | None = None
        self._grpc: Any = None
        self.grpc_port: int | None = None
        self.manager: ModelManager | None = None

    @property
    def rest_port(self) -> int:
        """The REST port in use."""
        if self._rest is None:
            raise TfmmError("The server has no port yet. Call start() first.")
        return self._rest.server_address[1]

    @property
    def url(self) -> str:
        """The REST address, for clients on this machine."""
        return f"http://{self._host}:{self.rest_port}"

    def start(self) -> "Server":
        """Loads the models and opens the ports; returns at once afterwards."""
        find = _finder(self._models)
        _check_present(find(), self._models)
        # Taken before the slow load, so that a port in use is told at once.
        self._rest = self._bind_rest()
        try:
            from tfmm.serving.loader import LoadedModel

            metrics = Metrics()
            load = partial(LoadedModel, metrics=metrics)
            self.manager = ModelManager(find, load, metrics)
            self.manager.poll()
            _check_loaded(self.manager, find())
            self._rest.open(self.manager)
            self._spawn(self._rest.run, "rest")
            self._open_grpc(self.manager)
        except BaseException:
            self.stop()
            raise
        self._spawn(self._poll, "poll")
        return self

    def stop(self, grace: float = GRACE_SECONDS) -> None:
        """Closes the ports, lets requests end that are under way, and waits.

        Args:
            grace: Longest time to wait for them, in seconds.
        """
        self._stopping.set()
        grpc_ends = self._grpc.stop(grace) if self._grpc is not None else None
        if self._rest is not None:
            self._rest.close(grace)
        if grpc_ends is not None:
            grpc_ends.wait()
        for thread in self._threads:
            thread.join()

    def wait(self) -> None:
        """Blocks until the server is stopped or interrupted."""
        # A wait without a timeout would not notice Ctrl-C on every platform.
        while not self._stopping.wait(1.0):
            pass

    def __enter__(self) -> "Server":
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _bind_rest(self) -> RestServer:
        address = self._host, self._ports[0]
        try:
            return RestServer(address, *self._bounds)
        except (OSError, OverflowError) as error:
            raise TfmmError(
                f"The REST port is not free. Received: {address[0]}:{address[1]} "
                f"({error}). Choose another with --rest_api_port."
            ) from error

    def _open_grpc(self, manager: ModelManager) -> None:
        if not self._ports[1]:
            return
        from tfmm.serving.grpc_service import grpc_server

        address = self._host, self._ports[1]
        server, self.grpc_port = grpc_server(address, manager, self._bounds[0])
        server.start()
        self._grpc = server

    def _poll(self) -> None:
        failing = ""
        while not self._stopping.wait(self._poll_seconds):
            failing = self._look(failing)

    def _look(self, failing: str) -> str:
        """Polls; tells a failure once, and its end. Returns what fails now."""
        assert self.manager is not None
        try:
            self.manager.poll()
        except Exception as error:
            now = f"{type(error).__name__}: {error}"
            if now != failing:
                unforeseen = not isinstance(error, TfmmError | OSError)
                message = "Looking for new versions fails, trying on: %s"
                _LOG.warning(message, error, exc_info=unforeseen)
            return now
        if failing:
            _LOG.warning("Looking for new versions works again.")
        return ""

    def _spawn(self, target: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=target, name=f"tfmm-{name}", daemon=True)
        thread.start()
        self._threads.append(thread)


def free_port(host: str = HOST) -> int:
    """A port that nothing listens on now, e.g. for gRPC, where 0 means none.

    Example:
        >>> 0 < free_port() < 65536
        True
    """
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def serve(
    models: Models, ready: Callable[[Server], None] | None = None, **options: Any
) -> None:
    """Serves models until Ctrl-C or SIGTERM, then answers what is under way.

    Args:
        models: As for `Server`.
        ready: Called with the server once it answers, e.g. to print its address.
        **options: As for `Server`.

    Raises:
        TfmmError: As for `Server`.
    """
    with interrupts():
        try:
            with Server(models, **options) as server:
                if ready is not None:
                    ready(server)
                server.wait()
        except KeyboardInterrupt:
            _LOG.info("interrupted, the ports are closed")


def _check_present(found: Mapping[str, ModelConfig], given: Models) -> None:
    if any(has_version(config.base_path) for config in found.values()):
        return
    folders = [str(config.base_path) for config in found.values()] or [str(given)]
    raise TfmmError(
        f"There is no model to serve. Received: {folders}. "
        "Expected: folders MODEL/VERSION/ with a saved_model.pb. Export a model first."
    )


def _check_loaded(manager: ModelManager, names: Iterable[str]) -> None:
    if manager.refused_labels:
        raise TfmmError(
            "A label may only point at a version that is available. Received: "
            f"{'; '.join(manager.refused_labels)}. Correct the labels in the config."
        )
    if manager.names():
        return
    reasons = [
        f"{name} version {version.number}: {version.error.message}"
        for name in names
        for version in manager.seen(name)
        if version.error
    ]
    raise TfmmError(
        "Of the models to serve none has a version that could be loaded. Received: "
        f"{'; '.join(reasons) or 'no numbered folder with a saved_model.pb'}. "
        "Export the model again."
    )


def _finder(models: Models) -> Find:
    if callable(models):
        return models
    if not isinstance(models, Mapping):
        folder = Path(models)
        return lambda: find_models(folder)
    configs = {
        name: base
        if isinstance(base, ModelConfig)
        else ModelConfig(name, Path(base).absolute())
        for name, base in models.items()
    }
    return lambda: configs
