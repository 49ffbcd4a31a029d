// One source, several instruction sets.
//
// Each kernel file is compiled once per instruction set, with CR_ISA (baseline, avx2, avx512) as
// the name of the namespace it lives in; the program picks one namespace when it starts. A file
// that includes this must not use inline functions or templates from outside the namespace: the
// linker keeps one copy of such a function, perhaps the one with AVX-512 in it, and a machine
// without would die of it. So: no standard library here but <cstdint>-like headers.
#pragma once
#include "runtime/call.h"
#include "runtime/pool.h"

#ifndef CR_ISA
#define CR_ISA baseline
#endif

#define CR_KERNEL(name) Status name(const Call& call)
