"""The table itself, the files that are made from it, and the page in docs/."""

import json
import re
from pathlib import Path

import pytest

from eftrain_hw.config import PRESETS, AcceleratorConfig
from eftrain_hw.csr.errors import ERRORS, describe
from eftrain_hw.csr.generate import c_header, json_text, main, markdown, python_text
from eftrain_hw.csr.registers import ACCESS, ADDRESS_BITS, REGISTERS, by_name, capabilities
from eftrain_hw.dma.faults import MemoryFault
from eftrain_hw.sequencer.errors import PROGRAM_ERRORS


def test_registers_and_fields_do_not_overlap():
    addresses = [register.address for register in REGISTERS]
    assert len(set(addresses)) == len(addresses) == len({r.name for r in REGISTERS})
    for register in REGISTERS:
        assert register.address % 4 == 0 and register.address < 1 << ADDRESS_BITS
        used = 0
        for field in register.fields:
            assert field.access in ACCESS and field.low + field.bits <= 32
            assert not used & field.mask and field.reset < 1 << field.bits
            assert (field.access == "constant") == (field.constant is not None)
            used |= field.mask


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_capabilities_fit_their_fields(preset):
    config = AcceleratorConfig.preset(preset)
    values = capabilities(config)
    assert values["id"].to_bytes(4, "little") == b"EFTR"
    assert values["build_id_high"] << 32 | values["build_id_low"] == config.build_id
    assert values["shape"] & 0xFFFF == config.rows | config.lanes << 8
    for name, value in values.items():
        for field in by_name(name).fields:
            assert field.constant(config) < 1 << field.bits, (name, field.name)
            assert value >> field.low & (1 << field.bits) - 1 == field.constant(config)


def test_error_codes_are_those_of_the_parts():
    codes = {error.name: error.code for error in ERRORS}
    assert len(codes) == len(ERRORS) == len(set(codes.values()))
    for fault in MemoryFault:
        assert codes[fault.name.lower()] == fault
        assert describe(fault).has_address == (fault != 0)
    for name, (code, meaning) in PROGRAM_ERRORS.items():
        assert codes[name] == code and describe(code).meaning == meaning


def test_an_unknown_error_code():
    with pytest.raises(ValueError, match="^error code must be one of .*, not 9$"):
        describe(9)


def test_an_unknown_register():
    with pytest.raises(KeyError, match="register must be one of .*, not 'statsu'"):
        by_name("statsu")


def test_the_page_in_docs_is_current():
    page = Path(__file__).parents[2] / "docs" / "registers.md"
    assert page.read_text(encoding="utf-8") == markdown(), "run python -m eftrain_hw.csr.generate"


def test_c_header_has_every_register_and_error():
    text = c_header()
    defines = dict(re.findall(r"#define (\w+) (0x[0-9a-f]+|\d+)u", text))
    for register in REGISTERS:
        name = f"EFTRAIN_{register.name.upper()}"
        assert int(defines[name], 16) == register.address
        for field in register.fields:
            if field.name != "value":
                part = f"{name}_{field.name.upper()}"
                assert int(defines[f"{part}_SHIFT"]) == field.low
                assert int(defines[f"{part}_MASK"], 16) == field.mask
    for error in ERRORS:
        assert f"EFTRAIN_ERROR_{error.name.upper()} = 0x{error.code:02x}," in text


def test_python_text_runs_without_the_package():
    space = {}
    exec(python_text(), space)
    assert {r.name.lower(): r.value for r in space["Register"]} == {
        r.name: r.address for r in REGISTERS
    }
    assert {e.name.lower(): e.value for e in space["Error"]} == {e.name: e.code for e in ERRORS}
    assert space["FIELDS"]["control", "irq_enable"] == (8, 1)


def test_json_text_is_the_table():
    content = json.loads(json_text())
    assert [(r["name"], r["address"]) for r in content["registers"]] == [
        (r.name, r.address) for r in REGISTERS
    ]
    assert [e["code"] for e in content["errors"]] == [e.code for e in ERRORS]


def test_main_writes_the_files(tmp_path):
    page = tmp_path / "page.md"
    written = main(["--out", str(tmp_path / "out"), "--markdown", str(page)])
    assert [path.name for path in written] == [
        "page.md", "eftrain_registers.h", "eftrain_registers.py", "eftrain_registers.json",
        "eftrain_registers.svd",
    ]  # fmt: skip
    assert written[0].read_text() == markdown() and written[1].read_text() == c_header()
