// Sign extension in two instructions, where Verilator's own functions take four; compiled into every
// generated file. A dot-product array is full of it.

#pragma once

#include "verilated.h"

static inline IData fast_extend_i(int bits, IData value) {
    return static_cast<IData>(static_cast<int32_t>(value << (32 - bits)) >> (32 - bits));
}
static inline QData fast_extend_q(int bits, QData value) {
    return static_cast<QData>(static_cast<int64_t>(value << (64 - bits)) >> (64 - bits));
}

#define VL_EXTENDS_II(to, from, value) fast_extend_i(from, value)
#define VL_EXTENDS_QI(to, from, value) fast_extend_q(from, value)
#define VL_EXTENDS_QQ(to, from, value) fast_extend_q(from, value)
#define VL_MULS_III(bits, a, b) (fast_extend_i(bits, a) * fast_extend_i(bits, b))
