import pytest

from geospde.errors import InputError
from geospde.survey.crs import local_crs, parse_crs, unit_of


@pytest.mark.parametrize(
    ("value", "unit"), [("local", "m"), ("local:m", "m"), (" Local : km ", "km"), ("LOCAL:ft", "ft")]
)
def test_local_frames_have_the_unit_that_they_name(value, unit):
    crs = parse_crs(value)
    assert crs.is_engineering and unit_of(crs) == unit


@pytest.mark.parametrize("unit", ["m", "km", "ft"])
def test_a_local_frame_written_as_wkt_keeps_its_unit(unit):
    crs = local_crs(unit)
    for wkt in (crs.to_wkt("WKT1_GDAL"), crs.to_wkt()):
        assert unit_of(parse_crs(wkt)) == unit
    assert unit_of(parse_crs('LOCAL_CS["local (km)",UNIT["kilometre",1000],AXIS["E",EAST],AXIS["N",NORTH]]')) == "km"


@pytest.mark.parametrize("value", ["local:parsec", "local:", "locally", "localm", "EPSG:1", ""])
def test_what_names_no_frame_is_refused(value):
    with pytest.raises(InputError, match="unit that geospde knows|not a coordinate reference system"):
        parse_crs(value)
