"""Makes one module of those that are equal: Amaranth writes a module for each instance.

Verilator then compiles, and the processor's cache holds, one function for all rows of the array.
"""

import re

__all__ = ["share_modules"]

_NAME = r"(?:\\\S+ |\w+)"
_MODULE = re.compile(rf"^module ({_NAME}) ?\(.*?^endmodule$", re.M | re.S)
_INSTANCE = re.compile(rf"^  ({_NAME}) ({_NAME}) ?\(\n(.*?)^  \);$", re.M | re.S)
_FORMAL = re.compile(rf"^    \.({_NAME}) ?\(", re.M)
# clock and reset of a domain that has a name
_DOMAIN = re.compile(r"^  input (\w+)_clk;$", re.M)
# names with numbers that count over the whole file
_COUNTED = re.compile(r"\\(?:\$auto\$|port\$)\S+ ")


def share_modules(verilog):
    """The same design with each distinct module once.

    Parameters
    ----------
    verilog : str
        As Yosys writes it.
    """
    texts = {match[1].strip(): match[0] for match in _MODULE.finditer(verilog)}
    shared, done = {}, {}

    def visit(name):
        """(name of the module that stands for this one, new names of its ports)."""
        if name in done:
            return done[name]

        def instance(match):
            child = match[1].strip()
            if child not in texts:
                return match[0]
            chosen, renamed = visit(child)
            formals = _FORMAL.sub(lambda m: f"    .{renamed.get(m[1], m[1])}(", match[3])
            return f"  {chosen} {match[2]} (\n{formals}  );"

        names = {}
        text = _INSTANCE.sub(instance, texts[name])
        domains = set(_DOMAIN.findall(text))
        if len(domains) == 1 and not re.search(r"^  input clk;$", text, re.M):
            (domain,) = domains
            for kind in ("clk", "rst"):
                names[f"{domain}_{kind}"] = kind
                text = re.sub(rf"\b{domain}_{kind}\b", kind, text)
        text = _COUNTED.sub(lambda m: names.setdefault(m[0], f"\\counted{len(names)} "), text)
        chosen = shared.setdefault(text[text.index("(") :], name)
        done[name] = chosen, names
        return done[name]

    for name in texts:
        visit(name)
    return "".join(f"module {name} {body}\n\n" for body, name in shared.items())
