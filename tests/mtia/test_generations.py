"""The structure of each generation yields the published figures, and its engines are what it says."""

import dataclasses
import itertools
import math
import re

import pytest

from mtia import formats, generations
from mtia.generations import FEATURES, GENERATIONS, PROFILES, Generation, Structure
from mtia.published import PUBLISHED, Figure, Mark, Published

ALL = list(GENERATIONS.values())
M300, M400, M450, M500 = ALL


class TestPublished:
    """The published table, typed a second time here column by column."""

    @pytest.mark.parametrize(
        "name, row",
        [
            ("mtia300", (800, 6.1, 216, 6, None, 1.2, 0.6, 1, 2, 0, 16, 1.0, 200)),
            ("mtia400", (1200, 9.2, 288, 8, 12, 6, 3, 2, 2, 1, 72, 1.2, 100)),
            ("mtia450", (1400, 18.4, 288, 8, 21, 7, 3.5, 2, 2, 1, 72, 1.2, 100)),
            ("mtia500", (1700, 27.6, (384, 512), 8, 30, 10, 5, 4, 2, 1, "more than 72", 1.2, 100)),
        ],
    )
    def test_values(self, name: str, row: tuple[object, ...]) -> None:
        figures = dataclasses.asdict(PUBLISHED[name])
        assert tuple(figures[key]["value"] for key in figures if key not in ("focus", "pe_grid")) == row

    def test_marks(self) -> None:
        def marks(field: str) -> str:
            return "".join(getattr(figures, field).mark.name for figures in PUBLISHED.values())

        assert marks("hbm_bandwidth") == marks("bf16") == "NNNN"
        assert (marks("hbm_stacks"), marks("pe_grid"), marks("domain")) == ("TAII", "PAUU", "NNNA")

    def test_undisclosed_has_no_value(self) -> None:
        figures = [figure for gen in ALL for figure in vars(gen.published).values()]
        assert {figure.value for figure in figures if figure.mark is Mark.U} == {None}

    def test_every_source_is_words(self) -> None:
        for gen in ALL:
            for name, figure in vars(gen.published).items():
                assert re.fullmatch(r"[A-Za-z0-9 ,;'+-]+", figure.source), name
                assert figure.source.startswith(figure.mark.value)

    def test_note_follows_the_mark(self) -> None:
        figure = Figure(value=1, unit="W", mark=Mark.T, note="at the wall")
        assert figure.source == "third-party notes of a paper; at the wall"
        assert dataclasses.replace(figure, note="").source == "third-party notes of a paper"

    def test_agrees_to_half_a_step_and_no_further(self) -> None:
        figure = Figure(value=6.1, unit="TB/s", mark=Mark.N, step=0.1)
        assert figure.agrees(6.15)
        assert figure.agrees(6.05)
        assert not figure.agrees(6.151)
        assert not figure.agrees(6.049)

    def test_exact_figure_agrees_with_itself_only(self) -> None:
        figure = Figure(value=800, unit="W", mark=Mark.N)
        assert figure.agrees(800)
        assert not figure.agrees(800.001)

    @pytest.mark.parametrize("value", [None, "more than 72", (384, 512)])
    def test_agrees_wrong(self, value: "str | tuple[float, float] | None") -> None:
        with pytest.raises(TypeError, match=re.escape(f"Figure to compare must be one number, not {value!r}")):
            Figure(value=value, unit="", mark=Mark.N).agrees(1)


class TestDerived:
    """Published figures out of the structure, within the rounding they were printed with."""

    @pytest.mark.parametrize("gen", ALL, ids=lambda gen: gen.name)
    def test_figures(self, gen: Generation) -> None:
        structure = gen.structure
        derived = {
            "hbm_bandwidth": structure.hbm.bandwidth,
            "hbm_stacks": structure.hbm.stacks,
            "mx8": gen.pflops(gen.mx8_format),
            "bf16": gen.pflops("BF16"),
            "compute_chiplets": structure.compute_chiplets,
            "network_chiplets": structure.network_chiplets,
            "soc_chiplets": structure.soc_chiplets,
            "scale_up": structure.network.scale_up_bandwidth,
            "scale_out": structure.network.scale_out_bandwidth,
        }
        wrong = {name: value for name, value in derived.items() if not getattr(gen.published, name).agrees(value)}
        assert not wrong

    @pytest.mark.parametrize("gen", [M400, M450, M500], ids=lambda gen: gen.name)
    def test_mx4(self, gen: Generation) -> None:
        assert gen.published.mx4.agrees(gen.pflops("MXFP4"))

    def test_300_has_no_mx4(self) -> None:
        assert M300.published.mx4.value is None
        assert M300.pflops("MXFP4") == 0.0

    @pytest.mark.parametrize("gen", ALL, ids=lambda gen: gen.name)
    def test_mx_figures_are_multiples_of_the_printed_bf16(self, gen: Generation) -> None:
        printed = round(gen.pflops("BF16"), 1)
        mx4, mx8, _ = gen.rate_ratio
        assert gen.published.bf16.value == pytest.approx(printed)
        assert gen.published.mx8.value == pytest.approx(mx8 * printed)
        assert (gen.published.mx4.value or 0) == pytest.approx(mx4 * printed)

    def test_rate_ratios(self) -> None:
        assert [gen.rate_ratio for gen in ALL] == [(0, 2, 1), (4, 2, 1), (6, 2, 1), (6, 2, 1)]

    def test_exact_hbm_bandwidths(self) -> None:
        assert [gen.structure.hbm.bandwidth for gen in ALL] == pytest.approx([6.144, 9.216, 18.432, 27.648], rel=1e-12)

    def test_capacities(self) -> None:
        assert [gen.structure.hbm.capacities for gen in ALL] == [(216,), (288,), (288,), (384, 512)]
        assert all(
            gen.published.hbm_capacity.value in (gen.structure.hbm.capacities, gen.structure.hbm.capacities[0])
            for gen in ALL
        )

    def test_pseudo_channels(self) -> None:
        assert [gen.structure.hbm.pseudo_channels for gen in ALL] == [192, 256, 512, 512]
        rates = [1000 * gen.structure.hbm.bandwidth / gen.structure.hbm.pseudo_channels for gen in ALL]
        assert rates == pytest.approx([32, 36, 36, 54])  # GB/s each

    def test_timing_sets(self) -> None:
        names = [gen.structure.hbm.timing_set for gen in ALL]
        assert names == ["HBM3E-8.0", "HBM3E-9.0", "HBM4-9.0", "HBM4E-13.5"]

    def test_headline_hbm_ratio(self) -> None:
        assert M500.structure.hbm.bandwidth / M300.structure.hbm.bandwidth == pytest.approx(4.5, rel=1e-12)

    def test_headline_flops_ratio(self) -> None:
        printed_500 = M500.rate_ratio[0] * round(M500.pflops("BF16"), 1)
        printed_300 = M300.rate_ratio[1] * round(M300.pflops("BF16"), 1)
        assert printed_500 / printed_300 == pytest.approx(25)
        # The 300's FP8 rate is printed as twice a rounded 0.56, so the unrounded ratio is larger.
        assert M500.pflops("MXFP4") / M300.pflops("FP8_E4M3") == pytest.approx(26.8, abs=0.05)

    def test_steps_between_generations(self) -> None:
        bandwidth = [gen.structure.hbm.bandwidth for gen in ALL]
        assert bandwidth[2] / bandwidth[1] == pytest.approx(2)
        assert bandwidth[3] / bandwidth[2] == pytest.approx(1.5)

    def test_peak_of_the_300(self) -> None:
        assert M300.macs_per_cycle("BF16") == 72 * 2048
        assert 1000 * M300.pflops("BF16") == pytest.approx(560, abs=0.5)  # TFLOPS

    def test_macs_of_the_400(self) -> None:
        assert M400.macs_per_cycle("BF16") == 96 * 8192

    def test_grids(self) -> None:
        grids = [(gen.structure.rows, gen.structure.columns, gen.structure.spare_rows) for gen in ALL]
        assert grids == [(12, 6, 1), (8, 6, 1), (9, 6, 1), (6, 6, 1)]
        assert [gen.structure.pes for gen in ALL] == [72, 96, 108, 144]
        assert [gen.structure.spare_pes for gen in ALL] == [6, 12, 12, 24]

    @pytest.mark.parametrize("gen", [M300, M400], ids=lambda gen: gen.name)
    def test_published_grid(self, gen: Generation) -> None:
        part = gen.structure
        assert gen.published.pe_grid.value == f"{part.rows} x {part.columns} + {part.spare_rows * part.columns}"

    def test_domains(self) -> None:
        assert [gen.structure.network.domain for gen in ALL] == [16, 72, 72, 72]
        assert [gen.published.domain.value for gen in ALL[:3]] == [16, 72, 72]

    def test_nics_split_evenly_over_the_chiplets(self) -> None:
        per_chiplet = [gen.structure.network.nics / gen.structure.network_chiplets for gen in ALL]
        assert per_chiplet == [6, 7, 7, 7]

    def test_spare_nics_carry_traffic_only_where_lent(self) -> None:
        network = M300.structure.network
        assert network.scale_up_bandwidth == pytest.approx(1.0)
        assert dataclasses.replace(network, spares_lent=False).scale_up_bandwidth == pytest.approx(0.8)

    def test_format_that_the_generation_lacks(self) -> None:
        assert M300.macs_per_cycle("MXFP4") == 0
        assert M400.macs_per_cycle("nvfp4") == 0
        assert M450.macs_per_cycle("nvfp4") == 108 * 8 * 3072

    def test_package_rate_is_engines_times_engine(self) -> None:
        for gen in ALL:
            engines = gen.structure.pes * gen.structure.dpes_per_pe
            row = formats.get("BF16")
            assert gen.macs_per_cycle("BF16") == engines * gen.engine("full").mac_lanes(row, row)
            assert math.isclose(gen.pflops("BF16"), 2e-6 * gen.macs_per_cycle("BF16") * gen.structure.clock_ghz)

    def test_rate_of_an_unknown_format(self) -> None:
        with pytest.raises(ValueError, match="did you mean MXFP4"):
            M400.pflops("MXPF4")


class TestGeneration:
    def test_names(self) -> None:
        assert list(GENERATIONS) == list(PUBLISHED) == ["mtia300", "mtia400", "mtia450", "mtia500"]
        assert [gen.title for gen in ALL] == ["MTIA 300", "MTIA 400", "MTIA 450", "MTIA 500"]
        assert all(GENERATIONS[gen.name] is gen for gen in ALL)

    @pytest.mark.parametrize("name", ["mtia450", "MTIA450", "450", "MTIA 450", "mtia-450", "Mtia_450", " 450 "])
    def test_get(self, name: str) -> None:
        assert generations.get(name) is M450

    def test_get_of_a_generation(self) -> None:
        assert generations.get(M300) is M300

    @pytest.mark.parametrize("name, near", [("mtia40", "mtia400"), ("460", "mtia450"), ("mita500", "mtia500")])
    def test_get_wrong(self, name: str, near: str) -> None:
        with pytest.raises(ValueError, match=rf"Generation must be one of mtia300, .*did you mean .*{near}"):
            generations.get(name)

    @pytest.mark.parametrize("name", ["", "tpu"])
    def test_get_wrong_without_a_near_one(self, name: str) -> None:
        with pytest.raises(ValueError, match=f"mtia450, mtia500, not '{name}'$"):
            generations.get(name)

    def test_formats(self) -> None:
        plain = ("FP8_E5M2", "FP8_E4M3", "BF16", "FP16", "TF32")
        assert M300.formats == plain
        assert M400.formats == (*plain, *formats.MX_FORMATS)
        assert M450.formats == M500.formats == (*plain, *formats.MX_FORMATS, "NVFP4")

    def test_frozen(self) -> None:
        for value in (M300, M300.structure, M300.structure.hbm, M300.published, M300.engine()):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(value, dataclasses.fields(value)[0].name, 1)
        assert len({hash(gen) for gen in ALL}) == 4

    @pytest.mark.parametrize("gen", ALL, ids=lambda gen: gen.name)
    def test_notes_name_parts(self, gen: Generation) -> None:
        for part, why in gen.notes:
            holder: object = gen.structure if part.split(".")[0] in _names(Structure) else gen
            for name in part.split("."):
                holder = getattr(holder, name)
            assert why
        assert len(dict(gen.notes)) == len(gen.notes)

    def test_choices_are_noted(self) -> None:
        for gen in (M450, M500):
            assert gen.published.pe_grid.mark is Mark.U
            assert {"rows", "clock_ghz", "network", "formats"} <= set(dict(gen.notes))
            assert "our choice" in dict(gen.notes)["rows"]
        assert "analyst" in dict(M400.notes)["rows"]
        assert "analyst" in dict(M400.notes)["spare_rows"]
        assert "analyst" in dict(M500.notes)["network.domain"]
        for gen in ALL:
            inferred = gen.published.hbm_stacks.mark
            assert inferred in (Mark.T, Mark.A, Mark.I)
            assert "hbm" in dict(gen.notes)

    @pytest.mark.parametrize("gen", ALL, ids=lambda gen: gen.name)
    def test_features_match_the_structure(self, gen: Generation) -> None:
        features = set(gen.structure.features)
        assert features <= set(FEATURES)
        assert ("block_scales" in features) == any(formats.get(name).is_scaled for name in gen.formats)
        assert ("mixed_operands" in features) == gen.mixed
        assert ("soc_chiplet" in features) == (gen.structure.soc_chiplets > 0)
        assert ("switched_domain" in features) == gen.structure.network.switched
        assert ("spare_row" in features) == (gen.structure.spare_rows > 0)
        assert ("message_engines" in features) == (gen.structure.message_engines > 0)

    def test_features_only_grow(self) -> None:
        for older, newer in itertools.pairwise(ALL):
            assert set(older.structure.features) <= set(newer.structure.features)
            assert set(older.formats) <= set(newer.formats)


class TestProfiles:
    @pytest.mark.parametrize("gen", ALL, ids=lambda gen: gen.name)
    @pytest.mark.parametrize(
        "profile, units, slices, depth", [("full", 32, 2, 32), ("sim", 8, 1, 64), ("fpga", 2, 1, 16)]
    )
    def test_sizes(self, gen: Generation, profile: str, units: int, slices: int, depth: int) -> None:
        made = gen.engine(profile)
        assert (made.units, made.slices, made.depth) == (units, slices, depth)
        assert made.dense_rows == {"mtia300": 1, "mtia400": 2, "mtia450": 3, "mtia500": 3}[gen.name]
        assert made.mixed is (gen.name in ("mtia450", "mtia500"))
        assert made.window == 40

    def test_default_is_sim(self) -> None:
        assert M400.engine() == M400.engine("sim")

    @pytest.mark.parametrize("gen", ALL, ids=lambda gen: gen.name)
    def test_sim_has_the_formats_of_full(self, gen: Generation) -> None:
        full, sim = gen.engine("full"), gen.engine("sim")
        assert full.formats == sim.formats == gen.formats
        assert full.exact_e5m2
        assert sim.exact_e5m2
        assert full.pairs() == sim.pairs()
        assert {full.mac_lanes(a, b) / sim.mac_lanes(a, b) for a, b in full.pairs()} == {8}

    def test_fpga_is_reduced(self) -> None:
        assert M300.engine("fpga").formats == ("FP8_E4M3",)
        for gen in (M400, M450, M500):
            assert gen.engine("fpga").formats == ("MXFP8_E4M3", "MXFP4")
        assert not any(gen.engine("fpga").exact_e5m2 for gen in ALL)

    def test_engine_wrong(self) -> None:
        with pytest.raises(ValueError, match="Profile must be one of full, sim, fpga, not 'ful'; did you mean full"):
            M300.engine("ful")

    def test_every_profile_says_what_it_is_for(self) -> None:
        assert list(PROFILES) == ["full", "sim", "fpga"]
        assert all(profile.summary for profile in PROFILES.values())


def _names(kind: type) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)}


def test_published_fields_are_all_in_the_table() -> None:
    assert all(_names(Published) == set(vars(gen.published)) for gen in ALL)
