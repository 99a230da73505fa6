import pytest

from tfmm.errors import TfmmError
from tfmm.road.gate import Quality, refuse_worse, served_version
from tfmm.road.recipe import Publish

SERVED = Quality(0.65, 1.1)
LIMITS = Publish(max_gauc_fall=0.01, max_calibration_rise=0.05)


@pytest.mark.parametrize(
    "new",
    [
        SERVED,
        Quality(0.7, 1.0),
        Quality(0.6401, 1.1),  # falls by 0.0099
        Quality(0.65, 1.149),  # 0.149 from 1, 0.049 further
        Quality(0.65, 0.851),  # as far on the other side
    ],
)
def test_what_may_be_published(new):
    refuse_worse(new, SERVED, LIMITS)


@pytest.mark.parametrize(
    ("new", "message"),
    [
        (Quality(0.6399, 1.1), r"GAUC 0.6399 against 0.6500 \(may fall by 0.01\)"),
        (Quality(0.65, 1.16), "calibration 1.160 against 1.100"),
        (Quality(0.65, 0.84), "calibration 0.840 against 1.100"),
        (Quality(float("nan"), 1.0), "GAUC nan"),
        (Quality(0.5, 2.0), "GAUC .* calibration"),
    ],
)
def test_what_is_worse_is_refused(new, message):
    with pytest.raises(TfmmError, match=message):
        refuse_worse(new, SERVED, LIMITS)


def test_the_newest_version_is_the_served_one(tmp_path):
    assert served_version(tmp_path / "none") is None
    for name in ("2", "10", "withdrawn-11", ".draft-1-a"):
        (tmp_path / name).mkdir()
    assert served_version(tmp_path).name == "10"
