"""The innermost loop of the cost kernels, written for vector registers: dot products of four rows.

Numba's own loops use a quarter of each register here, so this one is spelled out in LLVM instructions. It is
portable; where the processor has AVX2, sixteen multiplications of 16 bits are one instruction (``vpmaddwd``).

A coefficient is cut into two *limbs* of at most 15 bits, the low one first, so that every product and
every sum over a row fits 32 bits and is exact.

Numba's cache looks at kernels.py only: after a change here, remove ``nemo_lab/cost/__pycache__``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import binding, ir  # type: ignore[import-untyped]
from numba import config, types
from numba.extending import intrinsic

TAKEN = 16  # columns a step takes: every second of 32, so that bytes become 16-bit numbers in place
ROWS, LIMBS = 4, 2  # eight sums at once
I8, I16, I32, I64, F64 = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64), ir.DoubleType()
HAS_AVX2 = config.CPU_NAME is None and bool(binding.get_host_cpu_features().get("avx2"))


def row_dots(kind: str) -> Callable[..., None]:
    """A function for kernels that adds dot products of 4 rows to ``sums``.

    The function's arguments are addresses and numbers:

    - row: of the first byte of the first row, uint8[rows, stride], widths of 1 to 32.
    - stride: bytes from a row to the next.
    - offset: x is the byte itself (``"linear"``), ``max`` of it and the byte ``offset`` further on, or
      their ``"product"``.
    - steps: how many times 32 columns, of which every second counts, from the first on; the rows are read
      that far (plus ``offset``), wherever they end.
    - table: of int16[steps, 2, 16], coefficients cut into limbs.
    - low, high: what a unit of each limb counts.
    - sums: of float64[rows]; the sum over columns of x * coefficient is added.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def add_dots(
        typing: Any,
        row: Any,
        stride: Any,
        offset: Any,
        steps: Any,
        table: Any,
        low: Any,
        high: Any,
        sums: Any,
    ) -> Any:
        signature = types.void(*[types.intp] * 5, types.float64, types.float64, types.intp)

        def generate(context: Any, build: ir.IRBuilder, _: Any, arguments: Any) -> Any:
            _generate(build, kind, *arguments)
            return context.get_dummy_value()

        return signature, generate

    add_dots.__name__ = f"add_{kind}"
    return add_dots  # type: ignore[no-any-return]


def _generate(
    build: ir.IRBuilder, kind: str, row: Any, stride: Any, offset: Any, steps: Any, table: Any,
    low: Any, high: Any, sums: Any,
) -> None:  # fmt: skip
    starts = [build.add(row, build.mul(stride, I64(r))) for r in range(ROWS)]
    before, loop, after = build.block, build.append_basic_block("columns"), build.append_basic_block("sum")
    build.branch(loop)

    build.position_at_end(loop)
    step = build.phi(I64)
    totals = [build.phi(ir.VectorType(I32, 8)) for _ in range(ROWS * LIMBS)]
    column = build.mul(step, I64(2 * TAKEN))
    limb = build.add(table, build.mul(step, I64(2 * TAKEN * LIMBS)))
    coefficients = [_load(build, build.add(limb, I64(2 * TAKEN * i)), I16, TAKEN) for i in range(LIMBS)]
    added: list[Any] = []
    for start in starts:
        here = build.add(start, column)
        x = _load(build, here, I8, 2 * TAKEN)
        if kind == "max":
            other = _load(build, build.add(here, offset), I8, 2 * TAKEN)
            x = build.select(build.icmp_unsigned(">", x, other), x, other)
        x = _widen(build, x)
        if kind == "product":
            other = _load(build, build.add(here, offset), I8, 2 * TAKEN)
            x = build.mul(x, _widen(build, other))
        for values in coefficients:
            added.append(build.add(totals[len(added)], _multiply_add(build, x, values)))
    following = build.add(step, I64(1))
    build.cbranch(build.icmp_signed("<", following, steps), loop, after)
    step.add_incoming(I64(0), before)
    step.add_incoming(following, loop)
    for total, sum_ in zip(totals, added, strict=True):
        total.add_incoming(ir.Constant(total.type, [0] * 8), before)
        total.add_incoming(sum_, loop)

    build.position_at_end(after)
    whole = build.sitofp(_sum_lanes(build, added), ir.VectorType(F64, ROWS * LIMBS))
    scale = ir.Constant(whole.type, ir.Undefined)
    for lane in range(ROWS * LIMBS):
        scale = build.insert_element(scale, high if lane % LIMBS else low, I32(lane))
    whole = build.fmul(whole, scale)
    whole = build.fadd(_pick(build, whole, whole, range(0, 8, 2)), _pick(build, whole, whole, range(1, 8, 2)))
    target = build.inttoptr(sums, whole.type.as_pointer())
    build.store(build.fadd(build.load(target, align=8), whole), target, align=8)


def _load(build: ir.IRBuilder, address: Any, element: ir.Type, count: int) -> Any:
    pointer = build.inttoptr(address, ir.VectorType(element, count).as_pointer())
    return build.load(pointer, align=1)


def _pick(build: ir.IRBuilder, left: Any, right: Any, lanes: Any) -> Any:
    lanes = list(lanes)
    return build.shuffle_vector(left, right, ir.Constant(ir.VectorType(I32, len(lanes)), lanes))


def _widen(build: ir.IRBuilder, x: Any) -> Any:
    """Every second of uint8[32]: int16[16]."""
    return build.zext(_pick(build, x, x, range(0, 2 * TAKEN, 2)), ir.VectorType(I16, TAKEN))


def _multiply_add(build: ir.IRBuilder, x: Any, y: Any) -> Any:
    """int16[16] times int16[16], neighbours added: int32[8]."""
    if HAS_AVX2:
        kind = ir.FunctionType(ir.VectorType(I32, 8), [ir.VectorType(I16, 16)] * 2)
        return build.call(build.module.declare_intrinsic("llvm.x86.avx2.pmadd.wd", (), kind), [x, y])
    wide = ir.VectorType(I32, 16)
    products = build.mul(build.sext(x, wide), build.sext(y, wide))
    even, odd = (_pick(build, products, products, range(i, 16, 2)) for i in (0, 1))
    return build.add(even, odd)


def _sum_lanes(build: ir.IRBuilder, totals: list[Any]) -> Any:
    """Eight vectors int32[8] -> int32[8], the sum over the lanes of each, by halving."""
    pairs = [  # lanes: a b a b | a b a b
        build.add(
            _pick(build, a, b, [0, 8, 1, 9, 4, 12, 5, 13]), _pick(build, a, b, [2, 10, 3, 11, 6, 14, 7, 15])
        )
        for a, b in zip(totals[::2], totals[1::2], strict=True)
    ]
    fours = [  # lanes: a b c d | a b c d
        build.add(
            _pick(build, a, b, [0, 1, 8, 9, 4, 5, 12, 13]), _pick(build, a, b, [2, 3, 10, 11, 6, 7, 14, 15])
        )
        for a, b in zip(pairs[::2], pairs[1::2], strict=True)
    ]
    left, right = fours
    return build.add(
        _pick(build, left, right, [0, 1, 2, 3, 8, 9, 10, 11]),
        _pick(build, left, right, [4, 5, 6, 7, 12, 13, 14, 15]),
    )
