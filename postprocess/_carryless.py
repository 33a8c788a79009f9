"""Carry-less multiplication (polynomials over GF(2)) for compiled code, where the processor has an instruction for it.

Intrinsics for x86: PCLMULQDQ multiplies two 64-bit words, VPCLMULQDQ four pairs at once. Whoever compiles them asks `_clmul.available()` first: a compiler
that is told to use an instruction that the target lacks ends the process.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import Any

from llvmlite import ir
from numba.core import cgutils, codegen, types
from numba.core import config as _config

from ._compiled import intrinsic

BASE_WORDS = 16
"""Words of one sum of products, and of the smallest square that `square_base` multiplies."""
_WORD = ir.IntType(64)
_NUMBA: Any = _config
_CGUTILS: Any = cgutils
_CODEGEN: Any = codegen
_TYPES: Any = types


@cache
def lanes() -> int:
    """Return how many products one instruction makes: 4, 1 or, without such an instruction, 0."""
    if _NUMBA.DISABLE_JIT or struct.calcsize("P") != 8:
        return 0
    features = set((_NUMBA.CPU_FEATURES if _NUMBA.CPU_FEATURES is not None else _CODEGEN.get_host_cpu_features()).split(","))
    if "+pclmul" not in features:
        return 0
    return 4 if {"+vpclmulqdq", "+avx512f"} <= features else 1


def _at(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    """Return the address of a word of an array."""
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [index])


def _loaded(builder: Any, address: Any, word: int, at_once: int) -> Any:
    """Return 2 * at_once words from `word` on as one vector."""
    vector = ir.VectorType(_WORD, 2 * at_once)
    place = builder.gep(address, [ir.Constant(_WORD, word)])
    return builder.load(builder.bitcast(place, vector.as_pointer()), align=8)


def _multiplied(builder: Any, a: Any, b: Any, half: int, at_once: int) -> Any:
    """Return the products of the lower (half 0) or upper (1) words of every pair."""
    vector = a.type
    name = "llvm.x86.pclmulqdq" + ("" if at_once == 1 else f".{128 * at_once}")
    function = _CGUTILS.get_or_insert_function(builder.module, ir.FunctionType(vector, [vector, vector, ir.IntType(8)]), name)
    return builder.call(function, [a, b, ir.Constant(ir.IntType(8), 17 * half)])


def _summed(builder: Any, a: Any, first: int, b: list[Any], at_once: int) -> tuple[Any, Any]:
    """Return lower and upper word of the sum over j of a[first + j] (x) b[j], j below BASE_WORDS; b: loaded vectors."""
    total = None
    for part, factor in enumerate(b):
        words = _loaded(builder, a, first + 2 * at_once * part, at_once)
        for half in (0, 1):
            product = _multiplied(builder, words, factor, half, at_once)
            total = product if total is None else builder.xor(total, product)
    folded = None
    for lane in range(at_once):
        pair = builder.shuffle_vector(total, total, ir.Constant(ir.VectorType(ir.IntType(32), 2), [2 * lane, 2 * lane + 1]))
        folded = pair if folded is None else builder.xor(folded, pair)
    return tuple(builder.extract_element(folded, ir.Constant(ir.IntType(32), word)) for word in (0, 1))


def _base_vectors(builder: Any, address: Any, at_once: int) -> list[Any]:
    return [_loaded(builder, address, word, at_once) for word in range(0, BASE_WORDS, 2 * at_once)]


@intrinsic
def square_base(_typing: Any, memory: Any, s: Any, v: Any, y: Any) -> Any:
    """Add a square Toeplitz matrix of BASE_WORDS times a vector: y[k] ^= xor over j of the 64 bits that S[k - j] contributes.

    memory: uint64 (words,), C order.  s, v, y: where 2 BASE_WORDS words of the window, the vector's words in reverse order, and the result begin.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        at_once = lanes()
        window, vector, result = (_at(context, builder, signature.args[0], arguments[0], where) for where in arguments[1:])
        factors = _base_vectors(builder, vector, at_once)
        carried, lows = [], []
        for k in range(BASE_WORDS + 1):
            low, high = _summed(builder, window, k, factors, at_once)
            lows.append(low)
            carried.append(high)
        for k in range(BASE_WORDS):
            place = builder.gep(result, [ir.Constant(_WORD, k)])
            builder.store(builder.xor(builder.load(place), builder.xor(lows[k + 1], carried[k])), place)
        return context.get_dummy_value()

    return _TYPES.void(memory, s, v, y), generate


@intrinsic
def add_words(_typing: Any, memory: Any, target: Any, a: Any, b: Any) -> Any:
    """Write BASE_WORDS words: memory[target..] = memory[a..] ^ memory[b..]."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        result, *sources = (_at(context, builder, signature.args[0], arguments[0], where) for where in arguments[1:])
        for word in range(0, BASE_WORDS, 8):
            both = [_loaded(builder, source, word, 4) for source in sources]
            place = builder.gep(result, [ir.Constant(_WORD, word)])
            builder.store(builder.xor(*both), builder.bitcast(place, both[0].type.as_pointer()), align=8)
        return context.get_dummy_value()

    return _TYPES.void(memory, target, a, b), generate


@intrinsic
def sum_of_products(_typing: Any, a: Any, a_at: Any, b: Any, b_at: Any) -> Any:
    """Return (lower, upper) word of the sum over BASE_WORDS values of j of a[a_at + j] (x) b[b_at + j]."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        at_once = lanes()
        left = _at(context, builder, signature.args[0], arguments[0], arguments[1])
        right = _at(context, builder, signature.args[2], arguments[2], arguments[3])
        return context.make_tuple(builder, signature.return_type, _summed(builder, left, 0, _base_vectors(builder, right, at_once), at_once))

    return _TYPES.UniTuple(_TYPES.uint64, 2)(a, a_at, b, b_at), generate


@intrinsic
def product(_typing: Any, a: Any, b: Any) -> Any:
    """Return (lower, upper) word of a (x) b."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(_WORD, 2)
        both = [builder.insert_element(ir.Constant(vector, [0, 0]), word, ir.Constant(ir.IntType(32), 0)) for word in arguments]
        found = _multiplied(builder, both[0], both[1], 0, 1)
        words = [builder.extract_element(found, ir.Constant(ir.IntType(32), word)) for word in (0, 1)]
        return context.make_tuple(builder, signature.return_type, words)

    return _TYPES.UniTuple(_TYPES.uint64, 2)(a, b), generate
