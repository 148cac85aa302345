"""What is said of the package in several files is the same in all of them."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_oldest_versions_that_we_allow_are_those_that_are_tried():
    extras = PROJECT["optional-dependencies"]
    asked = map(Requirement, [*PROJECT["dependencies"], *extras["plot"], *extras["dataframe"]])
    floors = {each.name: Version(str(each.specifier).removeprefix(">=")) for each in asked}
    pins = re.findall(r"^(\S+)==(\S+)$", (ROOT / "tests/oldest.txt").read_text(), re.MULTILINE)
    tried = {name: Version(version) for name, version in pins}
    assert floors.items() <= tried.items()
