"""Timing sets from TOML files: what is taken from a base, what is refused and in which words."""

import dataclasses
import math
import pathlib
import re
from collections.abc import Callable
from fractions import Fraction

import pytest

from mtia import hbm
from mtia.hbm import MEANINGS, Organization, TimingSet

HBM3 = hbm.get("HBM3-6.4")
HBM3E = hbm.get("HBM3E-9.0")
HBM4E = hbm.get("HBM4E-13.5")

#: a complete file, every value of HBM3-6.4 (16 GB)
COMPLETE = "\n".join(
    [
        "pin_gbps = 6.4",
        "raaimt = 80",
        "raammt = 240",
        "[organization]",
        *(
            f"{item.name} = {getattr(HBM3.organization, item.name)!r}"
            for item in dataclasses.fields(Organization)
            if item.default is dataclasses.MISSING
        ),
        "[parameters]",
        *(f"{name} = {HBM3[name]}" for name in MEANINGS),
    ]
)


class TestLoad:
    @pytest.fixture
    def load(self, tmp_path: pathlib.Path) -> Callable[[str], TimingSet]:
        self.path = tmp_path / "mine.toml"

        def from_text(text: str) -> TimingSet:
            self.path.write_text(text, encoding="utf-8")
            return hbm.load(self.path)

        return from_text

    def refused(self, load: Callable[[str], TimingSet], text: str) -> str:
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - the caller looks at the message
            load(text)
        message = str(caught.value)
        assert message.startswith(f"{self.path}: ")
        assert "\n" not in message
        return message.removeprefix(f"{self.path}: ")

    def test_complete(self, load: Callable[[str], TimingSet]) -> None:
        made = load(COMPLETE)
        assert made.name == "mine"
        assert {name: made[name] for name in MEANINGS} == {name: HBM3[name] for name in MEANINGS}
        assert made.organization == dataclasses.replace(HBM3.organization, source="user")
        assert {row.source for row in made.parameters.values()} == {"user"}
        assert hbm.load(str(self.path)) == made

    def test_base(self, load: Callable[[str], TimingSet]) -> None:
        made = load('name = "ours"\nbase = "HBM3E-9.0"\n[parameters]\nCL = 31\nRFCAB = { ns = 380, source = "sheet" }')
        assert (made.name, made["CL"], made["RFCAB"]) == ("ours", 31, 855)
        assert (made.parameters["CL"].source, made.parameters["RFCAB"].source) == ("user", "sheet")
        assert made["CWL"] == HBM3E["CWL"]
        assert made.organization == HBM3E.organization

    def test_options(self, load: Callable[[str], TimingSet]) -> None:
        text = (
            'base = "HBM4E-13.5"\nstack_gb = 64\nfaw_scope = "sid"\nrtw_rule = true\nraaimt = 32\nraammt = 96\n'
            "refresh_postpone = 4\n[organization]\nbank_groups = 4\nbanks_per_group = 4"
        )
        made = load(text)
        assert made.organization == HBM4E.with_stack(64).with_options(bank_groups=4).organization
        assert (made.faw_scope, made["RTW"], made.raaimt, made.raammt) == ("sid", 34 + 2 + 2 - 17, 32, 96)
        assert made.refresh_postpone == 4

    def test_rate(self, load: Callable[[str], TimingSet]) -> None:
        made = load('base = "HBM3-6.4"\npin_gbps = 9.2\n[parameters]\nCL = { ck = 30 }')
        assert made.parameters.keys() == HBM3.parameters.keys()
        assert made["RCDRD"] == math.ceil(Fraction("19.375") * Fraction("9.2") / 4)
        assert (made["CL"], made.pin_gbps) == (30, 9.2)
        assert made.tck_ns == pytest.approx(4 / 9.2)

    def test_stack_without_a_base(self, load: Callable[[str], TimingSet]) -> None:
        assert load(f"stack_gb = 24\n{COMPLETE}").organization.stack_bytes == 24 << 30

    @pytest.mark.parametrize(
        "text, message",
        [
            ('bas = "HBM3-6.4"', "Key must be one of .*, not 'bas'; did you mean base"),
            ('base = "HBM3-6"', "base must be one of .*, not 'HBM3-6'; did you mean HBM3-6.4"),
            ('base = "HBM3-6.4"\nstack_gb = 40', "stack_gb must be one of 8, .*, not 40"),
            ('base = "HBM3-6.4"\nrtw_rule = 1', "rtw_rule must be true or false, not 1"),
            ('base = "HBM3-6.4"\nparameters = 3', "parameters must be a table, not 3"),
            (
                'base = "HBM3-6.4"\n[parameters]\nCLL = 3',
                "Key in parameters must be one of .*, not 'CLL'; did you mean",
            ),
            (
                'base = "HBM3-6.4"\n[organization]\nrow = 3',
                "Key in organization must be .*, not 'row'; did you mean rows",
            ),
            ('base = "HBM3-6.4"\n[parameters]\nCL = {}', "CL must have ck or ns, not {}"),
            ('base = "HBM3-6.4"\n[parameters]\nCL = {ck = 2, ns = 1}', "CL must have ck or ns, not {'ck': 2, 'ns': 1}"),
            ('base = "HBM3-6.4"\n[parameters]\nCL = {cl = 2}', "Key in CL must be one of ck, ns, source, not 'cl'.*"),
            ('base = "HBM3-6.4"\n[parameters]\nCL = 2.5', "CL must be an integer number of CK, not 2.5"),
            ('base = "HBM3-6.4"\n[parameters]\nCL = {ns = -1}', "CL must be a positive number of ns, not -1"),
            ('base = "HBM3-6.4"\n[parameters]\nRAS = 80', "RAS must be below RC = 72, not 80"),
            ('base = "HBM3-6.4"\n[organization]\nchannels = 3', "channels must be a power of two, not 3"),
            ("", "standard must be given where there is no base"),
            (COMPLETE.replace("raaimt = 80", ""), "raaimt must be given where there is no base"),
            (COMPLETE.replace("RAS = 45", ""), "RAS must be given where there is no base"),
            (COMPLETE.replace("BL = 2\n", "BL = 2.0\n"), "BL must be a positive number of CK, not 2.0"),
            (COMPLETE.replace("pin_gbps = 6.4", "pin_gbps = -1"), "pin_gbps must be a positive number, not -1"),
            ("base = ", "file must be TOML, not: Invalid value .*"),
        ],
    )
    def test_wrong(self, load: Callable[[str], TimingSet], text: str, message: str) -> None:
        pattern = re.escape(message).replace(r"\.\*", ".*") if "{" in message else message
        assert re.match(pattern, self.refused(load, text))

    @pytest.mark.parametrize("value", ["true", "-1", "0", "1e9", '"x"', "[]", "{}", "nan", "1979-05-27"])
    @pytest.mark.parametrize(
        "key",
        [
            *("name", "base", "pin_gbps", "stack_gb", "rtw_rule", "faw_scope", "raaimt", "raammt"),
            *("refresh_postpone", "organization.standard", "organization.rows", "organization.act_bus_ck"),
            *("parameters.CL", "parameters.REFI", "parameters.RTP.ns"),
        ],
    )
    def test_strange_values(self, load: Callable[[str], TimingSet], key: str, value: str) -> None:
        """Whatever stands there, either a set comes out or one line that names the key."""
        base = "" if key == "base" else 'base = "HBM3-6.4"\n'
        text = f"{base}{key} = {value}"
        try:
            made = load(text)
        except ValueError:
            message = self.refused(load, text)
            assert any(part in message for part in key.split("."))
        else:
            assert (key, value) in (("name", '"x"'), ("rtw_rule", "true"), ("raaimt", "0"))
            assert made.parameters

    def test_missing_file(self, tmp_path: pathlib.Path) -> None:
        path = tmp_path / "none.toml"
        with pytest.raises(
            ValueError, match=rf"^{re.escape(str(path))}: file must be readable, not: No such file or directory$"
        ):
            hbm.load(path)

    def test_no_text(self, tmp_path: pathlib.Path) -> None:
        path = tmp_path / "bytes.toml"
        path.write_bytes(b"\xff\xfe")
        with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}: file must be TOML, not: "):
            hbm.load(path)
