from __future__ import annotations

import pytest

from cryostat.cases.methods.base import Method, Setting
from cryostat.cases.runs.settings import resolved_settings
from cryostat.core.errors import SettingError


class Toy(Method):
    name, about = "toy", "Nothing."
    settings = {  # noqa: RUF012
        "width": Setting(16, "Units."),
        "decay": Setting(0.1, "Shrinkage.", choices=(0.1, 1.0)),
        "gate": Setting("softmax", "Kind.", options=("softmax", "sigmoid")),
        "paired": Setting(False, "Only complete patients."),
    }

    def fit(self, lesson, choice):
        raise NotImplementedError


def test_defaults_then_protocol_then_user():
    found = resolved_settings(Toy(), {"width": 8, "decay": 1}, {"width": "32", "paired": "on"})
    assert found == {"width": 32, "decay": 1.0, "gate": "softmax", "paired": True}
    assert isinstance(found["decay"], float)


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({"widht": 3}, "width"),
        ({"width": "wide"}, "whole number"),
        ({"width": 2.5}, "whole number"),
        ({"gate": "hard"}, "softmax, sigmoid"),
        ({"paired": "perhaps"}, "true or false"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_right(given, part):
    with pytest.raises(SettingError) as caught:
        resolved_settings(Toy(), given)
    assert part in str(caught.value)
