"""What Dataflow would be sent: whole job descriptions, built without a cloud."""

import json
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import shop
from apache_beam.options.pipeline_options import GoogleCloudOptions
from apache_beam.runners.dataflow.internal import apiclient
from apache_beam.runners.pipeline_context import PipelineContext

import beam_jobs
from beam_jobs import behaviours, embed_items
from beam_jobs.job import Running
from tfmm.records.index import ItemIndex
from tfmm.records.manifest import write_manifest, writing

pytestmark = pytest.mark.slow

ROOT = Path(beam_jobs.__file__).parents[1]
GROUP = "beam:transform:group_by_key:v1"
IMAGE = "europe-docker.pkg.dev/shop-123456/jobs/tfmm:1"
GPU = "type:nvidia-tesla-t4;count:1;install-nvidia-driver"
# Beam's own dry run builds everything and sends nothing.
FLAGS = [
    "--runner=DataflowRunner",
    "--dry_run=True",
    "--no_auth",
    "--project=shop-123456",
    "--region=us-central1",
    "--job_name=tested",
    "--temp_location=gs://bkt-test/scratch",
    "--staging_location=gs://bkt-test/staged",
]


class Described(NamedTuple):
    """A job as Dataflow gets it.

    Attributes:
        job: The body of the request.
        graph: The pipeline.
        staged: Folder of what would be in the bucket.
    """

    job: dict[str, Any]
    graph: Any
    staged: Path

    @property
    def pool(self):
        return self.job["environment"]["workerPools"][0]

    @property
    def options(self):
        return self.job["environment"]["sdkPipelineOptions"]["options"]


class _Built(Exception):
    """Ends a job where its pipeline would run."""


def _describe(staged, run, flags, **arguments):
    def stop(running):
        raise _Built(running.pipeline.run().job)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(_Built) as built:
        patch.setattr(Running, "finish", stop)
        run(**arguments, pipeline_args=[*FLAGS, *flags])
    (job,) = built.value.args
    staged.mkdir()
    job.options.view_as(GoogleCloudOptions).staging_location = str(staged)
    client = apiclient.DataflowApplicationClient(job.options, str(staged))
    client.create_job_description(job)
    return Described(json.loads(job.json()), job.proto_pipeline, staged)


@pytest.fixture(scope="module")
def timelines(hand_made, tmp_path_factory):
    """`behaviours` with the package from `--setup_file`."""
    schema, out, _ = hand_made
    folder = tmp_path_factory.mktemp("timelines")
    return _describe(
        folder / "staged",
        behaviours.run,
        [
            f"--setup_file={ROOT / 'pyproject.toml'}",
            "--worker_machine_type=n2-highmem-8",
            "--experiments=pip_no_build_isolation",
        ],
        schema=str(schema),
        index=str(out / "index"),
        vocabularies=str(out / "vocabularies"),
        output=str(folder / "timelines"),
        key_file=f"{out}.key",
        control=shop.ANY_BAD,
    )


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Folders that `embed_items` accepts; nothing in them is opened to describe it."""
    folder = tmp_path_factory.mktemp("inputs")
    index = ItemIndex.create(["a"])
    index.save(folder / "index")
    with writing(folder / "items") as items:
        (items / "items-00000-of-00001.tfrecord").write_bytes(b"")
        counts = {"read": 0, "written": 0, "dropped": {}}
        write_manifest(items, kind="items", counts=counts, index=index.stamp())
    facts = {
        "inputs": ["title"],
        "vector": "text",
        "present": "has_text",
        "dimension": 4,
        "id": "towers-1",
    }
    path = folder / "encoder" / embed_items.FACTS
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"modalities": {"text": facts}}))
    return {name: str(folder / name) for name in ("items", "encoder", "index")}


@pytest.fixture(scope="module")
def vectors(inputs, tmp_path_factory):
    """`embed_items` in an image that has the package, with a GPU on every worker."""
    folder = tmp_path_factory.mktemp("vectors")
    return _describe(
        folder / "staged",
        embed_items.run,
        [
            f"--sdk_container_image={IMAGE}",
            "--sdk_location=container",
            f"--dataflow_service_options=worker_accelerator={GPU}",
            "--experiments=no_use_multiple_sdk_containers",
        ],
        output=str(folder / "catalog"),
        **inputs,
    )


def _packages(described):
    return {package["name"] for package in described.pool["packages"]}


@pytest.mark.parametrize("name", ["timelines", "vectors"])
def test_no_main_session_travels(name, request):
    described = request.getfixturevalue(name)
    assert described.options["save_main_session"] is False
    assert "pickled_main_session" not in _packages(described)
    assert not (described.staged / "pickled_main_session").exists()


@pytest.mark.parametrize("name", ["timelines", "vectors"])
def test_keys_of_every_shuffle_are_deterministic(name, request):
    graph = request.getfixturevalue(name).graph
    coders = PipelineContext(graph.components).coders
    groups = [x for x in graph.components.transforms.values() if x.spec.urn == GROUP]
    assert groups
    for group in groups:
        (source,) = group.inputs.values()
        coder = coders[graph.components.pcollections[source].coder_id]
        assert coder.key_coder().is_deterministic(), group.unique_name


def test_options_arrive(timelines):
    assert timelines.job["name"] == "tested"
    assert timelines.job["type"] == "JOB_TYPE_BATCH"
    assert timelines.pool["machineType"] == "n2-highmem-8"
    environment = timelines.job["environment"]
    assert {"use_runner_v2", "pip_no_build_isolation"} <= {*environment["experiments"]}
    assert "serviceOptions" not in environment
    assert "tested" in environment["tempStoragePrefix"]


def test_package_is_staged_whole(timelines):
    assert "workflow.tar.gz" in _packages(timelines)
    with tarfile.open(timelines.staged / "workflow.tar.gz") as package:
        staged = {name.partition("/")[2] for name in package.getnames()}
    files = [
        path
        for part in ("tfmm", "beam_jobs")
        for path in (ROOT / part).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    ]
    suffixes = {path.suffix for path in files}
    assert {".py", ".typed", ".yaml", ".j2"} <= suffixes
    assert {path.relative_to(ROOT).as_posix() for path in files} <= staged


def test_image_has_the_package(vectors):
    assert _packages(vectors) == {"submission_environment_dependencies.txt"}
    images = vectors.pool["sdkHarnessContainerImages"]
    assert [image["containerImage"] for image in images] == [IMAGE]


def test_gpu_on_every_worker(vectors):
    environment = vectors.job["environment"]
    assert environment["serviceOptions"] == [f"worker_accelerator={GPU}"]
    assert "no_use_multiple_sdk_containers" in environment["experiments"]


def test_only_the_encoding_asks_for_the_gpu(inputs, tmp_path):
    graph = _describe(
        tmp_path / "staged",
        embed_items.run,
        [f"--sdk_container_image={IMAGE}"],
        output=str(tmp_path / "catalog"),
        accelerator=GPU,
        min_ram="16GB",
        **inputs,
    ).graph
    environments = graph.components.environments
    hints = {name: dict(each.resource_hints) for name, each in environments.items()}
    asked = {
        "beam:resources:accelerator:v1": GPU.encode(),
        "beam:resources:min_ram_bytes:v1": b"16000000000",
    }
    assert sorted(hints.values(), key=len) == [{}, asked]
    steps = {found: set() for found in hints}
    for each in graph.components.transforms.values():
        if each.environment_id:
            steps[each.environment_id].add(each.unique_name.partition("/")[0])
    (gpu,) = (name for name, found in hints.items() if found)
    assert steps.pop(gpu) == {"Items"}
    assert {"Shards", "Spread"} <= set().union(*steps.values())
