"""The class scheme: names, ids, colours, and which label codes mean what."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from geoseg import classes, yamlfile
from geoseg.classes import IGNORE, ClassScheme, LandClass
from geoseg.errors import ClassError, ConfigError

LAND: dict[str, Any] = {"name": "land", "color": "#ffffff", "values": ["field", "forest"]}
WATER: dict[str, Any] = {"name": "water", "color": "#2b83ba80", "values": [1, "river"]}


def scheme(*each: dict[str, Any], **settings: Any) -> ClassScheme:
    return classes.parse({"classes": list(each) or [LAND, WATER], **settings})


def test_many_codes_mean_one_class() -> None:
    assert scheme().look_up(["field", "river", "forest", 1]).ids.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("code", [1, 1.0, "1", " 1 ", np.int64(1), np.float32(1), np.str_("1")])
def test_numbers_match_by_value_and_text_by_its_characters(code: object) -> None:
    assert scheme().look_up([code]).ids.tolist() == [1]


@pytest.mark.parametrize("code", ["01", "1.0", 1.5, "River"])
def test_other_spellings_are_other_codes(code: object) -> None:
    found = scheme().look_up([code])
    assert found.ids.tolist() == [IGNORE]
    assert found.unknown == {str(code): 1}


@pytest.mark.parametrize("code", [None, float("nan"), np.nan, pd.NaT, ""])
def test_missing_codes_are_not_labelled(code: object) -> None:
    assert scheme().look_up([code]).ids.tolist() == [IGNORE]


def test_unknown_codes_are_counted_and_listed_the_most_frequent_first() -> None:
    found = scheme().look_up([7, "road", "field", "road"])
    assert found.ids.tolist() == [IGNORE, IGNORE, 0, IGNORE]
    assert list(found.unknown.items()) == [("road", 2), ("7", 1)]
    assert found.list_unknown() == "'road' (2 x), '7' (1 x)"


def test_distinct_codes_come_with_their_counts() -> None:
    found = scheme().look_up(np.array([1, 7, 9]), np.array([500, 20, 30]))
    assert found.ids.tolist() == [1, IGNORE, IGNORE]
    assert found.list_unknown("px") == "'9' (30 px), '7' (20 px)"


def test_twenty_unknown_codes_are_listed() -> None:
    assert scheme().look_up(range(100, 150)).list_unknown().count("(1 x)") == 20


def test_the_codes_of_a_scheme_are_those_it_knows() -> None:
    assert scheme(LAND, {"name": "a", "color": "#000000"}, ignore=[99]).codes == (
        "a",
        "1",
        "field",
        "forest",
        "99",
    )


def test_unmapped_codes_can_be_ignored_or_be_a_class() -> None:
    assert scheme(unmapped="ignore").look_up(["road"]).ids.tolist() == [IGNORE]
    assert scheme(unmapped="water").look_up(["road", None]).ids.tolist() == [1, IGNORE]


def test_ignored_codes_are_255_and_no_error() -> None:
    assert scheme(ignore=[99, "cloud"]).look_up(["99", "cloud", "field"]).ids.tolist() == [
        255,
        255,
        0,
    ]


def test_without_values_the_name_and_the_id_are_the_codes() -> None:
    both = scheme({"name": "a", "color": "#000000"}, {"name": "b", "color": "#000000"})
    assert both.look_up(["b", 0, "1", "a"]).ids.tolist() == [1, 0, 1, 0]


def test_a_star_takes_every_polygon_even_without_a_code_but_not_those_named() -> None:
    every = scheme(LAND, {"name": "rest", "color": "#000000", "values": "*"})
    assert every.look_up(["field", "road", None]).ids.tolist() == [0, 1, 1]


def test_colours_are_rgba_and_opaque_unless_said() -> None:
    assert [each.rgba for each in scheme().classes] == [(255, 255, 255, 255), (43, 131, 186, 128)]


def test_priority_is_the_id_unless_said() -> None:
    assert scheme(LAND | {"priority": 9}, WATER).priorities == (9, 1)
    assert scheme(LAND, WATER | {"priority": 0}).priorities == (0, 0)


def test_outside_is_255_or_a_class() -> None:
    assert scheme().outside_id == IGNORE
    assert scheme(outside="water").outside_id == 1


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no classes": ({"classes": []}, "classes: "),
    "256 classes": (
        {"classes": [{"name": f"c{i}", "color": "#000000"} for i in range(256)]},
        "at most 255",
    ),
    "a name twice": ({"classes": [LAND, LAND | {"values": []}]}, "class name 'land' stands twice"),
    "a code twice": (
        {"classes": [LAND, WATER | {"values": ["field"]}]},
        "label code 'field' stands twice",
    ),
    "1 and '1'": (
        {"classes": [LAND | {"values": [1]}, WATER | {"values": ["1"]}]},
        "label code '1' stands twice",
    ),
    "a bare yes": ({"classes": [LAND | {"values": [True]}]}, "put them in quotes"),
    "a colour word": ({"classes": [LAND | {"color": "red"}]}, "classes.0.color"),
    "a colour of YAML": ({"classes": [LAND | {"color": None}]}, "classes.0.color"),
    "an unknown key": ({"classes": [LAND | {"colour": "#000000"}]}, "classes.0.colour"),
    "unmapped: nowhere": ({"classes": [LAND], "unmapped": "road"}, "'road' is neither"),
    "outside: error": ({"classes": [LAND], "outside": "error"}, "'error' is neither"),
    "an unknown burn": ({"classes": [LAND | {"burn": "all"}]}, "classes.0.burn"),
}


@pytest.mark.parametrize(("content", "message"), REFUSED.values(), ids=REFUSED)
def test_refused_with_the_field(content: dict[str, Any], message: str) -> None:
    with pytest.raises(ClassError) as caught:
        classes.parse(content, where="classes.yaml")
    assert str(caught.value).startswith("classes.yaml: ")
    assert message in str(caught.value)


def test_all_problems_stand_in_one_error() -> None:
    with pytest.raises(ClassError) as caught:
        classes.parse({"classes": [{"name": "", "color": "red"}, {"color": "#000000"}]})
    assert all(f"classes.{p}" in str(caught.value) for p in ("0.name", "0.color", "1.name"))


def test_a_scheme_comes_back_from_its_own_yaml() -> None:
    one = scheme(
        LAND | {"name": "Wälder: 1", "priority": 0, "burn": "majority", "values": ["yes", 2.5, 3]},
        WATER,
        column="klass",
        outside="water",
        unmapped="ignore",
        ignore=["null", 0],
    )
    assert classes.parse(yamlfile.parse(one.to_yaml())) == one


def test_the_class_file_of_the_readme_is_read(tmp_path: Path) -> None:
    path = tmp_path / "classes.yaml"
    path.write_text(
        "column: landcover\n"
        "classes:\n"
        '  - {name: background, color: "#00000000"}\n'
        '  - {name: water, color: "#2b83ba", values: [1, "Water", "river"]}\n'
        '  - {name: building, color: "#d7191c", values: ["yes", "house"], priority: 9,\n'
        "     burn: touched}\n"
        "unmapped: error\noutside: ignore\n",
        encoding="utf-8",
    )
    read = classes.load_yaml(path)
    assert read.names == ("background", "water", "building")
    assert read.priorities == (0, 1, 9)
    assert read.look_up(["background", 0, "river", "yes"]).ids.tolist() == [0, 0, 1, 2]


def test_a_class_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml"):
        classes.load_yaml(tmp_path / "nowhere.yaml")


def test_a_scheme_is_a_value_before_and_after_use() -> None:
    one, other = scheme(), scheme()
    one.look_up(["field"])
    assert one == other
    assert hash(one) == hash(other)
    assert pickle.loads(pickle.dumps(one)) == other


def test_a_name_that_no_style_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="has no control characters"):
        LandClass(name="water\x07", color="#2b83ba")
    assert LandClass(name="wet\nsand \U0001f30a", color="#2b83ba").name == "wet\nsand \U0001f30a"
